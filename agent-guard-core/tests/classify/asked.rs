//! Requests in a few words.

use agent_guard_core::{
    classify::{Routes, classify},
    operation::Operation,
    request::{Body, HttpRequest, Peer},
};
use agent_guard_decode::message::{Framing, Header, RequestHead};

pub(crate) fn request(
    method: &str,
    host: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpRequest {
    let mut all = vec![];
    if !host.is_empty() {
        all.push(Header { name: "host".into(), value: host.into() });
    }
    all.extend(
        headers.iter().map(|(n, v)| Header { name: n.to_ascii_lowercase(), value: v.as_bytes().to_vec() }),
    );
    let framing = if body.is_empty() { Framing::None } else { Framing::Length(body.len() as u64) };
    HttpRequest {
        head: RequestHead {
            method: method.into(),
            target: target.as_bytes().to_vec(),
            minor_version: 1,
            headers: all,
            framing,
            expects_continue: false,
        },
        body: if body.is_empty() { Body::None } else { Body::Whole(body.into()) },
        peer: Peer::default(),
    }
}

pub(crate) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");
pub(crate) const SIGNED: (&str, &str) = (
    "Authorization",
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260102/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=00",
);

pub(crate) fn ec2(body: &str) -> HttpRequest {
    request("POST", "ec2.us-east-1.amazonaws.com", "/", &[FORM, SIGNED], body)
}

/// The same, with only a part of the body seen.
pub(crate) fn cut(mut request: HttpRequest, seen: usize) -> HttpRequest {
    let bytes = request.body.bytes().to_vec();
    request.head.framing = Framing::Length(bytes.len() as u64);
    request.body = Body::Prefix(bytes[..seen].to_vec());
    request
}

pub(crate) fn with_sni(mut request: HttpRequest, sni: &str) -> HttpRequest {
    request.peer.sni = Some(sni.into());
    request
}

pub(crate) fn judge(request: &HttpRequest) -> Operation {
    classify(request, &Routes::default())
}

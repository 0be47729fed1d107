//! The parts of a line as the request they would be on the wire.
//!
//! What a decoder of the wire would not accept must not be accepted here either, or the answers would differ.

use agent_guard_decode::message::{Framing, Header, RequestHead};

use crate::request::{Body, HttpRequest, Peer};

/// The fields of a line.
pub(super) struct Parts {
    pub method: String,
    pub host: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

/// As the decoder of HTTP/1 has it.
const LONGEST_METHOD: usize = 32;

impl Parts {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The request; an error says why these parts are none (harm-levels 17).
    pub(super) fn request(&self) -> Result<HttpRequest, &'static str> {
        if self.method.is_empty() || self.method.len() > LONGEST_METHOD || !self.method.bytes().all(is_token)
        {
            return Err("malformed request: the method is no token");
        }
        if self.path.is_empty() || self.path.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err("malformed request: the path is empty or contains white space or control characters");
        }
        let headers = self.all_headers()?;
        let framing = framing(&headers, self.body.as_deref())?;
        let head = RequestHead {
            method: self.method.clone(),
            target: self.path.clone().into_bytes(),
            minor_version: 1,
            expects_continue: false,
            framing,
            headers,
        };
        let body = match (&self.body, framing) {
            (None, Framing::Length(1..) | Framing::Chunked) => Body::Prefix(Vec::new()),
            (None, _) => Body::None,
            (Some(body), Framing::Length(length)) if u64::try_from(body.len()).is_ok_and(|l| l < length) => {
                Body::Prefix(body.clone())
            }
            (Some(body), _) => Body::Whole(body.clone()),
        };
        Ok(HttpRequest { head, body, peer: Peer::default() })
    }

    fn all_headers(&self) -> Result<Vec<Header>, &'static str> {
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err("malformed request: a header name is no token");
            }
            if value.bytes().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
                return Err("malformed request: a header value contains a line break or NUL");
            }
            let value = value.trim_matches([' ', '\t']).as_bytes().to_vec();
            headers.push(Header { name: name.to_ascii_lowercase(), value });
        }
        // The line's host is what is asked; a Host header that says the same is the same header.
        let same = |h: &Header| h.name == "host" && h.value.eq_ignore_ascii_case(self.host.as_bytes());
        if headers.iter().filter(|h| h.name == "host").count() != 1 || !headers.iter().any(same) {
            headers.insert(0, Header { name: "host".into(), value: self.host.clone().into_bytes() });
        }
        Ok(headers)
    }
}

/// RFC 9112 section 6, without repairing anything.
fn framing(headers: &[Header], body: Option<&[u8]>) -> Result<Framing, &'static str> {
    let values =
        |wanted: &'static str| headers.iter().filter(move |h| h.name == wanted).map(|h| h.value.as_slice());
    let mut codings = values("transfer-encoding");
    let mut lengths = values("content-length");
    let seen = body.map_or(0, |b| u64::try_from(b.len()).unwrap_or(u64::MAX));
    match (codings.next(), lengths.next()) {
        (Some(_), Some(_)) => Err("ambiguous framing: Content-Length and Transfer-Encoding"),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() => {
            Ok(Framing::Chunked)
        }
        (Some(_), None) => Err("ambiguous framing: a transfer coding that is not chunked alone"),
        (None, Some(length)) => {
            if lengths.any(|other| other != length) {
                return Err("ambiguous framing: differing Content-Length headers");
            }
            let digits = length.iter().all(u8::is_ascii_digit);
            let length = str::from_utf8(length).ok().filter(|_| digits).and_then(|l| l.parse::<u64>().ok());
            match length {
                None => Err("ambiguous framing: Content-Length is no number"),
                Some(length) if length < seen => {
                    Err("ambiguous framing: the body is longer than Content-Length")
                }
                Some(length) => Ok(Framing::Length(length)),
            }
        }
        (None, None) => Ok(if body.is_some() { Framing::Length(seen) } else { Framing::None }),
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

//! Two attempts of a call have one digest; another call has another.

use agent_guard_core::{
    digest::{digest, opaque, signature_good_until},
    effect::UnixMillis,
    request::{Body, HttpRequest},
};
use proptest::prelude::*;

use crate::asked::{FORM, JSON, SIGNED, cut, ec2, request, with_sni};

#[derive(serde::Deserialize)]
struct Pair {
    name: String,
    same: bool,
    first: Attempt,
    second: Attempt,
}

#[derive(serde::Deserialize)]
struct Attempt {
    method: String,
    host: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Attempt {
    fn request(&self) -> HttpRequest {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        request(&self.method, &self.host, &self.target, &headers, &self.body)
    }
}

/// As botocore 1.43 prepares them, at two times.
#[test]
fn attempts_of_botocore_join_and_other_calls_do_not() {
    let pairs: Vec<Pair> = serde_json::from_str(include_str!("attempts.json")).unwrap();
    assert!(pairs.len() >= 10);
    for pair in pairs {
        let (first, second) = (pair.first.request(), pair.second.request());
        assert_ne!(first.head.headers, second.head.headers, "{}", pair.name);
        assert_eq!(digest("a", &first) == digest("a", &second), pair.same, "{}", pair.name);
        assert_ne!(digest("a", &first), digest("b", &first), "{}", pair.name);
    }
}

#[test]
fn what_could_matter_is_in_it() {
    let base = request("POST", "h.example", "/p?a=1&b=2", &[JSON, ("x", "1")], "{\"a\":1}");
    let others = [
        request("PUT", "h.example", "/p?a=1&b=2", &[JSON, ("x", "1")], "{\"a\":1}"),
        request("POST", "i.example", "/p?a=1&b=2", &[JSON, ("x", "1")], "{\"a\":1}"),
        request("POST", "h.example", "/q?a=1&b=2", &[JSON, ("x", "1")], "{\"a\":1}"),
        request("POST", "h.example", "/p?b=2&a=1", &[JSON, ("x", "1")], "{\"a\":1}"),
        request("POST", "h.example", "/p?a=1&b=2&ClientToken=x", &[JSON, ("x", "1")], "{\"a\":1}"),
        request("POST", "h.example", "/p?a=1&b=2", &[JSON, ("x", "2")], "{\"a\":1}"),
        request("POST", "h.example", "/p?a=1&b=2", &[JSON], "{\"a\":1}"),
        request("POST", "h.example", "/p?a=1&b=2", &[JSON, ("x", "1")], "{\"a\":2}"),
        request(
            "POST",
            "h.example",
            "/p?a=1&b=2",
            &[JSON, ("x", "1"), ("content-encoding", "gzip")],
            "{\"a\":1}",
        ),
        with_sni(base.clone(), "h.example"),
        cut(base.clone(), 7),
    ];
    for other in others {
        assert_ne!(digest("a", &base), digest("a", &other), "{other:?}");
    }
    let volatile =
        [("User-Agent", "x"), ("traceparent", "00-1"), ("Idempotency-Key", "k"), ("Accept-Encoding", "br")];
    let retried = request(
        "POST",
        "h.example",
        "/p?a=1&b=2",
        &[volatile[0], JSON, ("x", "1"), volatile[1], volatile[2], volatile[3]],
        "{\"a\":1}",
    );
    assert_eq!(digest("a", &base), digest("a", &retried));
}

#[test]
fn the_key_counts_and_the_signature_does_not() {
    let body = "Action=TerminateInstances&InstanceId.1=i-1";
    let signed = |from: &str, to: &str| {
        let value = SIGNED.1.replace(from, to);
        digest("a", &request("POST", "ec2.amazonaws.com", "/", &[FORM, ("Authorization", &value)], body))
    };
    let base = signed("-", "-");
    assert_eq!(base, signed("Signature=00", "Signature=11"));
    assert_eq!(base, signed("/20260102/", "/20260103/"));
    assert_ne!(base, signed("AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"));
    assert_ne!(base, signed("us-east-1", "us-west-2"));
}

#[test]
fn the_boundary_of_a_multipart_body_does_not_count() {
    let post = |boundary: &str, text: &str| {
        let kind = format!("multipart/form-data; boundary={boundary}");
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=a\r\n\r\n{text}\r\n--{boundary}--\r\n"
        );
        digest("a", &request("POST", "h.example", "/", &[("Content-Type", &kind)], &body))
    };
    assert_eq!(post("11111111aaaa", "x"), post("22222222bbbb", "x"));
    assert_ne!(post("11111111aaaa", "x"), post("22222222bbbb", "y"));
}

#[test]
fn what_does_not_decode_is_taken_as_it_is() {
    assert_ne!(digest("a", &ec2("Action=X&A=%zz")), digest("a", &ec2("Action=X&A=%25zz")));
    assert_ne!(digest("a", &ec2("A=1&B=2")), digest("a", &ec2("A=1%26B=2")));
    assert_eq!(digest("a", &ec2("A=1&B=2&ClientToken=x")), digest("a", &ec2("B=2&A=1")));
    assert_ne!(digest("a", &ec2("A=1&A=2")), digest("a", &ec2("A=2&A=1")));
    assert_ne!(opaque("a", b"x"), opaque("b", b"x"));
    assert_ne!(opaque("a", b"x"), opaque("a", b"y"));
}

#[test]
fn signatures_end() {
    let head =
        |headers: &[(&str, &str)], target: &str| request("GET", "s3.amazonaws.com", target, headers, "").head;
    let signed = head(&[SIGNED, ("X-Amz-Date", "20260101T000001Z")], "/");
    assert_eq!(signature_good_until(&signed), Some(UnixMillis(1_767_225_901_000)));
    let presigned = head(&[], "/k?X-Amz-Date=20260101T000001Z&X-Amz-Expires=60&X-Amz-Signature=0");
    assert_eq!(signature_good_until(&presigned), Some(UnixMillis(1_767_225_661_000)));
    assert_eq!(signature_good_until(&head(&[], "/")), None);
    assert_eq!(signature_good_until(&head(&[SIGNED], "/")), None);
    assert_eq!(
        signature_good_until(&head(&[], "/?X-Amz-Date=20260101T000001Z&X-Amz-Expires=99999999999999999999")),
        None
    );
}

proptest! {
    /// One byte more or less, anywhere in a form body, is another request.
    #[test]
    fn another_body_is_another_digest(mut ids in prop::collection::vec("i-[0-9a-f]{8}", 1..8), at in any::<prop::sample::Index>()) {
        let body = |ids: &[String]| {
            let all: Vec<String> = ids.iter().enumerate().map(|(n, id)| format!("InstanceId.{}={id}", n + 1)).collect();
            ec2(&format!("Action=TerminateInstances&{}", all.join("&")))
        };
        let before = digest("a", &body(&ids));
        let at = at.index(ids.len());
        ids[at].push('0');
        prop_assert_ne!(before, digest("a", &body(&ids)));
        let mut seen = body(&ids);
        seen.body = Body::Prefix(seen.body.bytes().to_vec());
        prop_assert_ne!(digest("a", &body(&ids)), digest("a", &seen));
    }
}

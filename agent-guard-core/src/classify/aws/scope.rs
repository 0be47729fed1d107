//! Signature Version 4 and 4A: whose key, which region, which service
//! (AWS documentation, "Signature Version 4 signing process").

use agent_guard_decode::message::RequestHead;

use crate::classify::{body::header, params, target::Target};

/// `KEY/DATE/REGION/SERVICE/aws4_request`, of the Authorization header or of `X-Amz-Credential`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub access_key: Option<String>,
    /// Version 4A signs for no region.
    pub region: Option<String>,
    /// In lower case.
    pub service: String,
}

/// Every scope that the request claims.
pub(crate) fn find(head: &RequestHead, target: &Target<'_>) -> Vec<Scope> {
    let from_headers = header(head, "authorization").filter_map(|value| parse(credential(value)?));
    let mut all: Vec<Scope> = from_headers.collect();
    for param in params::parse(target.query) {
        if param.name.eq_ignore_ascii_case(b"X-Amz-Credential") {
            all.extend(parse(&param.value));
        }
    }
    all
}

/// The credential of an Authorization header of either version.
pub(crate) fn credential(value: &[u8]) -> Option<&[u8]> {
    let rest = ["AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"]
        .iter()
        .find_map(|s| value.strip_prefix(s.as_bytes()))?;
    rest.split(|b| matches!(b, b',' | b' ')).find_map(|part| part.strip_prefix(b"Credential="))
}

fn parse(credential: &[u8]) -> Option<Scope> {
    let text = str::from_utf8(credential).ok()?;
    let mut parts = text.rsplit('/');
    if parts.next()? != "aws4_request" {
        return None;
    }
    let service = parts.next()?.to_ascii_lowercase();
    let region_or_date = parts.next()?;
    let is_date = region_or_date.len() == 8 && region_or_date.bytes().all(|b| b.is_ascii_digit());
    let region = (!is_date).then(|| String::from(region_or_date));
    let access_key = if is_date { parts.next() } else { parts.nth(1) };
    let plain =
        |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    plain(&service).then_some(Scope { access_key: access_key.map(String::from), region, service })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let v4 = b"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0";
        let scope = credential(v4).and_then(parse).unwrap();
        assert_eq!(scope.access_key.as_deref(), Some("AKIAEXAMPLE"));
        assert_eq!((scope.region.as_deref(), scope.service.as_str()), (Some("us-east-1"), "ec2"));
        let v4a =
            b"AWS4-ECDSA-P256-SHA256 Credential=AKIAEXAMPLE/20260101/s3/aws4_request,SignedHeaders=host";
        let scope = credential(v4a).and_then(parse).unwrap();
        assert_eq!(
            (scope.access_key.as_deref(), scope.region, scope.service.as_str()),
            (Some("AKIAEXAMPLE"), None, "s3")
        );
    }

    #[test]
    fn what_is_no_scope_is_none() {
        for text in [
            &b"Bearer x"[..],
            b"AWS4-HMAC-SHA256",
            b"AWS4-HMAC-SHA256 Credential=a/b/c",
            b"AWS4-HMAC-SHA256 Credential=//aws4_request",
        ] {
            assert_eq!(credential(text).and_then(parse), None);
        }
    }
}

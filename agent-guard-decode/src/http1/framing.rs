//! How long a request's body is (RFC 9112 section 6): one way to tell, told once, or undecidable.

use crate::message::{Framing, Header, RequestHead, Undecidable};

/// The body's framing, if every server must agree on it.
pub(super) fn of(method: &str, minor_version: u8, headers: &[Header]) -> Result<Framing, Undecidable> {
    if headers.iter().any(|header| is_disguised(&header.name)) {
        return ambiguous("a header name that some servers read as Content-Length or Transfer-Encoding");
    }
    let framing = match (sole(headers, "content-length"), sole(headers, "transfer-encoding")) {
        (Sole::Absent, Sole::Absent) => Framing::None,
        (Sole::One(length), Sole::Absent) => content_length(length)?,
        (Sole::Absent, Sole::One(coding)) => transfer_encoding(minor_version, coding)?,
        (Sole::Several, Sole::Absent) => return ambiguous("more than one Content-Length"),
        (Sole::Absent, Sole::Several) => return ambiguous("more than one Transfer-Encoding"),
        (Sole::One(_) | Sole::Several, Sole::One(_) | Sole::Several) => {
            return ambiguous("Content-Length with Transfer-Encoding");
        }
    };
    match framing {
        Framing::Length(1..) | Framing::Chunked if method == "CONNECT" => ambiguous("CONNECT with a body"),
        Framing::None | Framing::Length(_) | Framing::Chunked => Ok(framing),
    }
}

/// `Expect: 100-continue` (RFC 9110 section 10.1.1); HTTP/1.0 does not know it.
pub(super) fn expects_continue(minor_version: u8, headers: &[Header]) -> bool {
    minor_version > 0
        && headers
            .iter()
            .any(|header| header.name == "expect" && header.value.eq_ignore_ascii_case(b"100-continue"))
}

/// True if what follows the request may be another protocol.
///
/// `Upgrade` without `Connection: upgrade` counts: not every server asks for both.
pub(super) fn leaves_http1(head: &RequestHead) -> bool {
    head.method == "CONNECT" || head.headers.iter().any(|header| header.name == "upgrade")
}

/// True for a trailer field that may change what the request means (RFC 9110 section 6.5.1).
pub(super) fn is_forbidden_trailer(name: &str) -> bool {
    is_disguised(name)
        || FORBIDDEN_TRAILERS.contains(&name)
        || FORBIDDEN_TRAILER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

enum Sole<'a> {
    Absent,
    One(&'a [u8]),
    Several,
}

fn sole<'a>(headers: &'a [Header], name: &str) -> Sole<'a> {
    let mut values = headers.iter().filter(|header| header.name == name);
    match (values.next(), values.next()) {
        (None, _) => Sole::Absent,
        (Some(header), None) => Sole::One(&header.value),
        (Some(_), Some(_)) => Sole::Several,
    }
}

/// Plain decimal without sign, list or leading zeros, as all parsers read it alike.
fn content_length(value: &[u8]) -> Result<Framing, Undecidable> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return ambiguous("a Content-Length that is not a decimal number");
    }
    if value.len() > 1 && value.first() == Some(&b'0') {
        return ambiguous("a Content-Length with leading zeros");
    }
    let length = value
        .iter()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0'))));
    // i64::MAX: the largest that servers with signed lengths read as we do.
    match length {
        Some(length) if i64::try_from(length).is_ok() => Ok(Framing::Length(length)),
        Some(_) | None => ambiguous("a Content-Length beyond 63 bits"),
    }
}

fn transfer_encoding(minor_version: u8, coding: &[u8]) -> Result<Framing, Undecidable> {
    if minor_version == 0 {
        return ambiguous("Transfer-Encoding in HTTP/1.0");
    }
    if !coding.eq_ignore_ascii_case(b"chunked") {
        return ambiguous("a Transfer-Encoding other than chunked");
    }
    Ok(Framing::Chunked)
}

/// `Content_Length` and the like: gateways that map names to environment variables cannot tell them from the real ones.
fn is_disguised(name: &str) -> bool {
    name.contains('_') && matches!(name.replace('_', "-").as_str(), "content-length" | "transfer-encoding")
}

fn ambiguous<T>(what: &'static str) -> Result<T, Undecidable> {
    Err(Undecidable::AmbiguousFraming { what })
}

/// Framing, routing, credentials, modifiers and content format, and the fields that name an operation.
const FORBIDDEN_TRAILERS: &[&str] = &[
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "max-forwards",
    "mcp-session-id",
    "pragma",
    "proxy-authorization",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amz-target",
    "x-rewrite-url",
];

const FORBIDDEN_TRAILER_PREFIXES: &[&str] =
    &["if-", "x-forwarded-", "x-http-method", "x-method-override", "x-original-"];

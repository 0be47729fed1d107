//! The canonical form of the parts of a request.

use agent_guard_decode::message::RequestHead;

use super::Writer;
use crate::{
    catalog::{self, Place},
    classify::{MAX_PARAMS, decodes_cleanly, header, parse_params, sigv4_credential},
};

/// The query, including its question mark. AWS does not mind the order of parameters; others may.
pub(super) fn query(query: &[u8], aws: bool, writer: &mut Writer) {
    let Some(text) = query.strip_prefix(b"?") else {
        return writer.part(b"no query");
    };
    writer.part(b"query");
    pairs(text, Place::Query, aws, writer);
}

/// Every header that is not volatile, sorted by name, in their order where a name repeats.
///
/// Returns the boundary of a multipart body, which is random and therefore left out of the content type.
pub(super) fn headers<'a>(head: &'a RequestHead, writer: &mut Writer) -> Option<&'a [u8]> {
    let mut kept: Vec<(&str, &[u8])> =
        head.headers.iter().map(|h| (h.name.as_str(), h.value.as_slice())).collect();
    kept.retain(|(name, _)| !is_volatile(Place::Header, true, name.as_bytes()));
    kept.sort_by_key(|(name, _)| *name);
    let boundary = single_boundary(head);
    writer.part(b"headers");
    for (name, value) in kept {
        writer.part(name.as_bytes());
        match (name, sigv4_credential(value), boundary) {
            ("authorization", Some(credential), _) => self::credential(credential, writer),
            ("content-type", _, Some(boundary)) => without(value, boundary, writer),
            _ => writer.part(value),
        }
    }
    writer.part(b"end of headers");
    boundary
}

/// The body, by its content type.
pub(super) fn body(head: &RequestHead, body: &[u8], boundary: Option<&[u8]>, aws: bool, writer: &mut Writer) {
    if let Some(boundary) = boundary {
        return without(body, boundary, writer);
    }
    let coded = header(head, "content-encoding").next().is_some();
    let form = is_type(head, b"application/x-www-form-urlencoded");
    if aws && !coded && form {
        pairs(body, Place::Form, aws, writer);
    } else if aws && !coded && header(head, "x-amz-target").next().is_some() {
        json(body, writer);
    } else {
        writer.part(body);
    }
}

/// Parameters; sorted by name where that is safe, volatile ones left out. What does not decode is written as it is.
fn pairs(text: &[u8], place: Place, aws: bool, writer: &mut Writer) {
    // As many as the classifier reads; beyond that the text counts as it is.
    let pairs = text.iter().filter(|b| **b == b'&').count();
    if pairs > MAX_PARAMS || !decodes_cleanly(text) {
        return writer.part(text);
    }
    let mut all: Vec<_> = parse_params(text).filter(|p| !is_volatile(place, aws, &p.name)).collect();
    if aws {
        // Stable: parameters of the same name keep their order.
        all.sort_by(|a, b| a.name.cmp(&b.name));
    }
    for param in all {
        writer.part(&param.name);
        if place == Place::Query && &*param.name == b"X-Amz-Credential" {
            credential(&param.value, writer);
        } else {
            writer.part(&param.value);
        }
    }
    writer.part(b"end of parameters");
}

/// `KEY/DATE/REGION/SERVICE/aws4_request` without the date.
fn credential(credential: &[u8], writer: &mut Writer) {
    for part in credential.split(|b| *b == b'/') {
        let is_date = part.len() == 8 && part.iter().all(u8::is_ascii_digit);
        writer.part(if is_date { b"date" } else { part });
    }
}

fn is_volatile(place: Place, aws: bool, name: &[u8]) -> bool {
    catalog::volatile()
        .iter()
        .any(|field| field.place == place && (aws || !field.aws_only) && field.name.as_bytes() == name)
}

fn is_type(head: &RequestHead, wanted: &[u8]) -> bool {
    let mut values = header(head, "content-type");
    let media = values.next().map(|v| v.split(|b| *b == b';').next().unwrap_or_default().trim_ascii());
    values.next().is_none() && media.is_some_and(|media| media.eq_ignore_ascii_case(wanted))
}

/// The boundary of the only content type, if it is multipart (RFC 2046 section 5.1.1).
fn single_boundary(head: &RequestHead) -> Option<&[u8]> {
    let mut values = header(head, "content-type");
    let value = values
        .next()
        .filter(|v| v.len() > 10 && v.get(..10).is_some_and(|s| s.eq_ignore_ascii_case(b"multipart/")))?;
    if values.next().is_some() {
        return None;
    }
    let parameter = value.split(|b| *b == b';').skip(1).find_map(|p| {
        let (name, value) = p.split_at_checked(p.iter().position(|b| *b == b'=')?)?;
        name.trim_ascii()
            .eq_ignore_ascii_case(b"boundary")
            .then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })?;
    let bare = parameter.strip_prefix(b"\"").and_then(|p| p.strip_suffix(b"\"")).unwrap_or(parameter);
    // A short boundary could stand for content.
    (bare.len() >= 8).then_some(bare)
}

/// The text between the occurrences of a random marker.
fn without(text: &[u8], marker: &[u8], writer: &mut Writer) {
    let mut rest = text;
    while let Some(at) = rest.windows(marker.len()).position(|w| w == marker) {
        writer.part(rest.get(..at).unwrap_or_default());
        rest = rest.get(at.saturating_add(marker.len())..).unwrap_or_default();
    }
    writer.part(b"last");
    writer.part(rest);
}

/// A JSON object without its volatile top-level keys, else as it is. Parts are cut out of the text, never parsed and
/// written again: two numbers or keys that a parser takes for the same are not the same for every server.
fn json(text: &[u8], writer: &mut Writer) {
    let Some(members) = members(text) else {
        return writer.part(text);
    };
    for (key, member) in members {
        if !is_volatile(Place::Json, true, key) {
            writer.part(member);
        }
    }
    writer.part(b"end of members");
}

/// Keys (between their quotes) and whole members of the only object in `text`.
fn members(text: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).ok()?;
    let inside = text.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    let mut all = Vec::new();
    let mut start = 0_usize;
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in inside.iter().enumerate() {
        match (in_string, *byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => depth = depth.saturating_add(1),
            (false, b'}' | b']') => depth = depth.checked_sub(1)?,
            (false, b',') if depth == 0 => {
                all.push(inside.get(start..at)?);
                start = at.saturating_add(1);
            }
            _ => {}
        }
    }
    all.push(inside.get(start..)?);
    all.into_iter().map(|member| Some((key(member)?, member))).collect()
}

fn key(member: &[u8]) -> Option<&[u8]> {
    let rest = member.trim_ascii_start().strip_prefix(b"\"")?;
    rest.split(|b| *b == b'"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_cut_at_their_commas() {
        let all = members(br#" {"a": {"x":1,"y":[1,2]}, "clientToken":"a\",b" ,"c":3} "#).unwrap();
        let keys: Vec<_> = all.iter().map(|(k, _)| String::from_utf8_lossy(k)).collect();
        assert_eq!(keys, ["a", "clientToken", "c"]);
        for text in ["", "[]", "{\"a\":1} x", "{}", "{\"a\"", "1"] {
            assert!(members(text.as_bytes()).is_none(), "{text}");
        }
    }
}

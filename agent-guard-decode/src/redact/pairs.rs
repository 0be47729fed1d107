//! Values behind a secret's name: `name=value`, `"name": value`, `Name: value`, `<Name>value<`, `name%3Dvalue`,
//! and multipart fields. Linear: every look back is bounded, and a value that was found is not looked into.

use std::ops::Range;

use super::names::{find, is_secret};

/// Where the values of secrets are.
pub(super) fn secrets(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(separator) = text.get(at..).and_then(next_separator) {
        let sign = at.saturating_add(separator);
        let value = value_behind(text, sign);
        at = value.as_ref().map_or(sign, |value| value.end).max(sign.saturating_add(1));
        found.extend(value);
    }
    found
}

fn next_separator(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| matches!(byte, b'=' | b':' | b'>' | b'%'))
}

/// The secret behind the separator at `sign`, if there is one.
fn value_behind(text: &[u8], sign: usize) -> Option<Range<usize>> {
    let (before, from_sign) = text.split_at_checked(sign)?;
    match from_sign {
        [b'=', ..] => behind_equals(text, before, sign.saturating_add(1)),
        [b':', ..] => behind_colon(text, before, sign.saturating_add(1)),
        [b'>', ..] => is_secret(tag_before(before)?).then(|| until(text, sign.saturating_add(1), b"<")),
        [b'%', b'3', b'd' | b'D', ..] => {
            let value = sign.saturating_add(3);
            is_secret(name_before(before).0).then(|| until(text, value, b"&%\"' \r\n\t<>"))
        }
        _ => None,
    }
}

fn behind_equals(text: &[u8], before: &[u8], start: usize) -> Option<Range<usize>> {
    let (name, _) = name_before(before);
    let value = || value(text, start, b"& \t\r\n\"'<>");
    if name.eq_ignore_ascii_case(b"name") && text.get(value()).is_some_and(is_secret) {
        return multipart_value(text, start);
    }
    is_secret(name).then(value)
}

fn behind_colon(text: &[u8], before: &[u8], start: usize) -> Option<Range<usize>> {
    let (name, quoted) = name_before(before);
    if !is_secret(name) {
        return None;
    }
    if quoted {
        return Some(value(text, start, b",}]\r\n\"'"));
    }
    // Not `arn:…:secret:name`, which names a resource.
    let prefix = before.len().saturating_sub(name.len());
    let in_path = prefix.checked_sub(1).and_then(|last| before.get(last)) == Some(&b':');
    let spaced = matches!(text.get(start), Some(b' ' | b'\t'));
    (spaced || !in_path).then(|| value(text, start, b"\r\n\"'"))
}

/// The word that `before` ends with, and whether it stands in quotes.
fn name_before(before: &[u8]) -> (&[u8], bool) {
    let unspaced = strip_end(before, 8, |byte| matches!(byte, b' ' | b'\t'));
    let unquoted = strip_end(unspaced, 1, |byte| matches!(byte, b'"' | b'\''));
    let quoted = unquoted.len() < unspaced.len();
    let end = if quoted { strip_end(unquoted, 8, |byte| byte == b'\\') } else { unquoted };
    let rest = strip_end(end, NAME_BYTES, |byte| byte.is_ascii_alphanumeric() || b"_-.%[]$@".contains(&byte));
    (end.get(rest.len()..).unwrap_or_default(), quoted)
}

/// The name of the opening tag that `before` ends with, its `>` excluded.
fn tag_before(before: &[u8]) -> Option<&[u8]> {
    let rest = strip_end(before, NAME_BYTES, |byte| !matches!(byte, b'<' | b'>'));
    let tag = before.get(rest.len()..)?;
    let name = tag.split(u8::is_ascii_whitespace).next()?;
    (rest.last() == Some(&b'<') && !name.starts_with(b"/")).then_some(name)
}

/// `text` without at most `most` bytes at its end for which `drop` holds.
fn strip_end(mut text: &[u8], most: usize, drop: impl Fn(u8) -> bool) -> &[u8] {
    for _ in 0..most {
        match text {
            [rest @ .., last] if drop(*last) => text = rest,
            _ => break,
        }
    }
    text
}

/// A value that begins at `start` (white space skipped): quoted, an array or object, or up to one of `ends`.
fn value(text: &[u8], start: usize, ends: &[u8]) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let start = start.saturating_add(spaces);
    let rest = rest.get(spaces..).unwrap_or_default();
    let backslashes = rest.iter().take_while(|byte| **byte == b'\\').count();
    match (rest.get(backslashes), rest.first()) {
        (Some(quote @ (b'"' | b'\'')), _) => {
            let start = start.saturating_add(backslashes).saturating_add(1);
            start..quoted_end(text, start, *quote, backslashes)
        }
        (_, Some(b'[' | b'{')) => start..nested_end(text, start),
        _ => until(text, start, ends),
    }
}

fn until(text: &[u8], start: usize, ends: &[u8]) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let length = rest.iter().position(|byte| ends.contains(byte)).unwrap_or(rest.len());
    start..start.saturating_add(length)
}

/// Where the quotation ends that was opened by `quote` behind `level` backslashes; the text's end if it does not.
fn quoted_end(text: &[u8], start: usize, quote: u8, level: usize) -> usize {
    let mut backslashes = 0_usize;
    for (at, byte) in text.iter().enumerate().skip(start) {
        if *byte == b'\\' {
            backslashes = backslashes.saturating_add(1);
            continue;
        }
        let closes = if level == 0 { backslashes.is_multiple_of(2) } else { backslashes == level };
        if *byte == quote && closes {
            return at.saturating_sub(level);
        }
        backslashes = 0;
    }
    text.len()
}

/// Where the array or object at `start` is closed, strings skipped; the text's end if it is not.
fn nested_end(text: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = text.get(at) {
        at = at.saturating_add(1);
        match byte {
            b'"' => at = quoted_end(text, at, b'"', 0).saturating_add(1),
            b'[' | b'{' => depth = depth.saturating_add(1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at.min(text.len());
        }
    }
    text.len()
}

/// The content of a multipart field (RFC 7578) whose header holds `from`: behind the empty line, up to the boundary.
fn multipart_value(text: &[u8], from: usize) -> Option<Range<usize>> {
    let header = text.get(from..)?;
    let header = header.get(..PART_HEADER_BYTES).unwrap_or(header);
    let start = find(header, b"\r\n\r\n")?.saturating_add(from).saturating_add(4);
    let rest = text.get(start..)?;
    Some(start..start.saturating_add(find(rest, b"\r\n--").unwrap_or(rest.len())))
}

/// How long a name may be to be recognised.
const NAME_BYTES: usize = 128;
/// How far behind a multipart field's name its content may begin.
const PART_HEADER_BYTES: usize = 512;

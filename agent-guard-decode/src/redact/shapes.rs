//! Secrets that are known by their own look, wherever they stand.

use std::ops::Range;

use super::names::{contains, find};

/// Where they are.
pub(super) fn secrets(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let secret = if is_word_start(text, at) { token(rest) } else { None }.or_else(|| marked(rest));
        match secret {
            Some(Range { start, end }) => {
                found.push(at.saturating_add(start)..at.saturating_add(end));
                at = at.saturating_add(end.max(1));
            }
            None => at = at.saturating_add(1),
        }
    }
    found
}

/// Nothing that belongs to a word stands before `at`; the last digit of a `%XX` does not belong to one.
fn is_word_start(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    match before {
        [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => true,
        [.., last] => !last.is_ascii_alphanumeric(),
        [] => true,
    }
}

/// A token at the front, known by its issuer's prefix.
fn token(text: &[u8]) -> Option<Range<usize>> {
    let (prefix, least) = PREFIXES.iter().find(|(prefix, _)| text.starts_with(prefix))?;
    let rest = text.get(prefix.len()..)?;
    let length = rest.iter().take_while(|byte| is_token_byte(**byte)).count();
    (length >= *least).then(|| 0..prefix.len().saturating_add(length))
}

/// A secret at the front that is known by the mark before it.
fn marked(text: &[u8]) -> Option<Range<usize>> {
    match text {
        [b':', b'/', b'/', ..] => user_information(text),
        [b'B' | b'b', ..] => SCHEMES.iter().find_map(|scheme| credentials(text, scheme)),
        [b'-', b'-', b'-', b'-', b'-', b'B', ..] => private_key(text),
        _ => None,
    }
}

/// `://user:password@`.
fn user_information(text: &[u8]) -> Option<Range<usize>> {
    let start = 3;
    let authority = text.get(start..)?;
    let end =
        authority.iter().position(|byte| b"/?# \t\r\n\"'<>\\".contains(byte)).unwrap_or(authority.len());
    let at = authority.get(..end)?.iter().rposition(|byte| *byte == b'@')?;
    Some(start..start.saturating_add(at))
}

/// `Bearer …`, `Basic …`.
fn credentials(text: &[u8], scheme: &[u8]) -> Option<Range<usize>> {
    let (word, rest) = text.split_at_checked(scheme.len())?;
    let length = rest.iter().take_while(|byte| is_token_byte(**byte)).count();
    let found = word.eq_ignore_ascii_case(scheme) && length >= 8;
    found.then(|| scheme.len()..scheme.len().saturating_add(length))
}

/// A PEM block of a private key (RFC 7468); to the text's end if its end is not there.
fn private_key(text: &[u8]) -> Option<Range<usize>> {
    let label = text.get(..text.len().min(48))?;
    if !contains(label, b"PRIVATE KEY") {
        return None;
    }
    Some(0..find(text, b"-----END").unwrap_or(text.len()))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.+/=~".contains(&byte)
}

const SCHEMES: &[&[u8]] = &[b"bearer ", b"basic ", b"bearer%20", b"basic%20"];

/// Prefixes that issuers document, and how many bytes must follow at least.
const PREFIXES: &[(&[u8], usize)] = &[
    (b"AKIA", 12),
    (b"ASIA", 12),
    (b"IQoJb3JpZ2lu", 8),
    (b"FwoGZXIvYXdz", 8),
    (b"sk-", 8),
    (b"sk_", 8),
    (b"rk_", 8),
    (b"whsec_", 8),
    (b"ghp_", 8),
    (b"gho_", 8),
    (b"ghu_", 8),
    (b"ghs_", 8),
    (b"ghr_", 8),
    (b"github_pat_", 8),
    (b"glpat-", 8),
    (b"xoxa-", 8),
    (b"xoxb-", 8),
    (b"xoxp-", 8),
    (b"xoxr-", 8),
    (b"xoxs-", 8),
    (b"xapp-", 8),
    (b"AIza", 20),
    (b"ya29.", 8),
    (b"eyJ", 16),
    (b"hf_", 16),
    (b"npm_", 16),
    (b"pypi-", 16),
    (b"SG.", 16),
    (b"dop_v1_", 16),
    (b"hvs.", 8),
    (b"shpat_", 8),
];

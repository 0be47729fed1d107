//! Form-encoded parameters (`application/x-www-form-urlencoded`, WHATWG URL section 5), in queries and in bodies.
//!
//! Bias: what does not decode stays as it was written, and both the name and the value are judged all the same.

use std::borrow::Cow;

/// One parameter, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Param<'a> {
    pub name: Cow<'a, [u8]>,
    pub value: Cow<'a, [u8]>,
}

/// The parameters of a query or form body, in order.
pub(crate) fn parse(text: &[u8]) -> impl Iterator<Item = Param<'_>> {
    text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = split_once(pair, b'=').unwrap_or((pair, &[]));
        Param { name: decode(name), value: decode(value) }
    })
}

/// Splits at the first `separator`.
pub(crate) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|b| *b == separator)?;
    let (before, rest) = text.split_at_checked(at)?;
    rest.split_first().map(|(_, after)| (before, after))
}

/// Percent-decodes; `+` is a space.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    Cow::Owned(percent_decode(&spaced).into_owned())
}

/// Percent-decodes once; an escape that is none stays.
pub(crate) fn percent_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escape = if *first == b'%' { hex_pair(after) } else { None };
        out.push(escape.unwrap_or(*first));
        rest = if escape.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Cow::Owned(out)
}

/// True if every `%` starts an escape.
pub(crate) fn decodes_cleanly(text: &[u8]) -> bool {
    let escapes = text.iter().enumerate().filter(|(_, b)| **b == b'%');
    escapes.into_iter().all(|(at, _)| text.get(at.saturating_add(1)..).and_then(hex_pair).is_some())
}

fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
    u8::try_from(digit(0)?.checked_mul(16)?.checked_add(digit(1)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let all: Vec<_> = parse(b"A%63tion=Terminate%49nstances&&x&y=a+b%2B%zz&=v").collect();
        let plain: Vec<(&[u8], &[u8])> = all.iter().map(|p| (&*p.name, &*p.value)).collect();
        assert_eq!(
            plain,
            [(&b"Action"[..], &b"TerminateInstances"[..]), (b"x", b""), (b"y", b"a b+%zz"), (b"", b"v"),]
        );
    }

    #[test]
    fn broken_escapes_are_seen() {
        assert!(decodes_cleanly(b"a%20b") && decodes_cleanly(b""));
        assert!(!decodes_cleanly(b"a%2") && !decodes_cleanly(b"%") && !decodes_cleanly(b"%g0"));
    }
}

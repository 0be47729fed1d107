//! The request target (RFC 9112 section 3.2) and the paths a server may take it for.
//!
//! Bias: a path is judged as written and as any server on the way might normalise it; the worse wins (harm-levels 17).

use std::borrow::Cow;

use super::params::{percent_decode, split_once};

/// A request target, taken apart but not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Of absolute-form and authority-form.
    pub authority: Option<&'a [u8]>,
    pub path: &'a [u8],
    /// Without the question mark.
    pub query: &'a [u8],
}

impl<'a> Target<'a> {
    /// What is no target at all is undecidable; the error says why.
    pub(crate) fn parse(method: &str, target: &'a [u8]) -> Result<Target<'a>, &'static str> {
        if target.iter().any(|b| *b <= b' ' || *b == 0x7f) {
            return Err("the request target contains white space or control characters");
        }
        if method == "CONNECT" {
            return Ok(Target { authority: Some(target), path: b"", query: b"" });
        }
        if target == b"*" || target.first() == Some(&b'/') {
            return Ok(Target::origin(None, target));
        }
        let rest = strip_scheme(target).ok_or("the request target is neither a path nor an http URI")?;
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        Ok(Target::origin(Some(authority), rest))
    }

    fn origin(authority: Option<&'a [u8]>, rest: &'a [u8]) -> Target<'a> {
        let (path, query) = split_once(rest, b'?').unwrap_or((rest, &[]));
        Target { authority, path, query }
    }

    /// The path as written, decoded once and decoded twice, each as it is and normalised; without repetitions.
    pub(crate) fn paths(&self) -> Vec<Cow<'a, [u8]>> {
        let mut all = vec![Cow::Borrowed(self.path)];
        let mut decoded = Cow::Borrowed(self.path);
        for _ in 0..2 {
            decoded = match decoded {
                Cow::Borrowed(path) => percent_decode(path),
                Cow::Owned(path) => Cow::Owned(percent_decode(&path).into_owned()),
            };
            add(&mut all, decoded.clone());
        }
        for at in 0..all.len() {
            let normal = all.get(at).and_then(|path| normalise(path));
            if let Some(normal) = normal {
                add(&mut all, Cow::Owned(normal));
            }
        }
        all
    }
}

/// The last two non-empty segments of a path, with what lies between them.
pub(crate) fn last_two_segments(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| !is_slash(*b)).map_or(0, |at| at.saturating_add(1));
    let path = path.get(..end).unwrap_or_default();
    let last = path.iter().rposition(|b| is_slash(*b)).unwrap_or(0);
    let before = path.get(..last).unwrap_or_default();
    let before =
        before.iter().rposition(|b| !is_slash(*b)).and_then(|at| before.get(..=at)).unwrap_or_default();
    let start = before.iter().rposition(|b| is_slash(*b)).unwrap_or(0);
    path.get(start..).unwrap_or_default()
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

fn add<'a>(all: &mut Vec<Cow<'a, [u8]>>, path: Cow<'a, [u8]>) {
    if !all.contains(&path) {
        all.push(path);
    }
}

/// Dot segments and empty segments removed, path parameters (`;x=y`) cut off. `None` if that changes nothing.
fn normalise(path: &[u8]) -> Option<Vec<u8>> {
    let odd = |w: &[u8]| matches!(w, [b'/', b'/' | b'.'] | [_, b';' | b'\\']);
    if !path.windows(2).any(odd) && !path.starts_with(b";") {
        return None;
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|b| is_slash(*b)) {
        let bare = segment.split(|b| *b == b';').next().unwrap_or_default();
        match bare {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    Some(out)
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(target: &str) -> Vec<String> {
        let target = Target::parse("GET", target.as_bytes()).unwrap();
        target.paths().iter().map(|p| String::from_utf8_lossy(p).into_owned()).collect()
    }

    #[test]
    fn every_form_is_taken_apart() {
        let t = Target::parse("GET", b"https://h:1/p?q?r").unwrap();
        assert_eq!((t.authority, t.path, t.query), (Some(&b"h:1"[..]), &b"/p"[..], &b"q?r"[..]));
        let t = Target::parse("GET", b"HTTP://h?q").unwrap();
        assert_eq!((t.authority, t.path, t.query), (Some(&b"h"[..]), &b""[..], &b"q"[..]));
        assert_eq!(Target::parse("CONNECT", b"h:443").unwrap().authority, Some(&b"h:443"[..]));
        assert_eq!(Target::parse("OPTIONS", b"*").unwrap().path, b"*");
        for bad in [&b"x"[..], b"", b"ftp://h/", b"/a b", b"/a\n", b"h:443"] {
            assert!(Target::parse("GET", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_are_decoded_and_normalised() {
        assert_eq!(paths("/a/b"), ["/a/b"]);
        assert!(paths("/%64elete/x").contains(&"/delete/x".into()));
        assert!(paths("/%2564elete/x").contains(&"/delete/x".into()));
        assert!(paths("/delete/x/y/../..").contains(&"/delete".into()));
        assert!(paths("/delete/x/%2e%2e").contains(&"/delete".into()));
        assert!(paths("/delete;a=b/x;c/").contains(&"/delete/x".into()));
        assert!(paths("//delete//x").contains(&"/delete/x".into()));
    }

    #[test]
    fn two_segments_count() {
        let table = [
            ("/a/b/c", "/b/c"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a//b//", "/a//b"),
            ("", ""),
            ("/", ""),
            ("a", "a"),
        ];
        for (path, expected) in table {
            assert_eq!(String::from_utf8_lossy(last_two_segments(path.as_bytes())), expected, "{path}");
        }
    }
}

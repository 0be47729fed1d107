//! Who is asked: every name that a request and its connection give (harm-levels 16).
//!
//! Bias: names that contradict each other are all believed; a name that is none makes the request undecidable.

use std::{net::IpAddr, str};

use agent_guard_decode::message::RequestHead;

use super::target::Target;
use crate::request::Peer;

/// A host name or address with its port, as written but in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Without brackets and final dot.
    pub name: String,
    pub port: Option<u16>,
}

/// The names of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Of the Host header, else of the target.
    pub host: Option<Host>,
    /// Every different name, the Host header's first.
    pub names: Vec<String>,
    /// Why the names do not fit together.
    pub mismatch: Option<&'static str>,
}

impl Evidence {
    /// What is no host name, or two of them, is undecidable; the error says why.
    pub(crate) fn of(head: &RequestHead, target: &Target<'_>, peer: &Peer) -> Result<Evidence, &'static str> {
        let mut lines = head.headers.iter().filter(|h| h.name == "host");
        let line = lines.next();
        if lines.next().is_some() {
            return Err("two Host headers");
        }
        let line = line.map(|h| h.value.as_slice()).filter(|value| !value.is_empty());
        let header =
            line.map(|value| Host::parse(value).ok_or("the Host header is no host name")).transpose()?;
        let authority = target.authority;
        let authority = authority
            .map(|value| Host::parse(value).ok_or("the target's host is no host name"))
            .transpose()?;
        let sni = peer.sni.as_deref().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let mismatch = mismatch(header.as_ref(), authority.as_ref(), sni.as_deref());
        let mut names = Vec::with_capacity(2);
        let all = [header.as_ref().map(|h| &h.name), authority.as_ref().map(|h| &h.name), sni.as_ref()];
        for name in all.into_iter().flatten() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Ok(Evidence { host: header.or(authority), names, mismatch })
    }

    /// True if the host is an address or this machine: it says nothing about who answers.
    pub(crate) fn is_literal(&self) -> bool {
        !self.names.is_empty() && self.names.iter().all(|name| is_literal(name))
    }
}

fn mismatch(header: Option<&Host>, authority: Option<&Host>, sni: Option<&str>) -> Option<&'static str> {
    let Some(header) = header else {
        return Some("the Host header is missing");
    };
    if authority.is_some_and(|authority| authority.name != header.name) {
        return Some("the Host header is not the host of the request target");
    }
    // A ClientHello names no addresses (RFC 6066 section 3).
    if sni.is_some_and(|sni| sni != header.name) {
        return Some("the Host header is not the name in the TLS handshake");
    }
    None
}

impl Host {
    /// `name`, `name:port`, `1.2.3.4:port`, `[v6]:port`. User information is no host.
    pub(crate) fn parse(text: &[u8]) -> Option<Host> {
        let text = str::from_utf8(text).ok()?;
        let (name, port) = if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']')?;
            inside.parse::<std::net::Ipv6Addr>().ok()?;
            (inside, after.strip_prefix(':').or(after.is_empty().then_some("")))
        } else {
            let (name, port) = text.split_once(':').unwrap_or((text, ""));
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            if name.is_empty() || !name.bytes().all(plain) {
                return None;
            }
            (name, Some(port))
        };
        let port = match port? {
            "" => None,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        (!name.is_empty()).then_some(Host { name, port })
    }
}

/// An address in any spelling a resolver takes, or `localhost`.
fn is_literal(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().next().is_some_and(|b| b.is_ascii_digit());
    number || name.parse::<IpAddr>().is_ok() || last == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_strictly() {
        let host = |text: &str| Host::parse(text.as_bytes()).map(|h| (h.name, h.port));
        assert_eq!(host("EC2.amazonaws.com."), Some(("ec2.amazonaws.com".into(), None)));
        assert_eq!(host("h:8443"), Some(("h".into(), Some(8443))));
        assert_eq!(host("h:"), Some(("h".into(), None)));
        assert_eq!(host("[::1]:80"), Some(("::1".into(), Some(80))));
        for bad in ["", "a b", "a,b", "u@h", "h:x", "h:99999", "[::1", "[x]", "[::1]x", "a/b", ".", "h:1:2"] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_are_literals_in_every_spelling() {
        for name in ["127.0.0.1", "2130706433", "0x7f.1", "::1", "localhost", "x.localhost", "10.0.0.7"] {
            assert!(is_literal(name), "{name}");
        }
        for name in ["ec2.us-east-1.amazonaws.com", "example.com", "a1.b2.c"] {
            assert!(!is_literal(name), "{name}");
        }
    }
}

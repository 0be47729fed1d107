//! A request's head: request line and header fields (RFC 9112 sections 3 and 5).

use super::Limits;
use super::framing;
use super::line::{LineReader, is_token, is_token_byte, too_large};
use crate::message::{Header, RequestHead, Undecidable};
use crate::reader::Reader;

/// Reads one head, in any pieces.
#[derive(Debug)]
pub(super) struct HeadReader {
    limits: Limits,
    /// Nothing of this connection was HTTP/1 yet.
    first: bool,
    phase: Phase,
    lines: LineReader,
    method: Vec<u8>,
    headers: Vec<Header>,
}

#[derive(Debug)]
enum Phase {
    /// Before the request line, this many empty lines skipped.
    Start {
        skipped: u8,
    },
    /// The LF of an empty line is due.
    StartLf {
        skipped: u8,
    },
    Method,
    RequestLine,
    Fields {
        target: Vec<u8>,
        minor_version: u8,
    },
}

impl HeadReader {
    /// For the first request of a connection: what is no method means another protocol.
    pub(super) fn first(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            first: true,
            phase: Phase::Start { skipped: 0 },
            lines: LineReader::new(limits.head_bytes, "bytes in a request head"),
            method: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// For a later request.
    pub(super) fn next(limits: &Limits) -> Self {
        Self { first: false, ..Self::first(limits) }
    }

    /// True if no byte was read yet.
    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.phase, Phase::Start { skipped: 0 })
    }

    /// Reads on; returns the head once it is complete, leaving what follows in `input`.
    pub(super) fn read(&mut self, input: &mut Reader<'_>) -> Result<Option<RequestHead>, Undecidable> {
        while !input.is_empty() {
            match self.phase {
                Phase::Start { skipped } => self.read_start(skipped, input)?,
                Phase::StartLf { skipped } => self.read_start_lf(skipped, input)?,
                Phase::Method => self.read_method(input)?,
                Phase::RequestLine | Phase::Fields { .. } => {
                    let Some(line) = self.lines.read(input)? else { return Ok(None) };
                    if let Some(head) = self.take_line(&line)? {
                        return Ok(Some(head));
                    }
                }
            }
        }
        Ok(None)
    }

    fn read_start(&mut self, skipped: u8, input: &mut Reader<'_>) -> Result<(), Undecidable> {
        if input.peek() != Some(b'\r') {
            self.phase = Phase::Method;
            return Ok(());
        }
        input.byte();
        self.lines.charge(1)?;
        if skipped >= MAX_EMPTY_LINES {
            return Err(Undecidable::Malformed { what: "more than two empty lines before a request" });
        }
        self.phase = Phase::StartLf { skipped };
        Ok(())
    }

    fn read_start_lf(&mut self, skipped: u8, input: &mut Reader<'_>) -> Result<(), Undecidable> {
        self.lines.charge(1)?;
        match input.byte() {
            Some(b'\n') => {
                self.phase = Phase::Start { skipped: skipped.saturating_add(1) };
                Ok(())
            }
            Some(_) | None => Err(Undecidable::Malformed { what: "CR without LF" }),
        }
    }

    fn read_method(&mut self, input: &mut Reader<'_>) -> Result<(), Undecidable> {
        while let Some(byte) = input.byte() {
            self.lines.charge(1)?;
            if byte == b' ' && !self.method.is_empty() && self.method != b"PRI" {
                self.phase = Phase::RequestLine;
                return Ok(());
            }
            if !is_token_byte(byte) {
                return Err(self.no_method(byte));
            }
            if self.method.len() >= self.limits.method_bytes {
                return Err(too_large("bytes in a method", self.limits.method_bytes));
            }
            self.method.push(byte);
        }
        Ok(())
    }

    /// `byte` cannot stand here in a request; `PRI ` begins the HTTP/2 preface (RFC 9113 section 3.4).
    fn no_method(&mut self, byte: u8) -> Undecidable {
        if !self.first {
            return Undecidable::Malformed { what: "a request line without a method" };
        }
        let mut first = std::mem::take(&mut self.method);
        first.push(byte);
        Undecidable::NotHttp1 { first }
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<RequestHead>, Undecidable> {
        if matches!(self.phase, Phase::RequestLine) {
            let (target, minor_version) = request_line_rest(line, &self.method, &self.limits)?;
            self.phase = Phase::Fields { target, minor_version };
            return Ok(None);
        }
        if line.is_empty() {
            return self.finish().map(Some);
        }
        if self.headers.len() >= self.limits.headers {
            return Err(too_large("header fields", self.limits.headers));
        }
        self.headers.push(field(line)?);
        Ok(None)
    }

    fn finish(&mut self) -> Result<RequestHead, Undecidable> {
        let (target, minor_version) = match &mut self.phase {
            Phase::Fields { target, minor_version } => (std::mem::take(target), *minor_version),
            Phase::Start { .. } | Phase::StartLf { .. } | Phase::Method | Phase::RequestLine => {
                (Vec::new(), 0)
            }
        };
        let method = String::from_utf8(std::mem::take(&mut self.method)).unwrap_or_default();
        let headers = std::mem::take(&mut self.headers);
        if headers.iter().filter(|header| header.name == "host").count() > 1 {
            return Err(Undecidable::Malformed { what: "more than one Host" });
        }
        let framing = framing::of(&method, minor_version, &headers)?;
        let expects_continue = framing::expects_continue(minor_version, &headers);
        Ok(RequestHead { method, target, minor_version, headers, framing, expects_continue })
    }
}

/// `request-target SP HTTP-version` (RFC 9112 section 3): the target and the minor version.
fn request_line_rest(line: &[u8], method: &[u8], limits: &Limits) -> Result<(Vec<u8>, u8), Undecidable> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (target, version, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if target.len() > limits.target_bytes {
        return Err(too_large("bytes in a request target", limits.target_bytes));
    }
    let minor_version = match (version, more) {
        (Some(b"HTTP/1.0"), None) => 0,
        (Some(b"HTTP/1.1"), None) => 1,
        (None, _) => return Err(Undecidable::Malformed { what: "a request line without a version" }),
        (Some(_), None) => {
            return Err(Undecidable::Malformed { what: "a version other than HTTP/1.0 and HTTP/1.1" });
        }
        (Some(_), Some(_)) => return Err(Undecidable::Malformed { what: "white space in a request target" }),
    };
    check_target(target, method)?;
    Ok((target.to_vec(), minor_version))
}

/// The four forms of section 3.2, each only where it may stand.
fn check_target(target: &[u8], method: &[u8]) -> Result<(), Undecidable> {
    let what = match target {
        [] => "an empty request target",
        _ if target.contains(&b'\t') => "white space in a request target",
        _ if target.contains(&b'#') => "a fragment in a request target",
        [b'/', ..] if method != b"CONNECT" => return Ok(()),
        b"*" if method == b"OPTIONS" => return Ok(()),
        _ if method == b"CONNECT" && is_authority_form(target) => return Ok(()),
        _ if method != b"CONNECT" && is_absolute_form(target) => return Ok(()),
        _ => "a request target of no known form for its method",
    };
    Err(Undecidable::Malformed { what })
}

/// `host:port`, the host possibly in brackets.
fn is_authority_form(target: &[u8]) -> bool {
    let Some(colon) = target.iter().rposition(|byte| *byte == b':') else { return false };
    let (host, port) = target.split_at(colon);
    let port = port.get(1..).unwrap_or_default();
    let host_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~[]:%".contains(byte);
    !host.is_empty()
        && host.iter().all(host_byte)
        && (1..=5).contains(&port.len())
        && port.iter().all(u8::is_ascii_digit)
}

/// `scheme://` and something behind it.
fn is_absolute_form(target: &[u8]) -> bool {
    let Some(colon) = target.iter().position(|byte| *byte == b':') else { return false };
    let (scheme, rest) = target.split_at(colon);
    let scheme_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(scheme_byte)
        && rest.len() > SCHEME_END.len()
        && rest.starts_with(SCHEME_END)
}

/// A field line (RFC 9112 section 5): name in lower case, value without white space around it.
pub(super) fn field(line: &[u8]) -> Result<Header, Undecidable> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Undecidable::Malformed { what: "a folded header line" });
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return Err(Undecidable::Malformed { what: "a header line without a colon" });
    };
    let (name, rest) = line.split_at(colon);
    if !is_token(name) {
        return Err(Undecidable::Malformed { what: bad_name(name) });
    }
    let value = trim(rest.get(1..).unwrap_or_default());
    let name = String::from_utf8(name.to_ascii_lowercase()).unwrap_or_default();
    Ok(Header { name, value: value.to_vec() })
}

fn bad_name(name: &[u8]) -> &'static str {
    match name.last() {
        None => "an empty header name",
        Some(b' ' | b'\t') => "white space before a header's colon",
        Some(_) => "a header name that is no token",
    }
}

/// Without OWS (SP, HTAB) at both ends.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

const MAX_EMPTY_LINES: u8 = 2;
const SCHEME_END: &[u8] = b"://";

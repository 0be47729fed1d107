//! Reading one HTTP/1.1 response (RFC 9112): a bounded head, then a body by Content-Length, chunks or end of stream.
//!
//! Anything that does not fit is an error, never a shorter answer: a list of holds that was cut would hide a hold.
//! (A body that ends with the stream cannot be told from a cut one here; JSON that was cut is told by its parser.)

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    time::Instant,
};

use super::error::ClientError;

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) struct Body {
    wire: Wire,
    framing: Framing,
}

/// What of the body is still to come.
#[derive(Debug)]
enum Framing {
    Length(u64),
    /// Within a chunk with so many bytes left.
    Chunk(u64),
    /// Before a chunk's size; `first` means that no line end of an earlier chunk precedes it.
    ChunkSize {
        first: bool,
    },
    UntilClose,
    Ended,
}

impl Response {
    /// Sends nothing; the request is on its way already.
    pub(super) fn read(stream: UnixStream, deadline: Instant) -> Result<Self, ClientError> {
        let mut wire = Wire { stream, deadline: Some(deadline), buffer: Vec::new() };
        loop {
            if let Some((length, status, framing)) = parse_head(&wire.buffer)? {
                wire.buffer.drain(..length);
                // Interim responses (RFC 9110 section 15.2) precede the real one.
                if (100..200).contains(&status) {
                    continue;
                }
                return Ok(Self { status, body: Body { wire, framing } });
            }
            if wire.buffer.len() > HEAD_BYTES_MAX {
                return Err(ClientError::unreadable(format!(
                    "its head is longer than {HEAD_BYTES_MAX} bytes"
                )));
            }
            if wire.fill()? == 0 {
                return Err(ClientError::unreadable("the connection ended before an answer"));
            }
        }
    }
}

impl Body {
    /// From here on the peer may take as long as it wants.
    pub(super) fn wait_without_limit(&mut self) -> Result<(), ClientError> {
        self.wire.deadline = None;
        self.wire.stream.set_read_timeout(None).map_err(ClientError::io)
    }

    pub(super) fn read_all(mut self, limit: usize) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while self.read_some(&mut bytes)? {
            if bytes.len() > limit {
                return Err(ClientError::unreadable(format!("it is larger than {limit} bytes")));
            }
        }
        Ok(bytes)
    }

    /// Appends some body bytes (at most one buffer full); false at the body's end.
    pub(super) fn read_some(&mut self, out: &mut Vec<u8>) -> Result<bool, ClientError> {
        loop {
            match self.framing {
                Framing::Ended | Framing::Length(0) => return Ok(false),
                Framing::Chunk(0) => self.framing = Framing::ChunkSize { first: false },
                Framing::ChunkSize { first } => self.framing = self.chunk_size(first)?,
                Framing::Length(left) => {
                    let taken = self.take(left, out)?;
                    self.framing = Framing::Length(left - taken);
                    return Ok(true);
                }
                Framing::Chunk(left) => {
                    let taken = self.take(left, out)?;
                    self.framing = Framing::Chunk(left - taken);
                    return Ok(true);
                }
                Framing::UntilClose => {
                    if self.wire.buffer.is_empty() && self.wire.fill()? == 0 {
                        self.framing = Framing::Ended;
                        return Ok(false);
                    }
                    out.append(&mut self.wire.buffer);
                    return Ok(true);
                }
            }
        }
    }

    /// Moves at least one and at most `left` bytes.
    fn take(&mut self, left: u64, out: &mut Vec<u8>) -> Result<u64, ClientError> {
        if self.wire.buffer.is_empty() && self.wire.fill()? == 0 {
            return Err(ClientError::unreadable("the connection ended in the middle of it"));
        }
        let held = self.wire.buffer.len();
        let count = usize::try_from(left).map_or(held, |left| left.min(held));
        out.extend(self.wire.buffer.drain(..count));
        Ok(count as u64)
    }

    fn chunk_size(&mut self, first: bool) -> Result<Framing, ClientError> {
        if !first && self.wire.line()? != b"\r\n" {
            return Err(ClientError::unreadable("a chunk is longer than its size"));
        }
        let line = self.wire.line()?;
        match httparse::parse_chunk_size(&line) {
            // Trailers follow; nothing in them is needed, and the connection is not used again.
            Ok(httparse::Status::Complete((_, 0))) => Ok(Framing::Ended),
            Ok(httparse::Status::Complete((_, size))) => Ok(Framing::Chunk(size)),
            Ok(httparse::Status::Partial) | Err(httparse::InvalidChunkSize) => {
                Err(ClientError::unreadable("a chunk's size cannot be read"))
            }
        }
    }
}

/// The connection and what was read ahead of it, at most one buffer full more than the caller asked for.
#[derive(Debug)]
struct Wire {
    stream: UnixStream,
    deadline: Option<Instant>,
    buffer: Vec<u8>,
}

impl Wire {
    /// Reads once; 0 is the end of the stream.
    fn fill(&mut self) -> Result<usize, ClientError> {
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ClientError::TimedOut);
            }
            self.stream.set_read_timeout(Some(left)).map_err(ClientError::io)?;
        }
        let mut block = [0; BLOCK_BYTES];
        loop {
            match self.stream.read(&mut block) {
                Ok(count) => {
                    self.buffer.extend(block.iter().take(count));
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ClientError::io(error)),
            }
        }
    }

    /// The next line with its end.
    fn line(&mut self) -> Result<Vec<u8>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().take(CHUNK_LINE_BYTES_MAX).position(|byte| *byte == b'\n') {
                return Ok(self.buffer.drain(..=end).collect());
            }
            if self.buffer.len() >= CHUNK_LINE_BYTES_MAX {
                return Err(ClientError::unreadable("a chunk's size cannot be read"));
            }
            if self.fill()? == 0 {
                return Err(ClientError::unreadable("the connection ended in the middle of it"));
            }
        }
    }
}

/// Length of the head, status and framing (RFC 9112 section 6.3); `None` if the head is not complete.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, u16, Framing)>, ClientError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(bytes)
        .map_err(|source| ClientError::unreadable(format!("it is no HTTP: {source}")))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    Ok(Some((length, status, framing(response.headers)?)))
}

fn framing(headers: &[httparse::Header<'_>]) -> Result<Framing, ClientError> {
    let mut length = None;
    let mut chunked = false;
    for header in headers {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !header.value.eq_ignore_ascii_case(b"chunked") || chunked {
                return Err(ClientError::unreadable("its transfer coding is not just chunked"));
            }
            chunked = true;
        } else if header.name.eq_ignore_ascii_case("content-length") {
            let value = str::from_utf8(header.value)
                .ok()
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let value = value.and_then(|text| text.parse::<u64>().ok());
            if value.is_none() || length.is_some() {
                return Err(ClientError::unreadable("its Content-Length is not one number"));
            }
            length = value;
        }
    }
    match (chunked, length) {
        (true, None) => Ok(Framing::ChunkSize { first: true }),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::UntilClose),
        (true, Some(_)) => Err(ClientError::unreadable("it has both Content-Length and Transfer-Encoding")),
    }
}

const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 64;
const BLOCK_BYTES: usize = 16 << 10;
/// Size, extensions and line end.
const CHUNK_LINE_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;

//! The chunked transfer coding (RFC 9112 section 7.1).
//!
//! ```text
//! chunk     = 1*HEXDIG [ chunk-ext ] CRLF chunk-data CRLF
//! last      = 1*"0" [ chunk-ext ] CRLF *( field-line CRLF ) CRLF
//! chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] )
//! ```

use super::Limits;
use super::framing::is_forbidden_trailer;
use super::head::field;
use super::line::{LineReader, is_token, is_token_byte, too_large};
use crate::message::Undecidable;
use crate::reader::{Reader, len};

/// Reads one chunked body, in any pieces.
#[derive(Debug)]
pub(super) struct ChunkedReader {
    limits: Limits,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Size(LineReader),
    Data { remaining: u64 },
    DataCr,
    DataLf,
    Trailers { lines: LineReader, count: usize },
}

/// One step of a chunked body.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// The input is used up.
    More,
    /// Bytes of the body.
    Data(&'a [u8]),
    /// The body and its trailers are complete.
    End,
}

impl ChunkedReader {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limits: *limits, phase: size_phase(limits) }
    }

    /// Reads on, at most to the next piece of data.
    pub(super) fn read<'a>(&mut self, input: &mut Reader<'a>) -> Result<Step<'a>, Undecidable> {
        while !input.is_empty() {
            match &mut self.phase {
                Phase::Size(lines) => {
                    let Some(line) = lines.read(input)? else { return Ok(Step::More) };
                    self.phase = self.after_size(chunk_size(&line)?);
                }
                Phase::Data { remaining } => {
                    let bytes = input.take_up_to(usize::try_from(*remaining).unwrap_or(usize::MAX));
                    *remaining = remaining.saturating_sub(len(bytes));
                    if *remaining == 0 {
                        self.phase = Phase::DataCr;
                    }
                    return Ok(Step::Data(bytes));
                }
                Phase::DataCr => self.phase = terminator(input, b'\r', Phase::DataLf)?,
                Phase::DataLf => self.phase = terminator(input, b'\n', size_phase(&self.limits))?,
                Phase::Trailers { lines, count } => {
                    let Some(line) = lines.read(input)? else { return Ok(Step::More) };
                    if line.is_empty() {
                        return Ok(Step::End);
                    }
                    *count = count.saturating_add(1);
                    check_trailer(&line, *count, &self.limits)?;
                }
            }
        }
        Ok(Step::More)
    }

    fn after_size(&self, size: u64) -> Phase {
        if size > 0 {
            return Phase::Data { remaining: size };
        }
        let lines = LineReader::new(self.limits.trailer_bytes, "bytes in a trailer section");
        Phase::Trailers { lines, count: 0 }
    }
}

fn size_phase(limits: &Limits) -> Phase {
    Phase::Size(LineReader::new(limits.chunk_line_bytes, "bytes in a chunk-size line"))
}

fn terminator(input: &mut Reader<'_>, expected: u8, next: Phase) -> Result<Phase, Undecidable> {
    if input.byte() == Some(expected) {
        return Ok(next);
    }
    Err(Undecidable::AmbiguousFraming { what: "chunk data not followed by CRLF" })
}

/// The number before the extensions, which must have the grammar's form without white space.
fn chunk_size(line: &[u8]) -> Result<u64, Undecidable> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extensions) = line.split_at_checked(digits).unwrap_or((line, &[]));
    if size.is_empty() {
        return Err(Undecidable::AmbiguousFraming { what: "a chunk size that is not a hexadecimal number" });
    }
    if size.len() > MAX_SIZE_DIGITS {
        return Err(Undecidable::AmbiguousFraming { what: "a chunk size of more than 15 digits" });
    }
    if !are_extensions(extensions) {
        return Err(Undecidable::AmbiguousFraming { what: "a chunk size with something behind it" });
    }
    Ok(size.iter().fold(0, |sum: u64, digit| sum.wrapping_shl(4) | hex_value(*digit)))
}

fn hex_value(digit: u8) -> u64 {
    char::from(digit).to_digit(16).map_or(0, u64::from)
}

fn are_extensions(bytes: &[u8]) -> bool {
    let mut input = Reader::new(bytes);
    while !input.is_empty() {
        if input.byte() != Some(b';') || !is_token(input.take_while(usize::MAX, is_token_byte)) {
            return false;
        }
        if input.peek() == Some(b'=') {
            input.byte();
            let is_value = match input.peek() {
                Some(b'"') => skip_quoted(&mut input),
                Some(_) | None => is_token(input.take_while(usize::MAX, is_token_byte)),
            };
            if !is_value {
                return false;
            }
        }
    }
    true
}

/// quoted-string (RFC 9110 section 5.6.4); control characters were refused with the line.
fn skip_quoted(input: &mut Reader<'_>) -> bool {
    input.byte();
    loop {
        match input.byte() {
            Some(b'"') => return true,
            Some(b'\\') => {
                if input.byte().is_none() {
                    return false;
                }
            }
            Some(_) => {}
            None => return false,
        }
    }
}

fn check_trailer(line: &[u8], count: usize, limits: &Limits) -> Result<(), Undecidable> {
    if count > limits.headers {
        return Err(too_large("trailer fields", limits.headers));
    }
    if is_forbidden_trailer(&field(line)?.name) {
        return Err(Undecidable::AmbiguousFraming { what: "a trailer field that may change the request" });
    }
    Ok(())
}

/// 60 bits: no parser with signed 64-bit sizes overflows.
const MAX_SIZE_DIGITS: usize = 15;

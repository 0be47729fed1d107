//! Lines that end in CRLF and nothing else, whatever the cut of the input.
//!
//! A bare LF, a bare CR and every control character are refused at their byte, before anything interprets the line:
//! servers disagree on each of them.

use crate::message::Undecidable;
use crate::reader::Reader;

/// Collects the lines of one section (a head, a trailer section, a chunk-size line) under one limit.
#[derive(Debug)]
pub(super) struct LineReader {
    line: Vec<u8>,
    /// The line's CR was seen, its LF is due.
    cr: bool,
    /// Bytes that the section may still take.
    left: usize,
    limit: usize,
    /// Names the section's bytes in [`Undecidable::TooLarge`].
    what: &'static str,
}

impl LineReader {
    pub(super) fn new(limit: usize, what: &'static str) -> Self {
        Self { line: Vec::new(), cr: false, left: limit, limit, what }
    }

    /// Reads to the end of the line and returns it without its CRLF, or `None` if the input ends before.
    pub(super) fn read(&mut self, input: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Undecidable> {
        while !input.is_empty() {
            if !self.cr {
                let text = input.take_while(self.left, is_text);
                self.line.extend_from_slice(text);
                self.left = self.left.saturating_sub(text.len());
            }
            let Some(byte) = input.byte() else { return Ok(None) };
            self.charge(1)?;
            match (self.cr, byte) {
                (false, b'\r') => self.cr = true,
                (true, b'\n') => {
                    self.cr = false;
                    return Ok(Some(std::mem::take(&mut self.line)));
                }
                (true, _) => return Err(Undecidable::Malformed { what: "CR without LF" }),
                (false, b'\n') => return Err(Undecidable::Malformed { what: "LF without CR" }),
                (false, 0) => return Err(Undecidable::Malformed { what: "NUL" }),
                (false, _) => return Err(Undecidable::Malformed { what: "control character" }),
            }
        }
        Ok(None)
    }

    /// Counts bytes of the section that were read elsewhere.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Undecidable> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(too_large(self.what, self.limit)),
        }
    }
}

/// The error of a section that is over `limit`; `what` is its unit and its name.
pub(super) fn too_large(what: &'static str, limit: usize) -> Undecidable {
    Undecidable::TooLarge { what, limit: u64::try_from(limit).unwrap_or(u64::MAX) }
}

/// HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// tchar (RFC 9110 section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// One or more tchar.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

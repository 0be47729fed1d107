//! HTTP/1.0 and HTTP/1.1 requests (RFC 9110, RFC 9112), from the client's half of one connection.
//!
//! The server behind it is unknown, and what is judged here must be what the server does. So wherever servers are known
//! to disagree (request smuggling), the stream becomes undecidable and stays so: bare CR or LF, folding, two lengths, a
//! length that is not plain decimal, any transfer coding but `chunked`, white space where it is only tolerated.
//!
//! Choices where RFC 9112 leaves one:
//! - At most two empty lines (CRLF) before a request line are skipped (section 2.2); a third is malformed.
//! - `Content-Length` given twice is undecidable even if both are equal (section 6.3 permits merging them).
//! - `Transfer-Encoding` is `chunked` alone; with HTTP/1.0 it is undecidable.
//! - The version is `HTTP/1.0` or `HTTP/1.1`, nothing else; white space in a request line is one space.
//! - Chunk extensions are skipped if they have section 7.1.1's form without white space, else undecidable.
//! - Trailer fields are checked like header fields and dropped; one that could change what the request means
//!   (RFC 9110 section 6.5.1) makes it undecidable, since it would have been judged without it.
//! - CONNECT and any `Upgrade` end the reading: head, body if any, `End`, then only [`Item::Tunnel`] counts. Whether the
//!   server agrees to upgrade is not visible from here, so what follows is no longer certainly HTTP/1.
//!
//! Invariant (property-tested): how the stream is cut into `feed` calls changes nothing but where [`Item::Body`] and
//! [`Item::Tunnel`] are cut.
//!
//! Memory: at most [`Limits::head_bytes`] of an unfinished head, plus the items not polled yet, which are in proportion to
//! what was fed since. Bodies are not collected.

mod chunked;
mod framing;
mod head;
mod limits;
mod line;

use std::collections::VecDeque;

use crate::message::{Framing, Item, Located, Position, RequestHead, Undecidable};
use crate::reader::{Reader, len};
use chunked::ChunkedReader;
use head::HeadReader;
pub use limits::Limits;

/// Reads one connection's requests. Feed it, then poll until `None`.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    offset: u64,
    state: State,
    items: VecDeque<Located>,
}

#[derive(Debug)]
enum State {
    Head(HeadReader),
    Length { remaining: u64, then: Then },
    Chunked { reader: ChunkedReader, then: Then },
    Tunnel,
    Undecidable,
}

/// What follows the request that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Request,
    Tunnel,
}

impl Decoder {
    /// A decoder for a connection of which nothing was sent yet.
    pub fn new(limits: Limits) -> Self {
        let state = State::Head(HeadReader::first(&limits));
        Self { limits, offset: 0, state, items: VecDeque::new() }
    }

    /// The next bytes of the stream. Behind an [`Item::Undecidable`] they are only counted.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut input = Reader::new(bytes);
        let base = self.offset;
        while !input.is_empty() {
            let state = std::mem::replace(&mut self.state, State::Undecidable);
            self.state = match self.step(state, &mut input, base) {
                Ok(next) => next,
                Err(cause) => self.fail(cause, base.saturating_add(input.consumed())),
            };
        }
        self.offset = base.saturating_add(len(bytes));
    }

    /// `n` bytes of the stream were not seen.
    ///
    /// Inside a body of known length framing goes on and they become [`Item::BodyUnseen`]; in a tunnel they are counted;
    /// anywhere else, and for the part that reaches beyond such a body, the stream is undecidable.
    pub fn gap(&mut self, n: u64) {
        if n == 0 {
            return;
        }
        let start = self.offset;
        self.offset = start.saturating_add(n);
        match std::mem::replace(&mut self.state, State::Undecidable) {
            State::Length { remaining, then } => self.gap_in_body(n, remaining, then, start),
            State::Tunnel => {
                self.push(Item::Tunnel(n), self.offset);
                self.state = State::Tunnel;
            }
            State::Head(_) | State::Chunked { .. } => {
                self.state = self.fail(Undecidable::Gap { missing: n }, self.offset);
            }
            State::Undecidable => {}
        }
    }

    /// The next item, or `None` until more is fed.
    pub fn poll(&mut self) -> Option<Located> {
        self.items.pop_front()
    }

    /// Where the stream stands behind everything fed so far, polled or not.
    ///
    /// [`Position::Boundary`] only if not one byte came since the last request ended; an empty line before a request line
    /// already counts as [`Position::InHead`].
    pub fn position(&self) -> Position {
        match &self.state {
            State::Head(reader) if reader.is_untouched() => Position::Boundary,
            State::Head(_) => Position::InHead,
            State::Length { remaining, .. } => Position::InBody { remaining: Some(*remaining) },
            State::Chunked { .. } => Position::InBody { remaining: None },
            State::Tunnel => Position::Tunnel,
            State::Undecidable => Position::Undecidable,
        }
    }

    /// Bytes of the stream that were fed or reported as not seen.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn step(&mut self, state: State, input: &mut Reader<'_>, base: u64) -> Result<State, Undecidable> {
        match state {
            State::Head(mut reader) => match reader.read(input)? {
                None => Ok(State::Head(reader)),
                Some(head) => Ok(self.begin_body(head, base.saturating_add(input.consumed()))),
            },
            State::Length { remaining, then } => Ok(self.read_length(remaining, then, input, base)),
            State::Chunked { reader, then } => self.read_chunked(reader, then, input, base),
            State::Tunnel => {
                let bytes = len(input.take_rest());
                self.push(Item::Tunnel(bytes), base.saturating_add(input.consumed()));
                Ok(State::Tunnel)
            }
            State::Undecidable => {
                input.take_rest();
                Ok(State::Undecidable)
            }
        }
    }

    fn begin_body(&mut self, head: RequestHead, end: u64) -> State {
        let then = if framing::leaves_http1(&head) { Then::Tunnel } else { Then::Request };
        let framing = head.framing;
        self.push(Item::Head(head), end);
        match framing {
            Framing::None | Framing::Length(0) => self.finish(then, end),
            Framing::Length(remaining) => State::Length { remaining, then },
            Framing::Chunked => State::Chunked { reader: ChunkedReader::new(&self.limits), then },
        }
    }

    fn read_length(&mut self, remaining: u64, then: Then, input: &mut Reader<'_>, base: u64) -> State {
        let bytes = input.take_up_to(usize::try_from(remaining).unwrap_or(usize::MAX));
        let end = base.saturating_add(input.consumed());
        self.push(Item::Body(bytes.to_vec()), end);
        match remaining.saturating_sub(len(bytes)) {
            0 => self.finish(then, end),
            remaining => State::Length { remaining, then },
        }
    }

    fn read_chunked(
        &mut self,
        mut reader: ChunkedReader,
        then: Then,
        input: &mut Reader<'_>,
        base: u64,
    ) -> Result<State, Undecidable> {
        match reader.read(input)? {
            chunked::Step::More => Ok(State::Chunked { reader, then }),
            chunked::Step::Data(bytes) => {
                self.push(Item::Body(bytes.to_vec()), base.saturating_add(input.consumed()));
                Ok(State::Chunked { reader, then })
            }
            chunked::Step::End => Ok(self.finish(then, base.saturating_add(input.consumed()))),
        }
    }

    fn gap_in_body(&mut self, n: u64, remaining: u64, then: Then, start: u64) {
        let inside = n.min(remaining);
        let end = start.saturating_add(inside);
        self.push(Item::BodyUnseen(inside), end);
        self.state = match remaining.saturating_sub(inside) {
            0 => self.finish(then, end),
            remaining => State::Length { remaining, then },
        };
        let beyond = n.saturating_sub(inside);
        if beyond > 0 {
            self.offset = end;
            self.gap(beyond);
        }
    }

    fn finish(&mut self, then: Then, end: u64) -> State {
        self.push(Item::End, end);
        match then {
            Then::Request => State::Head(HeadReader::next(&self.limits)),
            Then::Tunnel => State::Tunnel,
        }
    }

    fn fail(&mut self, cause: Undecidable, end: u64) -> State {
        self.push(Item::Undecidable(cause), end);
        State::Undecidable
    }

    fn push(&mut self, item: Item, end: u64) {
        self.items.push_back(Located { item, end });
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

#[cfg(test)]
mod tests;

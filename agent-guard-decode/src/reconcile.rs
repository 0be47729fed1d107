//! Which bytes of an offered write are new to the stream?
//!
//! A probe sees the entries of a TLS library's write function, not what they return. A client whose socket is full is told
//! WANT_WRITE and calls again with the same bytes, with the tail that was not taken (partial writes), or with the same
//! bytes and more behind them; what was offered before the handshake was done is offered again. Fed to a decoder twice,
//! such bytes would be a second request; left out wrongly, the decoder falls behind and takes the next request for body.
//!
//! The second error is the dangerous one, so old bytes are only ever recognised by comparing them, and only while the
//! caller says that the previous write may not have been taken whole (`blocked`). The bias:
//! - Not blocked: everything is new.
//! - Blocked, and the bytes are old on the evidence of every captured byte: [`Offered::Repeat`], [`Offered::Tail`],
//!   [`Offered::Extends`].
//! - Blocked, and the captured bytes cannot show it either way, or show a mixture (the tail of the previous write with
//!   something behind it), or a tail or a known part so short that it may be a coincidence (a new `\r\n` behind a write
//!   that ends in one): [`Offered::Unclear`], which must be treated as a stream that lost its place.
//! - Blocked and certainly different: [`Offered::New`], for then the previous write was taken whole. (A library that was
//!   offered a write and never again cannot be told from that; who knows that nothing was taken calls
//!   [`Reconciler::forget`] and reads the stream anew.)
//!
//! What bytes cannot show: a client that writes the very same bytes twice, both taken, looks like a repetition. `blocked`
//! must therefore be evidence (a full send buffer, no record since), not a guess, and the daemon compares what was
//! judged with the records that left. The other way round, a library with partial writes enabled
//! (SSL_MODE_ENABLE_PARTIAL_WRITE) may return after each record of 16 KiB though nothing is full: behind a longer write
//! of such a client, `blocked` is true too.
//!
//! Memory: at most [`CAPTURE_BYTES`] a connection. Beyond them two writes are the same if total and captured bytes are.

use crate::reader;

/// How much of a write is kept for comparison; of longer ones, their beginning.
pub const CAPTURE_BYTES: usize = 64 * 1024;

/// One entry of the write function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedWrite<'a> {
    /// The beginning of the buffer as far as it was captured.
    pub bytes: &'a [u8],
    /// The buffer's whole length, in bytes.
    pub total: u64,
}

/// What an offered write adds to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// All of it.
    New,
    /// Nothing: the same bytes as before.
    Repeat,
    /// Nothing: the end of the previous write, from this offset of it on.
    Tail { offset: u64 },
    /// The first `known` bytes were offered before, the rest is new.
    Extends { known: u64 },
    /// It cannot be told; the stream has lost its place.
    Unclear,
}

/// Compares each write of one TLS connection with the one before it.
#[derive(Debug, Default)]
pub struct Reconciler {
    previous: Option<Previous>,
}

#[derive(Debug)]
struct Previous {
    bytes: Vec<u8>,
    total: u64,
}

impl Reconciler {
    /// For a connection of which no write was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges a write and keeps it as the one before the next.
    ///
    /// `blocked`: the socket's send buffer was (nearly) full after the previous write, or that write was never seen to
    /// leave. An empty write adds nothing, is [`Offered::New`] and is not kept.
    pub fn offer(&mut self, write: &OfferedWrite<'_>, blocked: bool) -> Offered {
        if write.total == 0 {
            return Offered::New;
        }
        let write = bounded(write);
        let offered = match &self.previous {
            Some(previous) if blocked => previous.compare(&write),
            Some(_) | None => Offered::New,
        };
        if offered != Offered::Repeat {
            self.previous = Some(Previous { bytes: write.bytes.to_vec(), total: write.total });
        }
        offered
    }

    /// Forgets the previous write; the next one is new.
    pub fn forget(&mut self) {
        self.previous = None;
    }
}

impl Previous {
    fn compare(&self, write: &OfferedWrite<'_>) -> Offered {
        let is_whole = reader::len(&self.bytes) == self.total;
        if write.total == self.total && write.bytes == self.bytes && !write.bytes.is_empty() {
            return Offered::Repeat;
        }
        if !is_whole {
            return Offered::Unclear;
        }
        match self.total.checked_sub(write.total) {
            Some(offset @ 1..) => self.compare_shorter(write, offset),
            Some(_) | None => self.compare_longer(write),
        }
    }

    /// The previous write is whole and longer: this is its tail, or not.
    fn compare_shorter(&self, write: &OfferedWrite<'_>, offset: u64) -> Offered {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let tail = self.bytes.get(start..).unwrap_or_default();
        match (tail == write.bytes, tail.starts_with(write.bytes)) {
            (true, _) if write.bytes.len() >= EVIDENCE_BYTES => Offered::Tail { offset },
            (_, true) => Offered::Unclear,
            (_, false) => self.compare_mixture(write),
        }
    }

    /// The previous write is whole and not longer: this begins with it, or not.
    fn compare_longer(&self, write: &OfferedWrite<'_>) -> Offered {
        if write.total > self.total && write.bytes.starts_with(&self.bytes) {
            return if self.bytes.len() >= EVIDENCE_BYTES {
                Offered::Extends { known: self.total }
            } else {
                Offered::Unclear
            };
        }
        if self.bytes.starts_with(write.bytes) {
            // Captured too short to show more: the same, an extension, or another that begins alike.
            return Offered::Unclear;
        }
        self.compare_mixture(write)
    }

    /// A client that drains its buffer by what was taken and appends to it offers the tail with new bytes behind it.
    fn compare_mixture(&self, write: &OfferedWrite<'_>) -> Offered {
        if overlap(&self.bytes, write.bytes) >= EVIDENCE_BYTES { Offered::Unclear } else { Offered::New }
    }
}

/// The write as far as it is compared; a capture longer than the buffer is cut to it.
fn bounded<'a>(write: &OfferedWrite<'a>) -> OfferedWrite<'a> {
    let most = usize::try_from(write.total).unwrap_or(usize::MAX).min(CAPTURE_BYTES);
    OfferedWrite { bytes: write.bytes.get(..most).unwrap_or(write.bytes), total: write.total }
}

/// Length of the longest end of `before` that `after` begins with (Knuth, Morris and Pratt; linear time).
fn overlap(before: &[u8], after: &[u8]) -> usize {
    let borders = borders(after);
    let start = before.len().saturating_sub(after.len());
    let tail = before.get(start..).unwrap_or_default();
    tail.iter().fold(0, |matched, byte| extend_match(after, &borders, matched, *byte))
}

/// For each prefix of `pattern`, the length of its longest proper border.
fn borders(pattern: &[u8]) -> Vec<usize> {
    let mut borders = Vec::with_capacity(pattern.len());
    let mut matched = 0;
    for (at, byte) in pattern.iter().enumerate() {
        if at > 0 {
            matched = extend_match(pattern, &borders, matched, *byte);
        }
        borders.push(matched);
    }
    borders
}

fn extend_match(pattern: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    loop {
        if pattern.get(matched) == Some(&byte) {
            return matched.saturating_add(1);
        }
        let Some(shorter) = matched.checked_sub(1).and_then(|last| borders.get(last)) else { return 0 };
        matched = *shorter;
    }
}

/// From this length on, a common piece is no coincidence of one write's end and the next one's beginning.
const EVIDENCE_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> OfferedWrite<'_> {
        OfferedWrite { bytes, total: reader::len(bytes) }
    }

    fn cut(bytes: &[u8], total: u64) -> OfferedWrite<'_> {
        OfferedWrite { bytes, total }
    }

    fn second(first: &OfferedWrite<'_>, write: &OfferedWrite<'_>, blocked: bool) -> Offered {
        let mut reconciler = Reconciler::new();
        assert_eq!(reconciler.offer(first, true), Offered::New, "nothing came before");
        reconciler.offer(write, blocked)
    }

    const HEAD: &[u8] = b"POST /a HTTP/1.1\r\nHost: example.org\r\n\r\n";

    #[test]
    fn unblocked_writes_are_new() {
        for write in [HEAD, &HEAD[3..], b"x"] {
            assert_eq!(second(&whole(HEAD), &whole(write), false), Offered::New);
        }
    }

    #[test]
    fn blocked_after_a_whole_capture() {
        let longer = [HEAD, b"body"].concat();
        let mixture = [&HEAD[4..], b"and something new that makes it longer"].concat();
        let same_length_mixture = [&HEAD[4..], b"1234"].concat();
        let shorter_mixture = [&HEAD[8..], b"12"].concat();
        let table = [
            ("the same", whole(HEAD), Offered::Repeat),
            ("its tail", whole(&HEAD[10..]), Offered::Tail { offset: 10 }),
            ("the shortest tail that is evidence", whole(&HEAD[23..]), Offered::Tail { offset: 23 }),
            ("a shorter tail", whole(&HEAD[24..]), Offered::Unclear),
            ("a tail by coincidence", whole(b"\r\n"), Offered::Unclear),
            ("longer", whole(&longer), Offered::Extends { known: 39 }),
            ("longer, cut behind the known part", cut(&longer[..40], 43), Offered::Extends { known: 39 }),
            ("longer, cut at the known part", cut(HEAD, 43), Offered::Extends { known: 39 }),
            ("longer, cut before", cut(&HEAD[..38], 43), Offered::Unclear),
            ("the same length, cut", cut(&HEAD[..38], 39), Offered::Unclear),
            ("a tail that was cut", cut(&HEAD[10..12], 29), Offered::Unclear),
            ("a tail of which nothing was captured", cut(b"", 29), Offered::Unclear),
            ("of which nothing was captured", cut(b"", 39), Offered::Unclear),
            ("its beginning", whole(&HEAD[..20]), Offered::New),
            ("something else", whole(b"{\"a\":1}"), Offered::New),
            ("something else, longer", whole(&[b'x'; 64]), Offered::New),
            ("something else, cut", cut(b"{", 4000), Offered::New),
            ("tail and more", whole(&mixture), Offered::Unclear),
            ("tail and more, the same length", whole(&same_length_mixture), Offered::Unclear),
            ("tail and more, shorter", whole(&shorter_mixture), Offered::Unclear),
            ("a coincidence of a few bytes", whole(b"\r\n\r\nnew"), Offered::New),
            ("nothing", whole(b""), Offered::New),
        ];
        for (name, write, expected) in table {
            assert_eq!(second(&whole(HEAD), &write, true), expected, "{name}");
        }
    }

    #[test]
    fn blocked_after_a_short_write() {
        let table = [
            ("the same", &b"0\r\n\r\n"[..], Offered::Repeat),
            ("longer", b"0\r\n\r\nGET", Offered::Unclear),
            ("something else", b"GET / HTTP/1.1\r\n\r\n", Offered::New),
        ];
        for (name, write, expected) in table {
            assert_eq!(second(&whole(b"0\r\n\r\n"), &whole(write), true), expected, "{name}");
        }
    }

    #[test]
    fn blocked_after_a_part_was_captured() {
        let table = [
            ("the same", cut(b"abcd", 9), Offered::Repeat),
            ("another total", cut(b"abcd", 8), Offered::Unclear),
            ("longer", cut(b"abcdefghijkl", 12), Offered::Unclear),
            ("captured better", cut(b"abcdefghi", 9), Offered::Unclear),
            ("something else", cut(b"xy", 2), Offered::Unclear),
        ];
        for (name, write, expected) in table {
            assert_eq!(second(&cut(b"abcd", 9), &write, true), expected, "{name}");
        }
        assert_eq!(second(&cut(b"", 9), &cut(b"", 9), true), Offered::Unclear, "two that nobody saw");
    }

    #[test]
    fn long_writes_are_compared_by_their_beginning() {
        let long = vec![b'a'; CAPTURE_BYTES + 9];
        assert_eq!(second(&whole(&long), &whole(&long), true), Offered::Repeat);
        assert_eq!(second(&whole(&long), &whole(&long[1..]), true), Offered::Unclear);
        let (full, _) = long.split_at(CAPTURE_BYTES);
        assert_eq!(second(&whole(full), &whole(&full[1..]), true), Offered::Tail { offset: 1 });
        let mut reconciler = Reconciler::new();
        reconciler.offer(&whole(&long), false);
        assert_eq!(reconciler.previous.map(|previous| previous.bytes.len()), Some(CAPTURE_BYTES));
    }

    #[test]
    fn each_write_is_compared_with_the_last_one() {
        let mut reconciler = Reconciler::new();
        let steps = [
            (HEAD, Offered::New),
            (HEAD, Offered::Repeat),
            (&HEAD[5..], Offered::Tail { offset: 5 }),
            (&HEAD[5..], Offered::Repeat),
            (&HEAD[9..], Offered::Tail { offset: 4 }),
            (b"", Offered::New),
            (&HEAD[9..], Offered::Repeat),
        ];
        for (at, (bytes, expected)) in steps.into_iter().enumerate() {
            assert_eq!(reconciler.offer(&whole(bytes), true), expected, "step {at}");
        }
        reconciler.forget();
        assert_eq!(reconciler.offer(&whole(&HEAD[9..]), true), Offered::New);
    }

    #[test]
    fn overlap_is_the_longest() {
        let table: [(&[u8], &[u8], usize); 6] = [
            (b"", b"", 0),
            (b"abc", b"xyz", 0),
            (b"xaab", b"aabc", 3),
            (b"aaaa", b"aaab", 3),
            (b"abab", b"ababab", 4),
            (b"zababx", b"abab", 0),
        ];
        for (before, after, expected) in table {
            assert_eq!(overlap(before, after), expected, "{before:?} {after:?}");
        }
    }
}

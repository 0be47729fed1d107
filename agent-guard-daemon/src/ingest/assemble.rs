//! Pieces of TLS writes become whole writes again.
//!
//! Bias: a write with a missing or unreadable piece is handed on with what was captured in front of it; the decoder then
//! sees a gap, which only a body of known length survives.

use std::collections::BTreeMap;

use agent_guard_common::event::Write;

/// A TLS write as it was offered to the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedWrite {
    /// Number of the write, unique until reboot.
    pub number: u64,
    /// The beginning of the buffer, as far as it was captured.
    pub bytes: Vec<u8>,
    /// Length of the buffer, bytes.
    pub total: u64,
}

/// Writes of which not every piece has arrived.
#[derive(Debug, Default)]
pub struct Assembler {
    open: BTreeMap<u64, CapturedWrite>,
}

/// Writes under assembly at a time; each belongs to a thread inside its probe, of which slots allow fewer.
const MAX_OPEN: usize = 256;

impl Assembler {
    /// Takes one piece; returns the write when it was the last.
    pub fn take(&mut self, piece: &Write, bytes: &[u8]) -> Option<CapturedWrite> {
        let mut write = self.open.remove(&piece.write).unwrap_or_else(|| CapturedWrite {
            number: piece.write,
            bytes: Vec::new(),
            total: piece.total,
        });
        if piece.offset == write.bytes.len() as u64 {
            write.bytes.extend_from_slice(bytes);
        }
        if piece.flags & Write::LAST != 0 {
            return Some(write);
        }
        if self.open.len() >= MAX_OPEN {
            // Its last piece was lost long ago; the gate of that write stays raised and the sweep finds it.
            self.open.pop_first();
        }
        self.open.insert(piece.write, write);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: u64, total: u64, flags: u32) -> Write {
        Write { write: 7, offset, total, flags, ..Write::default() }
    }

    #[test]
    fn pieces_in_order_become_one_write() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.take(&piece(0, 5, 0), b"abc"), None);
        let whole = assembler.take(&piece(3, 5, Write::LAST), b"de").unwrap();
        assert_eq!((whole.bytes.as_slice(), whole.total), (b"abcde".as_slice(), 5));
    }

    #[test]
    fn a_lost_piece_leaves_a_gap_behind_what_was_seen() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.take(&piece(0, 9, 0), b"abc"), None);
        let whole = assembler.take(&piece(6, 9, Write::LAST), b"ghi").unwrap();
        assert_eq!((whole.bytes.as_slice(), whole.total), (b"abc".as_slice(), 9));
    }

    #[test]
    fn writes_that_never_end_are_bounded() {
        let mut assembler = Assembler::default();
        for write in 0..1000 {
            assembler.take(&Write { write, total: 9, ..Write::default() }, b"x");
        }
        assert_eq!(assembler.open.len(), MAX_OPEN);
    }
}

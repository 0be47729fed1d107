//! What if a write that was taken for a repetition was new?
//!
//! Equal bytes are evidence of a repetition, not proof: an upload of zeros writes equal blocks, and an agent may write
//! what it wrote before on purpose (the end of one request's body, and then the same bytes as a request). The decoder is
//! then behind the server and would take the next request for the rest of an allowed body. So until the request in
//! question has ended, whatever lies where the server might already be reading the next one is searched for a request
//! line.
//!
//! Bias: such a line in honest data (a log file in a body, while the send buffer is full) loses the stream its place.
//! What this cannot see: a whole request written twice, both taken.

use agent_guard_decode::message::Position;

/// No request line is without it (RFC 9112 section 3).
const SIGN: &[u8] = b" HTTP/1.";

#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Bytes that were skipped in the request that is being read.
    skipped: u64,
    /// The last bytes of the stream, fewer than the sign has.
    tail: Vec<u8>,
    /// The last write that brought anything new began with a request.
    began_at_boundary: bool,
}

impl Doubt {
    /// The request ended; what follows is in step.
    pub(super) fn settle(&mut self) {
        self.skipped = 0;
    }

    /// The last write that brought anything new was one or more whole requests.
    pub(super) fn wrote_whole(&self, position: Position) -> bool {
        position == Position::Boundary && self.began_at_boundary
    }

    /// A write counts as seen before. True if it could hide a request.
    pub(super) fn skip(&mut self, position: Position, bytes: &[u8], total: u64, whole: bool) -> bool {
        let hides = match position {
            Position::Boundary if whole && self.began_at_boundary => false,
            Position::InHead | Position::Tunnel | Position::Undecidable => false,
            Position::Boundary => self.holds_request(bytes, total, 0, u64::MAX),
            Position::InBody { remaining } => {
                self.holds_request(bytes, total, self.nearest(remaining), u64::MAX)
            }
        };
        if position != Position::Boundary {
            self.skipped = self.skipped.saturating_add(total);
        }
        hides
    }

    /// New bytes are about to be read. True if they could hide a request behind what was skipped.
    pub(super) fn read(&mut self, position: Position, fresh: &[u8], missing: u64) -> bool {
        let total = (fresh.len() as u64).saturating_add(missing);
        let hides = match position {
            Position::InBody { remaining } if self.skipped > 0 => {
                self.holds_request(fresh, total, self.nearest(remaining), remaining.unwrap_or(u64::MAX))
            }
            _ => false,
        };
        self.began_at_boundary = position == Position::Boundary;
        let joined = [self.tail.as_slice(), fresh].concat();
        let kept = if missing > 0 { 0 } else { joined.len().min(SIGN.len() - 1) };
        self.tail = joined.get(joined.len() - kept..).unwrap_or_default().to_vec();
        hides
    }

    /// How near, in bytes, the next request may begin.
    fn nearest(&self, remaining: Option<u64>) -> u64 {
        remaining.unwrap_or(0).saturating_sub(self.skipped)
    }

    /// May there be a request between these offsets of a write? The bytes before it count, it may have begun in them.
    fn holds_request(&self, bytes: &[u8], total: u64, from: u64, to: u64) -> bool {
        let size = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let unseen = (bytes.len() as u64) < total.min(to) && from < total;
        let seen = [self.tail.as_slice(), bytes.get(..size(to)).unwrap_or_default()].concat();
        let near = seen.get(size(from)..).unwrap_or_default();
        unseen || near.windows(SIGN.len()).any(|window| window == SIGN)
    }
}

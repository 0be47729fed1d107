//! A hold: one operation, by digest, that waits for people.
//!
//! It belongs to the digest and not to a connection, because people take minutes and connections do not. So it keeps
//! the requests that wait on it as a list that may be empty, and only one of them ever profits from its approvals.
//! Bias: whatever is uncertain (bytes not seen whole, a digest we cannot read back) is bound to its one connection.

pub(crate) mod book;
pub(crate) mod cover;
pub mod summary;
pub(crate) mod view;

use std::fmt;

use agent_guard_api::{HoldState, HoldView};

use crate::effect::{Digest, RequestKey, UnixMillis};

/// Number of a hold, `h42` for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub(crate) u64);

/// A hold with what people are not shown.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) id: HoldId,
    pub(crate) view: HoldView,
    /// `None`: no retry can join.
    pub(crate) digest: Option<Digest>,
    /// Oldest first. The view's count follows it.
    pub(crate) waiting: Vec<Waiting>,
    /// Raised by every change, so that a prepared change is known to be stale.
    pub(crate) revision: u64,
    /// Denied, and the denial still answers retries.
    pub(crate) remembered: bool,
    /// The last write to the ledger failed.
    pub(crate) unstored: bool,
    /// In which turn it was decided; 0 while it is open.
    pub(crate) closed: u64,
    /// When to try again what the ledger refused.
    pub(crate) retry_at: Option<UnixMillis>,
}

/// A request that waits on a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) key: RequestKey,
    pub(crate) session: u64,
    pub(crate) bytes_good_until: Option<UnixMillis>,
}

impl HoldId {
    /// Reads `h42`; anything else, `h042` included, is no id.
    pub fn parse(text: &str) -> Option<HoldId> {
        let id = HoldId(text.strip_prefix('h')?.parse().ok()?);
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}", self.0)
    }
}

impl Hold {
    pub(crate) fn new(id: HoldId, mut view: HoldView, digest: Option<Digest>) -> Hold {
        view.id = id.to_string();
        Hold {
            id,
            view,
            digest,
            waiting: Vec::new(),
            revision: 0,
            remembered: false,
            unstored: false,
            closed: 0,
            retry_at: None,
        }
    }

    /// Not decided, or decided and not yet delivered.
    pub(crate) fn is_open(&self) -> bool {
        match self.view.state {
            HoldState::Pending | HoldState::Approved => true,
            HoldState::Released | HoldState::Denied | HoldState::Expired => false,
        }
    }

    /// People are asked, and sessions may be stopped meanwhile.
    pub(crate) fn is_pending(&self) -> bool {
        self.view.state == HoldState::Pending
    }

    pub(crate) fn expires(&self) -> UnixMillis {
        UnixMillis(self.view.expires_ms)
    }

    /// When time alone changes something.
    pub(crate) fn due(&self) -> Option<UnixMillis> {
        let expiry = (self.is_open() || self.remembered).then(|| self.expires());
        expiry.into_iter().chain(self.retry_at).min()
    }

    /// The request that profits from the approvals: its bytes were signed last.
    pub(crate) fn newest(&self) -> Option<Waiting> {
        self.waiting.last().copied()
    }

    /// Approvals that are still missing.
    pub(crate) fn missing(&self) -> u32 {
        let given = u32::try_from(self.view.approvals.len()).unwrap_or(u32::MAX);
        self.view.approvals_needed.saturating_sub(given)
    }

    /// Nobody can approve what no connection carries and no retry may join.
    pub(crate) fn is_orphan(&self) -> bool {
        self.is_open() && self.waiting.is_empty() && self.digest.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::HoldId;

    #[test]
    fn an_id_is_read_as_written_and_in_no_other_spelling() {
        assert_eq!(HoldId::parse("h42"), Some(HoldId(42)));
        for text in ["", "h", "42", "h042", "h+1", "H1", "h1 ", "h99999999999999999999"] {
            assert_eq!(HoldId::parse(text), None, "{text}");
        }
        assert_eq!(HoldId(7).to_string(), "h7");
    }
}

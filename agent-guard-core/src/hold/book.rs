//! All holds with their indexes. Every change goes through [`Book::edit`], which takes the hold out of every index and
//! puts it back: no index can disagree with a hold, and no change can forget to raise the revision.
//!
//! Bounded: at most [`MAX_OPEN`] open holds (the engine refuses beyond), at most [`MAX_DECIDED`] decided ones, of which
//! those go first that answer no retry any more.

use std::collections::{BTreeMap, BTreeSet};

use agent_guard_api::HoldView;

use super::{Hold, HoldId};
use crate::effect::{ConnId, Digest, RequestKey, UnixMillis};

#[derive(Debug, Default)]
pub(crate) struct Book {
    holds: BTreeMap<HoldId, Hold>,
    /// The last id given.
    last: u64,
    by_digest: BTreeMap<Digest, HoldId>,
    by_key: BTreeMap<RequestKey, HoldId>,
    pending_of_session: BTreeMap<u64, BTreeSet<HoldId>>,
    deadlines: BTreeSet<(UnixMillis, HoldId)>,
    open: usize,
    /// Decided holds that answer nothing any more, by the turn in which they were decided.
    past: BTreeSet<(u64, HoldId)>,
    /// Denied holds that still answer retries, likewise.
    denials: BTreeSet<(u64, HoldId)>,
    /// Counts decisions.
    turn: u64,
    /// Sessions whose pending holds may have changed.
    touched: BTreeSet<u64>,
}

impl Book {
    pub(crate) fn next_id(&mut self) -> HoldId {
        self.last = self.last.saturating_add(1);
        HoldId(self.last)
    }

    pub(crate) fn get(&self, id: HoldId) -> Option<&Hold> {
        self.holds.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    pub(crate) fn open_ids(&self) -> Vec<HoldId> {
        self.holds.values().filter(|hold| hold.is_open()).map(|hold| hold.id).collect()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.open >= MAX_OPEN
    }

    /// The hold that answers a request with this digest.
    pub(crate) fn of_digest(&self, digest: Digest) -> Option<&Hold> {
        self.holds.get(self.by_digest.get(&digest)?)
    }

    pub(crate) fn of_key(&self, key: RequestKey) -> Option<HoldId> {
        self.by_key.get(&key).copied()
    }

    pub(crate) fn on_connection(&self, conn: ConnId) -> Vec<(RequestKey, HoldId)> {
        let range = RequestKey { conn, index: 0 }..=RequestKey { conn, index: u64::MAX };
        self.by_key.range(range).map(|(key, id)| (*key, *id)).collect()
    }

    /// Undecided holds in which this session has a part.
    pub(crate) fn pending_of(&self, session: u64) -> impl Iterator<Item = &Hold> {
        self.pending_of_session.get(&session).into_iter().flatten().filter_map(|id| self.holds.get(id))
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixMillis> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Holds for which something is due, the earliest first.
    pub(crate) fn due(&self, now: UnixMillis) -> Vec<HoldId> {
        self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    pub(crate) fn take_touched(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.touched)
    }

    /// Adds a hold and returns what people see of it.
    pub(crate) fn insert(&mut self, mut hold: Hold) -> HoldView {
        self.last = self.last.max(hold.id.0);
        synchronise(&mut hold);
        let view = hold.view.clone();
        self.put(hold);
        self.trim();
        view
    }

    /// Changes a hold and returns what people see of it then.
    pub(crate) fn edit(&mut self, id: HoldId, change: impl FnOnce(&mut Hold)) -> Option<HoldView> {
        let mut hold = self.take(id)?;
        change(&mut hold);
        hold.revision = hold.revision.saturating_add(1);
        synchronise(&mut hold);
        let view = hold.view.clone();
        self.put(hold);
        self.trim();
        Some(view)
    }

    fn put(&mut self, mut hold: Hold) {
        let id = hold.id;
        if hold.is_open() {
            self.open = self.open.saturating_add(1);
        } else if hold.closed == 0 {
            self.turn = self.turn.saturating_add(1);
            hold.closed = self.turn;
        }
        if !hold.is_open() {
            let decided = if hold.remembered { &mut self.denials } else { &mut self.past };
            decided.insert((hold.closed, id));
        }
        if hold.is_pending() {
            for session in sessions(&hold) {
                self.pending_of_session.entry(session).or_default().insert(id);
                self.touched.insert(session);
            }
        }
        if let Some(digest) = hold.digest
            && (hold.is_open() || hold.remembered)
        {
            self.by_digest.insert(digest, id);
        }
        self.by_key.extend(hold.waiting.iter().map(|waiting| (waiting.key, id)));
        self.deadlines.extend(hold.due().map(|due| (due, id)));
        self.holds.insert(id, hold);
    }

    fn take(&mut self, id: HoldId) -> Option<Hold> {
        let hold = self.holds.remove(&id)?;
        if hold.is_open() {
            self.open = self.open.saturating_sub(1);
        }
        self.denials.remove(&(hold.closed, id));
        self.past.remove(&(hold.closed, id));
        for session in sessions(&hold) {
            if let Some(pending) = self.pending_of_session.get_mut(&session)
                && pending.remove(&id)
            {
                self.touched.insert(session);
                if pending.is_empty() {
                    self.pending_of_session.remove(&session);
                }
            }
        }
        if let Some(digest) = hold.digest
            && self.by_digest.get(&digest) == Some(&id)
        {
            self.by_digest.remove(&digest);
        }
        for waiting in &hold.waiting {
            self.by_key.remove(&waiting.key);
        }
        if let Some(due) = hold.due() {
            self.deadlines.remove(&(due, id));
        }
        Some(hold)
    }

    fn trim(&mut self) {
        while self.past.len().saturating_add(self.denials.len()) > MAX_DECIDED {
            let Some((_, oldest)) = self.past.first().or(self.denials.first()).copied() else { return };
            self.take(oldest);
        }
    }
}

/// What the view says of the waiting requests follows from them.
fn synchronise(hold: &mut Hold) {
    hold.view.waiting_connections = u32::try_from(hold.waiting.len()).unwrap_or(u32::MAX);
    if let Some(newest) = hold.newest() {
        hold.view.bytes_good_until_ms = newest.bytes_good_until.map(|until| until.0);
    }
}

fn sessions(hold: &Hold) -> BTreeSet<u64> {
    hold.waiting.iter().map(|waiting| waiting.session).chain([hold.view.session]).collect()
}

/// Open holds in all; a request beyond is refused.
pub(crate) const MAX_OPEN: usize = 10_000;
/// Decided holds that are kept to be looked at.
pub(crate) const MAX_DECIDED: usize = 1_000;

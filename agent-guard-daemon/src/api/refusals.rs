//! Refused actions go on the record, but nobody may flood the record with them.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use agent_guard_api::{
    Action, ActionError,
    audit::{AUDIT_VERSION, AuditKind, AuditRecord},
};

use super::channel::PeerIdentity;
use crate::audit::Audit;

/// Counts the refusals of the current second.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    window: Mutex<Option<Window>>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    recorded: u32,
    skipped: u64,
}

impl Refusals {
    /// Records that `action` was refused; those beyond ten in a second are counted in the next record.
    pub(super) fn record(&self, audit: &Audit, peer: &PeerIdentity, action: &Action, error: &ActionError) {
        let Some(skipped) = self.admit(Instant::now()) else { return };
        let (verb, hold) = match action {
            Action::Approve { hold } => ("approve", Some(hold.clone())),
            Action::Deny { hold, reason: _ } => ("deny", Some(hold.clone())),
            Action::Enrol { agent: _ } => ("enrol", None),
            Action::Remove { reason: _ } => ("remove", None),
        };
        let message = format!(
            "{verb} by pid {} of uid {} was refused: {}",
            peer.pid,
            peer.uid,
            error.message.escape_debug()
        );
        audit.record(AuditRecord {
            version: AUDIT_VERSION,
            at_ms: crate::audit::now_ms(),
            kind: AuditKind::ActionRefused,
            message,
            agent: None,
            session: None,
            pid: Some(peer.pid),
            hold: hold.filter(|hold| agent_guard_api::routes::is_id(hold)),
            person: peer.person.as_ref().map(|person| person.name.clone()),
            request: None,
            rule: None,
            why: (skipped > 0).then(|| format!("{skipped} more refusals before this one were not recorded")),
            count: None,
        });
    }

    /// `None`: too many; else how many were skipped since the last that was admitted.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = window.as_ref().map_or(0, |window| window.skipped);
        match window.as_mut() {
            Some(window) if now.duration_since(window.began) < PERIOD => {
                if window.recorded >= PER_PERIOD {
                    window.skipped += 1;
                    return None;
                }
                window.recorded += 1;
                Some(std::mem::take(&mut window.skipped))
            }
            Some(_) | None => {
                *window = Some(Window { began: now, recorded: 1, skipped: 0 });
                Some(skipped)
            }
        }
    }
}

const PERIOD: Duration = Duration::from_secs(1);

const PER_PERIOD: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted() {
        let refusals = Refusals::default();
        let start = Instant::now();
        for _ in 0..PER_PERIOD {
            assert_eq!(refusals.admit(start), Some(0));
        }
        assert_eq!(refusals.admit(start), None);
        assert_eq!(refusals.admit(start), None);
        assert_eq!(refusals.admit(start + PERIOD), Some(2));
        assert_eq!(refusals.admit(start + PERIOD), Some(0));
    }
}

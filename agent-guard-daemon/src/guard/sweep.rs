//! What no event told: gates that stand above what is known, clients that went away from a held connection without a
//! word, connections that could not be broken at once.

use std::collections::HashMap;

use agent_guard_api::audit::{AUDIT_VERSION, AuditKind, AuditRecord};
use agent_guard_common::event::Header;

use super::{Guard, Report};

impl Guard {
    pub(super) fn sweep(&mut self) {
        self.report_losses();
        self.find_untold_gates();
        self.look_after_clients();
        self.retry_broken();
        self.refuse_late_hellos();
    }

    fn report_losses(&mut self) {
        let losses = self.maps.losses();
        let new = losses.saturating_sub(self.losses);
        self.losses = losses;
        if new > 0 {
            self.audit.record(AuditRecord {
                version: AUDIT_VERSION,
                at_ms: crate::judge::now().0,
                kind: AuditKind::Loss,
                message: format!(
                    "{new} events or entries were lost in the kernel half; what they were about stays held"
                ),
                agent: None,
                session: None,
                pid: None,
                hold: None,
                person: None,
                request: None,
                rule: None,
                why: None,
                count: Some(new),
            });
        }
    }

    /// A gate that stood above what is known at two sweeps in a row will not be explained by an event any more.
    fn find_untold_gates(&mut self) {
        let mut suspects = HashMap::new();
        for (cookie, socket) in self.maps.sockets() {
            let known = self.judge.highest(cookie);
            let released = self.maps.released(cookie).map_or(0, |words| words.released);
            if socket.gated <= known || socket.gated <= released || self.broken.contains(&cookie) {
                continue;
            }
            let first = self.suspects.get(&(cookie, known)).copied().unwrap_or(self.drains);
            // Its event may still be in the ring: only after that was found empty twice is it lost.
            if self.drains < first + 2 || !self.suspects.contains_key(&(cookie, known)) {
                suspects.insert((cookie, known), first);
                continue;
            }
            let header = Header {
                tgid: socket.tgid,
                session: socket.session,
                agent: socket.agent,
                ..Header::default()
            };
            let origin = self.origin(&header);
            self.note(
                AuditKind::Loss,
                &origin,
                "a write was gated of which no event came; it is held as unreadable".to_owned(),
            );
            self.report(Report::Lost { origin, cookie, gate: socket.gated });
        }
        self.suspects = suspects;
    }

    fn retry_broken(&mut self) {
        for cookie in self.broken.clone() {
            if self.maps.socket(cookie).is_none() {
                self.broken.remove(&cookie);
            } else {
                self.destroy(cookie);
            }
        }
    }

    /// While the daemon holds a duplicate, a client's close is not seen by TCP: look whether it still has the socket.
    pub(super) fn look_after_clients(&mut self) {
        for cookie in self.waiting.cookies() {
            if self.is_abandoned(cookie) {
                self.client_gone(cookie);
            }
        }
    }
}

//! What no event told: gates that stand above what is known, untied writes that never were sent, clients that went away
//! from a held connection without a word.

use std::time::Duration;

use agent_guard_api::audit::{AUDIT_VERSION, AuditKind, AuditRecord};
use agent_guard_common::event::Header;

use super::{Guard, Report};

/// A stray's process has this long to send its untied write; then the stray connection is refused.
const UNTIED_PATIENCE: Duration = Duration::from_secs(5);

impl Guard {
    pub(super) fn sweep(&mut self) {
        self.report_losses();
        self.find_untold_gates();
        self.refuse_old_strays();
        self.look_after_clients();
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
                message: format!("{new} events or entries were lost in the kernel half; what they were about stays held"),
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
        let mut suspects = std::collections::HashSet::new();
        for (cookie, socket) in self.maps.sockets() {
            let known = self.judge.highest(cookie);
            let released = self.maps.released(cookie).map_or(0, |words| words.released);
            if socket.gated <= known || socket.gated <= released {
                continue;
            }
            if !self.suspects.contains(&(cookie, socket.gated)) {
                suspects.insert((cookie, socket.gated));
                continue;
            }
            let header = Header { tgid: socket.tgid, session: socket.session, agent: socket.agent, ..Header::default() };
            let origin = self.origin(&header);
            self.note(AuditKind::Loss, &origin, "a write was gated of which no event came; it is held as unreadable".to_owned());
            self.report(Report::Lost { origin, cookie, gate: socket.gated });
        }
        self.suspects = suspects;
    }

    fn refuse_old_strays(&mut self) {
        let old: Vec<(u32, u64)> = self
            .strays
            .iter()
            .flat_map(|(tgid, sockets)| sockets.iter().map(|(cookie, since)| (*tgid, *cookie, since.elapsed())))
            .filter(|(_, _, age)| *age > UNTIED_PATIENCE)
            .map(|(tgid, cookie, _)| (tgid, cookie))
            .collect();
        for (tgid, cookie) in old {
            let header = self.maps.socket(cookie).map(|socket| Header {
                tgid,
                session: socket.session,
                agent: socket.agent,
                ..Header::default()
            });
            if let Some(header) = header {
                let origin = self.origin(&header);
                let message = "a connection was refused: it could not be told which socket an unjudged write belongs to";
                self.note(AuditKind::Refused, &origin, message.to_owned());
            }
            self.destroy(cookie);
            if let Some(sockets) = self.strays.get_mut(&tgid) {
                sockets.remove(&cookie);
                if sockets.is_empty() {
                    self.strays.remove(&tgid);
                    let untied = self.maps.untied(tgid);
                    self.maps.resolve(tgid, untied);
                }
            }
        }
    }

    /// While the daemon holds a duplicate, a client's close is not seen by TCP: look whether it still has the socket.
    fn look_after_clients(&mut self) {
        for cookie in self.waiting.cookies() {
            let processes = self.processes_of(cookie);
            if !processes.is_empty() && !self.duplicates.is_open_in(cookie, &processes) {
                self.client_gone(cookie);
            }
        }
    }
}

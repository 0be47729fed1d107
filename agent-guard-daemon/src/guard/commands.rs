//! Executing the judge's commands.

use std::time::Instant;

use agent_guard_api::audit::AuditKind;
use agent_guard_common::conn::Released;
use agent_guard_core::verdict::Refused;

use super::{Guard, Report};
use crate::{
    enforce::{destroy, duplicate},
    ingest::flow::Opening,
    report::Command,
};

impl Guard {
    pub(super) fn execute(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Open { cookie, opening } => self.open(cookie, opening),
                Command::Wait { cookie } => self.begin_waiting(cookie),
                Command::Break { cookie, verdict } => self.break_connection(cookie, &verdict),
                Command::StopSession { session } => self.stop_session(session),
                Command::ResumeSession { session } => self.resume_session(session),
            }
        }
    }

    /// Raises the gate's second word, then sends what waits in the socket.
    fn open(&mut self, cookie: u64, opening: Opening) {
        let Opening { released, in_step } = opening;
        let words = Released { released, in_step: if in_step { released } else { 0 } };
        match self.maps.release(cookie, &words) {
            Ok(true) => {
                self.judge.delivered(cookie, released);
                self.nudge(cookie);
            }
            Ok(false) => {
                let message = "a connection was closed before what was let go could leave".to_owned();
                self.audit.note(AuditKind::ClientGone, message);
            }
            Err(error) => {
                let message = format!("a gate could not be opened ({error}); what waits there stays held");
                self.audit.note(AuditKind::Loss, message);
            }
        }
    }

    /// Has TCP send what it kept.
    pub(super) fn nudge(&mut self, cookie: u64) {
        if self.waiting.release(cookie) {
            return;
        }
        let nudged = self.duplicate(cookie).and_then(duplicate::nudge);
        if let Err(error) = nudged {
            tracing::debug!(cookie, %error, "no nudge; TCP's own timer sends it");
        }
    }

    fn begin_waiting(&mut self, cookie: u64) {
        if self.waiting.is_waiting(cookie) {
            return;
        }
        let begun =
            self.duplicate(cookie).and_then(|socket| self.waiting.begin(cookie, socket, Instant::now()));
        if let Err(error) = begun {
            tracing::warn!(cookie, %error, "a held socket cannot be duplicated: it is held, but not kept alive");
        }
    }

    fn break_connection(&mut self, cookie: u64, verdict: &Refused) {
        tracing::debug!(cookie, because = ?verdict.because(), "refused");
        self.destroy(cookie);
    }

    /// Breaks a connection: by verdict, or because its client is gone.
    pub(super) fn destroy(&mut self, cookie: u64) {
        let destroyed = match self.waiting.destroy(cookie) {
            Some(result) => result,
            None => match self.duplicate(cookie) {
                Ok(socket) => destroy::destroy(&socket, cookie),
                Err(_no_descriptor) => destroy::destroy_orphan(cookie),
            },
        };
        match destroyed {
            Ok(()) => {
                self.broken.remove(&cookie);
            }
            Err(error) => {
                // Its gate stays closed, so nothing of it leaves; the sweep tries again.
                tracing::warn!(cookie, %error, "a refused connection could not be broken yet; it stays held");
                self.broken.insert(cookie);
            }
        }
    }

    /// The client of a held connection went away: its bytes are destroyed at once.
    pub(super) fn client_gone(&mut self, cookie: u64) {
        self.destroy(cookie);
        self.report(Report::Gone { cookie });
    }
}

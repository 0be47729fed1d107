//! Sessions that are stopped while they are held: every process by SIGSTOP, in the ledger before it happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::{Duration, Instant},
};

use agent_guard_api::audit::AuditKind;

use super::Guard;
use crate::{
    enforce::processes::{self, Process},
    ledger::{EffectId, LedgerError, TaskRow},
};

/// How often stopped processes are looked at: somebody may have continued one.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Stopped processes by session.
#[derive(Debug, Default)]
pub(super) struct Stopped {
    sessions: BTreeMap<u64, BTreeMap<Process, EffectId>>,
    /// Processes that were found running; told once.
    resisted: BTreeSet<Process>,
    next_look: Option<Instant>,
}

impl Stopped {
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

impl Guard {
    pub(super) fn stop_session(&mut self, session: u64) {
        self.stopped.sessions.entry(session).or_default();
        self.stop_all(session);
    }

    pub(super) fn resume_session(&mut self, session: u64) {
        for (process, effect) in self.stopped.sessions.remove(&session).unwrap_or_default() {
            self.stopped.resisted.remove(&process);
            if let Err(error) = processes::resume(process)
                && error.kind() != io::ErrorKind::NotFound
            {
                // Its row stays in the ledger, so that the next daemon tries again.
                tracing::error!(pid = process.tgid, %error, "a process could not be continued");
                continue;
            }
            if let Err(error) = self.judge.ledger().effect_undone(effect) {
                tracing::error!(%error, "the ledger could not forget a stopped process");
            }
        }
    }

    /// Stops what runs of the stopped sessions: children born meanwhile, and what somebody continued.
    pub(super) fn keep_stopped(&mut self) {
        let now = Instant::now();
        if self.stopped.next_look.is_some_and(|next| next > now) {
            return;
        }
        self.stopped.next_look = Some(now + LOOK_EVERY);
        let sessions: Vec<u64> = self.stopped.sessions.keys().copied().collect();
        for session in sessions {
            self.stop_all(session);
        }
    }

    fn stop_all(&mut self, session: u64) {
        let tasks = self.maps.tasks();
        for (tgid, task) in tasks.into_iter().filter(|(_, task)| task.session == session) {
            let Some(state) = processes::state(tgid) else { continue };
            let known =
                self.stopped.sessions.get(&session).is_some_and(|known| known.contains_key(&state.process));
            if matches!(state.letter, 'T' | 't' | 'Z' | 'X') {
                continue;
            }
            if known && self.stopped.resisted.insert(state.process) {
                let message = format!(
                    "held process {tgid} was continued by somebody; it is stopped again, its connection never was open"
                );
                let agent = self.agent_name(task.agent);
                let origin = crate::report::Origin {
                    tgid,
                    session,
                    agent,
                    processes: Vec::new(),
                    observed: false,
                    released: 0,
                };
                self.note(AuditKind::Resisted, &origin, message);
            }
            self.stop_one(session, state.process, known);
        }
    }

    fn stop_one(&mut self, session: u64, process: Process, known: bool) {
        if !known {
            let boot_id = super::start::boot_id();
            let row = TaskRow { tgid: process.tgid, start_time: process.start_ticks, boot_id };
            match self.judge.ledger().effect_begin("stopped", session, &row) {
                Ok(effect) => {
                    self.stopped.sessions.entry(session).or_default().insert(process, effect);
                }
                // Not in the ledger, not done: a new daemon could not continue it. Its connection is held anyway.
                Err(error) => {
                    return tracing::error!(%error, "a process is not stopped: the ledger cannot be written");
                }
            }
        }
        if let Err(error) = processes::stop(process)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(pid = process.tgid, %error, "a process could not be stopped");
        }
    }

    /// Processes that an earlier daemon stopped: still wanted, or continued now.
    ///
    /// # Errors
    /// The ledger cannot be read: the daemon must not start on a guess.
    pub(super) fn adopt_stopped(&mut self) -> Result<(), LedgerError> {
        let rows = self.judge.ledger().effect_list()?;
        for row in rows
            .into_iter()
            .filter(|row| row.kind == "stopped" && row.task.boot_id == super::start::boot_id())
        {
            let process = Process { tgid: row.task.tgid, start_ticks: row.task.start_time };
            self.stopped.sessions.entry(row.session).or_default().insert(process, row.id);
        }
        Ok(())
    }

    /// Lets every stopped process go on.
    pub(super) fn resume_all(&mut self) {
        let sessions: Vec<u64> = self.stopped.sessions.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.resume_session(session));
    }

    /// Lets go on what an earlier daemon stopped and nothing open demands any more.
    pub(super) fn resume_unwanted(&mut self) {
        let sessions: Vec<u64> = self.stopped.sessions.keys().copied().collect();
        for session in sessions {
            if !self.judge.wants_stopped(session) {
                self.resume_session(session);
            }
        }
    }
}

//! Executing what the engine wants: ledger and audit here, everything else as commands to the guard.

use agent_guard_api::{
    ActionError,
    audit::{AuditKind, AuditRequest},
};
use agent_guard_core::{
    effect::{AuditEntry, Effect, RequestKey, RequestSeen},
    hold::summary::sentence,
    policy::{Action, Policy, SenderContext},
};

use super::{Conn, Judge, now};
use crate::{
    ledger::{TaskRow, WaitingRow},
    report::{Command, Origin},
};

impl Judge {
    pub(super) fn execute(&mut self, effects: Vec<Effect>) -> Vec<Command> {
        let mut unsettled = None;
        self.execute_all(effects, &mut unsettled)
    }

    /// `unsettled` gets the answer to a person whose decision did not come into force.
    pub(super) fn execute_all(
        &mut self,
        effects: Vec<Effect>,
        unsettled: &mut Option<ActionError>,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        for effect in effects {
            match effect {
                Effect::Store(view) => {
                    if let Err(error) = self.ledger.store_hold(&view) {
                        tracing::error!(hold = view.id, %error, "a hold could not be written to the ledger");
                        self.engine.store_failed(now(), &view.id);
                    }
                }
                Effect::Commit(prepared) => {
                    let stored = self.ledger.store_hold(prepared.view()).map_err(|error| error.to_string());
                    match self.engine.settle(now(), *prepared, stored) {
                        Ok(effects) => commands.extend(self.execute_all(effects, unsettled)),
                        Err(failed) => {
                            *unsettled = Some(failed.error);
                            commands.extend(self.execute_all(failed.effects, &mut None));
                        }
                    }
                }
                Effect::Release { key, verdict } => {
                    tracing::debug!(?key, because = ?verdict.because(), "released");
                    self.counters.requests_allowed += 1;
                    commands.extend(self.release(key));
                }
                Effect::Wait { key, hold } => commands.extend(self.wait(key, &hold)),
                Effect::Refuse { key, verdict } => {
                    self.counters.requests_denied += 1;
                    // Its row stays until the connection is gone: it is still held, should breaking it fail.
                    commands.push(Command::Break { cookie: key.conn.0, verdict });
                }
                Effect::StopSession { session } => commands.push(Command::StopSession { session }),
                Effect::ResumeSession { session } => commands.push(Command::ResumeSession { session }),
                Effect::Audit(entry) => self.audit.entry(*entry),
            }
        }
        commands
    }

    fn release(&mut self, key: RequestKey) -> Vec<Command> {
        if let Some(commands) = self.release_adopted(key) {
            return commands;
        }
        if let Some(conn) = self.conns.get_mut(&key.conn.0) {
            conn.flow.allow(key.index);
        }
        self.judge_due(key.conn.0)
    }

    /// The kernel half has opened a gate up to `released`: what waited for that is forgotten.
    pub fn delivered(&mut self, cookie: u64, released: u64) {
        let Some(conn) = self.conns.get_mut(&cookie) else { return };
        for (request, _) in conn.rows.extract_if(|_, gate| *gate <= released) {
            if let Err(error) = self.ledger.waiting_remove(&self.boot_id, cookie, request) {
                tracing::error!(%error, "the ledger could not forget a delivered request");
            }
        }
    }

    fn wait(&mut self, key: RequestKey, hold: &str) -> Vec<Command> {
        self.counters.requests_held += 1;
        let cookie = key.conn.0;
        let row = match self.adopted.get(&cookie).filter(|adopted| adopted.request == key.index) {
            Some(adopted) => Some((adopted.gate, adopted.at_boundary, &adopted.origin)),
            None => self.conns.get_mut(&cookie).and_then(|conn| row_of(conn, key.index)),
        };
        if let Some((gate, at_boundary, origin)) = row {
            let row = WaitingRow {
                hold: hold.to_owned(),
                conn: cookie,
                request: key.index,
                gate,
                at_boundary,
                task: TaskRow {
                    tgid: origin.tgid,
                    start_time: origin.session,
                    boot_id: self.boot_id.clone(),
                },
            };
            if let Err(error) = self.ledger.waiting_add(&row) {
                // After a restart this connection would be undecidable instead of released: closed, not lost.
                tracing::error!(hold, %error, "a waiting request could not be written to the ledger");
            }
        }
        vec![Command::Wait { cookie }]
    }
}

/// What the ledger is to know of a request that waits, if another daemon could let it go by that: gate, whether the
/// stream is between two requests behind it, and whose it is.
fn row_of(conn: &mut Conn, index: u64) -> Option<(u64, bool, &Origin)> {
    if !conn.flow.stands_alone(index) {
        return None;
    }
    let gate = conn.flow.number_of(index)?;
    conn.rows.insert(index, gate);
    Some((gate, conn.flow.ends_at_boundary(index), &conn.origin))
}

/// The record of a request that was not gated.
pub(super) fn passed(
    kind: AuditKind,
    origin: &Origin,
    seen: &RequestSeen,
    policy: &Policy,
    fast: bool,
) -> AuditEntry {
    let operation = &seen.operation;
    let decision = policy.decide(operation, &SenderContext::default());
    let (rule, why) = if fast {
        ("builtin:fast-path".to_owned(), "one harmless head on a connection in step".to_owned())
    } else {
        let would = match decision.action {
            Action::Allow => "would pass",
            Action::Hold(_) => "would have been held",
            Action::Deny => "would have been denied",
        };
        (format!("observe:{}", decision.because.rule), format!("{would}: {}", decision.because.why))
    };
    AuditEntry {
        kind,
        message: sentence(operation),
        agent: Some(origin.agent.clone()),
        session: Some(origin.session),
        pid: Some(origin.tgid),
        hold: None,
        person: None,
        request: Some(AuditRequest {
            provider: operation.provider.clone(),
            service: operation.service.clone(),
            operation: operation.name.clone(),
            harm: operation.harm,
            magnitude: operation.magnitude.clone(),
            flags: operation.flags.clone(),
            host: operation.host.clone(),
            digest: seen.digest.to_string(),
        }),
        rule: Some(rule),
        why: Some(why),
    }
}

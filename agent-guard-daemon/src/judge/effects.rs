//! Executing what the engine wants: ledger and audit here, everything else as commands to the guard.

use agent_guard_api::{ActionError, audit::{AuditKind, AuditRequest}};
use agent_guard_core::{
    effect::{AuditEntry, Effect, RequestKey, RequestSeen},
    hold::summary::sentence,
    policy::{Action, Policy, SenderContext},
};

use super::{Adopted, Conn, Judge, now};
use crate::{
    ingest::flow::{Flow, Opening},
    ledger::{TaskRow, WaitingRow},
    report::{Command, Origin},
};

impl Judge {
    pub(super) fn execute(&mut self, effects: Vec<Effect>) -> Vec<Command> {
        let mut unsettled = None;
        self.execute_all(effects, &mut unsettled)
    }

    /// `unsettled` gets the answer to a person whose decision did not come into force.
    pub(super) fn execute_all(&mut self, effects: Vec<Effect>, unsettled: &mut Option<ActionError>) -> Vec<Command> {
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
                    self.forget_waiting(key);
                    self.adopted.remove(&key);
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
        self.forget_waiting(key);
        let cookie = key.conn.0;
        if let Some(adopted) = self.adopted.remove(&key) {
            return self.release_adopted(cookie, adopted);
        }
        if let Some(conn) = self.conns.get_mut(&cookie) {
            conn.flow.allow(key.index);
            conn.waiting.remove(&key.index);
        }
        self.open(cookie)
    }

    /// The bytes of an adopted hold leave; what the gate was raised for since then is judged as far as it is known.
    fn release_adopted(&mut self, cookie: u64, adopted: Adopted) -> Vec<Command> {
        let Adopted { gate, at_boundary, origin, highest } = adopted;
        let next = gate + 1;
        let flow = if at_boundary && highest <= gate {
            Flow::new(next, agent_guard_core::request::Peer::default())
        } else {
            Flow::desynchronised(next, "it was written while another daemon held this connection")
        };
        let mut conn = Conn { flow, origin, fills_buffer: false, waiting: std::collections::HashMap::new() };
        if highest > gate {
            conn.flow.lost_up_to(highest);
        }
        self.conns.insert(cookie, conn);
        let opening = Opening { released: gate, in_step: at_boundary && highest <= gate };
        let mut commands = vec![Command::Open { cookie, opening }];
        commands.extend(self.judge_due(cookie));
        commands
    }

    fn wait(&mut self, key: RequestKey, hold: &str) -> Vec<Command> {
        self.counters.requests_held += 1;
        let cookie = key.conn.0;
        if let Some(conn) = self.conns.get_mut(&cookie) {
            let gate = conn.flow.number_of(key.index).unwrap_or_else(|| conn.flow.highest());
            conn.waiting.insert(key.index, gate);
            let row = WaitingRow {
                hold: hold.to_owned(),
                conn: cookie,
                request: key.index,
                gate,
                at_boundary: conn.flow.ends_at_boundary(key.index),
                task: TaskRow { tgid: conn.origin.tgid, start_time: conn.origin.session, boot_id: self.boot_id.clone() },
            };
            if let Err(error) = self.ledger.waiting_add(&row) {
                // After a restart this connection would be refused instead of released: closed, not lost.
                tracing::error!(hold, %error, "a waiting request could not be written to the ledger");
            }
        }
        vec![Command::Wait { cookie }]
    }

    fn forget_waiting(&mut self, key: RequestKey) {
        if let Err(error) = self.ledger.waiting_remove(&self.boot_id, key.conn.0, key.index) {
            tracing::error!(%error, "the ledger could not forget a decided request");
        }
    }
}

/// The record of a request that was not gated.
pub(super) fn passed(kind: AuditKind, origin: &Origin, seen: &RequestSeen, policy: &Policy, fast: bool) -> AuditEntry {
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

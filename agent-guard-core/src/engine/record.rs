//! Audit entries. Every sentence is built here, so that no other place can forget to escape the agent's words.

use agent_guard_api::{
    ActionError, HoldView, ProcessView,
    audit::{AuditKind, AuditRequest},
};

use crate::{
    effect::{AuditEntry, Effect, RequestSeen},
    hold::view::hex,
    verdict::Because,
};

/// About a request that is no hold's.
pub(super) fn of_request(
    kind: AuditKind,
    seen: &RequestSeen,
    message: String,
    because: &Because,
) -> AuditEntry {
    let operation = &seen.operation;
    AuditEntry {
        kind,
        message,
        agent: Some(seen.sender.agent.clone()),
        session: Some(seen.sender.session),
        pid: seen.sender.processes.first().map(pid),
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
            digest: hex(seen.digest),
        }),
        rule: Some(because.rule.clone()),
        why: Some(because.why.clone()),
    }
}

/// About a hold.
pub(super) fn of_hold(kind: AuditKind, view: &HoldView, message: String) -> AuditEntry {
    AuditEntry {
        kind,
        message,
        agent: Some(view.agent.clone()),
        session: Some(view.session),
        pid: view.processes.first().map(pid),
        hold: Some(view.id.clone()),
        person: None,
        request: Some(AuditRequest {
            provider: view.provider.clone(),
            service: view.service.clone(),
            operation: view.operation.clone(),
            harm: view.harm,
            magnitude: view.magnitude.clone(),
            flags: view.flags.clone(),
            host: view.host.clone(),
            digest: view.digest.clone(),
        }),
        rule: Some(view.rule.clone()),
        why: Some(view.why.clone()),
    }
}

impl AuditEntry {
    pub(super) fn by(self, person: &str) -> AuditEntry {
        AuditEntry { person: Some(person.to_owned()), ..self }
    }

    pub(super) fn on(self, hold: &str) -> AuditEntry {
        AuditEntry { hold: Some(hold.to_owned()), ..self }
    }

    pub(super) fn from(self, session: u64) -> AuditEntry {
        AuditEntry { session: Some(session), ..self }
    }

    pub(super) fn effect(self) -> Effect {
        Effect::Audit(Box::new(self))
    }
}

/// A decision that could not be carried out and that nobody waits for.
pub(super) fn action_refused(error: &ActionError) -> Effect {
    AuditEntry {
        kind: AuditKind::ActionRefused,
        message: error.message.clone(),
        agent: None,
        session: None,
        pid: None,
        hold: None,
        person: None,
        request: None,
        rule: None,
        why: None,
    }
    .effect()
}

/// `15 min`, `90 s`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    if seconds >= 120 { format!("{} min", seconds / 60) } else { format!("{seconds} s") }
}

fn pid(process: &ProcessView) -> u32 {
    process.pid
}

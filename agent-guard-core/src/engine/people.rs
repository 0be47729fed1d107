//! People's decisions: approve, deny, and every reason why that is not possible now.

use agent_guard_api::{
    ActionError, ErrorKind, HoldState, HoldView, Outcome, audit::AuditKind, hold::ApprovalView,
};

use super::{Engine, Prepared, record};
use crate::{
    effect::{Effect, Person, UnixMillis},
    hold::{Hold, HoldId, summary::quote},
    verdict::{Because, Refused},
};

impl Engine {
    /// Prepares an approval; it counts when the ledger has it.
    pub(super) fn approve(
        &mut self,
        now: UnixMillis,
        id: &str,
        person: Person,
        out: &mut Vec<Effect>,
    ) -> Result<Outcome, ActionError> {
        let hold = self.undecided(now, id)?;
        if person.name.is_empty() {
            let message =
                format!("nobody in particular cannot approve {id}; enter the caller under [people]");
            return Err(ActionError { kind: ErrorKind::Forbidden, message });
        }
        if let Some(earlier) = hold.view.approvals.iter().find(|approval| approval.person == person.name) {
            return Err(conflict(format!(
                "{} has approved {id} already (by {}); {} of somebody else {} missing",
                quote(&person.name, PERSON_CHARS),
                quote(&earlier.channel, PERSON_CHARS),
                if hold.missing() == 1 { "the approval" } else { "the approvals" },
                if hold.missing() == 1 { "is" } else { "are" },
            )));
        }
        let prepared = Prepared::approval(now, hold, &person, self.settings.hold_expires_ms);
        let missing = hold.missing().saturating_sub(1);
        let delivered = !hold.waiting.is_empty();
        out.push(Effect::Commit(Box::new(prepared)));
        Ok(if missing > 0 {
            Outcome::Approved { hold: id.to_owned(), missing }
        } else {
            Outcome::Released { hold: id.to_owned(), delivered }
        })
    }

    /// One person suffices. It tightens, so it counts at once, whatever the ledger says.
    pub(super) fn deny(
        &mut self,
        now: UnixMillis,
        id: &str,
        person: &Person,
        reason: &str,
        out: &mut Vec<Effect>,
    ) -> Result<Outcome, ActionError> {
        let hold = self.undecided(now, id)?.id;
        let reason = quote(reason, REASON_CHARS);
        self.end(hold, out, AuditKind::Denied, Some(&person.name), |hold| {
            hold.view.state = HoldState::Denied;
            hold.view.denied_by = Some(person.name.clone());
            hold.view.denied_reason = Some(reason);
            hold.remembered = hold.digest.is_some();
        });
        if let Some(hold) = self.book.get(hold) {
            self.grants.revoke(&hold.view);
        }
        Ok(Outcome::Denied { hold: id.to_owned() })
    }

    /// Ends a hold without release: its waiting requests are refused.
    pub(super) fn end(
        &mut self,
        id: HoldId,
        out: &mut Vec<Effect>,
        kind: AuditKind,
        person: Option<&str>,
        change: impl FnOnce(&mut Hold),
    ) {
        let mut waiting = Vec::new();
        let Some(view) = self.book.edit(id, |hold| {
            waiting = std::mem::take(&mut hold.waiting);
            hold.retry_at = None;
            change(hold);
        }) else {
            return;
        };
        let why = if view.state == HoldState::Denied { denial(&view) } else { EXPIRED.to_owned() };
        let message = format!("{} by agent {} ({id}): {why}", view.summary, view.agent);
        let entry = record::of_hold(kind, &view, message);
        self.sessions.record(view.session, format!("{id} ended: {why}"));
        let because = Because { rule: view.rule.clone(), why };
        out.push(Effect::Store(Box::new(view)));
        out.extend(waiting.into_iter().map(|waiting| {
            let verdict = Refused { because: because.clone() };
            Effect::Refuse { key: waiting.key, verdict }
        }));
        out.push(person.into_iter().fold(entry, |entry, person| entry.by(person)).effect());
    }

    /// The hold of this id if people can still decide it.
    fn undecided(&self, now: UnixMillis, id: &str) -> Result<&Hold, ActionError> {
        let Some(hold) = HoldId::parse(id).and_then(|id| self.book.get(id)) else {
            return Err(ActionError {
                kind: ErrorKind::NotFound,
                message: format!(
                    "no hold {} is known; `agentguardctl holds` lists them",
                    quote(id, PERSON_CHARS)
                ),
            });
        };
        let state = match hold.view.state {
            HoldState::Pending if hold.expires() > now => return Ok(hold),
            HoldState::Pending | HoldState::Expired => "expired, which counts as denied".to_owned(),
            HoldState::Approved => format!("approved by {} and waits for the retry", approvers(&hold.view)),
            HoldState::Released => format!("approved by {} and was delivered", approvers(&hold.view)),
            HoldState::Denied => denial(&hold.view),
        };
        Err(conflict(format!(
            "{id} is decided: {state}; a later request of the agent gets a hold of its own"
        )))
    }
}

/// `denied by alice: too much`.
pub(super) fn denial(view: &HoldView) -> String {
    let person = quote(view.denied_by.as_deref().unwrap_or("nobody"), PERSON_CHARS);
    match view.denied_reason.as_deref() {
        // Escaped when it was taken in.
        Some(reason) if !reason.is_empty() => format!("denied by {person}: {reason}"),
        Some(_) | None => format!("denied by {person}"),
    }
}

/// `alice and bob`.
pub(super) fn approvers(view: &HoldView) -> String {
    let names: Vec<String> =
        view.approvals.iter().map(|ApprovalView { person, .. }| quote(person, PERSON_CHARS)).collect();
    names.join(" and ")
}

pub(super) fn conflict(message: String) -> ActionError {
    ActionError { kind: ErrorKind::Conflict, message }
}

pub(super) fn not_a_decision() -> ActionError {
    ActionError {
        kind: ErrorKind::Malformed,
        message: "only approve and deny are people's decisions".to_owned(),
    }
}

const EXPIRED: &str = "nobody decided in time, which counts as denied";
pub(super) const PERSON_CHARS: usize = 64;
const REASON_CHARS: usize = 500;

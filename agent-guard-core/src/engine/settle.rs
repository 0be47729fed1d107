//! Two phases for everything that loosens: prepare, write, settle.
//!
//! A [`Prepared`] value changes nothing by itself; dropping it leaves the hold as it was. It remembers the hold's
//! revision, so that one that was overtaken (a connection died, somebody denied) releases nothing.

use agent_guard_api::{ActionError, ErrorKind, HoldState, HoldView, audit::AuditKind, hold::ApprovalView};

use super::{Engine, people, record};
use crate::{
    effect::{Effect, Person, RequestKey, UnixMillis},
    hold::{Hold, HoldId, Waiting, summary::quote, view},
    verdict::{Allowed, Because},
};

/// A change that loosens, not yet in force. Only the engine makes one.
#[derive(Debug)]
pub struct Prepared {
    hold: HoldId,
    revision: u64,
    view: HoldView,
    /// The person whose approval it is; `None`: a retry of what is approved.
    approver: Option<String>,
    /// The one request that leaves.
    deliver: Option<RequestKey>,
}

/// A prepared change that did not come into force.
#[derive(Debug)]
pub struct Unsettled {
    /// The answer to whoever asked for it.
    pub error: ActionError,
    /// Sets the ledger right where it was written in vain.
    pub effects: Vec<Effect>,
}

impl Prepared {
    /// What must be in the ledger before [`Engine::settle`] is told so.
    pub fn view(&self) -> &HoldView {
        &self.view
    }

    pub(super) fn approval(now: UnixMillis, hold: &Hold, person: &Person, window_ms: u64) -> Prepared {
        let mut view = hold.view.clone();
        let approval =
            ApprovalView { person: person.name.clone(), at_ms: now.0, channel: person.channel.clone() };
        view.approvals.push(approval);
        let mut deliver = None;
        if hold.missing() <= 1 {
            deliver = hold.newest().map(|newest| newest.key);
            view.state = HoldState::Approved;
            view.expires_ms = now.0.saturating_add(window_ms);
        }
        if deliver.is_some() {
            view.state = HoldState::Released;
            view.waiting_connections = 0;
        }
        Prepared {
            hold: hold.id,
            revision: hold.revision,
            view,
            approver: Some(person.name.clone()),
            deliver,
        }
    }
}

/// The delivery of an approved hold to the newest request that waits on it.
pub(super) fn delivery(hold: &Hold) -> Option<Effect> {
    if hold.view.state != HoldState::Approved {
        return None;
    }
    let deliver = Some(hold.newest()?.key);
    let view = HoldView { state: HoldState::Released, waiting_connections: 0, ..hold.view.clone() };
    let prepared = Prepared { hold: hold.id, revision: hold.revision, view, approver: None, deliver };
    Some(Effect::Commit(Box::new(prepared)))
}

impl Engine {
    /// Second phase: `stored` is the ledger's answer to [`Prepared::view`], its error a sentence's end for people.
    ///
    /// On failure an approval does not count and what would have left stays waiting; the delivery of what is approved
    /// already is tried again by [`Engine::next_deadline`].
    pub fn settle(
        &mut self,
        now: UnixMillis,
        prepared: Prepared,
        stored: Result<(), String>,
    ) -> Result<Vec<Effect>, Unsettled> {
        let id = prepared.hold;
        if let Err(cause) = stored {
            self.try_again(now, id);
            let message = format!(
                "{id} could not be written to the ledger ({cause}), so nothing is granted; the hold stays: make the \
                 state directory writable and repeat the approval"
            );
            let error = ActionError { kind: ErrorKind::Unavailable, message };
            return Err(Unsettled { error, effects: Vec::new() });
        }
        if self.book.get(id).is_none_or(|hold| hold.revision != prepared.revision) {
            self.try_again(now, id);
            let current = self.book.get(id).map(|hold| Effect::Store(Box::new(hold.view.clone())));
            let error = people::conflict(format!("{id} changed meanwhile; look at it and decide again"));
            return Err(Unsettled { error, effects: current.into_iter().collect() });
        }
        let mut out = Vec::new();
        self.come_into_force(now, prepared, &mut out);
        self.rebalance(&mut out);
        Ok(out)
    }

    /// The ledger refused an [`Effect::Store`]: it is written again soon.
    pub fn store_failed(&mut self, now: UnixMillis, hold: &str) {
        let Some(id) = HoldId::parse(hold) else { return };
        self.book.edit(id, |hold| {
            hold.unstored = true;
            hold.retry_at = Some(later(now));
        });
    }

    fn try_again(&mut self, now: UnixMillis, id: HoldId) {
        if self.book.get(id).and_then(delivery).is_some() {
            self.book.edit(id, |hold| hold.retry_at = Some(later(now)));
        }
    }

    fn come_into_force(&mut self, now: UnixMillis, prepared: Prepared, out: &mut Vec<Effect>) {
        let Prepared { hold: id, view, approver, deliver, .. } = prepared;
        let mut others = Vec::new();
        let Some(view) = self.book.edit(id, |hold| {
            hold.view = view;
            hold.unstored = false;
            hold.retry_at = None;
            if deliver.is_some() {
                others = std::mem::take(&mut hold.waiting);
            }
        }) else {
            return;
        };
        if let Some(key) = deliver {
            let because = Because {
                rule: view.rule.clone(),
                why: format!("approved by {} as {id}", people::approvers(&view)),
            };
            out.push(Effect::Release { key, verdict: Allowed { because } });
        }
        if let Some(person) = approver {
            self.approved(now, id, &view, &person, out);
        }
        if let Some(key) = deliver {
            let message = format!(
                "{} by agent {} ({id}) is released: approved by {}",
                view.summary,
                view.agent,
                people::approvers(&view)
            );
            self.sessions.record(view.session, format!("released {id}: {}", view.summary));
            out.push(record::of_hold(AuditKind::Released, &view, message).effect());
            others.retain(|waiting| waiting.key != key);
            self.ask_anew(now, id, &view, others, out);
        }
    }

    fn approved(
        &mut self,
        now: UnixMillis,
        id: HoldId,
        view: &HoldView,
        person: &str,
        out: &mut Vec<Effect>,
    ) {
        let given = view.approvals.len();
        let message = format!(
            "{} approves {} by agent {} ({id}): {given} of {} approvals",
            quote(person, people::PERSON_CHARS),
            view.summary,
            view.agent,
            view.approvals_needed
        );
        out.push(record::of_hold(AuditKind::Approved, view, message).by(person).effect());
        if view.state != HoldState::Pending
            && let Some(coverage) = self.policy.coverage(&view.rule)
        {
            self.grants.start(now, id, view, coverage);
        }
    }

    /// An approval delivers one request: people are asked for the others.
    fn ask_anew(
        &mut self,
        now: UnixMillis,
        id: HoldId,
        view: &HoldView,
        others: Vec<Waiting>,
        out: &mut Vec<Effect>,
    ) {
        let Some(newest) = others.last() else { return };
        let digest = self.book.get(id).and_then(|hold| hold.digest);
        let mut fresh = view::anew(now, view, self.settings.hold_expires_ms);
        fresh.session = newest.session;
        self.open(fresh, digest, others, out);
    }
}

fn later(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_add(RETRY_MS))
}

/// Pause before the ledger is asked again.
const RETRY_MS: u64 = 1_000;

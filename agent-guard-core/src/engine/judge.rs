//! Requests: let go, hold, join, or refuse.

use agent_guard_api::{Flag, HoldState, HoldView, audit::AuditKind};

use super::{Engine, record, settle::delivery};
use crate::{
    effect::{Digest, Effect, RequestKey, RequestSeen, UnixMillis},
    hold::{Hold, HoldId, Waiting, summary::sentence, view},
    policy::{Action, Terms, people},
    verdict::{Allowed, Because, Refused},
};

impl Engine {
    pub(super) fn judge(&mut self, now: UnixMillis, seen: RequestSeen, out: &mut Vec<Effect>) {
        if let Some(hold) = self.book.of_key(seen.key) {
            // Told twice: it waits already.
            out.push(Effect::Wait { key: seen.key, hold: hold.to_string() });
            return;
        }
        let context = self.settings.context(&seen.sender.agent);
        let decision = self.policy.decide(&seen.operation, &context);
        match decision.action {
            Action::Allow => self.allow(&seen, decision.because, None, out),
            Action::Deny => self.refuse(&seen, decision.because, None, out),
            Action::Hold(terms) => self.hold_or_answer(now, &seen, decision.because, terms, out),
        }
    }

    /// What people said before answers first; only then they are asked.
    fn hold_or_answer(
        &mut self,
        now: UnixMillis,
        seen: &RequestSeen,
        because: Because,
        terms: Terms,
        out: &mut Vec<Effect>,
    ) {
        let earlier = if seen.whole { self.book.of_digest(seen.digest) } else { None };
        let apart = match earlier.map(|hold| Answer::of(hold, seen, &because)) {
            Some(Answer::Join(id)) => return self.join(id, seen, out),
            Some(Answer::Refuse(id, because)) => return self.refuse(seen, because, Some(id), out),
            Some(Answer::Apart(id)) => Some(id),
            None => None,
        };
        if terms.cover.is_some()
            && let Some(hold) = self.grants.spend(now, seen.sender.session, &seen.operation)
        {
            let why = format!("covered by the approval of {hold}; {}", because.why);
            self.allow(seen, Because { rule: format!("grant:{hold}"), why }, Some(hold), out);
            return;
        }
        if self.book.is_full() {
            let most = Engine::MAX_OPEN_HOLDS;
            let why = format!("{most} holds are open already; decide some of them, then let the agent retry");
            self.refuse(seen, Because { rule: "builtin:too-many-holds".to_owned(), why }, None, out);
            return;
        }
        let before = self.sessions.before(seen.sender.session);
        let mut view = view::pending(now, seen, &because, terms, before);
        if let Some(other) = apart {
            view.whole = false;
            view.why.push_str(&format!(
                "; it repeats {other} but is judged otherwise, so only these very bytes count"
            ));
        }
        let digest = view.whole.then_some(seen.digest);
        self.open(view, digest, vec![waiting(seen)], out);
    }

    /// Enters a new hold on which these requests wait.
    pub(super) fn open(
        &mut self,
        view: HoldView,
        digest: Option<Digest>,
        waiting: Vec<Waiting>,
        out: &mut Vec<Effect>,
    ) {
        let id = self.book.next_id();
        let keys: Vec<RequestKey> = waiting.iter().map(|waiting| waiting.key).collect();
        let mut hold = Hold::new(id, view, digest);
        hold.waiting = waiting;
        let view = self.book.insert(hold);
        self.sessions.record(view.session, format!("held as {id}: {}", view.summary));
        let message = format!(
            "{} by agent {} is held as {id} until {} approve, for {} at most",
            view.summary,
            view.agent,
            people(view.approvals_needed),
            record::duration(view.expires_ms.saturating_sub(view.created_ms)),
        );
        let entry = record::of_hold(AuditKind::Held, &view, message);
        out.push(Effect::Store(Box::new(view)));
        out.extend(keys.into_iter().map(|key| Effect::Wait { key, hold: id.to_string() }));
        out.push(entry.effect());
    }

    /// A retry waits on the hold there is. If that is approved already, the retry is what was waited for.
    fn join(&mut self, id: HoldId, seen: &RequestSeen, out: &mut Vec<Effect>) {
        if self.book.get(id).is_some_and(|hold| hold.waiting.len() >= Engine::MAX_WAITING) {
            let most = Engine::MAX_WAITING;
            let why = format!("{most} requests wait on {id} already; approve or deny it");
            let because = Because { rule: "builtin:too-many-waiting".to_owned(), why };
            self.refuse(seen, because, Some(id), out);
            return;
        }
        let Some(view) = self.book.edit(id, |hold| hold.waiting.push(waiting(seen))) else { return };
        let approved = view.state == HoldState::Approved;
        let message = format!(
            "a retry of {} by agent {} joins {id}{}",
            view.summary,
            view.agent,
            if approved { ", which is approved" } else { "; nobody is asked again" },
        );
        let entry = record::of_hold(AuditKind::Joined, &view, message).from(seen.sender.session);
        self.sessions.record(seen.sender.session, format!("joined {id}: {}", view.summary));
        if !approved {
            out.push(Effect::Store(Box::new(view)));
        }
        out.push(Effect::Wait { key: seen.key, hold: id.to_string() });
        out.push(entry.effect());
        if approved {
            out.extend(self.book.get(id).and_then(delivery));
        }
    }

    fn allow(&mut self, seen: &RequestSeen, because: Because, grant: Option<HoldId>, out: &mut Vec<Effect>) {
        let summary = sentence(&seen.operation);
        let message = format!("{summary} by agent {} is let go: {}", seen.sender.agent, because.why);
        let entry = record::of_request(AuditKind::Allowed, seen, message, &because);
        let entry = grant.iter().fold(entry, |entry, hold| entry.on(&hold.to_string()));
        out.push(Effect::Release { key: seen.key, verdict: Allowed { because } });
        out.push(entry.effect());
        self.sessions.record(seen.sender.session, format!("allowed: {summary}"));
    }

    fn refuse(&mut self, seen: &RequestSeen, because: Because, hold: Option<HoldId>, out: &mut Vec<Effect>) {
        let summary = sentence(&seen.operation);
        let message = format!("{summary} by agent {} is refused: {}", seen.sender.agent, because.why);
        let entry = record::of_request(AuditKind::Denied, seen, message, &because);
        let entry = hold.iter().fold(entry, |entry, hold| entry.on(&hold.to_string()));
        out.push(Effect::Refuse { key: seen.key, verdict: Refused { because } });
        out.push(entry.effect());
        self.sessions.record(seen.sender.session, format!("refused: {summary}"));
    }
}

fn waiting(seen: &RequestSeen) -> Waiting {
    Waiting { key: seen.key, session: seen.sender.session, bytes_good_until: seen.bytes_good_until }
}

/// What an earlier hold of the same digest says to a request.
enum Answer {
    Join(HoldId),
    Refuse(HoldId, Because),
    /// The digest is the same and yet the judgement is another one (it goes to another server, say): people who decided
    /// about the first did not see this one, so it is held by itself, and no retry joins it.
    Apart(HoldId),
}

impl Answer {
    fn of(hold: &Hold, seen: &RequestSeen, because: &Because) -> Answer {
        let Hold { id, view, .. } = hold;
        match view.state {
            HoldState::Denied | HoldState::Released | HoldState::Expired => {
                let rule = format!("denied:{id}");
                Answer::Refuse(*id, Because { rule, why: super::people::denial(view) })
            }
            HoldState::Pending | HoldState::Approved if judged_alike(view, seen, because) => {
                Answer::Join(*id)
            }
            HoldState::Pending | HoldState::Approved => Answer::Apart(*id),
        }
    }
}

fn judged_alike(view: &HoldView, seen: &RequestSeen, because: &Because) -> bool {
    let operation = &seen.operation;
    let alike = view.rule == because.rule && view.harm == operation.harm && view.flags == operation.flags;
    // A request to the wrong server says in its reason which server that is.
    alike && (view.why == because.why || !operation.flags.contains(&Flag::HostMismatch))
}

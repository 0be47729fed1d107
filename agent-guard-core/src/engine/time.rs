//! What happens by itself: time passes, connections die, the guard is removed.

use agent_guard_api::{HoldState, audit::AuditKind};

use super::{Engine, record, settle::delivery};
use crate::{
    effect::{ConnId, Effect, RequestKey, UnixMillis},
    hold::{HoldId, summary::quote},
};

impl Engine {
    /// Expires what is due and repeats what the ledger refused.
    pub(super) fn pass_time(&mut self, now: UnixMillis, out: &mut Vec<Effect>) {
        for id in self.book.due(now) {
            let Some(hold) = self.book.get(id) else { continue };
            if hold.is_open() && hold.expires() <= now {
                self.expire(id, out);
            } else {
                self.repeat(now, id, out);
            }
        }
    }

    pub(super) fn expire(&mut self, id: HoldId, out: &mut Vec<Effect>) {
        self.end(id, out, AuditKind::Expired, None, |hold| hold.view.state = HoldState::Expired);
    }

    fn repeat(&mut self, now: UnixMillis, id: HoldId, out: &mut Vec<Effect>) {
        let mut unstored = false;
        let Some(view) = self.book.edit(id, |hold| {
            hold.retry_at = hold.retry_at.filter(|at| *at > now);
            hold.remembered &= hold.expires() > now;
            unstored = std::mem::take(&mut hold.unstored);
        }) else {
            return;
        };
        if unstored {
            out.push(Effect::Store(Box::new(view)));
        }
        out.extend(self.book.get(id).and_then(delivery));
    }

    /// The bytes are destroyed with the connection; a hold of a whole request waits for the retry.
    pub(super) fn connection_gone(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        for (key, id) in self.book.on_connection(conn) {
            self.request_gone(key, id, out);
        }
    }

    fn request_gone(&mut self, key: RequestKey, id: HoldId, out: &mut Vec<Effect>) {
        let mut session = None;
        let Some(view) = self.book.edit(id, |hold| {
            session = hold.waiting.iter().find(|waiting| waiting.key == key).map(|waiting| waiting.session);
            hold.waiting.retain(|waiting| waiting.key != key);
            if hold.is_orphan() {
                hold.view.state = HoldState::Expired;
            }
        }) else {
            return;
        };
        let then = match (view.state, view.waiting_connections) {
            (HoldState::Expired, _) => "no retry can be told to be the same, so the hold ends",
            (_, 0) => "the hold waits for a retry",
            (_, _) => "others wait on",
        };
        let message = format!(
            "the connection of {} by agent {} ({id}) is gone and its bytes with it; {then}",
            view.summary, view.agent
        );
        let session = session.unwrap_or(view.session);
        self.sessions.record(session, format!("client gone from {id}: {}", view.summary));
        let entry = record::of_hold(AuditKind::ClientGone, &view, message).from(session);
        out.push(Effect::Store(Box::new(view)));
        out.push(entry.effect());
    }

    /// The guard goes: nothing is sent by that. The denials answer no retry, for nobody meant them.
    pub(super) fn refuse_all(&mut self, now: UnixMillis, reason: &str, out: &mut Vec<Effect>) {
        let reason = quote(reason, REASON_CHARS);
        for id in self.book.open_ids() {
            self.end(id, out, AuditKind::Denied, None, |hold| {
                hold.view.state = HoldState::Denied;
                hold.view.denied_by = Some("the guard, which is being removed".to_owned());
                hold.view.denied_reason = Some(reason.clone());
                hold.view.expires_ms = hold.view.expires_ms.min(now.0);
            });
        }
    }
}

const REASON_CHARS: usize = 500;

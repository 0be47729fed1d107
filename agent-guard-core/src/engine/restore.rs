//! Start of a daemon: what the ledger and the kernel still know becomes the engine's state again.
//!
//! Bias: a connection that still carries held bytes gets nothing on the word of a half-finished step. If its hold is
//! marked delivered, it is asked for anew; if its hold is decided against or unknown, it is refused.

use std::collections::{BTreeMap, BTreeSet};

use agent_guard_api::{HoldState, HoldView, audit::AuditKind};

use super::{Engine, record, settle::delivery};
use crate::{
    effect::{Effect, RequestKey, UnixMillis},
    hold::{
        Hold, HoldId, Waiting,
        view::{self, unhex},
    },
    verdict::{Because, Refused},
};

impl Engine {
    /// Takes over the holds of the ledger, decided ones included, and the requests that are still gated, the oldest
    /// first, each with the hold it waited on. To be called once, on a new engine.
    pub fn restore(
        &mut self,
        now: UnixMillis,
        holds: Vec<HoldView>,
        live: Vec<(RequestKey, String)>,
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        let mut waiting: BTreeMap<HoldId, Vec<RequestKey>> = BTreeMap::new();
        let mut told = BTreeSet::new();
        for (key, hold) in live {
            if !told.insert(key) {
                continue;
            }
            match HoldId::parse(&hold) {
                Some(id) => waiting.entry(id).or_default().push(key),
                None => out.push(refuse_unknown(key)),
            }
        }
        let mut delivered = Vec::new();
        for view in holds {
            let Some(id) = HoldId::parse(&view.id) else { continue };
            let keys = waiting.remove(&id).unwrap_or_default();
            if view.state == HoldState::Released && !keys.is_empty() {
                delivered.push((view.clone(), keys));
                self.adopt(now, id, view, Vec::new(), &mut out);
            } else {
                self.adopt(now, id, view, keys, &mut out);
            }
        }
        // Ids are given only after all old ones are known.
        for (view, keys) in delivered {
            let fresh = view::anew(now, &view, self.settings.hold_expires_ms);
            let digest = unhex(&view.digest).filter(|_| view.whole);
            let waiting = keys.into_iter().map(|key| carried(key, &view)).collect();
            self.open(fresh, digest, waiting, &mut out);
        }
        out.extend(waiting.into_values().flatten().map(refuse_unknown));
        self.pass_time(now, &mut out);
        self.rebalance(&mut out);
        out
    }

    fn adopt(
        &mut self,
        now: UnixMillis,
        id: HoldId,
        view: HoldView,
        keys: Vec<RequestKey>,
        out: &mut Vec<Effect>,
    ) {
        let digest = unhex(&view.digest).filter(|_| view.whole);
        let mut hold = Hold::new(id, view, digest);
        hold.remembered = hold.view.state == HoldState::Denied && digest.is_some() && hold.expires() > now;
        if !hold.is_open() {
            let why = format!("{id} was decided before the guard restarted");
            let because = Because { rule: hold.view.rule.clone(), why };
            self.book.insert(hold);
            out.extend(keys.into_iter().map(|key| refuse(key, because.clone())));
            return;
        }
        let before = hold.view.clone();
        hold.waiting = keys.iter().map(|key| carried(*key, &hold.view)).collect();
        let orphan = hold.is_orphan();
        let expired = hold.expires() <= now;
        let view = self.book.insert(hold);
        if expired {
            self.expire(id, out);
        } else if orphan {
            self.orphaned(id, out);
        } else {
            let waits = keys.into_iter().map(|key| Effect::Wait { key, hold: id.to_string() });
            if view != before {
                out.push(Effect::Store(Box::new(view)));
            }
            out.extend(waits);
            out.extend(self.book.get(id).and_then(delivery));
        }
    }

    fn orphaned(&mut self, id: HoldId, out: &mut Vec<Effect>) {
        let Some(view) = self.book.edit(id, |hold| hold.view.state = HoldState::Expired) else { return };
        let message = format!(
            "the connection of {} by agent {} ({id}) was gone when the guard restarted; no retry can be told to be \
             the same, so the hold ends",
            view.summary, view.agent
        );
        let entry = record::of_hold(AuditKind::ClientGone, &view, message);
        out.push(Effect::Store(Box::new(view)));
        out.push(entry.effect());
    }
}

fn carried(key: RequestKey, view: &HoldView) -> Waiting {
    Waiting { key, session: view.session, bytes_good_until: view.bytes_good_until_ms.map(UnixMillis) }
}

fn refuse_unknown(key: RequestKey) -> Effect {
    let why = "its hold is not in the ledger; the client's retry is judged anew".to_owned();
    refuse(key, Because { rule: "builtin:unknown-hold".to_owned(), why })
}

fn refuse(key: RequestKey, because: Because) -> Effect {
    Effect::Refuse { key, verdict: Refused { because } }
}

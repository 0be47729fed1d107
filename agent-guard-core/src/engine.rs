//! The engine: (state, input, now) → effects. All memory of holds, approvals, denials and stopped sessions is here.
//!
//! Invariants, kept by the model test beside this file:
//! - What is held leaves only after the needed number of different people approved it and the ledger has it in writing.
//!   So nothing that loosens is an effect of a step: it is an [`Effect::Commit`] whose [`Prepared`] value comes back to
//!   [`Engine::settle`] with the ledger's answer, and only then a proof that the request may leave is minted.
//! - One finished approval delivers one request, the newest waiting one; the others are asked for anew.
//! - A denial answers every retry of the same digest for the rest of the hold's life.
//! - A request that waits is released, refused, or its connection is gone; a stopped session is resumed as soon as
//!   nothing open demands otherwise.
//!
//! The daemon executes effects in order. For [`Effect::Store`] it writes, tells [`Engine::store_failed`] if that fails, and
//! goes on. For [`Effect::Commit`] it writes [`Prepared::view`], calls [`Engine::settle`] with the answer before any other
//! call of the engine, and executes what that returns. It sends [`Input::Tick`] at [`Engine::next_deadline`].
//!
//! Bias: whatever is stale, unknown, full or unwritable is not released.

mod judge;
mod people;
mod record;
mod restore;
mod settings;
mod settle;
mod time;

pub use settings::{AgentSettings, HoldStyle, Settings};
pub use settle::{Prepared, Unsettled};

use std::collections::BTreeSet;

use agent_guard_api::{ActionError, HoldView, Outcome};

use crate::{
    effect::{Effect, Input, UnixMillis},
    hold::{
        HoldId,
        book::{self, Book},
        cover::Grants,
    },
    policy::Policy,
    session::Sessions,
};

/// Decides and remembers.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    policy: Policy,
    book: Book,
    grants: Grants,
    sessions: Sessions,
    /// Sessions that this engine had stopped.
    stopped: BTreeSet<u64>,
}

impl Engine {
    /// Open holds beyond which requests are refused.
    pub const MAX_OPEN_HOLDS: usize = book::MAX_OPEN;
    /// Decided holds that are kept to be looked at.
    pub const MAX_DECIDED_HOLDS: usize = book::MAX_DECIDED;
    /// Requests that may wait on one hold.
    pub const MAX_WAITING: usize = 100;

    pub fn new(settings: Settings, policy: Policy) -> Self {
        Engine {
            settings,
            policy,
            book: Book::default(),
            grants: Grants::default(),
            sessions: Sessions::default(),
            stopped: BTreeSet::new(),
        }
    }

    /// Takes in what happened. A person's decision belongs to [`Engine::act`], which answers; here its refusal is only
    /// audited.
    pub fn step(&mut self, now: UnixMillis, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        self.pass_time(now, &mut out);
        match input {
            Input::Request(seen) => self.judge(now, *seen, &mut out),
            Input::ConnectionGone(conn) => self.connection_gone(conn, &mut out),
            Input::Approve { .. } | Input::Deny { .. } => match self.act(now, input) {
                Ok((_, effects)) => out.extend(effects),
                Err(error) => out.push(record::action_refused(&error)),
            },
            Input::RefuseAll { reason } => self.refuse_all(now, &reason, &mut out),
            Input::Tick => {}
        }
        self.rebalance(&mut out);
        out
    }

    /// Carries out a person's decision. The outcome is true only if every [`Effect::Commit`] among the effects settles;
    /// otherwise the answer is [`Unsettled::error`].
    pub fn act(&mut self, now: UnixMillis, input: Input) -> Result<(Outcome, Vec<Effect>), ActionError> {
        let mut out = Vec::new();
        let outcome = match input {
            Input::Approve { hold, person } => self.approve(now, &hold, person, &mut out)?,
            Input::Deny { hold, person, reason } => self.deny(now, &hold, &person, &reason, &mut out)?,
            Input::Request(_) | Input::ConnectionGone(_) | Input::RefuseAll { .. } | Input::Tick => {
                return Err(people::not_a_decision());
            }
        };
        self.rebalance(&mut out);
        Ok((outcome, out))
    }

    /// Open holds and the decided ones still remembered, the oldest first.
    pub fn holds(&self) -> impl Iterator<Item = &HoldView> {
        self.book.iter().map(|hold| &hold.view)
    }

    pub fn hold(&self, id: &str) -> Option<&HoldView> {
        self.book.get(HoldId::parse(id)?).map(|hold| &hold.view)
    }

    /// When [`Input::Tick`] is due at the latest.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.book.next_deadline()
    }

    /// The engine wants every process of this session stopped now.
    pub fn wants_stopped(&self, session: u64) -> bool {
        let most = usize::try_from(self.settings.max_open_holds_per_session).unwrap_or(usize::MAX);
        let mut pending = self.book.pending_of(session).peekable();
        let by_process = |hold: &HoldView| self.settings.agent(&hold.agent).hold == HoldStyle::Process;
        // Every hold of a session is of the same agent, so the first one's style is all's.
        pending.peek().is_some_and(|hold| by_process(&hold.view)) || pending.nth(most).is_some()
    }

    /// Stops and resumes the sessions whose holds changed.
    fn rebalance(&mut self, out: &mut Vec<Effect>) {
        for session in self.book.take_touched() {
            if !self.wants_stopped(session) {
                if self.stopped.remove(&session) {
                    out.push(Effect::ResumeSession { session });
                }
            } else if self.stopped.insert(session) {
                out.push(Effect::StopSession { session });
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

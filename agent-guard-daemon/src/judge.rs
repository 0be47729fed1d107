//! The half without privileges: decodes what agents send, has the engine decide, writes ledger and audit, answers people.
//!
//! Everything that comes in is untrusted. A panic while one connection is decoded ends that connection's flow, which
//! becomes undecidable; what was being decoded when an earlier daemon died is not decoded again (`poison`).

mod adopted;
mod effects;
mod fault;
pub mod poison;
pub mod restore;
mod subject;
mod untied;

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use agent_guard_api::{ActionError, HoldView, Outcome, audit::AuditKind, status::Counters};
use agent_guard_core::{
    classify::Routes,
    effect::{ConnId, Input, RequestKey, Sender, UnixMillis},
    engine::Engine,
    policy::{Action, Policy, SenderContext},
    request::Peer,
};

use crate::{
    audit::Audit,
    ingest::flow::{Due, Flow, Gated, Stage, Subject},
    ledger::Ledger,
    report::{Command, Origin, Report, WriteSeen},
};
use adopted::Adopted;
use poison::Poison;
use untied::{Moment, Untied};

/// Why a connection is not read whose decoding ended an earlier daemon.
const POISONED: &str = "an earlier daemon ended while it read this connection";

/// What becomes of a request of which only the head is there.
enum OnHead {
    Judge,
    /// Its body decides; the head may leave meanwhile if the client waits for the server.
    WaitForBody,
    /// The head may be all that a server needs: nothing leaves.
    WaitClosed,
}

/// A connection that is being judged.
#[derive(Debug)]
struct Conn {
    flow: Flow,
    origin: Origin,
    fills_buffer: bool,
    /// Requests with a row in the ledger, with the number that lets each go.
    rows: HashMap<u64, u64>,
    /// Its requests are being judged, so that whoever releases one need not look for the next.
    is_judging: bool,
    /// When the barrier let its ClientHello go.
    hello_passed: Option<Moment>,
}

impl Conn {
    fn new(flow: Flow, origin: Origin) -> Self {
        Conn {
            flow,
            origin,
            fills_buffer: false,
            rows: HashMap::new(),
            is_judging: false,
            hello_passed: None,
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Judge {
    conns: HashMap<u64, Conn>,
    /// By the connection's cookie.
    adopted: HashMap<u64, Adopted>,
    untied: Untied,
    moment: Moment,
    engine: Engine,
    policy: Policy,
    routes: Routes,
    ledger: Ledger,
    audit: Audit,
    poison: Poison,
    boot_id: String,
    counters: Counters,
}

impl Judge {
    #[must_use]
    pub fn new(
        engine: Engine,
        policy: Policy,
        routes: Routes,
        ledger: Ledger,
        audit: Audit,
        poison: Poison,
        boot_id: String,
    ) -> Self {
        Judge {
            conns: HashMap::new(),
            adopted: HashMap::new(),
            untied: Untied::default(),
            moment: Moment::default(),
            engine,
            policy,
            routes,
            ledger,
            audit,
            poison,
            boot_id,
            counters: Counters::default(),
        }
    }

    /// Takes in what the guard saw; returns what it is to do, in order.
    pub fn on(&mut self, report: Report) -> Vec<Command> {
        self.moment.0 += 1;
        match report {
            Report::Write(origin, seen) => self.on_write(origin, seen),
            Report::Tied { origin, ssl, number, cookie, gate, address } => {
                let hello_passed = self.conns.get(&cookie).and_then(|conn| conn.hello_passed);
                let what = self.untied.take(origin.tgid, ssl, number, hello_passed);
                let Some(conn) = self.conn(cookie, origin, gate) else { return Vec::new() };
                if conn.flow.peer().address.is_none() {
                    conn.flow.peer_mut().address = address;
                }
                self.feed(cookie, gate, what)
            }
            Report::Hello { origin, cookie, gate, sni, address } => {
                let Some(conn) = self.conn(cookie, origin, gate) else { return Vec::new() };
                let peer = conn.flow.peer_mut();
                peer.sni = sni;
                peer.address = address.or_else(|| peer.address.take());
                self.feed(cookie, gate, Gated::Hello)
            }
            Report::HelloPassed { cookie, gate } => {
                if let Some(conn) = self.conns.get_mut(&cookie) {
                    conn.flow.hello_passed(gate);
                    conn.hello_passed.get_or_insert(self.moment);
                }
                self.open(cookie)
            }
            Report::Unbound { tgid, ssl } => {
                self.untied.forget(tgid, ssl);
                Vec::new()
            }
            Report::Gone { cookie } => self.gone(cookie),
            Report::Lost { origin, cookie, gate } => {
                let known = self.conns.contains_key(&cookie);
                let Some(conn) = self.conn(cookie, origin, gate) else { return Vec::new() };
                if !known {
                    conn.flow =
                        Flow::desynchronised(1, "what was sent on this connection before is not known");
                }
                conn.flow.lost_up_to(gate);
                self.judge_due(cookie)
            }
            Report::ProcessGone { tgid } => {
                self.untied.forget_process(tgid);
                Vec::new()
            }
        }
    }

    /// Time passed.
    pub fn tick(&mut self) -> Vec<Command> {
        let effects = self.engine.step(now(), Input::Tick);
        self.execute(effects)
    }

    /// A person decides.
    ///
    /// # Errors
    /// For that person: unknown, decided already, or the ledger cannot be written.
    pub fn act(&mut self, input: Input) -> (Result<Outcome, ActionError>, Vec<Command>) {
        match self.engine.act(now(), input) {
            Ok((outcome, effects)) => {
                let mut unsettled = None;
                let commands = self.execute_all(effects, &mut unsettled);
                (unsettled.map_or(Ok(outcome), Err), commands)
            }
            Err(error) => (Err(error), Vec::new()),
        }
    }

    /// Refuses everything that is held: the guard is being removed.
    pub fn refuse_all(&mut self, reason: &str) -> Vec<Command> {
        let effects = self.engine.step(now(), Input::RefuseAll { reason: reason.to_owned() });
        self.execute(effects)
    }

    pub fn holds(&self, all: bool) -> Vec<HoldView> {
        use agent_guard_api::HoldState::{Approved, Pending};
        self.engine.holds().filter(|hold| all || matches!(hold.state, Pending | Approved)).cloned().collect()
    }

    pub fn hold(&self, id: &str) -> Option<HoldView> {
        self.engine.hold(id).cloned().or_else(|| self.ledger.load_hold(id).ok().flatten())
    }

    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.engine.next_deadline()
    }

    /// Sums of verdicts; kernel-side fields are 0.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    pub fn wants_stopped(&self, session: u64) -> bool {
        self.engine.wants_stopped(session)
    }

    /// Highest gate number of a connection that is known here.
    pub fn highest(&self, cookie: u64) -> u64 {
        let adopted = self.adopted.get(&cookie).map_or(0, Adopted::highest);
        self.conns.get(&cookie).map_or(0, |conn| conn.flow.highest()).max(adopted)
    }

    fn on_write(&mut self, origin: Origin, seen: WriteSeen) -> Vec<Command> {
        if seen.fast || origin.observed {
            if let Some(conn) = self.conns.get_mut(&seen.cookie) {
                conn.flow.passed_fast();
            }
            self.record_passed(&origin, &seen);
            return Vec::new();
        }
        if seen.cookie == 0 {
            let is_read = !(seen.unreadable && seen.write.bytes.is_empty());
            self.untied.keep(seen.tgid, seen.ssl, self.moment, is_read.then_some(seen.write));
            return Vec::new();
        }
        let (cookie, gate) = (seen.cookie, seen.gate);
        let what = if seen.unreadable && seen.write.bytes.is_empty() {
            Gated::Lost
        } else {
            Gated::Writes(vec![seen.write])
        };
        let Some(conn) = self.conn(cookie, origin, gate) else { return Vec::new() };
        let blocked = std::mem::replace(&mut conn.fills_buffer, seen.fills_buffer);
        let mut commands = self.feed_blocked(cookie, gate, what, blocked);
        if seen.fills_buffer
            && let Some(conn) = self.conns.get_mut(&cookie)
        {
            conn.flow.stalled();
            commands.extend(self.judge_due(cookie));
        }
        commands
    }

    /// The connection, known or new; `None` if it is adopted: what is written there is judged when what was held before
    /// it is decided.
    fn conn(&mut self, cookie: u64, origin: Origin, gate: u64) -> Option<&mut Conn> {
        if let Some(adopted) = self.adopted.get_mut(&cookie) {
            adopted.raise(gate);
            return None;
        }
        let is_poisoned = self.poison.is_poisoned(cookie);
        Some(self.conns.entry(cookie).or_insert_with(|| {
            let first = origin.released.saturating_add(1);
            let flow = if is_poisoned {
                Flow::desynchronised(first, POISONED)
            } else {
                Flow::new(first, Peer::default())
            };
            Conn::new(flow, origin)
        }))
    }

    fn feed(&mut self, cookie: u64, gate: u64, what: Gated) -> Vec<Command> {
        self.feed_blocked(cookie, gate, what, false)
    }

    fn feed_blocked(&mut self, cookie: u64, gate: u64, what: Gated, blocked: bool) -> Vec<Command> {
        let Some(conn) = self.conns.get_mut(&cookie) else { return Vec::new() };
        let is_poisoned = self.poison.is_poisoned(cookie);
        let read = self.poison.decode(cookie, || {
            if !is_poisoned {
                fault::meet(&what);
            }
            conn.flow.gated(gate, what, blocked);
        });
        if read.is_none() {
            conn.flow = conn.flow.replaced("the decoder failed on it (a defect of the guard)");
            conn.flow.lost_up_to(gate);
        }
        self.judge_due(cookie)
    }

    /// Judges what is due on a connection, then opens its gate as far as that allows.
    fn judge_due(&mut self, cookie: u64) -> Vec<Command> {
        let Some(conn) = self.conns.get_mut(&cookie) else { return Vec::new() };
        if std::mem::replace(&mut conn.is_judging, true) {
            return Vec::new(); // further up, more is taken as it becomes due
        }
        let mut commands = Vec::new();
        while let Some(due) = self.conns.get_mut(&cookie).and_then(|conn| conn.flow.due()) {
            commands.extend(self.judge_one(cookie, due));
        }
        if let Some(conn) = self.conns.get_mut(&cookie) {
            conn.is_judging = false;
        }
        commands.extend(self.open(cookie));
        commands
    }

    fn judge_one(&mut self, cookie: u64, due: Due) -> Vec<Command> {
        let index = due.index;
        let key = RequestKey { conn: ConnId(cookie), index };
        let early = if due.stage == Stage::Head { self.on_head(&due, cookie) } else { OnHead::Judge };
        let Some(conn) = self.conns.get_mut(&cookie) else { return Vec::new() };
        match early {
            OnHead::Judge => {}
            OnHead::WaitForBody => {
                conn.flow.defer(index);
                return Vec::new();
            }
            OnHead::WaitClosed => {
                conn.flow.defer_closed(index);
                return Vec::new();
            }
        }
        let (origin, routes) = (&conn.origin, &self.routes);
        let seen = self.poison.decode(cookie, || subject::request_seen(key, origin, &due, routes));
        let seen = seen.unwrap_or_else(|| subject::unjudgeable(key, origin, &due));
        if seen.operation.harm == agent_guard_api::Harm::Undecidable {
            self.counters.requests_undecidable += 1;
        }
        let effects = self.engine.step(now(), Input::Request(Box::new(seen)));
        self.execute(effects)
    }

    /// A head alone is judged only if that lets it go at once: otherwise the digest needs the whole request.
    fn on_head(&self, due: &Due, cookie: u64) -> OnHead {
        let Subject::Http(request) = &due.subject else { return OnHead::Judge };
        let read = self.poison.decode(cookie, || subject::OfHead::read(request, &self.routes));
        let Some(of_head) = read else { return OnHead::WaitClosed }; // it panicked; judged when it is whole
        // Observed agents raise no gate, so whoever is judged here is not one.
        let passes =
            |operation| self.policy.decide(operation, &SenderContext::default()).action == Action::Allow;
        match of_head {
            subject::OfHead::Decided(operation) if passes(&operation) => OnHead::Judge,
            subject::OfHead::WantsBody { if_empty } if passes(&if_empty) => OnHead::WaitForBody,
            subject::OfHead::Decided(_) | subject::OfHead::WantsBody { .. } => OnHead::WaitClosed,
        }
    }

    /// Opens the gate as far as the flow allows.
    fn open(&mut self, cookie: u64) -> Vec<Command> {
        let opening = self.conns.get_mut(&cookie).and_then(|conn| conn.flow.opening());
        opening.map(|opening| Command::Open { cookie, opening }).into_iter().collect()
    }

    fn gone(&mut self, cookie: u64) -> Vec<Command> {
        self.conns.remove(&cookie);
        self.adopted.remove(&cookie);
        if let Err(error) = self.ledger.waiting_remove_conn(&self.boot_id, cookie) {
            tracing::error!(%error, "the ledger could not forget a closed connection");
        }
        let effects = self.engine.step(now(), Input::ConnectionGone(ConnId(cookie)));
        self.execute(effects)
    }

    /// A request that was not gated: on the record all the same.
    fn record_passed(&mut self, origin: &Origin, seen: &WriteSeen) {
        let what = Gated::Writes(vec![seen.write.clone()]);
        let (routes, policy) = (&self.routes, &self.policy);
        let entries = self.poison.decode(seen.cookie, || {
            fault::meet(&what);
            let mut flow = Flow::new(1, Peer::default());
            flow.gated(1, what, false);
            let mut entries = Vec::new();
            while let Some(due) = flow.due() {
                let key = RequestKey { conn: ConnId(seen.cookie), index: due.index };
                let request = subject::request_seen(key, origin, &due, routes);
                entries.push(effects::passed(AuditKind::Allowed, origin, &request, policy, seen.fast));
            }
            entries
        });
        let Some(entries) = entries else {
            self.audit.note(
                AuditKind::Loss,
                "the decoder failed on a request that was let go; it is not on record".to_owned(),
            );
            return;
        };
        self.counters.requests_allowed += entries.len() as u64;
        entries.into_iter().for_each(|entry| self.audit.entry(entry));
    }
}

/// Who sent it, for the engine.
fn sender(origin: &Origin) -> Sender {
    Sender { agent: origin.agent.clone(), session: origin.session, processes: origin.processes.clone() }
}

/// Wall-clock time; the only place of this half that reads it.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;

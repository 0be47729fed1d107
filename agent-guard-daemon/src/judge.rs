//! The half without privileges: decodes what agents send, has the engine decide, writes ledger and audit, answers people.
//!
//! Everything that comes in is untrusted. A panic while one connection is decoded ends that connection's flow, which
//! becomes undecidable; what was being decoded when an earlier daemon died is not decoded again (`poison`).

mod effects;
pub mod poison;
pub mod restore;
mod subject;

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{SystemTime, UNIX_EPOCH},
};

use agent_guard_api::{ActionError, HoldView, Outcome, audit::AuditKind, status::Counters};
use agent_guard_core::{
    classify::Routes,
    effect::{ConnId, Input, RequestKey, Sender, UnixMillis},
    engine::Engine,
    policy::{Action, Policy, SenderContext},
};

use crate::{
    audit::Audit,
    ingest::{
        assemble::CapturedWrite,
        flow::{Due, Flow, Gated, Stage},
    },
    ledger::Ledger,
    report::{Command, Origin, Report, WriteSeen},
};
use poison::Poison;

/// Untied writes of one TLS object that are kept.
const MAX_UNTIED: usize = 64;
/// TLS objects with untied writes.
const MAX_UNTIED_OBJECTS: usize = 4096;

/// A connection that is being judged.
#[derive(Debug)]
struct Conn {
    flow: Flow,
    origin: Origin,
    fills_buffer: bool,
    /// Requests that wait, with the number that lets each go.
    waiting: HashMap<u64, u64>,
}

/// A connection that an earlier daemon held: its bytes are not known here any more, only what they were held for.
#[derive(Debug)]
struct Adopted {
    gate: u64,
    at_boundary: bool,
    origin: Origin,
    /// Raised meanwhile, above `gate`.
    highest: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Judge {
    conns: HashMap<u64, Conn>,
    adopted: HashMap<RequestKey, Adopted>,
    untied: HashMap<(u32, u64), VecDeque<CapturedWrite>>,
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
    pub fn new(engine: Engine, policy: Policy, routes: Routes, ledger: Ledger, audit: Audit, poison: Poison, boot_id: String) -> Self {
        Judge {
            conns: HashMap::new(),
            adopted: HashMap::new(),
            untied: HashMap::new(),
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
        match report {
            Report::Write(origin, seen) => self.on_write(origin, seen),
            Report::Tied { origin, ssl, number, cookie, gate, address } => {
                let writes = self.take_untied(origin.tgid, ssl, number);
                let what = if writes.is_empty() { Gated::Lost } else { Gated::Writes(writes) };
                let conn = self.conn(cookie, origin, gate);
                if conn.flow.peer().address.is_none() {
                    conn.flow.peer_mut().address = address;
                }
                self.feed(cookie, gate, what)
            }
            Report::Hello { origin, cookie, gate, sni, address } => {
                let conn = self.conn(cookie, origin, gate);
                let peer = conn.flow.peer_mut();
                peer.sni = sni;
                peer.address = address.or_else(|| peer.address.take());
                self.feed(cookie, gate, Gated::Hello)
            }
            Report::HelloPassed { cookie, gate } => {
                if let Some(conn) = self.conns.get_mut(&cookie) {
                    conn.flow.hello_passed(gate);
                }
                self.open(cookie)
            }
            Report::Unbound { tgid, ssl } => {
                self.untied.remove(&(tgid, ssl));
                Vec::new()
            }
            Report::Gone { cookie } => self.gone(cookie),
            Report::Lost { origin, cookie, gate } => {
                let known = self.conns.contains_key(&cookie);
                let conn = self.conn(cookie, origin, gate);
                if !known {
                    conn.flow = Flow::desynchronised(1, "what was sent on this connection before is not known");
                }
                conn.flow.lost_up_to(gate);
                self.judge_due(cookie)
            }
            Report::ProcessGone { tgid } => {
                self.untied.retain(|(owner, _), _| *owner != tgid);
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
        let adopted = self.adopted.iter().filter(|(key, _)| key.conn.0 == cookie).map(|(_, adopted)| adopted.gate);
        let flow = self.conns.get(&cookie).map_or(0, |conn| conn.flow.highest());
        adopted.max().unwrap_or(0).max(flow)
    }

    fn on_write(&mut self, origin: Origin, seen: WriteSeen) -> Vec<Command> {
        if seen.fast || origin.observed {
            if let Some(conn) = self.conns.get_mut(&seen.cookie) {
                conn.flow.passed_fast();
            }
            self.record_passed(origin, &seen);
            return Vec::new();
        }
        if seen.cookie == 0 {
            self.keep_untied(seen);
            return Vec::new();
        }
        let (cookie, gate) = (seen.cookie, seen.gate);
        let what = if seen.unreadable && seen.write.bytes.is_empty() { Gated::Lost } else { Gated::Writes(vec![seen.write]) };
        let conn = self.conn(cookie, origin, gate);
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

    fn keep_untied(&mut self, seen: WriteSeen) {
        if self.untied.len() >= MAX_UNTIED_OBJECTS {
            self.untied.clear(); // their ties will find nothing and be lost writes
        }
        let kept = self.untied.entry((seen.tgid, seen.ssl)).or_default();
        // Offered again before it was sent (the handshake was not done): the same bytes once.
        if kept.back().is_some_and(|last| last.bytes == seen.write.bytes && last.total == seen.write.total) {
            kept.pop_back();
        }
        if kept.len() >= MAX_UNTIED {
            kept.pop_front();
        }
        kept.push_back(seen.write);
    }

    /// The untied writes of an object up to the one that was tied.
    fn take_untied(&mut self, tgid: u32, ssl: u64, number: u64) -> Vec<CapturedWrite> {
        let Some(kept) = self.untied.get_mut(&(tgid, ssl)) else { return Vec::new() };
        let count = kept.iter().take_while(|write| write.number <= number).count();
        let taken = kept.drain(..count).collect();
        if kept.is_empty() {
            self.untied.remove(&(tgid, ssl));
        }
        taken
    }

    /// The connection, known or new. A new one whose gate was raised before is one whose past is not known.
    fn conn(&mut self, cookie: u64, origin: Origin, gate: u64) -> &mut Conn {
        let boundary = self.poison.is_poisoned(cookie);
        self.conns.entry(cookie).or_insert_with(|| {
            let flow = if boundary {
                Flow::desynchronised(gate, "an earlier daemon ended while it read this connection")
            } else {
                Flow::new(if gate == 0 { 1 } else { gate }, agent_guard_core::request::Peer::default())
            };
            Conn { flow, origin, fills_buffer: false, waiting: HashMap::new() }
        })
    }

    fn feed(&mut self, cookie: u64, gate: u64, what: Gated) -> Vec<Command> {
        self.feed_blocked(cookie, gate, what, false)
    }

    fn feed_blocked(&mut self, cookie: u64, gate: u64, what: Gated, blocked: bool) -> Vec<Command> {
        if let Some(adopted) = self.adopted.iter_mut().find(|(key, _)| key.conn.0 == cookie).map(|(_, adopted)| adopted) {
            adopted.highest = adopted.highest.max(gate); // judged when what was held before it is decided
            return Vec::new();
        }
        let Some(conn) = self.conns.get_mut(&cookie) else { return Vec::new() };
        self.poison.begin(cookie);
        let read = catch_unwind(AssertUnwindSafe(|| conn.flow.gated(gate, what, blocked)));
        self.poison.end();
        if read.is_err() {
            conn.flow = Flow::desynchronised(gate, "the decoder failed on it (a defect of the guard)");
            conn.flow.lost_up_to(gate);
        }
        self.judge_due(cookie)
    }

    fn judge_due(&mut self, cookie: u64) -> Vec<Command> {
        let mut commands = Vec::new();
        while let Some(due) = self.conns.get_mut(&cookie).and_then(|conn| conn.flow.due()) {
            commands.extend(self.judge_one(cookie, due));
        }
        commands.extend(self.open(cookie));
        commands
    }

    fn judge_one(&mut self, cookie: u64, due: Due) -> Vec<Command> {
        let (index, stage) = (due.index, due.stage);
        let key = RequestKey { conn: ConnId(cookie), index };
        if stage == Stage::Head && self.wants_more(&due, cookie) {
            if let Some(conn) = self.conns.get_mut(&cookie) {
                conn.flow.defer(index);
            }
            return Vec::new();
        }
        let Some(origin) = self.conns.get(&cookie).map(|conn| conn.origin.clone()) else { return Vec::new() };
        let seen = subject::request_seen(key, &origin, due, &self.routes);
        if seen.operation.harm == agent_guard_api::Harm::Undecidable {
            self.counters.requests_undecidable += 1;
        }
        let effects = self.engine.step(now(), Input::Request(Box::new(seen)));
        self.execute(effects)
    }

    /// A head alone is judged only if that lets it go at once: otherwise the digest needs the whole request.
    fn wants_more(&self, due: &Due, cookie: u64) -> bool {
        let Some(operation) = subject::operation_of_head(&due.subject, &self.routes) else { return false };
        let agent = self.conns.get(&cookie).map(|conn| conn.origin.agent.as_str()).unwrap_or_default();
        let context = SenderContext { mode: self.mode_of(agent), ..SenderContext::default() };
        operation.wants_body || self.policy.decide(&operation, &context).action != Action::Allow
    }

    fn mode_of(&self, _agent: &str) -> agent_guard_core::policy::Mode {
        agent_guard_core::policy::Mode::Enforce // observed agents raise no gate and are recorded elsewhere
    }

    /// Opens the gate as far as the flow allows.
    fn open(&mut self, cookie: u64) -> Vec<Command> {
        let opening = self.conns.get_mut(&cookie).and_then(|conn| conn.flow.opening());
        opening.map(|opening| Command::Open { cookie, opening }).into_iter().collect()
    }

    fn gone(&mut self, cookie: u64) -> Vec<Command> {
        self.conns.remove(&cookie);
        self.adopted.retain(|key, _| key.conn.0 != cookie);
        if let Err(error) = self.ledger.waiting_remove_conn(&self.boot_id, cookie) {
            tracing::error!(%error, "the ledger could not forget a closed connection");
        }
        let effects = self.engine.step(now(), Input::ConnectionGone(ConnId(cookie)));
        self.execute(effects)
    }

    /// A request that was not gated: on the record all the same.
    fn record_passed(&mut self, origin: Origin, seen: &WriteSeen) {
        let mut flow = Flow::new(1, agent_guard_core::request::Peer::default());
        let read = catch_unwind(AssertUnwindSafe(|| flow.gated(1, Gated::Writes(vec![seen.write.clone()]), false)));
        if read.is_err() {
            return;
        }
        while let Some(due) = flow.due() {
            let key = RequestKey { conn: ConnId(seen.cookie), index: due.index };
            let request = subject::request_seen(key, &origin, due, &self.routes);
            self.counters.requests_allowed += 1;
            let kind = AuditKind::Allowed;
            self.audit.entry(effects::passed(kind, &origin, &request, &self.policy, seen.fast));
        }
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

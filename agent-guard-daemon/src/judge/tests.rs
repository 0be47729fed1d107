use agent_guard_api::{Harm, HoldState};
use agent_guard_core::{effect::Person, engine::Settings};

use super::*;
use crate::{
    ingest::{assemble::CapturedWrite, flow::Opening},
    judge::restore::ClosedGate,
    ledger::WaitingRow,
};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const DELETE: &[u8] = b"DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n";
const COOKIE: u64 = 77;

/// A judge with its state directory.
struct Desk {
    judge: Judge,
    state: tempfile::TempDir,
    number: u64,
}

impl Desk {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        Desk { judge: judge(state.path()), state, number: 0 }
    }

    /// The daemon ends and another takes over.
    fn restart(self, gates: &[ClosedGate]) -> (Self, Vec<Command>) {
        let Desk { judge: old, state, number } = self;
        drop(old);
        let mut judge = judge(state.path());
        let commands = judge.restore(gates).unwrap();
        (Desk { judge, state, number }, commands)
    }

    fn seen(&mut self, cookie: u64, gate: u64, bytes: &[u8]) -> WriteSeen {
        self.number += 1;
        let write = CapturedWrite { number: self.number, bytes: bytes.to_vec(), total: bytes.len() as u64 };
        let (fast, unreadable, fills_buffer) = (false, false, false);
        WriteSeen { ssl: 5, tgid: 1, cookie, gate, fast, unreadable, fills_buffer, write }
    }

    fn write(&mut self, gate: u64, bytes: &[u8]) -> Vec<Command> {
        let seen = self.seen(COOKIE, gate, bytes);
        self.judge.on(Report::Write(origin(0), seen))
    }

    fn untied(&mut self, bytes: &[u8]) {
        let seen = self.seen(0, 0, bytes);
        assert!(self.judge.on(Report::Write(origin(0), seen)).is_empty());
    }

    fn tied(&mut self, gate: u64) -> Vec<Command> {
        let (origin, number) = (origin(0), self.number);
        self.judge.on(Report::Tied { origin, ssl: 5, number, cookie: COOKIE, gate, address: None })
    }

    fn hello(&mut self, gate: u64) -> Vec<Command> {
        let origin = origin(0);
        self.judge.on(Report::Hello { origin, cookie: COOKIE, gate, sni: None, address: None })
    }

    fn hello_passed(&mut self, gate: u64) -> Vec<Command> {
        self.judge.on(Report::HelloPassed { cookie: COOKIE, gate })
    }

    fn lost(&mut self, gate: u64) -> Vec<Command> {
        self.judge.on(Report::Lost { origin: origin(0), cookie: COOKIE, gate })
    }

    fn pending(&self) -> Vec<HoldView> {
        self.judge.holds(true).into_iter().filter(|hold| hold.state == HoldState::Pending).collect()
    }

    /// As many people as it takes approve the oldest pending hold.
    fn approve_one(&mut self) -> Vec<Command> {
        let id = self.pending().first().expect("a hold is pending").id.clone();
        let mut commands = Vec::new();
        for name in ["alice", "bob"] {
            let person = Person { name: name.to_owned(), channel: "test".to_owned() };
            let (_, done) = self.judge.act(Input::Approve { hold: id.clone(), person });
            commands.extend(done);
        }
        commands
    }

    fn rows(&mut self) -> Vec<WaitingRow> {
        self.judge.ledger().waiting_list().unwrap()
    }
}

fn judge(state: &std::path::Path) -> Judge {
    let settings = Settings { max_open_holds_per_session: 100, ..Settings::default() };
    let (audit, _thread) = Audit::start_with(Vec::new()).unwrap();
    Judge::new(
        Engine::new(settings, Policy::builtin()),
        Policy::builtin(),
        Routes::default(),
        Ledger::open(state).unwrap(),
        audit,
        Poison::open(state, "boot").unwrap(),
        "boot".to_owned(),
    )
}

fn origin(released: u64) -> Origin {
    Origin {
        tgid: 1,
        session: 1,
        agent: "agent".to_owned(),
        processes: Vec::new(),
        observed: false,
        released,
    }
}

fn gate(released: u64, gated: u64) -> ClosedGate {
    ClosedGate { cookie: COOKIE, gated, released, origin: origin(0) }
}

fn opened(commands: &[Command]) -> Vec<(u64, bool)> {
    let opening = |command: &Command| match command {
        Command::Open { opening: Opening { released, in_step }, .. } => Some((*released, *in_step)),
        _ => None,
    };
    commands.iter().filter_map(opening).collect()
}

#[test]
fn a_first_number_that_is_missing_is_waited_for() {
    let mut desk = Desk::new();
    assert_eq!(opened(&desk.write(2, GET)), []);
    assert_eq!(opened(&desk.write(1, GET)), [(2, true)]);
}

#[test]
fn a_connection_that_another_daemon_knew_in_step_goes_on() {
    let mut desk = Desk::new();
    let seen = desk.seen(COOKIE, 5, GET);
    assert_eq!(opened(&desk.judge.on(Report::Write(origin(4), seen))), [(5, true)]);
}

#[test]
fn releasing_offers_what_comes_behind() {
    let mut desk = Desk::new();
    desk.write(1, b"\0\0 nonsense");
    desk.write(2, b"more of it");
    assert_eq!(desk.pending().len(), 1);
    desk.approve_one();
    assert_eq!(desk.pending().len(), 1, "the second stretch");
    assert_eq!(opened(&desk.approve_one()), [(2, false)]);
}

#[test]
fn a_row_is_there_until_the_gate_is_open() {
    let mut desk = Desk::new();
    desk.write(1, DELETE);
    assert_eq!(desk.rows().len(), 1);
    assert_eq!(opened(&desk.approve_one()), [(1, true)]);
    assert_eq!(desk.rows().len(), 1, "the kernel half has not confirmed it");
    desk.judge.delivered(COOKIE, 1);
    assert!(desk.rows().is_empty());
}

#[test]
fn a_request_behind_a_held_one_has_no_row() {
    let mut desk = Desk::new();
    desk.write(1, DELETE);
    desk.write(2, b"DELETE /y HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((desk.pending().len(), desk.rows().len()), (2, 1));
}

#[test]
fn a_request_that_shares_its_write_with_another_has_no_row() {
    let mut desk = Desk::new();
    desk.write(1, &[DELETE, GET].concat());
    assert_eq!((desk.pending().len(), desk.rows().len()), (1, 0));
}

#[test]
fn an_adopted_hold_opens_no_further_than_itself() {
    let mut desk = Desk::new();
    desk.write(1, DELETE);
    desk.write(2, b"DELETE /y HTTP/1.1\r\nHost: h\r\n\r\n");
    let (mut desk, _) = desk.restart(&[gate(0, 2)]);
    assert_eq!(desk.judge.highest(COOKIE), 2);
    desk.lost(3);
    assert_eq!(desk.judge.highest(COOKIE), 3);
    assert_eq!(opened(&desk.approve_one()), [(1, false)]);
    desk.judge.delivered(COOKIE, 1);
    assert!(desk.rows().iter().all(|row| row.gate == 3), "{:?}", desk.rows());
    let unread = desk.pending().into_iter().filter(|hold| hold.harm == Harm::Undecidable).count();
    assert_eq!(unread, 1);
}

#[test]
fn an_adopted_hold_alone_leaves_its_connection_in_step() {
    let mut desk = Desk::new();
    desk.write(1, DELETE);
    let (mut desk, commands) = desk.restart(&[gate(0, 1)]);
    assert!(commands.iter().any(|command| matches!(command, Command::Wait { cookie: COOKIE })));
    assert_eq!(opened(&desk.approve_one()), [(1, true)]);
    assert_eq!(opened(&desk.write(2, GET)), [(2, true)]);
}

#[test]
fn what_was_not_delivered_before_a_restart_is_asked_for_again() {
    let mut desk = Desk::new();
    desk.write(1, DELETE);
    desk.approve_one();
    let (mut desk, commands) = desk.restart(&[gate(0, 1)]);
    assert_eq!(opened(&commands), []);
    let rows = desk.rows();
    assert_eq!((rows.len(), desk.pending().len()), (1, 1));
    assert_eq!(rows[0].hold, desk.pending()[0].id, "the row moved to the new hold");
    assert_eq!(opened(&desk.approve_one()), [(1, true)]);
}

#[test]
fn gates_without_a_row_are_left_to_their_events() {
    let desk = Desk::new();
    let (mut desk, commands) = desk.restart(&[gate(0, 1)]);
    assert!(commands.is_empty());
    assert_eq!(opened(&desk.write(1, GET)), [(1, true)]);
}

#[test]
fn what_was_decoded_when_a_daemon_died_is_not_read() {
    let desk = Desk::new();
    std::fs::write(desk.state.path().join("decoding-boot"), COOKIE.to_ne_bytes()).unwrap();
    let (mut desk, _) = desk.restart(&[]);
    assert_eq!(opened(&desk.write(1, GET)), []);
    assert_eq!(desk.pending()[0].harm, Harm::Undecidable);
}

#[test]
fn a_head_that_is_held_stays_though_its_client_waits_for_the_server() {
    let mut desk = Desk::new();
    let head = b"POST /x/terminate HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(opened(&desk.write(1, head)), []);
    assert_eq!(opened(&desk.write(2, b"body")), []);
    assert_eq!(desk.pending().len(), 1);
}

#[test]
fn writes_that_nobody_saw_are_judged_as_lost() {
    let mut desk = Desk::new();
    assert_eq!(opened(&desk.tied(1)), []);
    assert_eq!(desk.pending()[0].harm, Harm::Undecidable);
}

#[test]
fn what_is_offered_again_during_the_handshake_is_one_request() {
    let mut desk = Desk::new();
    desk.untied(DELETE);
    desk.hello(1);
    assert_eq!(opened(&desk.hello_passed(1)).len(), 1);
    desk.untied(DELETE);
    desk.tied(2);
    assert_eq!(desk.pending().len(), 1);
    assert_eq!(opened(&desk.approve_one()), [(2, true)]);
}

#[test]
fn equal_requests_in_one_go_leave_on_a_verdict_each() {
    let mut desk = Desk::new();
    desk.hello(1);
    desk.hello_passed(1);
    desk.untied(DELETE);
    desk.untied(DELETE);
    desk.tied(2);
    assert_eq!(opened(&desk.approve_one()), []);
    assert_eq!(opened(&desk.approve_one()), [(2, true)]);
}

#[test]
fn a_head_that_is_harmless_without_its_body_leaves_for_the_server_to_ask_for_it() {
    let mut desk = Desk::new();
    let head = b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(opened(&desk.write(1, head)), [(1, false)]);
    desk.write(2, b"body");
}

#[cfg(not(feature = "fault-injection"))]
mod panics {
    use super::*;

    fn pill() -> Vec<u8> {
        format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", fault::PANIC).into_bytes()
    }

    #[test]
    fn a_panic_holds_its_write_and_frees_nothing_in_front_of_it() {
        let mut desk = Desk::new();
        desk.write(1, DELETE);
        assert_eq!(opened(&desk.write(2, &pill())), []);
        assert_eq!(desk.pending().len(), 2);
        // The first hold's answer is for a flow that is gone.
        assert_eq!(opened(&desk.approve_one()), []);
        assert_eq!(desk.pending()[0].harm, Harm::Undecidable);
        assert_eq!(opened(&desk.approve_one()), [(2, false)]);
    }

    #[test]
    fn a_panic_on_what_passed_already_ends_nothing() {
        let mut desk = Desk::new();
        let mut seen = desk.seen(COOKIE, 0, &pill());
        seen.fast = true;
        assert!(desk.judge.on(Report::Write(origin(0), seen)).is_empty());
        assert_eq!(opened(&desk.write(1, GET)), [(1, true)]);
    }
}

#[test]
fn a_request_on_which_the_classifier_fails_is_undecidable() {
    let mut flow = Flow::new(1, Peer::default());
    let write = CapturedWrite { number: 1, bytes: DELETE.to_vec(), total: DELETE.len() as u64 };
    flow.gated(1, Gated::Writes(vec![write]), false);
    let seen =
        subject::unjudgeable(RequestKey { conn: ConnId(1), index: 0 }, &origin(0), &flow.due().unwrap());
    assert!(seen.operation.harm == Harm::Undecidable && !seen.whole);
    assert_eq!(seen.excerpt, "DELETE /x");
}

#[test]
fn an_adopted_hold_that_is_refused_stays_closed() {
    let mut desk = Desk::new();
    desk.write(1, DELETE);
    let (mut desk, _) = desk.restart(&[gate(0, 1)]);
    let commands = desk.judge.refuse_all("a test");
    assert!(commands.iter().any(|command| matches!(command, Command::Break { cookie: COOKIE, .. })));
    assert_eq!(desk.judge.highest(COOKIE), 1, "the sweep finds nothing new");
    assert!(desk.lost(1).is_empty() && desk.write(2, GET).is_empty());
    assert_eq!(desk.rows().len(), 1);
    desk.judge.on(Report::Gone { cookie: COOKIE });
    assert!(desk.rows().is_empty());
}

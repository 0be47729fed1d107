//! A random walk against a reference model.
//!
//! The model knows only what a person at the door could know: who approved or denied which hold while it was pending,
//! what the ledger wrote, which connections are open. It has no indexes and no states of its own beyond that, and
//! checks every effect against the promises in `engine.rs`.
#![allow(clippy::arithmetic_side_effects, reason = "a test may panic on overflow")]

use std::collections::{BTreeMap, BTreeSet};

use agent_guard_api::HoldState;
use proptest::prelude::*;

use super::{fixtures::*, *};
use crate::effect::{ConnId, RequestKey};

#[derive(Clone, Debug)]
enum Move {
    Request { conn: u64, digest: u8, session: u64, whole: bool },
    Approve { hold: u64, person: u8, ledger: bool },
    Deny { hold: u64, person: u8 },
    Gone { conn: u64 },
    Tick { ms: u64 },
    StoreFailed { hold: u64 },
    Overtaken { hold: u64, person: u8, conn: u64 },
    Restart,
    RefuseAll,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let hold = 1..8_u64;
    let person = 0..3_u8;
    let one = prop_oneof![
        10 => (0..6_u64, 0..3_u8, 0..2_u64, prop::bool::weighted(0.9))
            .prop_map(|(conn, digest, session, whole)| Move::Request { conn, digest, session, whole }),
        10 => (hold.clone(), person.clone(), prop::bool::weighted(0.9))
            .prop_map(|(hold, person, ledger)| Move::Approve { hold, person, ledger }),
        2 => (hold.clone(), person.clone()).prop_map(|(hold, person)| Move::Deny { hold, person }),
        4 => (0..6_u64).prop_map(|conn| Move::Gone { conn }),
        3 => prop_oneof![Just(1), Just(1_000), Just(300_000), Just(900_000)].prop_map(|ms| Move::Tick { ms }),
        1 => hold.clone().prop_map(|hold| Move::StoreFailed { hold }),
        1 => (hold, person, 0..6_u64)
            .prop_map(|(hold, person, conn)| Move::Overtaken { hold, person, conn }),
        1 => Just(Move::Restart),
        1 => Just(Move::RefuseAll),
    ];
    prop::collection::vec(one, 1..80)
}

/// What the model knows of a request that has not had its end.
#[derive(Clone, Debug, PartialEq)]
struct Open {
    digest: u8,
    hold: Option<String>,
}

#[derive(Debug)]
struct Model {
    engine: Engine,
    now: u64,
    index: u64,
    open: BTreeMap<RequestKey, Open>,
    /// The last view of each hold that the ledger has.
    ledger: BTreeMap<String, HoldView>,
    approvers: BTreeMap<String, BTreeSet<u8>>,
    released: BTreeSet<String>,
    /// Digest → until when its denial lasts.
    denied: BTreeMap<u8, u64>,
    stopped: BTreeSet<u64>,
    ledger_works: bool,
    /// Who is deciding in this very move.
    deciding: Option<(String, u8)>,
}

const SPAN: u64 = crate::policy::HOLD_EXPIRES_MS;

fn settings(process: bool) -> Settings {
    let hold = if process { HoldStyle::Process } else { HoldStyle::Connection };
    let agent = AgentSettings { hold, ..AgentSettings::default() };
    Settings {
        agents: [("claude".to_owned(), agent)].into(),
        max_open_holds_per_session: 2,
        ..Settings::default()
    }
}

impl Model {
    fn new(process: bool) -> Model {
        Model {
            engine: Engine::new(settings(process), Policy::builtin()),
            now: 1_000,
            index: 0,
            open: BTreeMap::new(),
            ledger: BTreeMap::new(),
            approvers: BTreeMap::new(),
            released: BTreeSet::new(),
            denied: BTreeMap::new(),
            stopped: BTreeSet::new(),
            ledger_works: true,
            deciding: None,
        }
    }

    fn play(&mut self, one: Move, process: bool) {
        match one {
            Move::Request { conn, digest, session, whole } => self.request(conn, digest, session, whole),
            Move::Approve { hold, person, ledger } => {
                self.ledger_works = ledger;
                self.approve(&format!("h{hold}"), person);
                self.ledger_works = true;
            }
            Move::Deny { hold, person } => self.deny(&format!("h{hold}"), person),
            Move::Gone { conn } => self.gone(conn),
            Move::Tick { ms } => {
                self.now += ms;
                self.step(Input::Tick);
                let due = self.engine.next_deadline();
                assert!(due.is_none_or(|due| due.0 > self.now), "a tick leaves nothing due: {due:?}");
            }
            Move::StoreFailed { hold } => self.engine.store_failed(UnixMillis(self.now), &format!("h{hold}")),
            Move::Overtaken { hold, person, conn } => self.overtaken(&format!("h{hold}"), person, conn),
            Move::Restart => self.restart(process),
            Move::RefuseAll => {
                self.step(Input::RefuseAll { reason: "bye".to_owned() });
                assert!(self.open.is_empty(), "{:?}", self.open);
            }
        }
        self.look();
    }

    fn request(&mut self, conn: u64, digest: u8, session: u64, whole: bool) {
        let mut seen = request(conn, digest);
        self.index += 1;
        seen.key.index = self.index;
        seen.sender.session = session;
        seen.whole = whole;
        let key = seen.key;
        self.open.insert(key, Open { digest, hold: None });
        self.step(Input::Request(Box::new(seen)));
        let denied = self.denied.get(&digest).is_some_and(|until| *until > self.now);
        if whole && denied {
            assert!(!self.open.contains_key(&key), "a denied digest is refused at once");
        }
        if let Some(open) = self.open.get(&key) {
            let hold = open.hold.as_ref().expect("what has no end waits");
            assert_eq!(self.engine.hold(hold).unwrap().whole, whole, "only whole requests share a hold");
        }
    }

    fn step(&mut self, input: Input) {
        let effects = self.engine.step(UnixMillis(self.now), input);
        self.execute(effects);
    }

    fn approve(&mut self, hold: &str, person: u8) {
        let before = self.engine.hold(hold).cloned();
        let input = Input::Approve { hold: hold.to_owned(), person: self::person(&person.to_string()) };
        let acted = self.engine.act(UnixMillis(self.now), input);
        let again = self.approvers.get(hold).is_some_and(|names| names.contains(&person));
        let pending = before
            .as_ref()
            .is_some_and(|view| view.state == HoldState::Pending && view.expires_ms > self.now);
        assert_eq!(acted.is_ok(), pending && !again, "{acted:?} {before:?}");
        let Ok((_, effects)) = acted else { return };
        self.deciding = Some((hold.to_owned(), person));
        self.execute(effects);
        self.deciding = None;
        if !self.ledger_works {
            assert_eq!(self.engine.hold(hold), before.as_ref(), "an unwritten approval changes nothing");
        }
    }

    fn deny(&mut self, hold: &str, person: u8) {
        let input = Input::Deny {
            hold: hold.to_owned(),
            person: self::person(&person.to_string()),
            reason: String::new(),
        };
        let Ok((_, effects)) = self.engine.act(UnixMillis(self.now), input) else { return };
        let view = self.engine.hold(hold).unwrap();
        if view.whole {
            let digest = u8::from_str_radix(&view.digest[..2], 16).unwrap();
            self.denied.insert(digest, view.expires_ms);
        }
        self.execute(effects);
        let waits = self.open.values().any(|open| open.hold.as_deref() == Some(hold));
        assert!(!waits, "a denial refuses all that wait");
    }

    fn gone(&mut self, conn: u64) {
        self.open.retain(|key, _| key.conn != ConnId(conn));
        self.step(Input::ConnectionGone(ConnId(conn)));
    }

    /// The connection dies, or somebody denies, between an approval and its settlement.
    fn overtaken(&mut self, hold: &str, person: u8, conn: u64) {
        let input = Input::Approve { hold: hold.to_owned(), person: self::person(&person.to_string()) };
        let Ok((_, effects)) = self.engine.act(UnixMillis(self.now), input) else { return };
        if person == 0 {
            self.deny(hold, 2);
        } else {
            self.gone(conn);
        }
        self.deciding = Some((hold.to_owned(), person));
        self.execute(effects);
        self.deciding = None;
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Store(view) => {
                    self.ledger.insert(view.id.clone(), *view);
                }
                Effect::Commit(prepared) => self.commit(*prepared),
                Effect::Release { .. } => panic!("nothing here is harmless: {effect:?}"),
                Effect::Wait { key, hold } => {
                    let open = self.open.get_mut(&key).expect("only an open request waits");
                    open.hold = Some(hold);
                }
                Effect::Refuse { key, .. } => {
                    assert!(self.open.remove(&key).is_some(), "refused {key:?}, which is not open");
                }
                Effect::StopSession { session } => assert!(self.stopped.insert(session), "stopped twice"),
                Effect::ResumeSession { session } => assert!(self.stopped.remove(&session), "not stopped"),
                Effect::Audit(_) => {}
            }
        }
    }

    fn commit(&mut self, prepared: Prepared) {
        let view = prepared.view().clone();
        let stored = if self.ledger_works { Ok(()) } else { Err("disk full".to_owned()) };
        let revised = self.engine.hold(&view.id).cloned();
        if stored.is_ok() {
            self.ledger.insert(view.id.clone(), view.clone());
        }
        let works = stored.is_ok();
        match self.engine.settle(UnixMillis(self.now), prepared, stored) {
            Ok(effects) => {
                assert!(works, "settled without the ledger");
                if let Some((hold, person)) = self.deciding.take_if(|(hold, _)| *hold == view.id) {
                    self.approvers.entry(hold).or_default().insert(person);
                }
                self.executed_release(&view, effects);
            }
            Err(unsettled) => {
                assert!(!unsettled.effects.iter().any(|effect| matches!(effect, Effect::Release { .. })));
                assert_eq!(self.engine.hold(&view.id), revised.as_ref());
                self.execute(unsettled.effects);
            }
        }
    }

    /// The effects of a settlement may release one request, of this hold, once, with two approvers.
    fn executed_release(&mut self, view: &HoldView, effects: Vec<Effect>) {
        let mut rest = Vec::new();
        for effect in effects {
            let Effect::Release { key, .. } = effect else {
                rest.push(effect);
                continue;
            };
            let open = self.open.remove(&key).expect("released what is not open");
            assert_eq!(open.hold.as_ref(), Some(&view.id), "released what waits on another hold");
            assert_eq!(view.digest, format!("{:02x}", open.digest).repeat(32));
            assert!(self.released.insert(view.id.clone()), "one approval delivered two requests");
            assert!(self.approvers[&view.id].len() >= 2, "released with {:?}", self.approvers.get(&view.id));
            assert_eq!(self.ledger[&view.id].state, HoldState::Released, "the ledger knows first");
            if view.whole {
                let denied = self.denied.get(&open.digest).is_some_and(|until| *until > self.now);
                assert!(!denied, "released after a denial");
            }
        }
        self.execute(rest);
    }

    /// What the engine shows agrees with what was done.
    fn look(&self) {
        for view in self.engine.holds() {
            let waits = self.open.values().filter(|open| open.hold.as_ref() == Some(&view.id)).count();
            assert_eq!(view.waiting_connections as usize, waits, "{view:?}");
            let open = matches!(view.state, HoldState::Pending | HoldState::Approved);
            assert!(view.whole || !open || waits > 0, "nobody can use an approval of {view:?}");
            let approvers = self.approvers.get(&view.id).map_or(0, BTreeSet::len);
            assert_eq!(view.approvals.len(), approvers, "{view:?}");
        }
        for open in self.open.values() {
            let view = self.engine.hold(open.hold.as_ref().unwrap()).unwrap();
            let approved = view.state == HoldState::Approved;
            assert!(view.state == HoldState::Pending || approved, "waits on what is decided: {view:?}");
        }
        let pending = self.engine.holds().filter(|view| view.state == HoldState::Pending).count();
        if pending == 0 {
            assert!(self.stopped.is_empty(), "nothing demands that {:?} are stopped", self.stopped);
        }
    }

    /// The daemon dies and another one takes over from the ledger.
    fn restart(&mut self, process: bool) {
        self.engine = Engine::new(settings(process), Policy::builtin());
        self.stopped.clear();
        let live = self.open.iter().map(|(key, open)| (*key, open.hold.clone().unwrap())).collect();
        let views = self.ledger.values().cloned().collect();
        let effects = self.engine.restore(UnixMillis(self.now), views, live);
        self.execute(effects);
    }

    /// In the end everything that waits has an end.
    fn finish(&mut self) {
        self.now += SPAN;
        self.step(Input::Tick);
        assert!(self.open.is_empty(), "waits for ever: {:?}", self.open);
        assert!(self.stopped.is_empty(), "stopped for ever: {:?}", self.stopped);
        self.now += SPAN;
        self.step(Input::Tick);
        assert_eq!(self.engine.next_deadline(), None);
    }
}

fn walk(moves: &[Move], process: bool) -> Model {
    let mut model = Model::new(process);
    for one in moves {
        model.play(one.clone(), process);
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_random_walk_keeps_every_promise(moves in moves(), process in any::<bool>()) {
        walk(&moves, process).finish();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_same_inputs_have_the_same_effects(moves in moves()) {
        let (one, two) = (walk(&moves, false), walk(&moves, false));
        prop_assert_eq!(format!("{one:?}"), format!("{two:?}"));
    }
}

/// The walk is worth something only if it gets anywhere.
#[test]
fn walks_release_deny_and_deliver_retries() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut released, mut denied, mut several) = (0, 0, 0);
    for _ in 0..200 {
        let moves = moves().new_tree(&mut runner).unwrap().current();
        let model = walk(&moves, false);
        released += model.released.len();
        denied += model.denied.len();
        several += usize::from(model.released.len() > 1);
    }
    assert!(released > 50 && denied > 50 && several > 5, "{released} {denied} {several}");
}

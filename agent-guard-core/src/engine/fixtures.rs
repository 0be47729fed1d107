//! Requests, people and a ledger that always writes, for tests.

use agent_guard_api::{ActionError, Harm, Magnitude, Outcome, ProcessView};

use super::{Engine, Settings};
use crate::{
    effect::{ConnId, Digest, Effect, Input, Person, RequestKey, RequestSeen, Sender, UnixMillis},
    operation::Operation,
    policy::Policy,
};

pub(crate) fn operation(name: &str, harm: Harm) -> Operation {
    Operation {
        provider: "aws".to_owned(),
        service: "ec2".to_owned(),
        name: name.to_owned(),
        harm,
        magnitude: Magnitude::Count(1),
        resources: Vec::new(),
        resources_total: 0,
        flags: Vec::new(),
        host: "ec2.us-east-1.amazonaws.com".to_owned(),
        region: None,
        account: None,
        wants_body: false,
        why: "the catalog".to_owned(),
    }
}

pub(crate) fn key(conn: u64) -> RequestKey {
    RequestKey { conn: ConnId(conn), index: 0 }
}

/// An irreversible request of session 1 on connection `conn`, with digest `[digest; 32]`.
pub(crate) fn request(conn: u64, digest: u8) -> RequestSeen {
    RequestSeen {
        key: key(conn),
        sender: Sender {
            agent: "claude".to_owned(),
            session: 1,
            processes: vec![ProcessView {
                pid: 7,
                command: "aws".to_owned(),
                exe: "/usr/bin/aws".to_owned(),
            }],
        },
        operation: operation("TerminateInstances", Harm::Irreversible),
        digest: Digest([digest; 32]),
        whole: true,
        excerpt: "POST / HTTP/1.1".to_owned(),
        bytes_good_until: None,
    }
}

pub(crate) fn person(name: &str) -> Person {
    Person { name: name.to_owned(), channel: format!("socket of {name}") }
}

pub(crate) fn engine() -> Engine {
    Engine::new(Settings::default(), Policy::builtin())
}

/// An engine with a ledger that writes everything.
pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) now: u64,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk { engine: engine(), now: 1_000 }
    }

    pub(crate) fn step(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.engine.step(UnixMillis(self.now), input);
        self.settle(effects)
    }

    pub(crate) fn see(&mut self, seen: RequestSeen) -> Vec<Effect> {
        self.step(Input::Request(Box::new(seen)))
    }

    pub(crate) fn gone(&mut self, conn: u64) -> Vec<Effect> {
        self.step(Input::ConnectionGone(ConnId(conn)))
    }

    pub(crate) fn approve(&mut self, hold: &str, name: &str) -> Result<(Outcome, Vec<Effect>), ActionError> {
        self.act(Input::Approve { hold: hold.to_owned(), person: person(name) })
    }

    pub(crate) fn deny(&mut self, hold: &str, name: &str) -> Result<(Outcome, Vec<Effect>), ActionError> {
        let reason = "too much".to_owned();
        self.act(Input::Deny { hold: hold.to_owned(), person: person(name), reason })
    }

    fn act(&mut self, input: Input) -> Result<(Outcome, Vec<Effect>), ActionError> {
        let (outcome, effects) = self.engine.act(UnixMillis(self.now), input)?;
        Ok((outcome, self.settle(effects)))
    }

    /// Replaces each commit by its store and what follows from it.
    pub(crate) fn settle(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut done = Vec::new();
        for effect in effects {
            if let Effect::Commit(prepared) = effect {
                done.push(Effect::Store(Box::new(prepared.view().clone())));
                done.extend(self.engine.settle(UnixMillis(self.now), *prepared, Ok(())).unwrap());
            } else {
                done.push(effect);
            }
        }
        done
    }
}

/// Effects as short words: `store h1 pending`, `wait 3 h1`, `release 3`, `refuse 3`, `audit held`, `stop 1`.
pub(crate) fn words(effects: &[Effect]) -> Vec<String> {
    let spell = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Store(view) => format!("store {} {}", view.id, spell(&view.state)),
            Effect::Commit(prepared) => {
                format!("commit {} {}", prepared.view().id, spell(&prepared.view().state))
            }
            Effect::Release { key, .. } => format!("release {}", key.conn.0),
            Effect::Wait { key, hold } => format!("wait {} {hold}", key.conn.0),
            Effect::Refuse { key, .. } => format!("refuse {}", key.conn.0),
            Effect::StopSession { session } => format!("stop {session}"),
            Effect::ResumeSession { session } => format!("resume {session}"),
            Effect::Audit(entry) => format!("audit {}", spell(&entry.kind)),
        })
        .collect()
}

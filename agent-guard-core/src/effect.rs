//! The channel between deciding and doing: plain values both ways, so that the two sides can live in two processes.

use agent_guard_api::{
    HoldView, ProcessView,
    audit::{AuditKind, AuditRequest},
};

use crate::{
    engine::Prepared,
    operation::Operation,
    verdict::{Allowed, Refused},
};

/// Milliseconds since the Unix epoch; handed in by the caller, never read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

/// SHA-256 of a request minus its volatile fields, agent included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A connection of an agent, by socket cookie (unique until reboot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// One request on one connection: the n-th of it, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    pub conn: ConnId,
    pub index: u64,
}

/// Who sent a request, as the daemon found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub agent: String,
    pub session: u64,
    /// The sending process first, then its parents up to the session's root. Redacted.
    pub processes: Vec<ProcessView>,
}

/// A request whose verdict is due.
#[derive(Clone, Debug)]
pub struct RequestSeen {
    pub key: RequestKey,
    pub sender: Sender,
    pub operation: Operation,
    pub digest: Digest,
    /// False: only these very bytes can be approved, no retry may join.
    pub whole: bool,
    /// Redacted, at most 512 bytes.
    pub excerpt: String,
    /// Until when the signature of these bytes is good, if known.
    pub bytes_good_until: Option<UnixMillis>,
}

/// A person who was identified by the daemon (people table or audit login uid), and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub channel: String,
}

/// What happened in the world.
#[derive(Clone, Debug)]
pub enum Input {
    Request(Box<RequestSeen>),
    /// The socket was closed or died by itself; whatever was held on it has been destroyed.
    ConnectionGone(ConnId),
    Approve {
        hold: String,
        person: Person,
    },
    Deny {
        hold: String,
        person: Person,
        reason: String,
    },
    /// The daemon is being removed: refuse everything that is held.
    RefuseAll {
        reason: String,
    },
    /// Time passed: expire what is due.
    Tick,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Write the hold to the ledger. If that fails, tell [`Engine::store_failed`](crate::engine::Engine::store_failed)
    /// and go on: the later effects of the step loosen nothing.
    Store(Box<HoldView>),
    /// Something would be loosened: write [`Prepared::view`](crate::engine::Prepared::view) to the ledger, then hand the
    /// value and the outcome to [`Engine::settle`](crate::engine::Engine::settle), before any other call of the engine.
    Commit(Box<Prepared>),
    /// Let the request go.
    Release {
        key: RequestKey,
        verdict: Allowed,
    },
    /// The request starts to wait: keep its connection alive.
    Wait {
        key: RequestKey,
        hold: String,
    },
    /// Break the connection that carries the request.
    Refuse {
        key: RequestKey,
        verdict: Refused,
    },
    /// Stop every process of the session (more open holds than policy allows, or `hold = "process"`).
    StopSession {
        session: u64,
    },
    ResumeSession {
        session: u64,
    },
    Audit(Box<AuditEntry>),
}

/// An audit record without its time and version, which the daemon adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub kind: AuditKind,
    /// One sentence; agent-influenced parts already escaped.
    pub message: String,
    pub agent: Option<String>,
    pub session: Option<u64>,
    pub pid: Option<u32>,
    pub hold: Option<String>,
    pub person: Option<String>,
    pub request: Option<AuditRequest>,
    pub rule: Option<String>,
    pub why: Option<String>,
}

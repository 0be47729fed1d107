//! The channel between the half with privileges (`guard`) and the half without (`judge`): plain values both ways, so
//! that the second can become a process of its own by moving it.

use agent_guard_api::ProcessView;
use agent_guard_core::verdict::Refused;

use crate::ingest::{assemble::CapturedWrite, flow::Opening};

/// Whose bytes these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub tgid: u32,
    pub session: u64,
    /// Name of the agent.
    pub agent: String,
    /// The process and its parents up to the session's root, redacted.
    pub processes: Vec<ProcessView>,
    /// Nothing is gated; record what would have been.
    pub observed: bool,
    /// Up to here the connection's gate was opened by an earlier daemon, which knew it to stand between two requests.
    /// 0: by none, so that its first number is 1.
    pub released: u64,
}

/// A TLS write as the kernel half told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteSeen {
    pub ssl: u64,
    pub tgid: u32,
    /// 0 while its socket is not known.
    pub cookie: u64,
    /// The gate's number, 0 if it raised none (fast path, untied, observed).
    pub gate: u64,
    pub fast: bool,
    pub unreadable: bool,
    /// The send buffer was nearly full when this write was handled: it may not be taken whole.
    pub fills_buffer: bool,
    pub write: CapturedWrite,
}

/// What the guard saw.
#[derive(Debug)]
pub enum Report {
    Write(Origin, WriteSeen),
    /// The write `number` of `ssl` left on `cookie`; its writes so far belong there.
    Tied {
        origin: Origin,
        ssl: u64,
        number: u64,
        cookie: u64,
        gate: u64,
        address: Option<String>,
    },
    /// A ClientHello raised the gate.
    Hello {
        origin: Origin,
        cookie: u64,
        gate: u64,
        sni: Option<String>,
        address: Option<String>,
    },
    /// The barrier is done with it: its process is covered (or opaque connections are let through).
    HelloPassed {
        cookie: u64,
        gate: u64,
    },
    /// The TLS object ended: what it offered and nobody saw leave never will.
    Unbound {
        tgid: u32,
        ssl: u64,
    },
    /// The connection is closed; what was held on it is destroyed.
    Gone {
        cookie: u64,
    },
    /// The gate stands at `gate`, and whatever is missing below will not be told any more.
    Lost {
        origin: Origin,
        cookie: u64,
        gate: u64,
    },
    ProcessGone {
        tgid: u32,
    },
}

impl Report {
    /// Whose it is and on which connection, where it could be the first that the judge hears of that one.
    pub fn source(&mut self) -> Option<(&mut Origin, u64)> {
        match self {
            Report::Write(origin, seen) => Some((origin, seen.cookie)),
            Report::Tied { origin, cookie, .. }
            | Report::Hello { origin, cookie, .. }
            | Report::Lost { origin, cookie, .. } => Some((origin, *cookie)),
            Report::HelloPassed { .. }
            | Report::Unbound { .. }
            | Report::Gone { .. }
            | Report::ProcessGone { .. } => None,
        }
    }
}

/// What the guard is to do.
#[derive(Debug)]
pub enum Command {
    Open {
        cookie: u64,
        opening: Opening,
    },
    /// Keep this connection alive: people are asked.
    Wait {
        cookie: u64,
    },
    Break {
        cookie: u64,
        verdict: Refused,
    },
    StopSession {
        session: u64,
    },
    ResumeSession {
        session: u64,
    },
}

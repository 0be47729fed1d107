//! `GET /v1/status`: what is guarded, what is lost, how the daemon feels.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// ABI version of the kernel side; also the last part of the pin path.
    pub abi: u32,
    pub started_ms: u64,
    pub pid: u32,
    pub agents: Vec<AgentStatus>,
    pub sessions: Vec<SessionStatus>,
    pub pending_holds: u32,
    /// Libraries and programs that carry probes now.
    pub probed_files: Vec<ProbedFile>,
    pub counters: Counters,
    /// Sentences that start-up or run time found worth a person's attention.
    pub findings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    pub name: String,
    /// `enforce` or `observe`.
    pub mode: String,
    pub sessions: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    pub id: u64,
    pub agent: String,
    pub root_pid: u32,
    pub command: String,
    pub processes: u32,
    pub started_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbedFile {
    pub path: String,
    /// Probed functions, as the finder named them.
    pub functions: Vec<String>,
}

/// Sums since the pins were made (kernel side) or the daemon started (the others).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// TLS writes of agents that the probes saw.
    pub writes_seen: u64,
    /// Writes that took the fast path.
    pub fast_path: u64,
    /// Writes that were gated.
    pub gated: u64,
    /// Packets dropped while gated.
    pub packets_held: u64,
    /// Events lost because the ring was full.
    pub lost_ring_full: u64,
    /// Writes whose bytes could not be copied.
    pub lost_copy_fault: u64,
    /// Writes for which no copy slot was free.
    pub lost_no_slot: u64,
    /// Connections of agents that sent plaintext, which this version does not judge.
    pub plaintext_connections: u64,
    pub requests_allowed: u64,
    pub requests_held: u64,
    pub requests_denied: u64,
    pub requests_undecidable: u64,
    pub opaque_refused: u64,
}

/// One finding of `doctor` or of the start-up check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Short stable name, e.g. `cgroup2`.
    pub check: String,
    pub severity: Severity,
    pub finding: String,
    pub consequence: String,
    pub remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Ok,
    Warning,
    /// The daemon refuses to start, or to claim a promise.
    Error,
}

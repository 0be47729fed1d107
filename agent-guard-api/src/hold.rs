//! A hold as people see it: what they need to decide.

use serde::{Deserialize, Serialize};

use crate::{Flag, Harm, Magnitude};

/// The life of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// Waits for people.
    Pending,
    /// Enough people approved; waits for the client's retry (the connection that was held is gone).
    Approved,
    /// Its request was delivered; the approval is used up.
    Released,
    Denied,
    /// Nobody decided in time, which counts as denied.
    Expired,
}

/// A process as it was when the request was seen. Strings are the agent's words: escape them before printing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessView {
    pub pid: u32,
    /// Redacted command line, arguments joined by spaces.
    pub command: String,
    pub exe: String,
}

/// One person's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalView {
    pub person: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// How the person reached us, e.g. `socket uid 1000`.
    pub channel: String,
}

/// Everything that a person is shown of a hold. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// Short id for people, unique in this state directory, e.g. `h42`.
    pub id: String,
    pub state: HoldState,
    /// Name of the agent (policy subject).
    pub agent: String,
    pub session: u64,
    /// The process that sent it first, then its parents up to the session's root.
    pub processes: Vec<ProcessView>,
    pub provider: String,
    pub service: String,
    pub operation: String,
    /// The operation in words for a person: `TerminateInstances on 847 instances in us-east-1`.
    pub summary: String,
    pub harm: Harm,
    pub flags: Vec<Flag>,
    pub magnitude: Magnitude,
    /// At most 20 of the resources; `resources_total` says how many there are.
    pub resources: Vec<String>,
    pub resources_total: u64,
    pub host: String,
    pub region: Option<String>,
    pub account: Option<String>,
    /// Hex SHA-256 that approvals are bound to.
    pub digest: String,
    /// False: the body was not seen whole, so only these very bytes can be approved, no retry.
    pub whole: bool,
    /// Redacted first line(s) of the request, at most 512 bytes.
    pub excerpt: String,
    /// What the session did just before, newest last, at most 10 lines.
    pub before: Vec<String>,
    pub rule: String,
    pub why: String,
    pub approvals_needed: u32,
    pub approvals: Vec<ApprovalView>,
    /// Who denied it and why, when it was denied.
    pub denied_by: Option<String>,
    pub denied_reason: Option<String>,
    pub created_ms: u64,
    pub expires_ms: u64,
    /// Until when the signature of the bytes at hand is good (SigV4: five minutes after signing), if known.
    pub bytes_good_until_ms: Option<u64>,
    /// Connections on which the request is waiting now; 0: the client gave up, a retry is awaited.
    pub waiting_connections: u32,
}

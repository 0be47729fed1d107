//! The audit record: one per verdict, hold, approval, release, denial, refusal and loss.

use serde::{Deserialize, Serialize};

use crate::{Flag, Harm, Magnitude};

/// Version of this schema; raised when a field changes its meaning.
pub const AUDIT_VERSION: u32 = 1;

/// What happened. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// The daemon started (`detail` says what it guards) or adopted pinned state.
    Started,
    Adopted,
    Stopped,
    /// An agent's session began or ended.
    SessionStarted,
    SessionEnded,
    /// A request was judged and let go.
    Allowed,
    /// A request is held.
    Held,
    /// A retry joined an open hold.
    Joined,
    Approved,
    Released,
    Denied,
    Expired,
    /// The client or its connection went away while held; its bytes were destroyed.
    ClientGone,
    /// A connection with no readable TLS library was refused or let go by setting.
    Opaque,
    /// A connect or send was refused (frozen agent, QUIC).
    Refused,
    /// Something was lost or not seen: ring full, copy fault, desynchronised.
    Loss,
    /// A held process was continued by somebody else and stopped again.
    Resisted,
    /// An action on the API was refused.
    ActionRefused,
}

/// One record. Absent fields are left out of the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub version: u32,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub kind: AuditKind,
    /// One sentence for people, already free of control characters.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<AuditRequest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How many were lost, for `loss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// The request that a record is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRequest {
    pub provider: String,
    pub service: String,
    pub operation: String,
    pub harm: Harm,
    pub magnitude: Magnitude,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    pub host: String,
    /// Hex SHA-256.
    pub digest: String,
}

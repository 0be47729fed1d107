//! `agentguardctl explain --jsonl`: one request a line in, what the guard would say out.

use serde::{Deserialize, Serialize};

use crate::{Flag, Harm, Magnitude};

/// The answer to one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub id: String,
    pub provider: String,
    pub service: String,
    pub operation: String,
    pub harm: Harm,
    pub magnitude: Magnitude,
    pub resources: Vec<String>,
    pub flags: Vec<Flag>,
    /// `allow`, `hold` or `deny`.
    pub verdict: String,
    pub rule: String,
    pub why: String,
}

//! What a request would do.

use agent_guard_api::{Flag, Harm, Magnitude};

/// The classifier's answer. Strings may hold the agent's words: escape them where people read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `aws`, or `http` where no provider is recognised.
    pub provider: String,
    /// `ec2`; for an unknown provider the host.
    pub service: String,
    /// `TerminateInstances`; for an unknown provider method and path.
    pub name: String,
    pub harm: Harm,
    pub magnitude: Magnitude,
    /// Named resources, at most [`Operation::MAX_RESOURCES`]; `resources_total` counts all.
    pub resources: Vec<String>,
    pub resources_total: u64,
    pub flags: Vec<Flag>,
    pub host: String,
    pub region: Option<String>,
    pub account: Option<String>,
    /// The body was not seen whole and could still change the answer: wait for it if that is possible.
    pub wants_body: bool,
    /// Which entry, word or rule decided, in words.
    pub why: String,
}

impl Operation {
    pub const MAX_RESOURCES: usize = 1000;
}

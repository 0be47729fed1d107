//! What the operator may choose, as plain checked values; reading files is the daemon's.

use std::collections::BTreeMap;

use crate::policy::{HOLD_EXPIRES_MS, Mode, SenderContext};

/// Settings of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long people have to decide, and how long a finished approval waits for the client's retry; milliseconds.
    pub hold_expires_ms: u64,
    /// By name of the agent; one that is not listed has the defaults.
    pub agents: BTreeMap<String, AgentSettings>,
    /// More undecided holds of one session than this stop the session.
    pub max_open_holds_per_session: u32,
}

/// Settings of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentSettings {
    pub mode: Mode,
    pub hold: HoldStyle,
}

/// What waits while a request is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HoldStyle {
    /// Only its connection.
    #[default]
    Connection,
    /// Also every process of its session. Clocks go on: timeouts fire on resume, watchdogs may kill.
    Process,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { hold_expires_ms: HOLD_EXPIRES_MS, agents: BTreeMap::new(), max_open_holds_per_session: 3 }
    }
}

impl Settings {
    pub(crate) fn agent(&self, name: &str) -> AgentSettings {
        self.agents.get(name).copied().unwrap_or_default()
    }

    pub(crate) fn context(&self, agent: &str) -> SenderContext {
        SenderContext { mode: self.agent(agent).mode, hold_expires_ms: self.hold_expires_ms }
    }
}

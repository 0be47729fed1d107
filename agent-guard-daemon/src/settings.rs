//! `/etc/agent-guard/agent-guard.toml` and `policy.d/*.toml`, parsed once into values that cannot be wrong.
//!
//! Whoever can write these files decides what is guarded and who approves, so a file is read only if it and every
//! directory on the way to it belong to root and nobody else can write them. A file with mistakes is refused as a
//! whole, with every mistake and its line: a guard that runs with half of its rules guards less than people think.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

mod agents;
mod document;
mod glob;
mod mistake;
mod sections;
mod trust;

pub use agents::{AgentRule, HoldStyle, Matcher, Mode, Opaque};
pub use glob::Glob;
pub use mistake::Mistake;
pub use sections::{AuditSettings, HoldLimits, InferenceRoute, PersonEntry};
pub use trust::Untrusted;

use crate::people::{Accounts, HostAccounts};

/// Where the main file is when nobody says otherwise.
pub const DEFAULT_FILE: &str = "/etc/agent-guard/agent-guard.toml";

/// Where state is kept when `[state] dir` is not set.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/agent-guard";

/// The file of a new installation: every setting, explained. Tests keep it true.
pub const EXAMPLE: &str = include_str!("settings/example.toml");

/// What the daemon runs with. Every value has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// By name.
    pub agents: BTreeMap<String, AgentRule>,
    /// By name; no uid stands in two of them.
    pub people: BTreeMap<String, PersonEntry>,
    pub holds: HoldLimits,
    pub inference_routes: Vec<InferenceRoute>,
    pub state_dir: PathBuf,
    pub audit: AuditSettings,
    /// The files that were read, in order; empty: built-in settings.
    pub sources: Vec<PathBuf>,
}

impl Settings {
    /// The settings of a host without a file: two agents that processes join only by `agentguardctl run` and
    /// `cargo xtask run`, nobody in the people table, defaults for the rest.
    pub fn builtin() -> Settings {
        Settings {
            agents: agents::builtin(),
            people: BTreeMap::new(),
            holds: HoldLimits::default(),
            inference_routes: Vec::new(),
            state_dir: PathBuf::from(DEFAULT_STATE_DIR),
            audit: AuditSettings::default(),
            sources: Vec::new(),
        }
    }

    /// Reads `explicit`, or [`DEFAULT_FILE`] where it exists, and the `policy.d/*.toml` beside it.
    pub fn load(explicit: Option<&Path>) -> Result<Settings, SettingsError> {
        let main = explicit.unwrap_or(Path::new(DEFAULT_FILE));
        Self::load_with(main, explicit.is_some(), &HostAccounts)
    }

    /// As [`Settings::load`], with user names looked up in `accounts`.
    pub fn load_with(
        main: &Path,
        must_exist: bool,
        accounts: &dyn Accounts,
    ) -> Result<Settings, SettingsError> {
        let files = trust::read_all(main, must_exist)?;
        sections::assemble(&files, accounts).map_err(SettingsError::Mistakes)
    }

    /// The rule of agent `name`, or the error for people that lists the agents there are.
    pub fn agent(&self, name: &str) -> Result<&AgentRule, agent_guard_api::ActionError> {
        self.agents.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.agents.keys().map(String::as_str).collect();
            agent_guard_api::ActionError {
                kind: agent_guard_api::ErrorKind::NotFound,
                message: format!(
                    "no agent is named \"{}\"; the agents are: {} (add [agents.NAME] to {DEFAULT_FILE} for another)",
                    mistake::excerpt(name),
                    known.join(", "),
                ),
            }
        })
    }
}

impl Default for HoldLimits {
    fn default() -> Self {
        HoldLimits { expires: Duration::from_secs(15 * 60), max_open_per_session: 3 }
    }
}

impl Default for AuditSettings {
    fn default() -> Self {
        AuditSettings { journald: true, file: None }
    }
}

/// Why the settings were refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{}", lines(.0))]
    Untrusted(Vec<Untrusted>),
    #[error("{}", lines(.0))]
    Mistakes(Vec<Mistake>),
    #[error("cannot read {}: {source}; {remedy}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error, remedy: &'static str },
}

/// One finding a line.
fn lines<T: std::fmt::Display>(findings: &[T]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;

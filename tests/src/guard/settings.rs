//! The settings file of a test.

use std::path::Path;

use crate::people::{AGENT, AGENT_UID, ALICE, BOB};

/// What differs between tests; the rest is fixed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Match processes of [`AGENT_UID`]; otherwise only what `agentguardctl run` enrols is an agent.
    pub match_user: bool,
    /// `connection` or `process`.
    pub hold: &'static str,
    /// `refuse` or `allow`.
    pub opaque: &'static str,
    /// More open holds than this stop the session.
    pub max_open_per_session: u32,
    /// `--ephemeral`: on SIGTERM refuse what is held and remove the pins.
    pub ephemeral: bool,
    /// Variables in the daemon's environment.
    pub environ: Vec<(&'static str, &'static str)>,
    /// Further TOML, at the end of the file.
    pub more: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            match_user: true,
            hold: "connection",
            opaque: "refuse",
            max_open_per_session: 3,
            ephemeral: true,
            environ: Vec::new(),
            more: String::new(),
        }
    }
}

impl Settings {
    pub(super) fn toml(&self, dir: &Path) -> String {
        let Self { match_user, hold, opaque, max_open_per_session, ephemeral: _, environ: _, more } = self;
        let mut text = format!("[agents.{AGENT}]\nhold = \"{hold}\"\nopaque = \"{opaque}\"\n");
        if *match_user {
            text.push_str(&format!("match = [{{ user = \"{AGENT_UID}\" }}]\n"));
        }
        for person in [ALICE, BOB] {
            text.push_str(&format!("[people.{}]\nuids = [{}]\n", person.name, person.uid));
        }
        let audit = dir.join("audit.jsonl");
        text.push_str(&format!("[holds]\nmax_open_per_session = {max_open_per_session}\n"));
        text.push_str(&format!("[audit]\njournald = false\nfile = \"{}\"\n{more}", audit.display()));
        text
    }
}

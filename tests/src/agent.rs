//! Starting something as an agent, or exactly the same thing unguarded: how the harness is proven without the guard,
//! and how baselines are measured.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::ctl::Ctl;
use crate::people::AGENT_UID;
use crate::process::{Placement, Process};

/// How processes come to be agents in a test.
#[derive(Clone, Debug)]
pub enum Enlist {
    /// Not at all, or by their user, if the settings match it.
    ByUser,
    /// Through `agentguardctl run`.
    Run(Ctl),
}

/// Where and how a test's agents run.
#[derive(Clone, Debug)]
pub struct Agent {
    pub placement: Placement,
    pub enlist: Enlist,
}

impl Agent {
    pub fn by_user() -> Self {
        Self { placement: Placement::user(AGENT_UID), enlist: Enlist::ByUser }
    }

    pub fn by_run(ctl: &Ctl) -> Self {
        Self { placement: Placement::user(AGENT_UID), enlist: Enlist::Run(ctl.clone()) }
    }

    /// A command that will be the agent's first program. The environment is empty but for what the caller adds and a
    /// fixed PATH, so that the developer's proxy or AWS settings do not matter.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = match &self.enlist {
            Enlist::ByUser => Command::new(program),
            Enlist::Run(ctl) => ctl.run_agent(program),
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .current_dir("/");
        command
    }

    pub fn spawn(&self, command: Command) -> Result<Process> {
        Process::spawn(command, &self.placement)
    }
}

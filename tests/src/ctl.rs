//! `agentguardctl`, run as the people of the test: what they would type, and what they would read.

use std::path::{Path, PathBuf};
use std::process::Command;

use agent_guard_api::status::Status;
use agent_guard_api::{HoldState, HoldView, Outcome};
use anyhow::{Context, Result, bail, ensure};

use crate::DEADLINE;
use crate::events::Events;
use crate::people::{AGENT, ALICE, BOB, Person};
use crate::process::{Finished, Placement, Process};

/// The program and the socket it talks to.
#[derive(Clone, Debug)]
pub struct Ctl {
    program: PathBuf,
    socket: PathBuf,
}

impl Ctl {
    pub(crate) fn new(program: PathBuf, socket: PathBuf) -> Self {
        Self { program, socket }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `agentguardctl ARGS` as `placement`; whatever status it ends with.
    pub fn run(&self, placement: &Placement, args: &[&str]) -> Result<Finished> {
        let mut command = self.command();
        command.args(args);
        Process::spawn(command, placement)?.finish(DEADLINE)
    }

    /// The open holds.
    pub fn holds(&self) -> Result<Vec<HoldView>> {
        self.json(&["holds"])
    }

    /// Every hold that is kept, decided ones included.
    pub fn all_holds(&self) -> Result<Vec<HoldView>> {
        self.json(&["holds", "--all"])
    }

    /// One hold, in whatever state.
    pub fn show(&self, id: &str) -> Result<HoldView> {
        self.json(&["show", id])
    }

    pub fn status(&self) -> Result<Status> {
        self.json(&["status"])
    }

    /// Approves as `person`, who must be allowed to.
    pub fn approve(&self, person: Person, id: &str) -> Result<Outcome> {
        let text = self.run(&person.placement(), &["--json", "approve", id])?.success();
        let text = text.with_context(|| format!("{} approves {id}", person.name))?;
        serde_json::from_str(&text).with_context(|| format!("the answer to approve {id}: {text}"))
    }

    /// Two people approve; the first of them cannot do so twice. What came of it.
    pub fn approve_by_two(&self, id: &str) -> Result<Outcome> {
        match self.approve(ALICE, id)? {
            Outcome::Approved { missing: 1, .. } => {}
            other => bail!("after one of two approvals: {other:?}"),
        }
        self.approve_refused(ALICE, id)?;
        ensure!(self.show(id)?.state == HoldState::Pending, "one person alone decided {id}");
        self.approve(BOB, id)
    }

    /// Tries to approve as `person`, who must be refused; the words of the refusal.
    pub fn approve_refused(&self, person: Person, id: &str) -> Result<String> {
        let finished = self.run(&person.placement(), &["--json", "approve", id])?;
        ensure!(!finished.status.success(), "{} could approve {id}: {}", person.name, finished.stdout);
        Ok(format!("{}{}", finished.stdout, finished.stderr))
    }

    pub fn deny(&self, person: Person, id: &str) -> Result<()> {
        let finished =
            self.run(&person.placement(), &["--json", "deny", id, "--reason", "the test says no"])?;
        finished.success().with_context(|| format!("{} denies {id}", person.name))?;
        Ok(())
    }

    /// Follows the log from its beginning, as root.
    pub fn events(&self) -> Result<Events> {
        let mut command = self.command();
        command.args(["--json", "log", "--follow", "--lines", "100000"]);
        Ok(Events::new(Process::spawn(command, &Placement::default())?))
    }

    /// `agentguardctl run --agent robot -- PROGRAM`, to which arguments can be added.
    pub fn run_agent(&self, program: &Path) -> Command {
        let mut command = self.command();
        command.args(["run", "--agent", AGENT, "--"]).arg(program);
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.socket);
        command
    }

    fn json<T: serde::de::DeserializeOwned>(&self, args: &[&str]) -> Result<T> {
        let args: Vec<&str> = ["--json"].iter().chain(args).copied().collect();
        let text = self
            .run(&Placement::default(), &args)?
            .success()
            .with_context(|| format!("agentguardctl {args:?}"))?;
        serde_json::from_str(&text).with_context(|| format!("the answer to {args:?}: {text}"))
    }
}

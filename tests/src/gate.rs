//! The stage of most tests: a server that writes everything down, a way to it, an agent, and the guard in between.

mod crash;
mod raw;
mod scenes;
mod trials;

pub use crash::crash;
pub use raw::Raw;
pub use scenes::Ask;
pub use trials::{Connections, TwoThreads, interleave};

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::agent::Agent;
use crate::clients::{self, Client, Kind, Target};
use crate::ctl::Ctl;
use crate::events::Events;
use crate::guard::{Guard, Settings};
use crate::pki::Authority;
use crate::process::Process;
use crate::route::{Path, Route};
use crate::scratch::Scratch;
use crate::server::{Behaviour, Ledger, Server};

/// The name of the tests' server: no provider's, so the lexicon and the method decide.
pub const HOST: &str = "api.agent-guard.test";

/// How long a test watches that nothing arrives.
pub const WATCH: Duration = Duration::from_millis(400);

/// Everything a gate test needs. The fields are dropped in this order.
#[derive(Debug)]
pub struct Gate {
    guard: Option<Guard>,
    server: Server,
    agent: Agent,
    target: Target,
    route: Route,
    authority: Authority,
    scratch: Scratch,
}

impl Gate {
    /// With the guard.
    pub fn guarded(path: Path, settings: &Settings, behaviour: Behaviour) -> Result<Self> {
        Self::set_up(path, Some(settings), behaviour)
    }

    /// The same without it: for baselines, and to prove the stage itself.
    pub fn unguarded(path: Path, behaviour: Behaviour) -> Result<Self> {
        Self::set_up(path, None, behaviour)
    }

    fn set_up(path: Path, settings: Option<&Settings>, behaviour: Behaviour) -> Result<Self> {
        let scratch = Scratch::new()?;
        let authority = Authority::new(&scratch)?;
        let route = path.lay()?;
        let tls = authority.server_config(&[HOST.to_owned()])?;
        let server = Server::start(route.bind(), route.server_namespace(), tls, behaviour)?;
        let target = Target {
            host: HOST.to_owned(),
            port: server.port(),
            dial: route.dial(),
            ca: authority.file().to_owned(),
        };
        let guard = settings.map(|settings| Guard::start(&scratch, settings)).transpose()?;
        let mut agent = match (&guard, settings) {
            (Some(guard), Some(Settings { match_user: false, .. })) => Agent::by_run(guard.ctl()),
            _ => Agent::by_user(),
        };
        agent.placement.netns = route.agent_namespace().cloned();
        agent.placement.hosts = Some(target.hosts(&scratch)?);
        Ok(Self { guard, server, agent, target, route, authority, scratch })
    }

    /// A line client, started as the agent.
    pub fn client(&self, kind: Kind) -> Result<Client> {
        Client::start(kind, &self.agent, &self.target, &self.scratch)
    }

    /// Compiles `clients/NAME.c` and starts it as the agent.
    pub fn start_client(&self, name: &str, args: &[&str]) -> Result<Process> {
        let program = clients::compile(&self.scratch, name)?;
        let mut command = self.agent.command(&program);
        command.args(args);
        self.target.environ(&mut command);
        self.agent.spawn(command)
    }

    /// The same, to its end; the JSON lines that it printed.
    pub fn run_client(&self, name: &str, args: &[&str], deadline: Duration) -> Result<Vec<Value>> {
        let text =
            self.start_client(name, args)?.finish(deadline)?.success().with_context(|| name.to_owned())?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    pub fn ledger(&self) -> &Ledger {
        self.server.ledger()
    }

    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn route(&self) -> &Route {
        &self.route
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The daemon under test.
    pub fn guard(&mut self) -> Result<&mut Guard> {
        self.guard.as_mut().context("this stage has no guard")
    }

    pub fn ctl(&self) -> Result<&Ctl> {
        self.guard.as_ref().map(Guard::ctl).context("this stage has no guard")
    }

    pub fn events(&self) -> Result<Events> {
        self.ctl()?.events()
    }
}

//! Real clients that do as they are told, line by line: `METHOD PATH BODY-BYTES` in, `ok STATUS` or `error WORDS` out.
//! One protocol for all of them lets a test say once what must hold for each. Their sources are in `clients/`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::agent::Agent;
use crate::process::Process;
use crate::require::{self, Need};
use crate::scratch::Scratch;
use crate::venv;

/// The libraries that agents use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new process for each request.
    Curl,
    /// Python, a session that keeps its connection; blocking sockets.
    Requests,
    /// Python, asyncio's memory BIOs; repeats idempotent requests by itself when a kept connection breaks.
    Aiohttp,
    /// Python, with its default timeout of 5 s.
    Httpx,
    /// Node's fetch.
    Node,
    /// C on libssl, one connection until it breaks, then another.
    OpenSsl,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Curl, Kind::Requests, Kind::Aiohttp, Kind::Httpx, Kind::Node, Kind::OpenSsl];

    /// What the machine needs for it.
    pub fn needs(self) -> &'static [Need] {
        match self {
            Kind::Curl => &[Need::Tool("curl"), Need::Tool("bash")],
            Kind::Requests | Kind::Aiohttp | Kind::Httpx => &[Need::Venv],
            Kind::Node => &[Need::Tool("node")],
            Kind::OpenSsl => &[Need::Tool("gcc"), Need::File("/usr/include/openssl/ssl.h")],
        }
    }

    /// Whether it can be told to connect to an IPv4-mapped address.
    pub fn dials_mapped(self) -> bool {
        matches!(self, Kind::Curl | Kind::OpenSsl)
    }

    fn command(self, agent: &Agent, scratch: &Scratch) -> Result<Command> {
        let script = |name: &str| scratch.program(&source(name));
        Ok(match self {
            Kind::Curl => agent.command(&script("line_curl.sh")?),
            Kind::Requests => with_script(agent, &venv::python()?, &script("line_requests.py")?),
            Kind::Aiohttp => with_script(agent, &venv::python()?, &script("line_aiohttp.py")?),
            Kind::Httpx => with_script(agent, &venv::python()?, &script("line_httpx.py")?),
            Kind::Node => {
                with_script(agent, &require::tool("node").context("node")?, &script("line_fetch.mjs")?)
            }
            Kind::OpenSsl => agent.command(&compile(scratch, "line")?),
        })
    }
}

/// The server as a client is told of it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name in URLs and certificates, which the client's `/etc/hosts` maps to `dial`.
    pub host: String,
    pub port: u16,
    pub dial: IpAddr,
    pub ca: PathBuf,
}

impl Target {
    /// The environment by which every client in `clients/` learns it.
    pub fn environ(&self, command: &mut Command) {
        let dial = self.dial.to_string();
        command.env("AG_BASE", format!("https://{}:{}", self.host, self.port));
        command.env("AG_HOST", &self.host).env("AG_PORT", self.port.to_string()).env("AG_DIAL", dial);
        command.env("AG_CA", &self.ca).env("NODE_EXTRA_CA_CERTS", &self.ca).env("PYTHONUNBUFFERED", "1");
    }

    /// An `/etc/hosts` with it.
    pub fn hosts(&self, scratch: &Scratch) -> Result<PathBuf> {
        let text = format!("127.0.0.1 localhost\n::1 localhost\n{} {}\n", self.dial, self.host);
        scratch.write("hosts", text.as_bytes())
    }
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// It reported an ordinary error, in its own words.
    Error(String),
}

/// A running client.
#[derive(Debug)]
pub struct Client {
    process: Process,
    kind: Kind,
}

impl Client {
    pub fn start(kind: Kind, agent: &Agent, target: &Target, scratch: &Scratch) -> Result<Self> {
        let mut agent = agent.clone();
        agent.placement.hosts = Some(target.hosts(scratch)?);
        let mut command = kind.command(&agent, scratch)?;
        target.environ(&mut command);
        Ok(Self { process: agent.spawn(command)?, kind })
    }

    /// Begins a request; at most one is under way.
    pub fn send(&mut self, method: &str, path: &str, body_bytes: usize) -> Result<()> {
        self.process.say(&format!("{method} {path} {body_bytes}"))
    }

    /// Waits for the answer to what was sent.
    pub fn answer(&mut self, deadline: Duration) -> Result<Answer> {
        let is_answer = |line: &str| line.starts_with("ok ") || line.starts_with("error ");
        let line = self
            .process
            .line(deadline, is_answer)
            .with_context(|| format!("no answer to {:?}", self.kind))?;
        match line.split_once(' ') {
            Some(("ok", status)) => Ok(Answer::Status(status.trim().parse().context("status")?)),
            Some(("error", words)) => Ok(Answer::Error(words.to_owned())),
            _ => bail!("{:?} answered {line:?}", self.kind),
        }
    }

    /// A whole request that must be answered with 200.
    pub fn passes(&mut self, method: &str, path: &str) -> Result<()> {
        self.send(method, path, 0)?;
        match self.answer(crate::DEADLINE)? {
            Answer::Status(200) => Ok(()),
            other => bail!("{:?}: {method} {path} was answered {other:?}", self.kind),
        }
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Compiles `clients/NAME.c` against libssl into the test's directory, once.
pub fn compile(scratch: &Scratch, name: &str) -> Result<PathBuf> {
    let program = scratch.join(name);
    if program.exists() {
        return Ok(program);
    }
    let mut gcc = Command::new(require::tool("gcc").context("gcc is not installed")?);
    gcc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
    gcc.arg(source(&format!("{name}.c"))).args(["-lssl", "-lcrypto", "-pthread"]);
    let output = gcc.output()?;
    if !output.status.success() {
        bail!("{gcc:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(program)
}

fn with_script(agent: &Agent, interpreter: &Path, script: &Path) -> Command {
    let mut command = agent.command(interpreter);
    command.arg(script);
    command
}

/// A file of `clients/`.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

//! An AWS that can be looted without harm: moto behind TLS under AWS's own host names.
//!
//! It listens on port 443 of a loopback address of its own; the agent's private `/etc/hosts` sends the real names
//! there. So requests, signatures, SNI and Host headers are those of production.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::DEADLINE;
use crate::agent::Agent;
use crate::pki::Authority;
use crate::process::{Placement, Process};
use crate::scratch::Scratch;
use crate::{clients, venv};

pub const REGION: &str = "us-east-1";
const EC2: &str = "ec2.us-east-1.amazonaws.com";

/// A running simulator.
#[derive(Debug)]
pub struct Moto {
    server: Process,
    hosts: PathBuf,
    ca: PathBuf,
    home: PathBuf,
}

/// How many instances are in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    pub running: u64,
    /// Terminated, or on the way there.
    pub terminated: u64,
}

impl Moto {
    /// Starts it and waits until it answers.
    pub fn start(scratch: &Scratch, authority: &Authority) -> Result<Self> {
        let address = own_loopback();
        let pem = authority.pem_files(scratch, "moto", &[EC2.to_owned()])?;
        let mut command = Command::new(venv::program("moto_server")?);
        command
            .args(["-H", &address.to_string(), "-p", "443", "-c"])
            .arg(&pem.certificate)
            .arg("-k")
            .arg(&pem.key);
        let mut server = Process::spawn(command, &Placement::default())?;
        server.error_line(DEADLINE, |line| line.contains("Running on https")).context("moto_server")?;
        let hosts = format!("127.0.0.1 localhost\n{address} {EC2}\n");
        Ok(Self {
            server,
            hosts: scratch.write("hosts.aws", hosts.as_bytes())?,
            ca: authority.file().to_owned(),
            home: scratch.owned_dir("home", crate::people::AGENT_UID)?,
        })
    }

    /// Runs that many instances, unguarded. Their ids.
    pub fn launch(&self, count: u32) -> Result<Vec<String>> {
        let text = self.fleet_script(&["launch", &count.to_string()])?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Counts, unguarded.
    pub fn fleet(&self) -> Result<Fleet> {
        let counts: serde_json::Value = serde_json::from_str(&self.fleet_script(&["count"])?)?;
        let count = |state: &str| counts.get(state).and_then(serde_json::Value::as_u64).unwrap_or(0);
        Ok(Fleet {
            running: count("running") + count("pending"),
            terminated: count("terminated") + count("shutting-down"),
        })
    }

    /// How many requests it has answered, the counts of [`Moto::fleet`] included.
    pub fn requests(&self) -> usize {
        self.server.stderr().matches("\"POST / HTTP/1.1").count()
    }

    /// Starts the AWS CLI with its default settings, as the agent.
    pub fn aws(&self, agent: &Agent, args: &[&str]) -> Result<Process> {
        let mut agent = agent.clone();
        agent.placement.hosts = Some(self.hosts.clone());
        let mut command = agent.command(&venv::python()?);
        command.arg(venv::program("aws")?).args(args);
        self.environ(&mut command);
        agent.spawn(command)
    }

    fn fleet_script(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(venv::python()?);
        command.arg(clients::source("fleet.py")).args(args);
        self.environ(&mut command);
        let placement = Placement { hosts: Some(self.hosts.clone()), ..Placement::default() };
        Process::spawn(command, &placement)?.finish(Duration::from_secs(120))?.success().context("fleet.py")
    }

    fn environ(&self, command: &mut Command) {
        command.env("AWS_CA_BUNDLE", &self.ca).env("AWS_DEFAULT_REGION", REGION).env("HOME", &self.home);
        command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_PAGER", "");
        for proxy in
            ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "AWS_ENDPOINT_URL", "AWS_PROFILE"]
        {
            command.env_remove(proxy);
        }
    }
}

/// An address in 127.0.0.0/8 that no other simulator uses now: by process, and by count within it.
fn own_loopback() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + COUNT.fetch_add(1, Ordering::Relaxed) % 128, high, low.clamp(1, 254))
}

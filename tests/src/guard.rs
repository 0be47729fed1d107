//! The daemon under test: started with a directory, a socket and a BPF file system of its own, ended in every way that
//! a daemon can end, and started again on what the last one left.
//!
//! One guard at a time on a machine: all tests' agents have the same user, and measurements must not disturb each
//! other, so a lock is held for as long as the value lives.

mod settings;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;

use crate::ctl::Ctl;
use crate::process::{Placement, Process};
use crate::require;
use crate::scratch::Scratch;
pub use settings::Settings;

/// From start to `READY`: finding the write functions of every library on the machine, attaching, adopting.
const START: Duration = Duration::from_secs(120);
/// From SIGTERM to the end: everything held is refused, pins are removed.
const STOP: Duration = Duration::from_secs(30);

/// The daemon and its surroundings. Dropping it stops the daemon and removes its pins.
#[derive(Debug)]
pub struct Guard {
    daemon: Option<Process>,
    /// What earlier daemons of this guard logged.
    earlier_log: String,
    ctl: Ctl,
    dir: PathBuf,
    settings: Settings,
    bpf: BpfFs,
    _alone: Flock<File>,
}

impl Guard {
    /// Starts it in `scratch` and waits until it guards.
    pub fn start(scratch: &Scratch, settings: &Settings) -> Result<Self> {
        let alone = alone()?;
        let dir = scratch.path().to_owned();
        scratch.write("agent-guard.toml", settings.toml(&dir).as_bytes())?;
        fs::create_dir_all(dir.join("state"))?;
        let bpf = BpfFs::mount(dir.join("bpf"))?;
        let ctl =
            Ctl::new(scratch.program(&require::bin_dir().join("agentguardctl"))?, dir.join("control.sock"));
        let mut guard = Self {
            daemon: None,
            earlier_log: String::new(),
            ctl,
            dir,
            settings: settings.clone(),
            bpf,
            _alone: alone,
        };
        guard.start_again()?;
        Ok(guard)
    }

    /// Starts a daemon on the state and the pins of the last one.
    pub fn start_again(&mut self) -> Result<()> {
        if self.daemon.is_some() {
            bail!("the daemon still runs");
        }
        // Faults are injected into a build of its own; what is shipped has no such switch.
        let program = if self.settings.environ.is_empty() { "agent-guardd" } else { "agent-guardd-faulty" };
        let mut command = Command::new(require::bin_dir().join(program));
        command.arg("--foreground").arg("--config").arg(self.dir.join("agent-guard.toml"));
        command.arg("--state-dir").arg(self.dir.join("state"));
        command.arg("--socket").arg(self.ctl.socket());
        command.arg("--pin-dir").arg(self.bpf.path().join("v1"));
        command.envs(self.settings.environ.iter().copied());
        if self.settings.ephemeral {
            command.arg("--ephemeral");
        }
        let mut daemon = Process::spawn(command, &Placement::default())?;
        daemon.line(START, |line| line == "READY").context("the daemon did not say READY")?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().context("no daemon runs")?;
        daemon.kill()?;
        self.earlier_log.push_str(&daemon.stderr());
        Ok(())
    }

    /// SIGTERM, and waits for the end, which must be a success.
    pub fn stop(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().context("no daemon runs")?;
        daemon.signal(Signal::SIGTERM)?;
        let finished = daemon.finish(STOP)?;
        self.earlier_log.push_str(&finished.stderr);
        finished.success().context("the daemon's end")?;
        Ok(())
    }

    /// Waits until it ends by itself.
    pub fn wait_end(&mut self, deadline: Duration) -> Result<()> {
        let mut daemon = self.daemon.take().context("no daemon runs")?;
        self.earlier_log.push_str(&daemon.finish(deadline)?.stderr);
        Ok(())
    }

    pub fn ctl(&self) -> &Ctl {
        &self.ctl
    }

    /// The pid of the running daemon.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Process::pid)
    }

    /// False when it has ended by itself.
    pub fn runs(&self) -> Result<bool> {
        self.daemon.as_ref().map_or(Ok(false), |daemon| daemon.ended().map(|ended| !ended))
    }

    /// Names of what is pinned.
    pub fn pins(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut dirs = vec![self.bpf.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    dirs.push(entry.path());
                } else if !entry.file_name().to_string_lossy().ends_with(".debug") {
                    // (A new bpffs comes with two iterators of the kernel's own, maps.debug and progs.debug.)
                    names.push(entry.path().display().to_string());
                }
            }
        }
        Ok(names)
    }

    /// Everything that its daemons logged so far.
    pub fn log(&self) -> String {
        let now = self.daemon.as_ref().map(Process::stderr).unwrap_or_default();
        format!("{}{now}", self.earlier_log)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let stopped = if self.daemon.is_some() { self.stop() } else { Ok(()) };
        // Captured, and so only shown, when the test failed.
        eprintln!("--- the daemon's log\n{}\n---", self.log());
        if let Err(error) = stopped {
            eprintln!("the daemon did not stop well: {error:#}");
        }
    }
}

/// A BPF file system of the test's own: unmounting it removes every pin, whatever state the test left.
#[derive(Debug)]
struct BpfFs(PathBuf);

impl BpfFs {
    fn mount(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path)?;
        mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mount a BPF file system on {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.0, MntFlags::MNT_DETACH) {
            eprintln!("unmount {}: {error}", self.0.display());
        }
    }
}

fn alone() -> Result<Flock<File>> {
    let path = "/run/agent-guard-tests.lock";
    let file = File::create(path).with_context(|| format!("create {path}"))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(|| format!("lock {path}"))
}

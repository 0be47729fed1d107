//! `cargo xtask run`: from a fresh clone to a guard in the foreground, and an agent under it.
//!
//! Everything is built as the invoking user; only then a second process of ours, started by sudo, does what needs
//! root ([`session`]). So no file of root's is left in the clone, and no command line of the user's runs as root.

mod mounts;
mod person;
mod processes;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use crate::{binaries, paths, shell};
use person::Person;
use processes::Outcome;

/// What the user asked for.
#[derive(Debug)]
pub struct Request {
    /// Print the live view.
    pub live: bool,
    /// The agent's command line; empty for a guard without one.
    pub command: Vec<OsString>,
}

/// Builds, then starts the session as root.
///
/// # Errors
/// When something is missing that cannot be installed, or does not build.
pub fn run(request: &Request) -> Result<ExitCode> {
    binaries::build(true)?;
    let cwd = std::env::current_dir().context("the current folder is gone")?;
    if shell::is_root() {
        return session(request, None, &cwd);
    }
    shell::say("the guard loads eBPF programs: continuing as root by sudo; the agent's command stays yours");
    let mut command = shell::as_root(std::env::current_exe().context("cannot find our own program")?)?;
    command.args(["guard-session", "--invoker"]).arg(std::process::id().to_string()).arg("--cwd").arg(cwd);
    if !request.live {
        command.arg("--no-live");
    }
    command.arg("--").args(&request.command);
    // The terminal's Ctrl-C reaches the session by itself; we only wait for it to finish.
    let _signals = processes::Signals::new(&[SIGINT, SIGTERM, SIGHUP])?;
    let status = command.status().with_context(|| format!("cannot start {}", shell::shown(&command)))?;
    Ok(processes::exit_code(status))
}

/// The part that needs root: mounts, guard, agent; and their end in the right order.
///
/// # Errors
/// When the guard does not start. What it held is refused by the guard itself when it ends.
pub fn session(request: &Request, invoker: Option<u32>, cwd: &Path) -> Result<ExitCode> {
    if !shell::is_root() {
        bail!("guard-session is the half of `cargo xtask run` that needs root: use `cargo xtask run`");
    }
    let programs = paths::binaries(true);
    let ctl = programs.join("agentguardctl");
    if shell::succeeds(Command::new(&ctl).arg("status")) {
        bail!(
            "a guard is running already: `agentguardctl run --agent NAME -- CMD` uses it, or stop it first"
        );
    }
    mounts::ensure()?;
    let person = if request.command.is_empty() { None } else { Some(person::find(invoker)?) };
    let mut signals = processes::Signals::new(&[SIGINT, SIGTERM, SIGHUP, SIGCHLD])?;
    processes::end_with(invoker);
    let mut guard = start_guard(&programs, request.live)?;
    let Some(person) = person else {
        shell::say("the guard is starting; Ctrl-C refuses what is held, removes the pins and ends it");
        return end(&mut guard, &mut signals, None);
    };
    if !wait_until_ready(&ctl, &mut guard, &mut signals)? {
        return end(&mut guard, &mut signals, Some(Outcome::Interrupted));
    }
    let agent = start_agent(&person, &ctl, cwd, &request.command);
    let outcome = match agent {
        Ok(mut agent) => processes::wait_for_agent(&mut agent, &mut guard, &mut signals),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(outcome) => end(&mut guard, &mut signals, Some(outcome)),
        Err(error) => {
            end(&mut guard, &mut signals, Some(Outcome::Interrupted))?;
            Err(error)
        }
    }
}

/// In a process group of its own: Ctrl-C reaches it once, by us, after the agent is gone.
fn start_guard(programs: &Path, live: bool) -> Result<Child> {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(programs.join("agent-guardd"));
    command.args(["--foreground", "--ephemeral"]).stdin(Stdio::null()).process_group(0);
    if live {
        command.arg("--live");
    }
    command.spawn().with_context(|| format!("cannot start {}", shell::shown(&command)))
}

/// Ready is when the guard answers on its socket, which it does after everything is pinned. False: interrupted.
fn wait_until_ready(ctl: &Path, guard: &mut Child, signals: &mut processes::Signals) -> Result<bool> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Some(status) = guard.try_wait().context("cannot wait for the guard")? {
            bail!("the guard did not start ({status}); its own words are above");
        }
        if shell::succeeds(Command::new(ctl).arg("status")) {
            return Ok(true);
        }
        if signals.interrupted() {
            return Ok(false);
        }
        if Instant::now() > deadline {
            processes::interrupt(guard)?;
            guard.wait().context("cannot wait for the guard")?;
            bail!("the guard did not answer within {} s and was ended", READY_WITHIN.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// `setpriv` drops root before anything of the user's command line runs, agentguardctl included.
fn start_agent(person: &Person, ctl: &Path, cwd: &Path, command: &[OsString]) -> Result<Child> {
    let ctl: PathBuf = person.reachable(ctl)?;
    let mut agent = person.command(cwd);
    agent.arg(ctl).args(["run", "--agent", "xtask", "--"]).args(command);
    shell::say(&format!("running as {} under the guard: {}", person.name, shell::shown(&agent)));
    agent.spawn().with_context(|| format!("cannot start {}", shell::shown(&agent)))
}

/// Ends the guard (or waits for its own end) and says what became of it.
fn end(guard: &mut Child, signals: &mut processes::Signals, agent: Option<Outcome>) -> Result<ExitCode> {
    let asked = agent.is_some();
    let status = processes::wait_for_guard(guard, signals, asked)?;
    match agent {
        Some(Outcome::Ended(agent)) if status.success() => Ok(processes::exit_code(agent)),
        // What a shell shows for a command that ended by Ctrl-C.
        Some(Outcome::Interrupted) if status.success() => Ok(ExitCode::from(130)),
        _ if status.success() => Ok(ExitCode::SUCCESS),
        _ => bail!(
            "the guard ended with {status}: what it held stays held by what it pinned; `cargo xtask run` again \
             adopts it, and Ctrl-C then refuses it"
        ),
    }
}

/// A cold start scans the libraries of running processes.
const READY_WITHIN: Duration = Duration::from_secs(60);

//! The order in which guard and agent end: the agent first, then the guard, which refuses what is held and removes
//! its pins. The other way round the agent would run unguarded for a moment.
//!
//! The guard is never killed, however long it takes: its pins would stay, and what they gate with them.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    process::{Child, ExitCode, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use signal_hook::{consts::SIGCHLD, iterator::Signals as Iterator};

use crate::shell;

/// How the agent's command came to its end.
#[derive(Debug)]
pub(super) enum Outcome {
    Ended(ExitStatus),
    Interrupted,
}

/// The signals that we are waiting for instead of dying by them.
#[derive(Debug)]
pub(super) struct Signals(Iterator);

impl Signals {
    pub(super) fn new(signals: &[i32]) -> Result<Self> {
        Iterator::new(signals).map(Self).context("cannot install signal handlers")
    }

    /// Whether somebody asked us to end since the last call.
    pub(super) fn interrupted(&mut self) -> bool {
        self.0.pending().any(|signal| signal != SIGCHLD)
    }

    /// Waits for a signal; true when it asks us to end.
    fn wait(&mut self) -> bool {
        self.0.wait().any(|signal| signal != SIGCHLD)
    }
}

/// Waits until the agent's command or the guard ends, or we are interrupted; then the agent is gone.
///
/// # Errors
/// When a process cannot be waited for.
pub(super) fn wait_for_agent(agent: &mut Child, guard: &mut Child, signals: &mut Signals) -> Result<Outcome> {
    loop {
        if let Some(status) = agent.try_wait().context("cannot wait for the agent")? {
            return Ok(Outcome::Ended(status));
        }
        if guard.try_wait().context("cannot wait for the guard")?.is_some() {
            shell::say("the guard ended before the agent: ending the agent");
            end_agent(agent, signals)?;
            return Ok(Outcome::Interrupted);
        }
        if signals.wait() {
            end_agent(agent, signals)?;
            return Ok(Outcome::Interrupted);
        }
    }
}

/// The terminal gave the agent its own Ctrl-C; who does not end by it is asked, then killed.
fn end_agent(agent: &mut Child, signals: &mut Signals) -> Result<()> {
    for (signal, patience) in [(Signal::SIGINT, 5), (Signal::SIGTERM, 3), (Signal::SIGKILL, 10)] {
        send(agent, signal)?;
        let deadline = Instant::now() + Duration::from_secs(patience);
        while Instant::now() < deadline {
            if agent.try_wait().context("cannot wait for the agent")?.is_some() {
                return Ok(());
            }
            if signals.interrupted() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        shell::say(&format!("the agent did not end by {signal}"));
    }
    Ok(())
}

/// Asks the guard to end when `asked`, else when we are interrupted, and waits for it.
///
/// # Errors
/// When it cannot be signalled or waited for.
pub(super) fn wait_for_guard(guard: &mut Child, signals: &mut Signals, asked: bool) -> Result<ExitStatus> {
    if asked {
        interrupt(guard)?;
    }
    loop {
        if let Some(status) = guard.try_wait().context("cannot wait for the guard")? {
            return Ok(status);
        }
        if signals.wait() && guard.try_wait().context("cannot wait for the guard")?.is_none() {
            shell::say("waiting for the guard to refuse what is held and to remove its pins");
            interrupt(guard)?;
        }
    }
}

/// Sends SIGINT to a child, unless it has been waited for already.
///
/// # Errors
/// When it cannot be signalled.
pub(super) fn interrupt(child: &mut Child) -> Result<()> {
    send(child, Signal::SIGINT)
}

/// A child that was waited for has no pid any more: its number may be somebody else's.
fn send(child: &mut Child, signal: Signal) -> Result<()> {
    if child.try_wait().context("cannot wait for a child")?.is_some() {
        return Ok(());
    }
    let pid = i32::try_from(child.id()).context("a pid beyond i32")?;
    kill(Pid::from_raw(pid), signal).with_context(|| format!("cannot send {signal} to process {pid}"))
}

/// Ends us, as by SIGTERM, when our unprivileged half is gone: it cannot signal us itself.
pub(super) fn end_with(invoker: Option<u32>) {
    let Some(invoker) = invoker else { return };
    let Some(started) = start_time(invoker) else { return };
    std::thread::spawn(move || {
        while start_time(invoker).as_ref() == Some(&started) {
            std::thread::sleep(Duration::from_millis(500));
        }
        if let Err(error) = signal_hook::low_level::raise(signal_hook::consts::SIGTERM) {
            shell::say(&format!("cannot end after the command that started us: {error}"));
        }
    });
}

/// Field 22 of `/proc/PID/stat`, see proc(5): with the pid it names a process for good.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(19).map(str::to_owned)
}

/// The exit code that a shell would show: 128 + the signal's number for a process that died by one.
pub(super) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn child(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).spawn().unwrap()
    }

    #[test]
    fn the_agents_end_is_the_sessions_and_its_status_is_kept() {
        let mut signals = Signals::new(&[SIGCHLD]).unwrap();
        let (mut agent, mut guard) = (child("exit 7"), child("sleep 60"));
        let outcome = wait_for_agent(&mut agent, &mut guard, &mut signals).unwrap();
        guard.kill().unwrap();
        guard.wait().unwrap();
        assert!(matches!(outcome, Outcome::Ended(status) if status.code() == Some(7)), "{outcome:?}");
    }

    #[test]
    fn an_agent_does_not_outlive_its_guard() {
        let mut signals = Signals::new(&[SIGCHLD]).unwrap();
        let (mut agent, mut guard) = (child("sleep 60"), child("exit 1"));
        let outcome = wait_for_agent(&mut agent, &mut guard, &mut signals).unwrap();
        assert!(matches!(outcome, Outcome::Interrupted), "{outcome:?}");
        assert!(agent.try_wait().unwrap().is_some());
    }

    #[test]
    fn exit_codes_are_a_shells() {
        assert_eq!(exit_code(child("exit 3").wait().unwrap()), ExitCode::from(3));
        assert_eq!(exit_code(child("kill -9 $$").wait().unwrap()), ExitCode::from(137));
    }

    #[test]
    fn a_start_time_is_read_for_the_living_only() {
        assert!(start_time(std::process::id()).is_some_and(|time| time.parse::<u64>().is_ok()));
        assert_eq!(start_time(u32::MAX), None);
    }
}

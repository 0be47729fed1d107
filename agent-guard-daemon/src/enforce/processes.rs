//! Stopping and continuing the processes of a session, by pidfd, never by a bare pid.
//!
//! Refused: pid 1, the daemon itself, kernel threads. Stopping is no hold (anybody of the same user can continue a
//! process); it keeps an agent from going on with something else.

use std::{fs, io};

use rustix::process::{Signal, pidfd_send_signal};

use super::duplicate::pidfd;

/// A process by pid and start time (clock ticks since boot, field 22 of `/proc/PID/stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    pub tgid: u32,
    pub start_ticks: u64,
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub process: Process,
    pub parent: u32,
    /// `T` stopped, `R` running, `S` sleeping ... (proc_pid_stat(5)).
    pub letter: char,
    pub is_kernel_thread: bool,
}

/// `PF_KTHREAD` of include/linux/sched.h, field 9 of `/proc/PID/stat`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// Reads a process's state; `None` when it is gone.
#[must_use]
pub fn state(tgid: u32) -> Option<State> {
    parse(tgid, &fs::read_to_string(format!("/proc/{tgid}/stat")).ok()?)
}

fn parse(tgid: u32, stat: &str) -> Option<State> {
    // The second field may hold anything, brackets and spaces included; the last bracket ends it.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let flags: u64 = fields.get(6)?.parse().ok()?;
    Some(State {
        process: Process { tgid, start_ticks: fields.get(19)?.parse().ok()? },
        parent: fields.get(1)?.parse().ok()?,
        letter: fields.first()?.chars().next()?,
        is_kernel_thread: flags & PF_KTHREAD != 0,
    })
}

/// Stops a process.
///
/// # Errors
/// `PermissionDenied` for what must never be stopped; `NotFound` when it is gone or its pid is another's.
pub fn stop(process: Process) -> io::Result<()> {
    signal(process, Signal::STOP)
}

/// Lets a process go on.
///
/// # Errors
/// As [`stop`].
pub fn resume(process: Process) -> io::Result<()> {
    signal(process, Signal::CONT)
}

fn signal(process: Process, signal: Signal) -> io::Result<()> {
    if process.tgid <= 1 || process.tgid == std::process::id() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("pid {} is never stopped", process.tgid),
        ));
    }
    let handle = pidfd(process.tgid)?;
    // The pidfd is the process that has the pid now; its start time tells whether that is ours.
    let now = state(process.tgid).ok_or(io::ErrorKind::NotFound)?;
    if now.process != process {
        return Err(io::ErrorKind::NotFound.into());
    }
    if now.is_kernel_thread {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("pid {} is a kernel thread", process.tgid),
        ));
    }
    Ok(pidfd_send_signal(handle, signal)?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let stat = "7 (a) R (b) S 3 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let state = parse(7, stat).unwrap();
        assert_eq!((state.letter, state.parent, state.process.start_ticks), ('S', 3, 4242));
    }

    #[test]
    fn a_child_is_stopped_and_goes_on() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = state(child.id()).unwrap().process;
        stop(process).unwrap();
        while state(child.id()).unwrap().letter != 'T' {
            std::thread::yield_now();
        }
        resume(process).unwrap();
        while state(child.id()).unwrap().letter == 'T' {
            std::thread::yield_now();
        }
        let other = Process { start_ticks: process.start_ticks + 1, ..process };
        assert_eq!(stop(other).unwrap_err().kind(), io::ErrorKind::NotFound);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn init_and_the_guard_itself_are_refused() {
        let init = state(1).unwrap().process;
        assert_eq!(stop(init).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let me = state(std::process::id()).unwrap().process;
        assert_eq!(stop(me).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}

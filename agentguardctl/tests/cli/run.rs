//! `run`: enrol first, then become the command.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

use crate::fake::{Daemon, ctl};

const ENROLLED: &str = r#"{"outcome":"enrolled","agent":"claude","session":3}"#;

#[test]
fn the_command_runs_in_the_enrolled_process() {
    let daemon = Daemon::with(200, ENROLLED);
    let mut command = ctl(&["run", "--agent", "claude", "--", "sh", "-c", "echo $$; exit 7"]);
    let child = command.env("AGENT_GUARD_SOCKET", daemon.socket()).stdout(Stdio::piped()).spawn();
    let child = child.expect("agentguardctl runs");
    let pid = child.id();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{pid}\n"));
    assert_eq!(output.status.code(), Some(7));
    let requests = daemon.requests();
    assert!(requests[0].starts_with("POST /v1/actions HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].ends_with(r#"{"action":"enrol","agent":"claude"}"#), "{requests:?}");
}

#[test]
fn the_command_inherits_nothing_of_ours() {
    let daemon = Daemon::with(200, ENROLLED);
    let finished = daemon.ctl_by_env(&["run", "--agent", "claude", "--", "ls", "/proc/self/fd"]);
    // The test's own runner may leave descriptors open; what counts is that none is added.
    let direct = Command::new("ls").arg("/proc/self/fd").stdin(Stdio::null()).output().expect("ls runs");
    assert_eq!(finished.stdout, String::from_utf8_lossy(&direct.stdout), "{}", finished.stderr);
}

#[test]
fn a_broken_pipe_ends_the_command_as_in_a_shell() {
    let daemon = Daemon::with(200, ENROLLED);
    let mut command = ctl(&["run", "--agent", "claude", "--", "sh", "-c", "kill -PIPE $$; exit 0"]);
    let status = command.env("AGENT_GUARD_SOCKET", daemon.socket()).status().expect("it runs");
    assert_eq!(status.signal(), Some(13), "{status}");
}

#[test]
fn without_the_daemon_nothing_runs() {
    let dir = tempfile::tempdir().expect("a private folder");
    let proof = dir.path().join("ran");
    let mut command = ctl(&["run", "--agent", "claude", "--", "touch"]);
    let output =
        command.arg(&proof).env("AGENT_GUARD_SOCKET", dir.path().join("none")).output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(!proof.exists(), "the command ran without a guard");
}

#[test]
fn refused_or_misunderstood_nothing_runs() {
    let refusal = r#"{"kind":"not_found","message":"no agent nobody"}"#;
    let other = r#"{"outcome":"removing"}"#;
    for (status, body, exit) in [(404, refusal, 5), (200, other, 8)] {
        let daemon = Daemon::with(status, body);
        let finished = daemon.ctl_by_env(&["run", "--agent", "nobody", "--", "echo", "ran"]);
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(exit), ""), "{}", finished.stderr);
    }
}

#[test]
fn a_command_that_is_not_there_is_127() {
    let daemon = Daemon::with(200, ENROLLED);
    let finished = daemon.ctl_by_env(&["run", "--agent", "claude", "--", "/nonexistent/agent"]);
    assert_eq!(finished.status, Some(127));
    assert!(finished.stderr.contains("/nonexistent/agent cannot be executed"), "{}", finished.stderr);
}

#[test]
fn a_command_that_is_no_program_is_126() {
    let daemon = Daemon::with(200, ENROLLED);
    let finished = daemon.ctl_by_env(&["run", "--agent", "claude", "--", "/"]);
    assert_eq!(finished.status, Some(126), "{}", finished.stderr);
}

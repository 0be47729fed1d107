//! Each exit status of the table, with the words that tell a person what to do.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixListener,
        process::CommandExt,
    },
};

use crate::fake::{Daemon, Finished, answer, ctl, finish};

fn check(finished: &Finished, status: i32, words: &[&str]) {
    let Finished { status: got, stdout, stderr } = finished;
    assert_eq!((*got, stdout.as_str()), (Some(status), ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in {stderr}");
    }
}

fn refused(status: u16, kind: &str, message: &str) -> Daemon {
    Daemon::with(status, &serde_json::json!({ "kind": kind, "message": message }).to_string())
}

#[test]
fn a_wrong_command_line_is_2() {
    let lines: [&[&str]; 7] = [
        &[],
        &["deny", "h1"],
        &["remove", "--reason", "x"],
        &["run", "--agent", "a", "ls"],
        &["log", "--lines", "100001"],
        &["explain", "--method", "GET"],
        &["explain", "--url", "ftp://x"],
    ];
    for line in lines {
        let finished = finish(&mut ctl(line));
        assert_eq!(finished.status, Some(2), "{line:?}: {}", finished.stderr);
    }
}

#[test]
fn no_socket_is_3() {
    let dir = tempfile::tempdir().expect("a private folder");
    let path = dir.path().join("none.sock");
    let finished = finish(ctl(&["status", "--socket"]).arg(&path));
    check(&finished, 3, &["none.sock", "not running", "systemctl status agent-guard"]);
}

#[test]
fn a_socket_without_a_listener_is_3() {
    let dir = tempfile::tempdir().expect("a private folder");
    let path = dir.path().join("dead.sock");
    drop(UnixListener::bind(&path).expect("bind"));
    let finished = finish(ctl(&["holds", "--socket"]).arg(&path));
    check(&finished, 3, &["dead.sock", "not listening", "what was held stays held"]);
}

#[test]
fn a_socket_that_may_not_be_opened_is_4() {
    let dir = tempfile::tempdir().expect("a private folder");
    let path = dir.path().join("sock");
    let listener = UnixListener::bind(&path).expect("bind");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("chmod");
    // For root everything is permitted: be somebody else then, who can reach the program.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let program = dir.path().join("ctl");
    fs::copy(env!("CARGO_BIN_EXE_agentguardctl"), &program).expect("copy");
    let mut command = std::process::Command::new(&program);
    command.args(["status", "--socket"]).arg(&path).current_dir("/");
    if fs::metadata(dir.path()).expect("metadata").uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let finished = finish(&mut command);
    drop(listener);
    check(&finished, 4, &["may not open", "group agent-guard", "usermod"]);
}

#[test]
fn a_forbidden_action_is_4() {
    let daemon = refused(403, "forbidden", "uid 0 alone is nobody: log in as yourself");
    check(&daemon.ctl(&["approve", "h1"]), 4, &["uid 0 alone is nobody: log in as yourself"]);
}

#[test]
fn an_unknown_id_is_5() {
    let daemon = refused(404, "not_found", "no hold has the id h9");
    check(&daemon.ctl(&["show", "h9"]), 5, &["no hold has the id h9"]);
    // Without a daemon even: such an id cannot be, and never becomes part of a request line.
    let finished = finish(ctl(&["show", "h9 HTTP/1.1\r\nX: y", "--socket", "/nonexistent"]).current_dir("/"));
    check(&finished, 5, &["ids look like h42"]);
}

#[test]
fn a_conflict_is_6() {
    let daemon = refused(409, "conflict", "you approved h1 already; another person must");
    check(&daemon.ctl(&["approve", "h1"]), 6, &["another person must"]);
}

#[test]
fn what_cannot_be_stored_is_7() {
    let daemon = refused(503, "unavailable", "the ledger cannot be written: disk full");
    check(&daemon.ctl(&["approve", "h1"]), 7, &["disk full"]);
}

#[test]
fn an_unreadable_answer_is_8() {
    let answers = [
        answer(200, "{\"no\":\"status\"}"),
        answer(200, "{"),
        answer(500, "oops"),
        answer(404, "{\"kind\":\"forbidden\",\"message\":\"x\"}"),
        "SSH-2.0-OpenSSH\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}".to_owned(),
        String::new(),
    ];
    for canned in answers {
        let daemon = Daemon::answering(vec![canned.clone()]);
        let finished = daemon.ctl(&["status"]);
        check(&finished, 8, &["cannot be read", "same version"]);
    }
    let daemon = refused(400, "malformed", "the body is no action");
    check(&daemon.ctl(&["approve", "h1"]), 8, &["no action"]);
}

#[test]
fn what_the_daemon_says_cannot_steer_the_terminal() {
    let daemon = refused(409, "conflict", "h1 \u{1b}[2Jis \u{202e}denied\nreally");
    check(&daemon.ctl(&["approve", "h1"]), 6, &["h1 \\x1b[2Jis \\u{202e}denied\\nreally"]);
}

#[test]
fn errors_are_json_if_asked_for() {
    let daemon = refused(409, "conflict", "h1 is \u{202e}denied");
    let finished = daemon.ctl(&["--json", "approve", "h1"]);
    check(&finished, 6, &["\\u202e"]);
    let error: serde_json::Value = serde_json::from_str(&finished.stderr).expect("JSON");
    assert_eq!(error, serde_json::json!({ "error": "h1 is \u{202e}denied", "exit": 6 }));
}

#[test]
fn help_has_the_table() {
    let help = finish(&mut ctl(&["--help"]));
    assert_eq!(help.status, Some(0));
    for status in ["0  ", "1  ", "2  ", "3  ", "4  ", "5  ", "6  ", "7  ", "8  ", "126", "127"] {
        assert!(help.stdout.contains(&format!("\n  {status}")), "{status}: {}", help.stdout);
    }
}

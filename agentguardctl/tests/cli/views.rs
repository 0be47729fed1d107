//! What is asked for each command, and that its answer arrives, as text and as JSON.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use agent_guard_api::{
    Harm, HoldState, HoldView, Magnitude,
    audit::{AUDIT_VERSION, AuditKind, AuditRecord},
    status::{Counters, Finding, Severity, Status},
};
use serde::Serialize;

use crate::fake::{Daemon, ctl};

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("JSON")
}

fn hold() -> HoldView {
    HoldView {
        id: "h1".into(),
        state: HoldState::Pending,
        agent: "claude".into(),
        session: 3,
        processes: Vec::new(),
        provider: "aws".into(),
        service: "ec2".into(),
        operation: "TerminateInstances".into(),
        summary: "TerminateInstances\u{1b}[2J on 847 instances".into(),
        harm: Harm::Irreversible,
        flags: Vec::new(),
        magnitude: Magnitude::Count(847),
        resources: Vec::new(),
        resources_total: 847,
        host: "ec2.us-east-1.amazonaws.com".into(),
        region: None,
        account: None,
        digest: "ab".repeat(32),
        whole: true,
        excerpt: String::new(),
        before: Vec::new(),
        rule: "builtin:irreversible".into(),
        why: "no way back".into(),
        approvals_needed: 2,
        approvals: Vec::new(),
        denied_by: None,
        denied_reason: None,
        created_ms: 0,
        expires_ms: 1,
        bytes_good_until_ms: None,
        waiting_connections: 1,
    }
}

fn record(message: &str) -> AuditRecord {
    AuditRecord {
        version: AUDIT_VERSION,
        at_ms: 0,
        kind: AuditKind::Held,
        message: message.into(),
        agent: Some("claude".into()),
        session: None,
        pid: None,
        hold: None,
        person: None,
        request: None,
        rule: None,
        why: None,
        count: None,
    }
}

/// `args` asks for `target` and, given `answer`, prints a text with `words` in it, or the same value as JSON.
fn check(args: &[&str], request: &str, answer: &str, words: &str) {
    let daemon = Daemon::with(200, answer);
    let finished = daemon.ctl(args);
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains(words), "{words:?} is not in {}", finished.stdout);
    assert!(!finished.stdout.contains('\u{1b}'), "{}", finished.stdout);
    let asked = daemon.requests().join("");
    let mut parts = request.split(" BODY ");
    assert!(asked.starts_with(&format!("{} HTTP/1.1\r\n", parts.next().unwrap_or_default())), "{asked}");
    assert!(asked.ends_with(parts.next().unwrap_or("\r\n\r\n")), "{asked}");

    let finished = Daemon::with(200, answer).ctl(&[&["--json"], args].concat());
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(value(&finished.stdout), value(answer));
    assert!(
        finished.stdout.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{}",
        finished.stdout
    );
}

#[test]
fn holds_and_show() {
    let shown = r#"agent says: "TerminateInstances\x1b[2J on 847 instances""#;
    check(&["holds"], "GET /v1/holds", &json(&vec![hold()]), shown);
    check(&["holds", "--all"], "GET /v1/holds?all=1", &json(&vec![hold()]), shown);
    check(&["holds"], "GET /v1/holds", "[]", "nothing is held");
    check(&["show", "h1"], "GET /v1/holds/h1", &json(&hold()), shown);
}

#[test]
fn status() {
    let status = Status {
        version: "0.1.0".into(),
        abi: 1,
        started_ms: 0,
        pid: 812,
        agents: Vec::new(),
        sessions: Vec::new(),
        pending_holds: 2,
        probed_files: Vec::new(),
        counters: Counters { lost_ring_full: 5, ..Counters::default() },
        findings: vec!["no journald".into()],
    };
    check(&["status"], "GET /v1/status", &json(&status), "2 holds wait for people");
    check(&["status"], "GET /v1/status", &json(&status), "5 (ring full)");
    check(&["status"], "GET /v1/status", &json(&status), "no journald");
}

#[test]
fn actions() {
    let approved = r#"{"outcome":"approved","hold":"h1","missing":1}"#;
    let approve = r#"POST /v1/actions BODY {"action":"approve","hold":"h1"}"#;
    check(&["approve", "h1"], approve, approved, "h1: your approval counts; 1 more approval needed");
    let released = r#"{"outcome":"released","hold":"h1","delivered":true}"#;
    check(&["approve", "h1"], approve, released, "the request went on");
    let waits = r#"{"outcome":"released","hold":"h1","delivered":false}"#;
    check(&["approve", "h1"], approve, waits, "next attempt");
    let denied = r#"{"outcome":"denied","hold":"h1"}"#;
    let deny = r#"POST /v1/actions BODY {"action":"deny","hold":"h1","reason":"not today"}"#;
    check(&["deny", "h1", "--reason", "not today"], deny, denied, "h1: denied");
    let remove = r#"POST /v1/actions BODY {"action":"remove","reason":"bye"}"#;
    let removing = r#"{"outcome":"removing"}"#;
    check(&["remove", "--force", "--reason", "bye"], remove, removing, "nothing is guarded now");
}

#[test]
fn doctor_fails_on_an_error_and_on_nothing_less() {
    let finding = |severity| Finding {
        check: "cgroup2".into(),
        severity,
        finding: "not mounted".into(),
        consequence: "nothing can be held".into(),
        remedy: "mount it".into(),
    };
    let warning = json(&vec![finding(Severity::Warning)]);
    check(&["doctor"], "GET /v1/doctor", &warning, "WARNING cgroup2: not mounted");
    let error = json(&vec![finding(Severity::Ok), finding(Severity::Error)]);
    let finished = Daemon::with(200, &error).ctl(&["doctor"]);
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    assert!(finished.stdout.contains("remedy: mount it"), "{}", finished.stdout);
}

#[test]
fn the_log_in_order() {
    let lines = format!("{}\n\n{}\n", json(&record("one")), json(&record("two\u{1b}[2J")));
    let daemon = Daemon::with(200, &lines);
    let finished = daemon.ctl(&["log"]);
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert_eq!(
        finished.stdout,
        "1970-01-01 00:00:00 UTC  held            claude: one\n\
         1970-01-01 00:00:00 UTC  held            claude: two\\x1b[2J\n"
    );
    assert!(daemon.requests()[0].starts_with("GET /v1/log?lines=20 HTTP/1.1\r\n"));
    let finished = Daemon::with(200, &lines).ctl(&["--json", "log", "-n", "5"]);
    let records: Vec<AuditRecord> =
        finished.stdout.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    assert_eq!(records, [record("one"), record("two\u{1b}[2J")]);
}

#[test]
fn a_log_line_that_is_no_record_is_8() {
    let daemon = Daemon::with(200, &format!("{}\n{{}}\n", json(&record("one"))));
    let finished = daemon.ctl(&["log"]);
    assert_eq!(finished.status, Some(8));
    assert_eq!(finished.stdout.lines().count(), 1, "what came before is shown");
    assert!(finished.stderr.contains("a log line"), "{}", finished.stderr);
}

#[test]
fn a_followed_log_shows_each_record_when_it_comes() {
    let (record, fake) = (json(&record("first")), crate::fake::Follow::start());
    let mut command = ctl(&["log", "--follow", "--lines", "3", "--socket"]);
    let mut child = command.arg(fake.socket()).stdout(Stdio::piped()).spawn().expect("agentguardctl runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output"));
    let mut stream = fake.accept("GET /v1/log?lines=3&follow=1 HTTP/1.1\r\n");
    for _ in 0..3 {
        crate::fake::chunk(&mut stream, &format!("{record}\n"));
        let mut line = String::new();
        // Would never come if lines were kept back.
        lines.read_line(&mut line).expect("a line");
        assert!(line.ends_with("claude: first\n"), "{line}");
    }
    crate::fake::chunk(&mut stream, "");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let fake = crate::fake::Follow::start();
    let mut command = ctl(&["log", "--follow", "--socket"]);
    let command = command.arg(fake.socket()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("agentguardctl runs");
    let mut stream = fake.accept("GET /v1/log?lines=20&follow=1 HTTP/1.1\r\n");
    drop(child.stdout.take());
    crate::fake::chunk(&mut stream, &format!("{}\n", json(&record("one"))));
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

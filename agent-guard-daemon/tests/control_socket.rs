//! The client that `agentguardctl` uses against the server that `agent-guardd` runs: both ends of the product's
//! interface, over a real socket, with a judge that answers from the test.

use std::{collections::BTreeMap, path::PathBuf};

use agent_guard_api::{
    Action, ErrorKind, Outcome,
    audit::AuditKind,
    client::{Client, ClientError},
    status::{Counters, Severity, Status},
};
use agent_guard_daemon::{
    api::{ApiRequest, ApiThread, JudgeLink, Services, bind},
    audit::Audit,
    people::{Accounts, HostAccounts, People},
    preflight,
    settings::PersonEntry,
};

struct Daemon {
    _dir: tempfile::TempDir,
    socket: PathBuf,
    audit: Audit,
    thread: ApiThread,
}

fn daemon() -> Daemon {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("run/control.sock");
    let (audit, _) = Audit::start_with(Vec::new()).unwrap();
    let (judge, mut requests) = JudgeLink::new(|| {});
    std::thread::spawn(move || {
        while let Some(request) = requests.blocking_recv() {
            answer(request);
        }
    });
    let uid = nix::unistd::geteuid().as_raw();
    let table = BTreeMap::from([("alice".to_owned(), PersonEntry { uids: vec![uid] })]);
    let doctor = || {
        let root = std::path::Path::new("/");
        preflight::check(&preflight::Inputs { root, accounts: &HostAccounts, deciders: 1, destroy: None })
    };
    let people = People::new(&table, HostAccounts);
    let services = Services { judge, people, audit: audit.clone(), doctor: Box::new(doctor) };
    let thread = ApiThread::start(bind(&socket).unwrap(), services).unwrap();
    Daemon { _dir: dir, socket, audit, thread }
}

fn answer(request: ApiRequest) {
    match request {
        ApiRequest::Status { reply } => drop(reply.send(status())),
        ApiRequest::Holds { all: _, reply } => drop(reply.send(Vec::new())),
        ApiRequest::Hold { id: _, reply } => drop(reply.send(None)),
        ApiRequest::SessionOf { pid: _, reply } => drop(reply.send(None)),
        ApiRequest::Act { peer, action, reply } => {
            assert_eq!(peer.pid, std::process::id());
            let outcome = match action {
                Action::Enrol { agent } => Outcome::Enrolled { agent, session: 3 },
                Action::Approve { hold } | Action::Deny { hold, reason: _ } => Outcome::Denied { hold },
                Action::Remove { reason: _ } => Outcome::Removing,
            };
            drop(reply.send(Ok(outcome)));
        }
    }
}

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        abi: 1,
        started_ms: 1,
        pid: std::process::id(),
        agents: Vec::new(),
        sessions: Vec::new(),
        pending_holds: 2,
        probed_files: Vec::new(),
        counters: Counters { writes_seen: 5, ..Counters::default() },
        findings: vec!["a finding".into()],
    }
}

#[test]
fn the_client_and_the_daemon_speak_the_same() {
    let daemon = daemon();
    let client = Client::new(&daemon.socket);
    assert_eq!(client.status().unwrap(), status());
    assert_eq!(client.holds(true).unwrap(), []);
    match client.hold("h5") {
        Err(ClientError::Refused(error)) => assert_eq!(error.kind, ErrorKind::NotFound),
        other => panic!("{other:?}"),
    }
    let findings = client.doctor().unwrap();
    let people = findings.iter().find(|finding| finding.check == "people").unwrap();
    assert_eq!(people.severity, Severity::Warning, "one person is too few");
    let outcome = client.act(&Action::Enrol { agent: "claude".into() }).unwrap();
    assert_eq!(outcome, Outcome::Enrolled { agent: "claude".into(), session: 3 });
    let denied = client.act(&Action::Deny { hold: "h1".into(), reason: "wrong account".into() });
    match (HostAccounts.group_id("agent-guard-approvers"), denied) {
        (None, Ok(outcome)) => assert_eq!(outcome, Outcome::Denied { hold: "h1".into() }),
        (Some(_), Err(ClientError::Refused(error))) => assert_eq!(error.kind, ErrorKind::Forbidden),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_followed_log_begins_at_once_and_goes_on() {
    let daemon = daemon();
    let client = Client::new(&daemon.socket);
    // Nothing is there yet: the answer begins all the same.
    let mut log = client.log(0, true).unwrap();
    for n in 0..500 {
        daemon.audit.note(AuditKind::Allowed, format!("{n} \u{1b}[31m \"quoted\"\n"));
    }
    for n in 0..500 {
        let record = log.next().unwrap().unwrap();
        assert_eq!(record.message, format!("{n} \u{1b}[31m \"quoted\"\n"));
    }
    let last: Vec<_> = client.log(3, false).unwrap().map(|record| record.unwrap().message).collect();
    assert_eq!(last.len(), 3);
    assert!(last[2].starts_with("499 "));
}

#[test]
fn a_daemon_that_ended_is_told_from_one_that_refuses() {
    let daemon = daemon();
    let client = Client::new(&daemon.socket);
    client.status().unwrap();
    daemon.thread.stop();
    assert!(matches!(client.status(), Err(ClientError::Down { .. })));
}

//! The server over a real socket, with a judge of the test's. Every caller is this process (or a child of it), so the
//! people table names this process's uid where a person is wanted.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use agent_guard_api::{
    Action, ActionError, ErrorKind, Outcome,
    audit::AuditKind,
    status::{AgentStatus, Counters, SessionStatus, Severity, Status},
};

use super::*;
use crate::settings::PersonEntry;

/// What the test's judge answers.
#[derive(Clone, Copy, Default)]
struct Judge {
    session: Option<u64>,
    mute: bool,
}

struct Fixture {
    _dir: tempfile::TempDir,
    socket: PathBuf,
    audit: Audit,
    thread: Option<ApiThread>,
    judge: Option<JoinHandle<Vec<(PeerIdentity, Action)>>>,
}

impl Fixture {
    fn start(judge: Judge, people: &[(&str, u32)]) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let table: BTreeMap<String, PersonEntry> =
            people.iter().map(|(name, uid)| ((*name).to_owned(), PersonEntry { uids: vec![*uid] })).collect();
        let (audit, _) = Audit::start_with(Vec::new()).unwrap();
        let (link, mut requests) = JudgeLink::new(|| {});
        let judge = std::thread::spawn(move || {
            let mut acts = Vec::new();
            while let Some(request) = requests.blocking_recv() {
                answer(judge, request, &mut acts);
            }
            acts
        });
        let services = Services {
            judge: link,
            people: People::new(&table, HostAccounts),
            audit: audit.clone(),
            doctor: Box::new(Vec::new),
        };
        let thread = ApiThread::start(bind(&socket).unwrap(), services).unwrap();
        Fixture { _dir: dir, socket, audit, thread: Some(thread), judge: Some(judge) }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).unwrap()
    }

    fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream)
    }

    fn get(&self, target: &str) -> (u16, String) {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    fn act(&self, action: &Action) -> Result<Outcome, ActionError> {
        let (status, body) = self.ask(&post(&serde_json::to_string(action).unwrap()));
        if status == 200 {
            return Ok(serde_json::from_str(&body).unwrap());
        }
        let error: ActionError = serde_json::from_str(&body).unwrap();
        assert_eq!(error.kind.http_status(), status);
        Err(error)
    }

    /// Ends everything and returns what the judge was asked to do.
    fn acts(mut self) -> Vec<(PeerIdentity, Action)> {
        self.thread.take().unwrap().stop();
        self.judge.take().unwrap().join().unwrap()
    }
}

fn answer(judge: Judge, request: ApiRequest, acts: &mut Vec<(PeerIdentity, Action)>) {
    // A caller may have gone away: then nobody waits for the answer.
    match request {
        ApiRequest::SessionOf { pid, reply } => {
            assert!(pid > 0);
            if !judge.mute {
                reply.send(judge.session).unwrap_or_default();
            }
        }
        ApiRequest::Status { reply } => drop(reply.send(status())),
        ApiRequest::Holds { all, reply } => {
            assert!(all, "the test asks for all");
            drop(reply.send(vec![]));
        }
        ApiRequest::Hold { id, reply } => {
            assert!(id != "panic", "a judge that dies leaves the caller without an answer");
            drop(reply.send(None));
        }
        ApiRequest::Act { peer, action, reply } => {
            acts.push((*peer, action));
            drop(reply.send(Ok(Outcome::Removing)));
        }
    }
}

fn status() -> Status {
    let session = |id, agent: &str| SessionStatus {
        id,
        agent: agent.into(),
        root_pid: 1,
        command: "c".into(),
        processes: 1,
        started_ms: 0,
    };
    let agent = |name: &str| AgentStatus { name: name.into(), mode: "enforce".into(), sessions: 3 };
    Status {
        version: "0".into(),
        abi: 1,
        started_ms: 0,
        pid: 1,
        agents: vec![agent("a"), agent("b")],
        sessions: vec![session(4, "a"), session(5, "b")],
        pending_holds: 9,
        probed_files: vec![],
        counters: Counters { gated: 7, ..Counters::default() },
        findings: vec!["secret".into()],
    }
}

fn post(body: &str) -> String {
    format!("POST /v1/actions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn read_answer(stream: &mut UnixStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {text:?}")).parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

fn as_person() -> Fixture {
    Fixture::start(Judge::default(), &[("alice", uid())])
}

fn approve() -> Action {
    Action::Approve { hold: "h1".into() }
}

#[test]
fn a_person_reads_and_decides() {
    let fixture = as_person();
    let (code, body) = fixture.get("/v1/status");
    assert_eq!((code, serde_json::from_str::<Status>(&body).unwrap()), (200, status()));
    assert_eq!(fixture.get("/v1/holds?all=1"), (200, "[]".to_owned()));
    assert_eq!(fixture.get("/v1/doctor"), (200, "[]".to_owned()));
    let (code, body) = fixture.get("/v1/holds/h7");
    assert!(code == 404 && body.contains("h7"), "{body}");
    let decided = fixture.act(&approve());
    let acts = fixture.acts();
    if HostAccounts.has_approvers() {
        assert!(decided.is_err() && acts.is_empty(), "this host has the group, and we are not in it");
        return;
    }
    assert_eq!(decided, Ok(Outcome::Removing));
    let (peer, action) = &acts[0];
    assert_eq!((peer.uid, peer.pid, action), (uid(), std::process::id(), &approve()));
    assert_eq!(peer.person.as_ref().unwrap().name, "alice");
}

impl HostAccounts {
    fn has_approvers(self) -> bool {
        crate::people::Accounts::group_id(&self, crate::people::APPROVERS).is_some()
    }
}

#[test]
fn who_is_nobody_decides_nothing_and_it_is_recorded() {
    let fixture = Fixture::start(Judge::default(), &[]);
    let error = fixture.act(&Action::Deny { hold: "h1".into(), reason: "no".into() }).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert!(error.message.contains("[people.NAME]"), "{}", error.message);
    fixture.audit.flush();
    let record = fixture.audit.recent(1).remove(0);
    assert_eq!((record.kind, record.hold.as_deref()), (AuditKind::ActionRefused, Some("h1")));
    assert!(record.message.starts_with("deny by pid"), "{}", record.message);
    fixture.act(&Action::Enrol { agent: "a".into() }).unwrap();
    assert_eq!(fixture.acts().len(), 1, "only the enrolment reached the judge");
}

#[test]
fn an_agents_process_sees_its_session_and_no_more() {
    let fixture = Fixture::start(Judge { session: Some(5), mute: false }, &[("alice", uid())]);
    let (code, body) = fixture.get("/v1/status");
    assert_eq!(code, 200);
    let seen: Status = serde_json::from_str(&body).unwrap();
    assert_eq!(seen.sessions, [status().sessions[1].clone()]);
    assert_eq!(seen.agents.len(), 1);
    assert_eq!(
        (seen.agents[0].name.as_str(), seen.pending_holds, seen.counters),
        ("b", 0, Counters::default())
    );
    assert!(seen.findings.is_empty());
    for target in ["/v1/holds?all=1", "/v1/holds/h1", "/v1/log", "/v1/log?follow=1", "/v1/doctor"] {
        assert_eq!(fixture.get(target).0, 403, "{target}");
    }
    for action in [
        approve(),
        Action::Deny { hold: "h1".into(), reason: String::new() },
        Action::Enrol { agent: "b".into() },
        Action::Remove { reason: String::new() },
    ] {
        assert_eq!(fixture.act(&action).unwrap_err().kind, ErrorKind::Forbidden, "{action:?}");
    }
    assert_eq!(fixture.acts(), []);
}

/// Sends `bytes` on `stream` from another process, which a shell is.
fn send_from_child(stream: &UnixStream, bytes: &str) {
    let output = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\"", "sh", bytes])
        .stdout(std::os::fd::OwnedFd::from(stream.try_clone().unwrap()))
        .status()
        .unwrap();
    assert!(output.success());
}

#[test]
fn a_connection_that_was_passed_on_is_worth_nothing() {
    let fixture = as_person();
    let request = post(&serde_json::to_string(&approve()).unwrap());
    let (head, body) = request.split_at(request.find("{").unwrap());

    let mut stream = fixture.connect();
    send_from_child(&stream, &request);
    let (code, text) = read_answer(&mut stream);
    assert!(code == 403 && text.contains("do not pass the socket on"), "{text}");

    let mut stream = fixture.connect();
    stream.write_all(head.as_bytes()).unwrap();
    send_from_child(&stream, body);
    assert_eq!(read_answer(&mut stream).0, 403, "the body alone from another process");
    assert_eq!(fixture.acts(), []);
}

#[test]
fn what_cannot_be_read_is_named() {
    let fixture = as_person();
    let kind = |answer: (u16, String)| {
        let error: ActionError = serde_json::from_str(&answer.1).unwrap();
        assert_eq!(error.kind.http_status(), answer.0);
        error.kind
    };
    assert_eq!(kind(fixture.get("/v1/nothing")), ErrorKind::NotFound);
    assert_eq!(kind(fixture.ask("DELETE /v1/holds HTTP/1.1\r\nHost: x\r\n\r\n")), ErrorKind::Malformed);
    assert_eq!(kind(fixture.ask(&post("{"))), ErrorKind::Malformed);
    assert_eq!(
        kind(fixture.ask(&post(r#"{"action":"approve","hold":"h1","as":"bob"}"#))),
        ErrorKind::Malformed
    );
    let huge = "Content-Length: 70000\r\n\r\n";
    let answer =
        fixture.ask(&format!("POST /v1/actions HTTP/1.1\r\nHost: x\r\n{huge}{}", " ".repeat(70_000)));
    assert_eq!(kind(answer), ErrorKind::Malformed);
    assert_eq!(fixture.acts(), []);
}

#[test]
fn a_judge_without_an_answer_grants_nothing() {
    let fixture = Fixture::start(Judge { session: None, mute: true }, &[("alice", uid())]);
    assert_eq!(fixture.act(&approve()).unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(fixture.acts(), []);
}

#[test]
fn the_log_follows() {
    let fixture = as_person();
    fixture.audit.note(AuditKind::Started, "one".into());
    fixture.audit.note(AuditKind::Started, "two".into());
    fixture.audit.flush();
    let (_, body) = fixture.get("/v1/log?lines=1");
    assert!(body.contains("two") && !body.contains("one") && body.ends_with("}\n"), "{body}");

    let mut stream = fixture.connect();
    stream.write_all(b"GET /v1/log?lines=2&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut seen = String::new();
    let mut wait_for = |word: &str| {
        let mut buffer = [0; 4096];
        while !seen.contains(word) {
            let length = stream.read(&mut buffer).unwrap();
            assert!(length > 0, "the log ended: {seen}");
            seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    };
    wait_for("two");
    fixture.audit.note(AuditKind::Held, "three".into());
    wait_for("three");
}

#[test]
fn one_uid_cannot_take_every_place() {
    let fixture = as_person();
    let mut open: Vec<UnixStream> = (0..CONNECTIONS_PER_UID).map(|_| fixture.connect()).collect();
    let mut late = fixture.connect();
    let (code, text) = read_answer(&mut late);
    assert!(code == 503 && text.contains("too many connections"), "{text}");
    // The first one is still served; its place is free when its answer has ended.
    open[0].write_all(b"GET /v1/holds?all=1 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut open[0]).0, 200);
}

#[test]
fn a_living_daemons_socket_is_not_taken() {
    let fixture = as_person();
    assert!(matches!(bind(&fixture.socket), Err(ListenError::InUse { .. })));
    let socket = fixture.socket.clone();
    std::fs::write(socket.with_file_name("file"), "").unwrap();
    assert!(matches!(bind(&socket.with_file_name("file")), Err(ListenError::NotASocket { .. })));
    let mut fixture = fixture;
    fixture.thread.take().unwrap().stop();
    bind(&socket).unwrap();
}

#[test]
fn a_panic_ends_one_request() {
    let (audit, _) = Audit::start_with(Vec::new()).unwrap();
    let (link, mut requests) = JudgeLink::new(|| {});
    std::thread::spawn(move || {
        while let Some(request) = requests.blocking_recv() {
            answer(Judge::default(), request, &mut Vec::new());
        }
    });
    let table = BTreeMap::from([("alice".to_owned(), PersonEntry { uids: vec![uid()] })]);
    let calls = std::sync::atomic::AtomicU32::new(0);
    let doctor = Box::new(move || {
        assert!(calls.fetch_add(1, Ordering::SeqCst) > 0, "a mistake in a check");
        vec![Finding {
            check: "x".into(),
            severity: Severity::Ok,
            finding: String::new(),
            consequence: String::new(),
            remedy: String::new(),
        }]
    });
    let services =
        Services { judge: link, people: People::new(&table, HostAccounts), audit: audit.clone(), doctor };
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let thread = ApiThread::start(bind(&socket).unwrap(), services).unwrap();
    let fixture = Fixture { _dir: dir, socket, audit, thread: Some(thread), judge: None };
    assert_eq!(fixture.get("/v1/doctor").0, 503);
    assert_eq!(fixture.get("/v1/doctor").0, 200);
}

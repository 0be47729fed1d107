use std::{fs, os::unix::net::UnixDatagram, path::Path};

use agent_guard_api::{Flag, Harm, Magnitude, audit::AuditRequest};
use proptest::prelude::*;

use super::{outlet::Sink, *};

/// A small reader of the native protocol, written from its specification.
fn decode(mut bytes: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|b| *b == b'\n').expect("a field without end");
        let line = &bytes[..end];
        if let Some(equals) = line.iter().position(|b| *b == b'=') {
            fields.push((text(&line[..equals]), text(&line[equals + 1..])));
            bytes = &bytes[end + 1..];
        } else {
            let length = u64::from_le_bytes(bytes[end + 1..end + 9].try_into().unwrap());
            let length = usize::try_from(length).unwrap();
            fields.push((text(line), text(&bytes[end + 9..end + 9 + length])));
            assert_eq!(bytes[end + 9 + length], b'\n');
            bytes = &bytes[end + 10 + length..];
        }
    }
    fields
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn full(message: String, operation: String, host: String, why: String) -> AuditRecord {
    AuditRecord {
        agent: Some("claude".into()),
        session: Some(7),
        pid: Some(99),
        hold: Some("h1".into()),
        person: Some("alice".into()),
        rule: Some("builtin:irreversible".into()),
        why: Some(why),
        request: Some(AuditRequest {
            provider: "aws".into(),
            service: "ec2".into(),
            operation,
            harm: Harm::Irreversible,
            magnitude: Magnitude::Count(847),
            flags: vec![Flag::Bulk, Flag::Money],
            host,
            digest: "00ff".into(),
        }),
        ..plain(AuditKind::Held, message)
    }
}

proptest! {
    #[test]
    fn the_journal_reads_back_every_field_and_no_other(
        message in ".{0,60}",
        operation in "[a-z\n=\r\u{0}]{0,40}",
        host in any::<String>(),
        why in "(x|\nMESSAGE_ID=|\nAGENT_GUARD_PERSON=root\n|=){0,6}",
    ) {
        let record = full(message.clone(), operation.clone(), host.clone(), why.clone());
        let fields = decode(&journald::encode(&record));
        let value = |name: &str| {
            let found: Vec<&String> = fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v).collect();
            assert_eq!(found.len(), 1, "{name} in {fields:?}");
            found[0].clone()
        };
        prop_assert_eq!(value("MESSAGE"), message);
        prop_assert_eq!(value("AGENT_GUARD_OPERATION"), operation);
        prop_assert_eq!(value("AGENT_GUARD_HOST"), host);
        prop_assert_eq!(value("AGENT_GUARD_WHY"), why);
        prop_assert_eq!(value("AGENT_GUARD_PERSON"), "alice");
        prop_assert_eq!(value("AGENT_GUARD_MAGNITUDE"), "847");
        prop_assert_eq!(value("AGENT_GUARD_KIND"), "held");
        prop_assert_eq!(value("MESSAGE_ID").len(), 32);
        let flags = fields.iter().filter(|(name, _)| name == "AGENT_GUARD_FLAG").count();
        prop_assert_eq!(flags, 2);
        let named = ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"];
        let foreign = fields.iter().find(|(n, _)| !n.starts_with("AGENT_GUARD_") && !n.starts_with("MESSAGE") && !named.contains(&n.as_str()));
        prop_assert_eq!(foreign, None);
        prop_assert_eq!(fields.len(), 23);
    }
}

fn said(lines: &str) -> Vec<String> {
    lines.lines().map(|line| serde_json::from_str::<AuditRecord>(line).unwrap().message).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

#[test]
fn the_file_gets_every_record_in_order_and_is_rotated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let one = serde_json::to_vec(&plain(AuditKind::Allowed, "000".into())).unwrap().len() as u64 + 1;
    let mut file = JsonLines::open_with(path.clone(), one * 10).unwrap();
    for n in 100..165 {
        Sink::write(&mut file, &plain(AuditKind::Allowed, n.to_string())).unwrap();
    }
    let mut all = Vec::new();
    for name in ["audit.jsonl.4", "audit.jsonl.3", "audit.jsonl.2", "audit.jsonl.1", "audit.jsonl"] {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.len() as u64 <= one * 10, "{name}");
        all.extend(said(&text));
    }
    assert_eq!(all, (120..165).map(|n| n.to_string()).collect::<Vec<_>>(), "the oldest file is dropped");
    assert!(!dir.path().join("audit.jsonl.5").exists());
}

#[test]
fn half_a_line_of_a_dead_daemon_spoils_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    fs::write(&path, "{\"version\":1,\"at").unwrap();
    let mut file = JsonLines::open(path.clone()).unwrap();
    Sink::write(&mut file, &plain(AuditKind::Held, "whole".into())).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(said(text.lines().last().unwrap()), ["whole"]);
}

fn journald_outlet(dir: &Path) -> Outlet {
    let spool = Spool::open(&dir.join("spool")).unwrap();
    Outlet::new(Box::new(Journald::new(dir.join("journal"))), Some(spool))
}

fn received(journal: &UnixDatagram) -> Vec<String> {
    journal.set_nonblocking(true).unwrap();
    let mut messages = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length) = journal.recv(&mut buffer) {
        messages.push(decode(&buffer[..length]).swap_remove(0).1);
    }
    messages
}

#[test]
fn what_journald_misses_is_spooled_and_delivered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let write = |outlet: &mut Outlet, n: usize| {
        outlet.write(&Arc::new(plain(AuditKind::Allowed, n.to_string())));
    };
    let mut outlet = journald_outlet(dir.path());
    (0..3).for_each(|n| write(&mut outlet, n));
    drop(outlet);
    assert_eq!(said(&fs::read_to_string(dir.path().join("spool")).unwrap()), numbers(3));

    let mut outlet = journald_outlet(dir.path());
    write(&mut outlet, 3);
    let journal = UnixDatagram::bind(dir.path().join("journal")).unwrap();
    outlet.retry();
    write(&mut outlet, 4);
    assert_eq!(received(&journal), numbers(5));
    assert_eq!(fs::metadata(dir.path().join("spool")).unwrap().len(), 0);
    assert_eq!(outlet.take_losses(), 0);
}

#[test]
fn a_record_too_big_for_a_datagram_goes_by_sealed_memory() {
    use std::{io::IoSliceMut, os::fd::AsRawFd};

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

    let dir = tempfile::tempdir().unwrap();
    let journal = UnixDatagram::bind(dir.path().join("journal")).unwrap();
    let big = "x".repeat(3 << 20);
    let mut sink = Journald::new(dir.path().join("journal"));
    Sink::write(&mut sink, &plain(AuditKind::Held, big.clone())).unwrap();

    let mut buffer = [0; 16];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let message =
        recvmsg::<()>(journal.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty()).unwrap();
    let fd = message.cmsgs().unwrap().find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    let path = format!("/proc/self/fd/{}", fd.expect("a memory file"));
    let fields = decode(&fs::read(&path).unwrap());
    assert_eq!(fields[0], ("MESSAGE".to_owned(), big));
    let written =
        fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| io::Write::write(&mut file, b"y"));
    assert!(written.is_err(), "sealed");
}

/// A sink that takes nothing until told to.
#[derive(Debug)]
struct Moody {
    open: Arc<std::sync::atomic::AtomicBool>,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Sink for Moody {
    fn write(&mut self, record: &AuditRecord) -> io::Result<()> {
        if !self.open.load(Ordering::SeqCst) {
            return Err(io::Error::other("away"));
        }
        self.taken.lock().unwrap().push(record.message.clone());
        Ok(())
    }
}

#[test]
fn losses_become_a_record_with_their_number() {
    let (open, taken) = (Arc::default(), Arc::default());
    let moody = Moody { open: Arc::clone(&open), taken: Arc::clone(&taken) };
    let (audit, thread) = Audit::start_with(vec![Outlet::new(Box::new(moody), None)]).unwrap();
    for n in 0..Outlet::MEMORY + 5 {
        audit.note(AuditKind::Allowed, n.to_string());
        if n % 1000 == 0 {
            audit.flush();
        }
    }
    open.store(true, Ordering::SeqCst);
    thread.finish();
    let taken = taken.lock().unwrap();
    assert_eq!(taken[..Outlet::MEMORY], numbers(Outlet::MEMORY));
    let records = audit.recent(usize::MAX);
    let lost: u64 = records.iter().filter_map(|record| record.count).sum();
    assert!(lost >= 5, "{lost}");
    assert_eq!(records.len(), RECENT);
}

#[test]
fn followers_see_each_record_once() {
    let (audit, thread) = Audit::start_with(Vec::new()).unwrap();
    (0..3).for_each(|n| audit.note(AuditKind::Allowed, n.to_string()));
    audit.flush();
    let (past, mut later) = audit.follow(2);
    audit.note(AuditKind::Held, "3".into());
    thread.finish();
    let past: Vec<&str> = past.iter().map(|record| record.message.as_str()).collect();
    assert_eq!(past, ["1", "2"]);
    assert_eq!(later.try_recv().unwrap().message, "3");
    assert!(later.try_recv().is_err());
    audit.note(AuditKind::Held, "after the end".into());
    assert_eq!(audit.unreported_losses(), 1);
}

use agent_guard_api::{Flag, Harm, Magnitude, hold::ApprovalView};
use proptest::prelude::*;

use super::*;

fn hold(id: &str, state: HoldState, created_ms: u64) -> HoldView {
    HoldView {
        id: id.into(),
        state,
        agent: "claude".into(),
        session: u64::MAX,
        processes: vec![],
        provider: "aws".into(),
        service: "ec2".into(),
        operation: "TerminateInstances".into(),
        summary: "TerminateInstances on 847 instances".into(),
        harm: Harm::Irreversible,
        flags: vec![Flag::Bulk],
        magnitude: Magnitude::Count(847),
        resources: vec!["i-1".into()],
        resources_total: 847,
        host: "ec2.us-east-1.amazonaws.com".into(),
        region: Some("us-east-1".into()),
        account: None,
        digest: "ab".into(),
        whole: true,
        excerpt: "POST / HTTP/1.1".into(),
        before: vec![],
        rule: "builtin:irreversible".into(),
        why: "it destroys".into(),
        approvals_needed: 2,
        approvals: vec![ApprovalView { person: "alice".into(), at_ms: 5, channel: "socket uid 1000".into() }],
        denied_by: None,
        denied_reason: None,
        created_ms,
        expires_ms: created_ms + 900_000,
        bytes_good_until_ms: None,
        waiting_connections: 1,
    }
}

fn task(tgid: u32) -> TaskRow {
    TaskRow { tgid, start_time: u64::MAX - 1, boot_id: "boot-1".into() }
}

#[test]
fn holds_survive_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mut ledger = Ledger::open(&state).unwrap();
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    let one = hold("h1", HoldState::Pending, 10);
    ledger.store_hold(&one).unwrap();
    ledger.store_hold(&hold("h2", HoldState::Pending, 20)).unwrap();
    ledger.store_hold(&hold("h2", HoldState::Denied, 20)).unwrap();
    ledger.store_hold(&hold("h3", HoldState::Approved, 5)).unwrap();
    assert_eq!((ledger.next_hold_number().unwrap(), ledger.next_hold_number().unwrap()), (1, 2));
    ledger.set_meta("policy_version", "7").unwrap();
    drop(ledger);

    let mut ledger = Ledger::open(&state).unwrap();
    let open = ledger.load_open_holds().unwrap();
    assert_eq!(open, [hold("h3", HoldState::Approved, 5), one]);
    assert_eq!(
        ledger.load_holds(2).unwrap().iter().map(|hold| hold.id.as_str()).collect::<Vec<_>>(),
        ["h2", "h1"]
    );
    assert_eq!(ledger.load_hold("h2").unwrap().unwrap().state, HoldState::Denied);
    assert_eq!(ledger.load_hold("h9").unwrap(), None);
    assert_eq!(ledger.next_hold_number().unwrap(), 3);
    assert_eq!(ledger.next_session_number().unwrap(), 1);
    assert_eq!(ledger.meta("policy_version").unwrap().as_deref(), Some("7"));
    assert_eq!(ledger.forget_holds(15).unwrap(), 0, "open holds are never forgotten");
    assert_eq!(ledger.forget_holds(25).unwrap(), 1);
}

#[test]
fn what_waits_and_what_was_done_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path()).unwrap();
    let row = |conn, request| WaitingRow {
        hold: "h1".into(),
        conn,
        request,
        gate: 3,
        at_boundary: true,
        task: task(42),
    };
    ledger.waiting_add(&row(u64::MAX, 0)).unwrap();
    ledger.waiting_add(&row(u64::MAX, 1)).unwrap();
    ledger.waiting_add(&row(5, 0)).unwrap();
    assert!(ledger.waiting_remove("boot-1", 5, 0).unwrap());
    assert!(!ledger.waiting_remove("boot-1", 5, 0).unwrap());
    assert_eq!(ledger.waiting_list().unwrap(), [row(u64::MAX, 0), row(u64::MAX, 1)]);
    assert_eq!(ledger.waiting_remove_conn("boot-1", u64::MAX).unwrap(), 2);

    let first = ledger.effect_begin("stopped", 1, &task(1)).unwrap();
    let second = ledger.effect_begin("stopped", 1, &task(2)).unwrap();
    ledger.effect_finish(second).unwrap();
    let list: Vec<(EffectId, bool)> =
        ledger.effect_list().unwrap().iter().map(|row| (row.id, row.done)).collect();
    assert_eq!(list, [(first, false), (second, true)], "an intention without success is listed, too");
    ledger.effect_undone(second).unwrap();
    assert_ne!(ledger.effect_begin("stopped", 1, &task(3)).unwrap(), second, "numbers are not used again");

    let session = SessionRow { id: 9, agent: "claude".into(), root: task(7) };
    ledger.session_begin(&session).unwrap();
    assert_eq!(ledger.session_list().unwrap(), [session]);
    ledger.forget_other_boots("boot-2").unwrap();
    assert!(ledger.session_list().unwrap().is_empty() && ledger.effect_list().unwrap().is_empty());
    ledger.session_end(9).unwrap();
}

#[test]
fn a_second_daemon_and_a_newer_ledger_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::InUse { .. })));
    ledger.database.pragma_update(None, "user_version", 99).unwrap();
    drop(ledger);
    let error = Ledger::open(dir.path()).unwrap_err();
    assert!(matches!(error, LedgerError::Newer { found: 99, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("move the file away"));
}

#[test]
fn a_state_directory_of_somebody_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    assert!(
        matches!(Ledger::open(&link), Err(LedgerError::Directory { .. })),
        "a link may be turned elsewhere"
    );
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(dir.path(), Some(1000), None).unwrap();
        let error = Ledger::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("belongs to uid 1000"), "{error}");
    }
}

#[test]
fn damaged_rows_are_an_error_not_an_absence() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path()).unwrap();
    ledger.store_hold(&hold("h1", HoldState::Pending, 1)).unwrap();
    ledger.database.execute("UPDATE holds SET view = '{}'", []).unwrap();
    let error = ledger.load_open_holds().unwrap_err();
    assert!(matches!(&error, LedgerError::Corrupt { id, .. } if id == "h1"), "{error}");
}

#[test]
fn writes_are_synchronous() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let mode: String = ledger.database.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    let synchronous: u32 = ledger.database.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
}

/// A file system of 512 KiB, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let flags = nix::mount::MsFlags::empty();
        match nix::mount::mount(Some("agent-guard-test"), dir.path(), Some("tmpfs"), flags, Some("size=512k"))
        {
            Ok(()) => Some(SmallDisk(dir)),
            Err(error) => {
                let required =
                    std::env::var_os("AGENT_GUARD_REQUIRE_PRIVILEGED").is_some_and(|value| value == "1");
                assert!(!required, "AGENT_GUARD_REQUIRE_PRIVILEGED=1, but no tmpfs can be mounted: {error}");
                eprintln!("skipped: mounting a small tmpfs to fill it needs root ({error})");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH)
            .expect("unmount the small tmpfs");
    }
}

#[test]
fn a_full_disk_is_an_error_and_what_was_stored_stays() {
    let Some(disk) = SmallDisk::mount() else { return };
    let mut ledger = Ledger::open(disk.0.path()).unwrap();
    let mut stored = Vec::new();
    let error = loop {
        let mut next = hold(&format!("h{}", stored.len()), HoldState::Pending, stored.len() as u64);
        next.excerpt = "x".repeat(20_000);
        match ledger.store_hold(&next) {
            Ok(()) => stored.push(next),
            Err(error) => break error,
        }
        assert!(stored.len() < 100, "the disk never filled");
    };
    assert!(matches!(error, LedgerError::Full { .. }), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");
    assert!(!stored.is_empty());
    assert_eq!(ledger.load_open_holds().unwrap(), stored);
    drop(ledger);
    assert_eq!(Ledger::open(disk.0.path()).unwrap().load_open_holds().unwrap(), stored);
}

proptest! {
    // Each case waits for the disk several times.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_words_come_back_as_they_were(excerpt in any::<String>(), reason in any::<String>(), at in any::<u64>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path()).unwrap();
        let mut view = hold("h1", HoldState::Pending, 1);
        (view.excerpt, view.denied_reason, view.expires_ms) = (excerpt, Some(reason), at);
        ledger.store_hold(&view).unwrap();
        prop_assert_eq!(ledger.load_open_holds().unwrap(), vec![view]);
    }
}

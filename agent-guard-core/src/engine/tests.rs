//! Each rule of holding by name. The random walk over all of them is `model.rs`.

use agent_guard_api::{ErrorKind, Flag, Harm, HoldState, Outcome, audit::AuditKind};

use super::{fixtures::*, *};
use crate::effect::ConnId;

mod ends;
mod grants;
mod restart;
mod sessions;

fn audits(effects: &[Effect]) -> Vec<&crate::effect::AuditEntry> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Audit(entry) = effect { Some(&**entry) } else { None })
        .collect()
}

fn refusal(effects: &[Effect]) -> &crate::verdict::Because {
    effects
        .iter()
        .find_map(
            |effect| if let Effect::Refuse { verdict, .. } = effect { Some(verdict.because()) } else { None },
        )
        .expect("a refusal")
}

#[test]
fn harmless_is_let_go_and_written_down() {
    let mut desk = Desk::new();
    let mut seen = request(1, 1);
    seen.operation = operation("DescribeInstances", Harm::ReadOnly);
    let effects = desk.see(seen);
    assert_eq!(words(&effects), ["release 1", "audit allowed"]);
    assert_eq!(audits(&effects)[0].rule.as_deref(), Some("builtin:read-only"));
    assert_eq!(audits(&effects)[0].pid, Some(7));
    assert_eq!(desk.engine.holds().count(), 0);
}

#[test]
fn a_hold_is_stored_then_waits_then_is_audited() {
    let mut desk = Desk::new();
    let mut harmless = request(9, 9);
    harmless.operation = operation("DescribeInstances", Harm::ReadOnly);
    desk.see(harmless);
    assert_eq!(words(&desk.see(request(1, 1))), ["store h1 pending", "wait 1 h1", "audit held"]);
    let view = desk.engine.hold("h1").unwrap();
    assert_eq!((view.approvals_needed, view.waiting_connections), (2, 1));
    assert_eq!(view.expires_ms - view.created_ms, 15 * 60 * 1000);
    assert_eq!(view.before, ["allowed: DescribeInstances"]);
    assert_eq!(view.digest, "01".repeat(32));
    assert_eq!(desk.engine.next_deadline(), Some(UnixMillis(view.expires_ms)));
}

#[test]
fn a_request_told_twice_is_one() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    assert_eq!(words(&desk.see(request(1, 1))), ["wait 1 h1"]);
    assert_eq!(desk.engine.hold("h1").unwrap().waiting_connections, 1);
}

#[test]
fn a_retry_joins_and_asks_nobody_again() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    assert_eq!(words(&desk.see(request(2, 1))), ["store h1 pending", "wait 2 h1", "audit joined"]);
    assert_eq!(desk.engine.hold("h1").unwrap().waiting_connections, 2);
    assert_eq!(desk.engine.holds().count(), 1);
}

#[test]
fn another_digest_is_another_hold() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    assert_eq!(words(&desk.see(request(2, 2))), ["store h2 pending", "wait 2 h2", "audit held"]);
}

#[test]
fn the_same_digest_judged_otherwise_is_held_apart() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    let mut elsewhere = request(2, 1);
    elsewhere.operation.flags = vec![Flag::HostMismatch];
    assert_eq!(words(&desk.see(elsewhere)), ["store h2 pending", "wait 2 h2", "audit held"]);
    let view = desk.engine.hold("h2").unwrap();
    assert!(!view.whole && view.why.contains("it repeats h1 but is judged otherwise"), "{}", view.why);
    desk.approve("h1", "alice").unwrap();
    let (_, effects) = desk.approve("h1", "bob").unwrap();
    assert!(words(&effects).contains(&"release 1".to_owned()));
    assert!(!words(&effects).contains(&"release 2".to_owned()));
}

#[test]
fn two_wrong_servers_do_not_share_a_hold() {
    let mut desk = Desk::new();
    for (conn, server, hold) in [(1, "a.example", "h1"), (2, "b.example", "h2"), (3, "a.example", "h1")] {
        let mut seen = request(conn, 1);
        seen.operation.flags = vec![Flag::HostMismatch];
        seen.operation.why = format!("goes to {server}");
        let effects = words(&desk.see(seen));
        assert!(effects.contains(&format!("wait {conn} {hold}")), "{effects:?}");
    }
}

#[test]
fn the_second_person_releases_and_the_ledger_knows_first() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    let (outcome, effects) = desk.approve("h1", "alice").unwrap();
    assert_eq!(outcome, Outcome::Approved { hold: "h1".to_owned(), missing: 1 });
    assert_eq!(words(&effects), ["store h1 pending", "audit approved"]);
    assert_eq!(audits(&effects)[0].person.as_deref(), Some("alice"));
    let (outcome, effects) = desk.approve("h1", "bob").unwrap();
    assert_eq!(outcome, Outcome::Released { hold: "h1".to_owned(), delivered: true });
    assert_eq!(words(&effects), ["store h1 released", "release 1", "audit approved", "audit released"]);
    let Some(Effect::Release { verdict, .. }) = effects.get(1) else { panic!("{effects:?}") };
    assert_eq!(verdict.because().why, "approved by alice and bob as h1");
}

#[test]
fn the_same_person_counts_once_by_any_channel() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.approve("h1", "alice").unwrap();
    let again = crate::effect::Person { name: "alice".to_owned(), channel: "page".to_owned() };
    let input = Input::Approve { hold: "h1".to_owned(), person: again };
    let error = desk.engine.act(UnixMillis(desk.now), input).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(
        error.message.starts_with("alice has approved h1 already (by socket of alice)"),
        "{}",
        error.message
    );
}

#[test]
fn nobody_in_particular_cannot_approve() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    assert_eq!(desk.approve("h1", "").unwrap_err().kind, ErrorKind::Forbidden);
}

#[test]
fn unknown_ids_are_not_found_and_escaped() {
    let mut desk = Desk::new();
    for id in ["h1", "", "1", "\x1b[2J"] {
        let error = desk.approve(id, "alice").unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(!error.message.contains('\x1b'));
        assert_eq!(desk.deny(id, "alice").unwrap_err().kind, ErrorKind::NotFound);
    }
}

#[test]
fn what_is_decided_cannot_be_decided_again() {
    let mut desk = Desk::new();
    for (digest, hold) in [(1, "h1"), (2, "h2")] {
        desk.see(request(digest.into(), digest));
        desk.approve(hold, "alice").unwrap();
    }
    desk.approve("h1", "bob").unwrap();
    desk.deny("h2", "bob").unwrap();
    for hold in ["h1", "h2"] {
        assert_eq!(desk.approve(hold, "carol").unwrap_err().kind, ErrorKind::Conflict);
        assert_eq!(desk.deny(hold, "carol").unwrap_err().kind, ErrorKind::Conflict);
    }
    let error = desk.deny("h2", "carol").unwrap_err();
    assert!(error.message.contains("denied by bob: too much"), "{}", error.message);
}

#[test]
fn an_expired_hold_cannot_be_approved_even_before_the_tick() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.now += 15 * 60 * 1000;
    assert_eq!(desk.approve("h1", "alice").unwrap_err().kind, ErrorKind::Conflict);
}

#[test]
fn one_of_several_waiting_is_released_and_the_others_are_asked_anew() {
    let mut desk = Desk::new();
    for conn in 1..=3 {
        desk.see(request(conn, 1));
    }
    desk.approve("h1", "alice").unwrap();
    let (_, effects) = desk.approve("h1", "bob").unwrap();
    assert_eq!(
        words(&effects),
        [
            "store h1 released",
            "release 3",
            "audit approved",
            "audit released",
            "store h2 pending",
            "wait 1 h2",
            "wait 2 h2",
            "audit held"
        ]
    );
    let fresh = desk.engine.hold("h2").unwrap();
    assert!(fresh.approvals.is_empty());
    assert_eq!((fresh.approvals_needed, fresh.waiting_connections), (2, 2));
}

#[test]
fn after_a_release_the_same_request_is_a_new_hold() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.approve("h1", "alice").unwrap();
    desk.approve("h1", "bob").unwrap();
    assert_eq!(words(&desk.see(request(2, 1))), ["store h2 pending", "wait 2 h2", "audit held"]);
}

#[test]
fn approved_without_a_connection_waits_and_releases_one_retry() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    assert_eq!(words(&desk.gone(1)), ["store h1 pending", "audit clientgone"]);
    desk.approve("h1", "alice").unwrap();
    desk.now += 60_000;
    let (outcome, effects) = desk.approve("h1", "bob").unwrap();
    assert_eq!(outcome, Outcome::Released { hold: "h1".to_owned(), delivered: false });
    assert_eq!(words(&effects), ["store h1 approved", "audit approved"]);
    // The approval is good for fifteen minutes from the last one.
    assert_eq!(desk.engine.hold("h1").unwrap().expires_ms, desk.now + 15 * 60 * 1000);
    assert_eq!(
        words(&desk.see(request(2, 1))),
        ["wait 2 h1", "audit joined", "store h1 released", "release 2", "audit released"]
    );
    assert_eq!(words(&desk.see(request(3, 1))), ["store h2 pending", "wait 3 h2", "audit held"]);
}

#[test]
fn an_approval_that_the_ledger_refuses_does_not_count() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.approve("h1", "alice").unwrap();
    let input = Input::Approve { hold: "h1".to_owned(), person: person("bob") };
    let (_, mut effects) = desk.engine.act(UnixMillis(desk.now), input).unwrap();
    let Some(Effect::Commit(prepared)) = effects.pop() else { panic!("{effects:?}") };
    assert!(effects.is_empty(), "nothing else happens before the ledger has it");
    let unsettled =
        desk.engine.settle(UnixMillis(desk.now), *prepared, Err("disk full".to_owned())).unwrap_err();
    assert_eq!(unsettled.error.kind, ErrorKind::Unavailable);
    assert!(unsettled.error.message.contains("disk full"));
    assert!(unsettled.effects.is_empty());
    let view = desk.engine.hold("h1").unwrap();
    assert_eq!((view.state, view.approvals.len()), (HoldState::Pending, 1));
    assert!(words(&desk.approve("h1", "bob").unwrap().1).contains(&"release 1".to_owned()));
}

#[test]
fn a_retry_that_the_ledger_refuses_is_delivered_later() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.gone(1);
    desk.approve("h1", "alice").unwrap();
    desk.approve("h1", "bob").unwrap();
    let mut effects = desk.engine.step(UnixMillis(desk.now), Input::Request(Box::new(request(2, 1))));
    assert_eq!(words(&effects), ["wait 2 h1", "audit joined", "commit h1 released"]);
    let Some(Effect::Commit(prepared)) = effects.pop() else { panic!("{effects:?}") };
    desk.engine.settle(UnixMillis(desk.now), *prepared, Err("disk full".to_owned())).unwrap_err();
    assert_eq!(desk.engine.hold("h1").unwrap().state, HoldState::Approved);
    assert_eq!(desk.engine.next_deadline(), Some(UnixMillis(desk.now + 1_000)));
    assert!(desk.step(Input::Tick).is_empty());
    desk.now += 1_000;
    assert_eq!(words(&desk.step(Input::Tick)), ["store h1 released", "release 2", "audit released"]);
}

#[test]
fn an_overtaken_commit_releases_nothing_and_corrects_the_ledger() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.approve("h1", "alice").unwrap();
    let input = Input::Approve { hold: "h1".to_owned(), person: person("bob") };
    let (_, mut effects) = desk.engine.act(UnixMillis(desk.now), input).unwrap();
    let Some(Effect::Commit(prepared)) = effects.pop() else { panic!("{effects:?}") };
    desk.deny("h1", "carol").unwrap();
    let unsettled = desk.engine.settle(UnixMillis(desk.now), *prepared, Ok(())).unwrap_err();
    assert_eq!(unsettled.error.kind, ErrorKind::Conflict);
    assert_eq!(words(&unsettled.effects), ["store h1 denied"]);
}

#[test]
fn a_store_that_failed_is_repeated() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.engine.store_failed(UnixMillis(desk.now), "h1");
    desk.now += 1_000;
    assert_eq!(words(&desk.step(Input::Tick)), ["store h1 pending"]);
    assert!(desk.step(Input::Tick).is_empty());
    assert!(desk.engine.next_deadline() > Some(UnixMillis(desk.now)));
}

#[test]
fn only_people_act() {
    let mut desk = Desk::new();
    let error = desk.engine.act(UnixMillis(1), Input::Tick).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    let effects =
        desk.step(Input::Deny { hold: "h9".to_owned(), person: person("alice"), reason: String::new() });
    assert_eq!(audits(&effects)[0].kind, AuditKind::ActionRefused);
}

#[test]
fn what_the_agent_says_is_escaped_in_every_sentence() {
    let mut desk = Desk::new();
    let mut seen = request(1, 1);
    seen.operation.name = "Terminate\x1b]0;approved\x07\u{202e}".to_owned();
    let mut effects = desk.see(seen);
    effects.extend(desk.gone(1));
    effects.extend(desk.deny("h1", "alice").unwrap().1);
    let mut retry = request(2, 1);
    retry.operation.name = "Terminate\x1b".to_owned();
    effects.extend(desk.see(retry));
    let entries = audits(&effects);
    assert_eq!(entries.len(), 4);
    for entry in entries {
        assert!(entry.message.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic()), "{entry:?}");
    }
    assert!(desk.engine.hold("h1").unwrap().summary.is_ascii());
}

#[test]
fn connection_gone_of_a_stranger_is_nothing() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.see(request(2, 2));
    assert!(desk.step(Input::ConnectionGone(ConnId(3))).is_empty());
    // What had its end is a stranger too.
    desk.approve("h1", "alice").unwrap();
    desk.approve("h1", "bob").unwrap();
    desk.deny("h2", "bob").unwrap();
    assert!(desk.gone(1).is_empty());
    assert!(desk.gone(2).is_empty());
}

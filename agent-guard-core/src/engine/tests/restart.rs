//! A new daemon takes over from the ledger and the gates.

use agent_guard_api::HoldView;

use super::*;

fn ledger(desk: &Desk) -> Vec<HoldView> {
    desk.engine.holds().cloned().collect()
}

fn restart(old: &Desk, live: &[(u64, &str)]) -> (Desk, Vec<String>) {
    let mut desk = Desk { engine: engine(), now: old.now };
    let live = live.iter().map(|(conn, hold)| (key(*conn), (*hold).to_owned())).collect();
    let effects = desk.engine.restore(UnixMillis(desk.now), ledger(old), live);
    let effects = desk.settle(effects);
    (desk, words(&effects))
}

#[test]
fn pending_stays_pending_with_its_approvals_and_connections() {
    let mut old = Desk::new();
    old.see(request(1, 1));
    old.see(request(2, 2));
    old.approve("h1", "alice").unwrap();
    let (mut desk, effects) = restart(&old, &[(1, "h1")]);
    assert_eq!(effects, ["wait 1 h1", "store h2 pending"]);
    assert_eq!(desk.approve("h1", "alice").unwrap_err().kind, ErrorKind::Conflict);
    assert!(words(&desk.approve("h1", "bob").unwrap().1).contains(&"release 1".to_owned()));
    assert!(words(&desk.see(request(3, 2))).contains(&"wait 3 h2".to_owned()), "retries join");
    assert!(words(&desk.see(request(4, 4))).contains(&"wait 4 h3".to_owned()), "ids go on");
}

#[test]
fn approved_waits_for_the_retry_or_is_delivered_at_once() {
    let mut old = Desk::new();
    old.see(request(1, 1));
    old.gone(1);
    old.approve("h1", "alice").unwrap();
    old.approve("h1", "bob").unwrap();
    let (mut desk, effects) = restart(&old, &[]);
    assert!(effects.is_empty());
    assert!(words(&desk.see(request(2, 1))).contains(&"release 2".to_owned()));
    let (_, effects) = restart(&old, &[(5, "h1")]);
    assert_eq!(
        effects,
        ["store h1 approved", "wait 5 h1", "store h1 released", "release 5", "audit released"]
    );
}

#[test]
fn expired_meanwhile_is_refused() {
    let mut old = Desk::new();
    old.see(request(1, 1));
    old.now += 15 * 60 * 1000;
    let (_, effects) = restart(&old, &[(1, "h1")]);
    assert_eq!(effects, ["store h1 expired", "refuse 1", "audit expired"]);
}

#[test]
fn a_denial_is_remembered_and_finished() {
    let mut old = Desk::new();
    old.see(request(1, 1));
    old.deny("h1", "alice").unwrap();
    let (mut desk, effects) = restart(&old, &[(1, "h1")]);
    assert_eq!(effects, ["refuse 1"]);
    assert_eq!(words(&desk.see(request(2, 1))), ["refuse 2", "audit denied"]);
}

#[test]
fn written_as_released_but_still_gated_is_asked_anew() {
    let mut old = Desk::new();
    old.see(request(1, 1));
    old.approve("h1", "alice").unwrap();
    old.approve("h1", "bob").unwrap();
    old.see(request(7, 7));
    let (desk, effects) = restart(&old, &[(1, "h1")]);
    assert_eq!(effects, ["store h2 pending", "store h3 pending", "wait 1 h3", "audit held"]);
    assert!(desk.engine.hold("h3").unwrap().approvals.is_empty());
}

#[test]
fn unfinished_bytes_without_their_connection_end() {
    let mut old = Desk::new();
    let mut seen = request(1, 1);
    seen.whole = false;
    old.see(seen);
    let (_, effects) = restart(&old, &[]);
    assert_eq!(effects, ["store h1 expired", "audit clientgone"]);
    let (_, effects) = restart(&old, &[(1, "h1")]);
    assert_eq!(effects, ["wait 1 h1"]);
}

#[test]
fn a_gate_whose_hold_nobody_knows_is_refused() {
    let (_, effects) = restart(&Desk::new(), &[(1, "h1"), (2, "nonsense"), (1, "h2")]);
    assert_eq!(effects, ["refuse 2", "refuse 1"]);
}

#[test]
fn a_ledger_with_nonsense_in_it_holds_what_it_can() {
    let mut old = Desk::new();
    old.see(request(1, 1));
    let mut views = ledger(&old);
    views[0].digest = "nonsense".to_owned();
    views.push(HoldView { id: "x".to_owned(), ..views[0].clone() });
    let mut engine = engine();
    let effects = engine.restore(UnixMillis(old.now), views, vec![(key(1), "h1".to_owned())]);
    assert_eq!(words(&effects), ["wait 1 h1"]);
    assert_eq!(engine.holds().count(), 1);
}

#[test]
fn sessions_are_stopped_again() {
    let mut old = Desk::new();
    for n in 1..=4 {
        old.see(request(n.into(), n));
    }
    let (_, effects) = restart(&old, &[]);
    assert_eq!(effects.last().map(String::as_str), Some("stop 1"));
}

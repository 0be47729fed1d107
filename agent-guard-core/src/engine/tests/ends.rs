//! Denial, expiry, death of the client, removal, and what does not fit any more.

use super::*;

#[test]
fn one_denial_refuses_all_that_wait() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.see(request(2, 1));
    desk.approve("h1", "alice").unwrap();
    let (outcome, effects) = desk.deny("h1", "bob").unwrap();
    assert_eq!(outcome, Outcome::Denied { hold: "h1".to_owned() });
    assert_eq!(words(&effects), ["store h1 denied", "refuse 1", "refuse 2", "audit denied"]);
    assert_eq!(refusal(&effects).why, "denied by bob: too much");
    let view = desk.engine.hold("h1").unwrap();
    assert_eq!(view.denied_by.as_deref(), Some("bob"));
    assert_eq!(view.waiting_connections, 0);
}

#[test]
fn a_denial_answers_retries_for_the_rest_of_the_holds_life() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.deny("h1", "bob").unwrap();
    desk.now += 15 * 60 * 1000 - 1;
    let effects = desk.see(request(2, 1));
    assert_eq!(words(&effects), ["refuse 2", "audit denied"]);
    assert_eq!(refusal(&effects).rule, "denied:h1");
    assert_eq!(audits(&effects)[0].hold.as_deref(), Some("h1"));
    desk.now += 1;
    assert_eq!(words(&desk.see(request(3, 1))), ["store h2 pending", "wait 3 h2", "audit held"]);
}

#[test]
fn expiry_is_denial_and_a_later_retry_asks_anew() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.now += 15 * 60 * 1000 - 1;
    assert!(desk.step(Input::Tick).is_empty());
    desk.now += 1;
    let effects = desk.step(Input::Tick);
    assert_eq!(words(&effects), ["store h1 expired", "refuse 1", "audit expired"]);
    assert_eq!(words(&desk.see(request(2, 1))), ["store h2 pending", "wait 2 h2", "audit held"]);
}

#[test]
fn an_approval_that_no_retry_uses_expires() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.gone(1);
    desk.approve("h1", "alice").unwrap();
    desk.approve("h1", "bob").unwrap();
    desk.now += 15 * 60 * 1000;
    // The retry itself finds it expired, without a tick before it.
    assert_eq!(
        words(&desk.see(request(2, 1))),
        ["store h1 expired", "audit expired", "store h2 pending", "wait 2 h2", "audit held"]
    );
}

#[test]
fn the_hold_of_an_unfinished_body_is_for_its_bytes_alone() {
    let mut desk = Desk::new();
    let part = |conn| crate::effect::RequestSeen { whole: false, ..request(conn, 1) };
    desk.see(part(1));
    assert_eq!(words(&desk.see(part(2))), ["store h2 pending", "wait 2 h2", "audit held"]);
    assert_eq!(words(&desk.see(request(3, 1))), ["store h3 pending", "wait 3 h3", "audit held"]);
    assert_eq!(words(&desk.gone(1)), ["store h1 expired", "audit clientgone"]);
    assert_eq!(desk.approve("h1", "alice").unwrap_err().kind, ErrorKind::Conflict);
    desk.approve("h2", "alice").unwrap();
    assert!(words(&desk.approve("h2", "bob").unwrap().1).contains(&"release 2".to_owned()));
    desk.see(part(4));
    desk.deny("h4", "alice").unwrap();
    // A denial of unfinished bytes says nothing about other bodies.
    assert_eq!(words(&desk.see(part(5))), ["store h5 pending", "wait 5 h5", "audit held"]);
}

#[test]
fn a_dead_connection_takes_all_its_requests_and_no_others() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    let mut pipelined = request(1, 2);
    pipelined.key.index = 1;
    desk.see(pipelined);
    desk.see(request(2, 2));
    let effects = words(&desk.gone(1));
    assert_eq!(effects, ["store h1 pending", "audit clientgone", "store h2 pending", "audit clientgone"]);
    assert_eq!(desk.engine.hold("h1").unwrap().waiting_connections, 0);
    assert_eq!(desk.engine.hold("h2").unwrap().waiting_connections, 1);
}

#[test]
fn removal_refuses_everything_and_is_no_denial_for_later() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.see(request(2, 2));
    let effects = desk.step(Input::RefuseAll { reason: "bye".to_owned() });
    assert_eq!(
        words(&effects),
        ["store h1 denied", "refuse 1", "audit denied", "store h2 denied", "refuse 2", "audit denied"]
    );
    assert_eq!(words(&desk.see(request(3, 1))), ["store h3 pending", "wait 3 h3", "audit held"]);
}

#[test]
fn too_many_open_holds_refuse() {
    let mut desk = Desk::new();
    let digest = |n: usize| {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_le_bytes());
        crate::effect::Digest(digest)
    };
    for n in 0..Engine::MAX_OPEN_HOLDS {
        let mut seen = request(n as u64, 0);
        seen.digest = digest(n);
        seen.sender.session = n as u64;
        desk.see(seen);
    }
    let effects = desk.see(crate::effect::RequestSeen { digest: digest(usize::MAX), ..request(99_999, 0) });
    assert_eq!(words(&effects), ["refuse 99999", "audit denied"]);
    assert_eq!(refusal(&effects).rule, "builtin:too-many-holds");
    // A retry of what is held may still join, and a decision makes room.
    let retry = crate::effect::RequestSeen { digest: digest(0), ..request(99_998, 0) };
    assert!(words(&desk.see(retry)).contains(&"wait 99998 h1".to_owned()));
    desk.deny("h1", "alice").unwrap();
    let seen = crate::effect::RequestSeen { digest: digest(usize::MAX), ..request(99_999, 0) };
    assert!(words(&desk.see(seen)).contains(&"wait 99999 h10001".to_owned()));
}

#[test]
fn decided_holds_are_forgotten_the_oldest_first_and_denials_last() {
    let mut desk = Desk::new();
    desk.see(request(1, 1));
    desk.deny("h1", "alice").unwrap();
    desk.see(request(2, 2));
    for n in 0..=Engine::MAX_DECIDED_HOLDS {
        let mut seen = request(10 + n as u64, 3);
        seen.whole = false;
        desk.see(seen);
        desk.gone(10 + n as u64);
    }
    // h2 is older than all of those and decided last.
    desk.deny("h2", "alice").unwrap();
    assert_eq!(desk.engine.holds().count(), Engine::MAX_DECIDED_HOLDS);
    assert!(desk.engine.hold("h1").is_some() && desk.engine.hold("h2").is_some());
    assert!(desk.engine.hold("h3").is_none());
    assert_eq!(words(&desk.see(request(5_000, 1))), ["refuse 5000", "audit denied"]);
}

#[test]
fn too_many_waiting_on_one_hold_refuse() {
    let mut desk = Desk::new();
    for conn in 0..Engine::MAX_WAITING {
        desk.see(request(conn as u64, 1));
    }
    let effects = desk.see(request(500, 1));
    assert_eq!(words(&effects), ["refuse 500", "audit denied"]);
    assert_eq!(refusal(&effects).rule, "builtin:too-many-waiting");
}

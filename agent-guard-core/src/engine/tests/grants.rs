//! Coverage of a few records (harm-levels, choice 19).

use agent_guard_api::Magnitude;

use super::*;
use crate::effect::RequestSeen;

fn record(conn: u64, bucket: &str, count: u64) -> RequestSeen {
    let mut seen = request(conn, u8::try_from(conn).unwrap());
    seen.operation = operation("DeleteObject", Harm::Irreversible);
    seen.operation.flags = vec![Flag::Record];
    seen.operation.magnitude = Magnitude::Count(count);
    seen.operation.resources = (0..count).map(|n| format!("{bucket}/key{conn}-{n}")).collect();
    seen.operation.resources_total = count;
    seen
}

fn granted() -> Desk {
    let mut desk = Desk::new();
    desk.see(record(1, "bucket", 10));
    let (outcome, effects) = desk.approve("h1", "alice").unwrap();
    assert_eq!(outcome, Outcome::Released { hold: "h1".to_owned(), delivered: true });
    assert!(words(&effects).contains(&"release 1".to_owned()));
    desk
}

#[test]
fn one_approval_covers_a_hundred_records_of_the_same_container() {
    let mut desk = granted();
    for conn in 2..=10 {
        let effects = desk.see(record(conn, "bucket", 10));
        assert_eq!(words(&effects), [format!("release {conn}"), "audit allowed".to_owned()]);
        assert_eq!(audits(&effects)[0].rule.as_deref(), Some("grant:h1"));
        assert_eq!(audits(&effects)[0].hold.as_deref(), Some("h1"));
    }
    // A hundred are used up.
    assert_eq!(words(&desk.see(record(11, "bucket", 1))), ["store h2 pending", "wait 11 h2", "audit held"]);
}

#[test]
fn the_grant_is_for_an_hour() {
    let mut desk = granted();
    desk.now += 60 * 60 * 1000 - 1;
    assert!(words(&desk.see(record(2, "bucket", 1))).contains(&"release 2".to_owned()));
    desk.now += 1;
    assert!(words(&desk.see(record(3, "bucket", 1))).contains(&"wait 3 h2".to_owned()));
}

#[test]
fn nothing_else_is_covered() {
    let change: [fn(&mut RequestSeen); 8] = [
        |seen| seen.sender.session = 2,
        |seen| seen.operation.name = "DeleteBucketPolicy".to_owned(),
        |seen| seen.operation.service = "dynamodb".to_owned(),
        |seen| seen.operation.host = "other.example".to_owned(),
        |seen| seen.operation.account = Some("1".to_owned()),
        |seen| seen.operation.resources = vec!["other/key".to_owned()],
        |seen| seen.operation.resources = vec!["key".to_owned()],
        |seen| seen.operation.flags.push(Flag::HostMismatch),
    ];
    for (index, change) in change.into_iter().enumerate() {
        let mut desk = granted();
        let mut seen = record(2, "bucket", 1);
        change(&mut seen);
        assert!(words(&desk.see(seen)).contains(&"wait 2 h2".to_owned()), "{index}");
    }
    let mut desk = granted();
    assert!(words(&desk.see(record(2, "bucket", 11))).contains(&"wait 2 h2".to_owned()), "more than ten");
}

#[test]
fn a_denial_ends_the_grant() {
    let mut desk = granted();
    for conn in 2..=9 {
        desk.see(record(conn, "bucket", 10));
    }
    desk.see(record(10, "bucket", 5));
    // Five are left, ten are asked for.
    assert!(words(&desk.see(record(11, "bucket", 10))).contains(&"wait 11 h2".to_owned()));
    desk.deny("h2", "bob").unwrap();
    assert!(words(&desk.see(record(12, "bucket", 1))).contains(&"wait 12 h3".to_owned()));
}

#[test]
fn no_grant_without_the_ledger() {
    let mut desk = Desk::new();
    desk.see(record(1, "bucket", 1));
    let input = Input::Approve { hold: "h1".to_owned(), person: person("alice") };
    let (_, mut effects) = desk.engine.act(UnixMillis(desk.now), input).unwrap();
    let Some(Effect::Commit(prepared)) = effects.pop() else { panic!("{effects:?}") };
    desk.engine.settle(UnixMillis(desk.now), *prepared, Err("disk full".to_owned())).unwrap_err();
    assert!(words(&desk.see(record(2, "bucket", 1))).contains(&"wait 2 h2".to_owned()));
}

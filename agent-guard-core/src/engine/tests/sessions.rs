//! Modes, hold styles, and sessions that are stopped and resumed.

use super::*;
use crate::policy::Mode;

fn desk(agent: AgentSettings) -> Desk {
    let settings = Settings { agents: [("claude".to_owned(), agent)].into(), ..Settings::default() };
    Desk { engine: Engine::new(settings, Policy::builtin()), now: 1_000 }
}

#[test]
fn observe_lets_everything_go_and_says_what_it_would_have_done() {
    let mut desk = desk(AgentSettings { mode: Mode::Observe, ..AgentSettings::default() });
    let effects = desk.see(request(1, 1));
    assert_eq!(words(&effects), ["release 1", "audit allowed"]);
    assert_eq!(audits(&effects)[0].rule.as_deref(), Some("observe:builtin:irreversible"));
    assert!(audits(&effects)[0].message.contains("would have been held for 2 people"));
    let mut other = request(2, 2);
    other.sender.agent = "another".to_owned();
    assert!(words(&desk.see(other)).contains(&"wait 2 h1".to_owned()));
}

#[test]
fn the_fourth_open_hold_stops_the_session_and_the_third_resumes_it() {
    let mut desk = Desk::new();
    for n in 1..=3 {
        desk.see(request(n.into(), n));
    }
    assert!(!desk.engine.wants_stopped(1));
    assert_eq!(words(&desk.see(request(4, 4))), ["store h4 pending", "wait 4 h4", "audit held", "stop 1"]);
    assert!(desk.engine.wants_stopped(1));
    assert!(!words(&desk.see(request(5, 5))).contains(&"stop 1".to_owned()), "it is stopped already");
    let (_, effects) = desk.deny("h1", "alice").unwrap();
    assert!(!words(&effects).contains(&"resume 1".to_owned()), "four are open still");
    let (_, effects) = desk.deny("h2", "alice").unwrap();
    assert_eq!(words(&effects).last().map(String::as_str), Some("resume 1"));
}

#[test]
fn other_sessions_are_left_alone() {
    let mut desk = Desk::new();
    for n in 1..=8_u8 {
        let mut seen = request(n.into(), n);
        seen.sender.session = (n % 3).into();
        assert!(!words(&desk.see(seen)).iter().any(|word| word.starts_with("stop")));
    }
}

#[test]
fn process_style_stops_until_its_holds_are_decided() {
    let mut desk = desk(AgentSettings { hold: HoldStyle::Process, ..AgentSettings::default() });
    assert_eq!(words(&desk.see(request(1, 1))), ["store h1 pending", "wait 1 h1", "audit held", "stop 1"]);
    desk.see(request(2, 2));
    let (_, effects) = desk.deny("h1", "alice").unwrap();
    assert!(!words(&effects).contains(&"resume 1".to_owned()));
    desk.approve("h2", "alice").unwrap();
    let (_, effects) = desk.approve("h2", "bob").unwrap();
    assert_eq!(
        words(&effects),
        ["store h2 released", "release 2", "audit approved", "audit released", "resume 1"]
    );
}

#[test]
fn process_style_stops_the_session_of_a_joining_retry_too() {
    let mut desk = desk(AgentSettings { hold: HoldStyle::Process, ..AgentSettings::default() });
    desk.see(request(1, 1));
    let mut seen = request(2, 1);
    seen.sender.session = 2;
    assert_eq!(words(&desk.see(seen)).last().map(String::as_str), Some("stop 2"));
    assert_eq!(words(&desk.gone(2)).last().map(String::as_str), Some("resume 2"));
}

#[test]
fn expiry_and_removal_resume() {
    let process = AgentSettings { hold: HoldStyle::Process, ..AgentSettings::default() };
    let mut expiring = desk(process);
    expiring.see(request(1, 1));
    expiring.now += 15 * 60 * 1000;
    assert_eq!(words(&expiring.step(Input::Tick)).last().map(String::as_str), Some("resume 1"));
    let mut removed = desk(process);
    removed.see(request(1, 1));
    let effects = removed.step(Input::RefuseAll { reason: "bye".to_owned() });
    assert_eq!(words(&effects).last().map(String::as_str), Some("resume 1"));
}

#[test]
fn history_is_shown_before_the_hold_and_not_of_other_sessions() {
    let mut desk = Desk::new();
    for n in 0..12 {
        let mut seen = request(100 + n, 0);
        seen.operation = operation(&format!("Describe{n}"), Harm::ReadOnly);
        seen.sender.session = n % 2;
        desk.see(seen);
    }
    desk.see(request(1, 1));
    assert_eq!(
        desk.engine.hold("h1").unwrap().before,
        [1, 3, 5, 7, 9, 11].map(|n| format!("allowed: Describe{n}"))
    );
}

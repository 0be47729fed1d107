//! Every rule by name: what it decides, and what it must not swallow.

use agent_guard_api::{Flag, Harm, Magnitude};

use super::*;
use crate::engine::fixtures::operation;

fn judge(harm: Harm, flags: &[Flag], magnitude: Magnitude) -> Decision {
    let mut operation = operation("Frobnicate", harm);
    operation.flags = flags.to_vec();
    operation.magnitude = magnitude;
    Policy::builtin().decide(&operation, &SenderContext::default())
}

fn approvals(decision: &Decision) -> Option<u32> {
    match decision.action {
        Action::Hold(terms) => Some(terms.approvals),
        Action::Allow | Action::Deny => None,
    }
}

#[test]
fn each_level_has_its_rule() {
    let expected = [
        (Harm::ReadOnly, "builtin:read-only", None),
        (Harm::LowHarm, "builtin:low-harm", None),
        (Harm::Unknown, "builtin:unknown", None),
        (Harm::MediumHarm, "builtin:medium-harm", None),
        (Harm::Irreversible, "builtin:irreversible", Some(2)),
        (Harm::Undecidable, "builtin:undecidable", Some(2)),
    ];
    for (harm, rule, people) in expected {
        let decision = judge(harm, &[], Magnitude::Count(1));
        assert_eq!(decision.because.rule, rule);
        assert_eq!(approvals(&decision), people, "{rule}");
        assert_eq!(decision.would_have, None);
    }
}

#[test]
fn record_of_up_to_ten_needs_one_person_and_covers() {
    for (count, rule, people) in
        [(1, "builtin:record", 1), (10, "builtin:record", 1), (11, "builtin:irreversible", 2)]
    {
        let decision = judge(Harm::Irreversible, &[Flag::Record], Magnitude::Count(count));
        assert_eq!(decision.because.rule, rule, "{count}");
        assert_eq!(approvals(&decision), Some(people), "{count}");
    }
    let unbounded = judge(Harm::Irreversible, &[Flag::Record], Magnitude::UNBOUNDED);
    assert_eq!(unbounded.because.rule, "builtin:irreversible");
    let money = Magnitude::Money { amount: "1".to_owned(), currency: "EUR".to_owned() };
    assert_eq!(approvals(&judge(Harm::Irreversible, &[Flag::Record], money)), Some(2));
    assert_eq!(
        Policy::builtin().coverage("builtin:record"),
        Some(Coverage { within_ms: 3_600_000, records: 100 })
    );
    assert_eq!(Policy::builtin().coverage("builtin:irreversible"), None);
}

#[test]
fn record_believes_the_larger_of_magnitude_and_names() {
    let mut operation = operation("DeleteItem", Harm::Irreversible);
    operation.flags = vec![Flag::Record];
    operation.magnitude = Magnitude::Count(1);
    operation.resources_total = 11;
    let decision = Policy::builtin().decide(&operation, &SenderContext::default());
    assert_eq!(decision.because.rule, "builtin:irreversible");
}

#[test]
fn host_mismatch_holds_whatever_the_level() {
    for harm in [Harm::ReadOnly, Harm::LowHarm, Harm::MediumHarm, Harm::Unknown, Harm::Irreversible] {
        let decision = judge(harm, &[Flag::Record, Flag::HostMismatch], Magnitude::Count(1));
        assert_eq!(decision.because.rule, "builtin:host-mismatch");
        assert_eq!(approvals(&decision), Some(2));
    }
}

#[test]
fn what_no_rule_matches_is_held_for_two() {
    let decision = Policy::new(Vec::new()).decide(&operation("X", Harm::ReadOnly), &SenderContext::default());
    assert_eq!(decision.because.rule, "builtin:no-rule");
    assert_eq!(approvals(&decision), Some(2));
}

#[test]
fn observe_lets_go_and_says_what_would_have_happened() {
    let context = SenderContext { mode: Mode::Observe, ..SenderContext::default() };
    let decision = Policy::builtin().decide(&operation("X", Harm::Irreversible), &context);
    assert_eq!(decision.action, Action::Allow);
    assert_eq!(decision.because.rule, "observe:builtin:irreversible");
    assert!(decision.because.why.contains("would have been held for 2 people"), "{}", decision.because.why);
    assert!(matches!(decision.would_have, Some(Action::Hold(Terms { approvals: 2, .. }))));
    let harmless = Policy::builtin().decide(&operation("X", Harm::ReadOnly), &context);
    assert_eq!((harmless.because.rule.as_str(), harmless.would_have), ("builtin:read-only", None));
}

#[test]
fn a_hold_lasts_as_long_as_the_setting_says() {
    let context = SenderContext { hold_expires_ms: 7, ..SenderContext::default() };
    let decision = Policy::builtin().decide(&operation("X", Harm::Irreversible), &context);
    assert!(matches!(decision.action, Action::Hold(Terms { within_ms: 7, .. })));
}

#[test]
fn the_reason_is_escaped() {
    let mut operation = operation("X", Harm::Irreversible);
    operation.why = "word \x1b[2J".to_owned();
    let decision = Policy::builtin().decide(&operation, &SenderContext::default());
    assert!(!decision.because.why.contains('\x1b'));
}

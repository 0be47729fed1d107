//! The built-in rules, one row each, in the order in which they are asked. The worse comes first.

use agent_guard_api::{Flag, Harm};

use super::rule::{Action, Coverage, Rule, Terms, When};

pub(super) fn rules() -> Vec<Rule> {
    vec![
        rule("host-mismatch", any().flag(Flag::HostMismatch), TWO, "the request does not go where it says"),
        rule("undecidable", of(Harm::Undecidable), TWO, "it could not be read for certain"),
        rule(
            "record",
            of(Harm::Irreversible).flag(Flag::Record).at_most(RECORDS_AT_ONCE),
            ONE_COVERING,
            "a few records are destroyed",
        ),
        rule("irreversible", of(Harm::Irreversible), TWO, "it cannot be undone"),
        rule("medium-harm", of(Harm::MediumHarm), Action::Allow, "it can be put back"),
        rule("unknown", of(Harm::Unknown), Action::Allow, "not known, so treated as medium harm"),
        rule("low-harm", of(Harm::LowHarm), Action::Allow, "one obvious call undoes it"),
        rule("read-only", of(Harm::ReadOnly), Action::Allow, "it changes nothing"),
    ]
}

fn rule(name: &str, when: When, then: Action, why: &str) -> Rule {
    Rule { id: format!("builtin:{name}"), when, then, why: why.to_owned() }
}

fn any() -> When {
    When::default()
}

fn of(harm: Harm) -> When {
    When { harm: vec![harm], ..When::default() }
}

impl When {
    fn flag(self, flag: Flag) -> When {
        When { flag: Some(flag), ..self }
    }

    fn at_most(self, count: u64) -> When {
        When { count_at_most: Some(count), ..self }
    }
}

const TWO: Action = Action::Hold(Terms { approvals: 2, within_ms: 0, cover: None });

/// Harm levels, choice 19.
const ONE_COVERING: Action = Action::Hold(Terms {
    approvals: 1,
    within_ms: 0,
    cover: Some(Coverage { within_ms: 60 * 60 * 1000, records: 100 }),
});

const RECORDS_AT_ONCE: u64 = 10;

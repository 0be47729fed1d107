//! Policy: operation → what is to be done, and which rule says so.
//!
//! A policy is an ordered list of checked rules; the first that matches decides. It fails closed: what no rule matches
//! is held for two people, so a new harm level or a forgotten row can never turn into silence. It knows nothing of
//! holds, retries or approvals already given; that is the engine's memory.

mod builtin;
mod rule;

pub use rule::{Action, Coverage, Rule, Terms, When};

use crate::{hold::summary::quote, operation::Operation, verdict::Because};

/// Fifteen minutes: how long people have to decide, and how long a finished approval waits for the client's retry.
pub const HOLD_EXPIRES_MS: u64 = 15 * 60 * 1000;

/// Ordered rules; the first match decides.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// What to do with one request, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub action: Action,
    pub because: Because,
    /// In observe mode, what `enforce` would have done instead of letting it go.
    pub would_have: Option<Action>,
}

/// Whether an agent's requests are held, or only written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Enforce,
    /// Everything passes; the audit says what would have been held.
    Observe,
}

/// What the policy knows of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderContext {
    pub mode: Mode,
    /// Lifetime of a hold whose rule names none, in milliseconds.
    pub hold_expires_ms: u64,
}

impl Default for SenderContext {
    fn default() -> Self {
        SenderContext { mode: Mode::Enforce, hold_expires_ms: HOLD_EXPIRES_MS }
    }
}

impl Policy {
    /// The policy of `docs/harm-levels.md`, in force where no file says otherwise.
    pub fn builtin() -> Self {
        Policy { rules: builtin::rules() }
    }

    /// Rules of one's own, in their order.
    pub fn new(rules: Vec<Rule>) -> Self {
        Policy { rules }
    }

    /// Judges one operation by itself.
    pub fn decide(&self, operation: &Operation, context: &SenderContext) -> Decision {
        let decision = match self.rules.iter().find(|rule| rule.when.matches(operation)) {
            Some(rule) => rule.decision(operation, context),
            None => no_rule(operation, context),
        };
        match context.mode {
            Mode::Enforce => decision,
            Mode::Observe => observed(decision),
        }
    }

    /// What one approval of a hold by this rule covers beyond its own request.
    pub fn coverage(&self, rule: &str) -> Option<Coverage> {
        match &self.rules.iter().find(|candidate| candidate.id == rule)?.then {
            Action::Hold(terms) => terms.cover,
            Action::Allow | Action::Deny => None,
        }
    }
}

fn no_rule(operation: &Operation, context: &SenderContext) -> Decision {
    Decision {
        action: Action::Hold(Terms { approvals: 2, within_ms: context.hold_expires_ms, cover: None }),
        because: Because {
            rule: "builtin:no-rule".to_owned(),
            why: format!("no rule matches, so two people decide; {}", quote(&operation.why, WHY_CHARS)),
        },
        would_have: None,
    }
}

fn observed(decision: Decision) -> Decision {
    let sentence = match &decision.action {
        Action::Allow => return decision,
        Action::Hold(terms) => {
            format!("only observed; it would have been held for {}", people(terms.approvals))
        }
        Action::Deny => "only observed; it would have been denied".to_owned(),
    };
    Decision {
        because: Because {
            rule: format!("observe:{}", decision.because.rule),
            why: format!("{sentence}: {}", decision.because.why),
        },
        would_have: Some(decision.action),
        action: Action::Allow,
    }
}

/// `1 person`, `2 people`.
pub(crate) fn people(count: u32) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}

/// The classifier's reason is quoted up to this many characters.
const WHY_CHARS: usize = 300;

#[cfg(test)]
mod tests;

//! One rule: when it matches, what follows, and the sentence people read.

use agent_guard_api::{Flag, Harm, Magnitude};

use super::{Decision, SenderContext, WHY_CHARS};
use crate::{hold::summary::quote, operation::Operation, verdict::Because};

/// A checked rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Stable name: `builtin:irreversible`.
    pub id: String,
    pub when: When,
    pub then: Action,
    /// Half a sentence for people; the classifier's reason is appended.
    pub why: String,
}

/// All conditions must hold; an absent one holds always.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// One of these levels; empty: any.
    pub harm: Vec<Harm>,
    /// This flag is set.
    pub flag: Option<Flag>,
    /// A counted magnitude of at most this; money and unbounded never match.
    pub count_at_most: Option<u64>,
}

/// What a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Allow,
    Hold(Terms),
    Deny,
}

/// How a hold may end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Different people who must approve.
    pub approvals: u32,
    /// Milliseconds until nobody's decision counts as a denial. 0 in a rule: the setting's.
    pub within_ms: u64,
    /// What the approval covers beyond its request.
    pub cover: Option<Coverage>,
}

/// A finished approval also lets go later requests of the same session, operation and container (table, bucket).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    pub within_ms: u64,
    /// Records in all, the approved request's own included.
    pub records: u64,
}

impl When {
    pub(super) fn matches(&self, operation: &Operation) -> bool {
        let harm = self.harm.is_empty() || self.harm.contains(&operation.harm);
        let flag = self.flag.is_none_or(|flag| operation.flags.contains(&flag));
        let count = self.count_at_most.is_none_or(|most| match operation.magnitude {
            Magnitude::Count(count) => count.max(operation.resources_total) <= most,
            Magnitude::Money { .. } | Magnitude::Unbounded(_) => false,
        });
        harm && flag && count
    }
}

impl Rule {
    pub(super) fn decision(&self, operation: &Operation, context: &SenderContext) -> Decision {
        let action = match self.then {
            Action::Hold(terms) if terms.within_ms == 0 => {
                Action::Hold(Terms { within_ms: context.hold_expires_ms, ..terms })
            }
            Action::Allow | Action::Hold(_) | Action::Deny => self.then,
        };
        let because = Because {
            rule: self.id.clone(),
            why: if operation.why.is_empty() {
                self.why.clone()
            } else {
                format!("{}: {}", self.why, quote(&operation.why, WHY_CHARS))
            },
        };
        Decision { action, because, would_have: None }
    }
}

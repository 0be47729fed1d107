//! One reading of a request, and how several are joined: the worst wins (harm-levels 12, 13, 16).

use agent_guard_api::{Flag, Harm, Magnitude};

/// What a request would do by one reading of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Operation in words, or method and path.
    pub name: String,
    pub harm: Harm,
    pub flags: Vec<Flag>,
    pub magnitude: Magnitude,
    pub resources: Vec<String>,
    pub resources_total: u64,
    /// The body decides and was not seen whole.
    pub wants_body: bool,
    pub why: String,
}

impl Judgement {
    pub(crate) fn new(name: String, harm: Harm, why: String) -> Judgement {
        Judgement {
            name,
            harm,
            flags: Vec::new(),
            magnitude: Magnitude::Count(1),
            resources: Vec::new(),
            resources_total: 0,
            wants_body: false,
            why,
        }
    }

    /// Raises the level; a lower one changes nothing.
    pub(crate) fn raise(&mut self, harm: Harm, why: impl FnOnce() -> String) {
        if harm > self.harm {
            self.harm = harm;
            self.why = why();
        }
    }

    pub(crate) fn flag(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }

    /// Two readings of the same request: the worse level with its name, the flags of both.
    pub(crate) fn worst(self, other: Judgement) -> Judgement {
        let (mut worse, milder) = if other.harm > self.harm { (other, self) } else { (self, other) };
        for flag in milder.flags {
            // What the milder reading believes in its favour does not hold.
            if !matches!(flag, Flag::DryRun | Flag::Housekeeping | Flag::Inference) {
                worse.flag(flag);
            }
        }
        worse.wants_body |= milder.wants_body;
        worse
    }

    /// The body decides and was not seen whole: at least the worst that it could make of the request.
    pub(crate) fn unseen_body(&mut self, worst: Harm) {
        self.wants_body = true;
        self.raise(worst, || "the body was not seen whole and could make it worse".into());
    }
}

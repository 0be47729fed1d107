//! An AWS operation by its name: the catalog, else the leading verb.
//!
//! AWS names operations strictly (`DescribeX`, `DeleteX`), so the leading verb is believed; a destroying word further
//! on still makes everything but a read irreversible.

use agent_guard_api::Harm;

use crate::{
    catalog::{self, Entry},
    classify::{judgement::Judgement, params::Param},
    lexicon::{self, Kind, Word},
};
use agent_guard_api::Flag;

/// Judges an operation with its parameters (none, where they are not read).
pub(crate) fn judge(service: &str, operation: &str, params: &[Param<'_>]) -> Judgement {
    let entry = catalog::find(service, operation);
    let mut judged = match entry {
        Some(entry) => by_entry(operation, entry, params),
        None => by_verb(operation),
    };
    if operation.is_empty() {
        judged.raise(Harm::Undecidable, || "the operation has no name".into());
    }
    judged
}

fn by_entry(operation: &str, entry: &Entry, params: &[Param<'_>]) -> Judgement {
    let mut judged = Judgement::new(operation.into(), entry.harm, entry.reason.into());
    judged.flags.extend_from_slice(entry.flags);
    if entry.when.is_empty() {
        return judged;
    }
    for param in params {
        for when in entry.when.iter().filter(|when| when.matches(&param.name, &param.value)) {
            judged.raise(when.harm, || when.reason.into());
            for flag in when.flags {
                judged.flag(*flag);
            }
        }
    }
    judged
}

fn by_verb(operation: &str) -> Judgement {
    let verb = verb(operation);
    let unknown = || Judgement::new(operation.into(), Harm::Unknown, "its verb is in no list".into());
    let mut judged = verb.map_or_else(unknown, |word| {
        let mut judged = Judgement::new(
            operation.into(),
            level(word.kind),
            format!("the verb {:?}: {}", word.text, word.reason),
        );
        if word.kind == Kind::Spends {
            judged.flag(Flag::Money);
        }
        judged
    });
    if !matches!(judged.harm, Harm::ReadOnly | Harm::Irreversible)
        && let Some(word) = lexicon::worst_word(operation.as_bytes(), false).filter(|w| destroys_as_verb(w))
    {
        judged.raise(Harm::Irreversible, || format!("the name says {:?}: {}", word.text, word.reason));
    }
    judged
}

/// The first word that says what is done: `BatchGetItem`, `AdminDeleteUser`, `TransactGetItems`.
fn verb(operation: &str) -> Option<&'static Word> {
    let mut words = lexicon::words(operation.as_bytes());
    let first = words.next()?;
    let leads = ["batch", "admin", "transact", "bulk", "global"];
    let first = if leads.iter().any(|lead| lead.as_bytes().eq_ignore_ascii_case(first)) {
        words.next()?
    } else {
        first
    };
    lexicon::find(first)
}

/// A noun further on in a name of AWS is what the operation is about, not what it does (`CreateTerminationPolicy`).
fn destroys_as_verb(word: &Word) -> bool {
    word.any_method && word.kind == Kind::Destroys
}

fn level(kind: Kind) -> Harm {
    match kind {
        Kind::Destroys | Kind::Spends => Harm::Irreversible,
        Kind::Interrupts => Harm::MediumHarm,
        Kind::Edits => Harm::LowHarm,
        Kind::Reads => Harm::ReadOnly,
    }
}

//! Harm levels, flags and magnitude: the vocabulary of `docs/harm-levels.md`, in its own spelling.

use serde::{Deserialize, Serialize};

/// How bad a request is. Ordered: a later variant is worse (`undecidable` is judged like `irreversible`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// Changes nothing outside the caller.
    ReadOnly,
    /// Adds or edits something; undone by one obvious call.
    LowHarm,
    /// Read completely, but no entry and no word decides it; treated as medium harm.
    Unknown,
    /// Interrupts, degrades or removes something that can be put back.
    MediumHarm,
    /// Destroys, spends, exposes: cannot be undone.
    Irreversible,
    /// Could not be read or parsed.
    Undecidable,
}

/// Stands beside the level and never changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    Exposure,
    Money,
    SecretRead,
    Credential,
    Privilege,
    GuardRemoval,
    CodeExec,
    ExternalSend,
    Bulk,
    Deferred,
    Overwrite,
    DryRun,
    TestMode,
    Inference,
    Housekeeping,
    Record,
    HostMismatch,
    RemoteTools,
}

/// How much one request touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Magnitude {
    /// The number of resources that the request names.
    Count(u64),
    /// An amount of money, as the request states it, with its currency.
    Money { amount: String, currency: String },
    /// No bound: a whole collection, a DELETE without WHERE. Written `"unbounded"`.
    Unbounded(Unbounded),
}

/// The word `"unbounded"` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unbounded {
    #[serde(rename = "unbounded")]
    Unbounded,
}

impl Magnitude {
    pub const UNBOUNDED: Magnitude = Magnitude::Unbounded(Unbounded::Unbounded);
}

//! The words that the daemon, the command line and the page share: harm levels, holds, actions, audit records.
//!
//! Serde types and nothing else: no logic, no I/O. JSON field names are part of the product's interface; new
//! fields are added as optional ones and none is renamed.
#![forbid(unsafe_code)]

pub mod action;
pub mod audit;
pub mod explain;
pub mod harm;
pub mod hold;
pub mod status;

pub use action::{Action, ActionError, ErrorKind, Outcome};
pub use harm::{Flag, Harm, Magnitude};
pub use hold::{HoldState, HoldView, ProcessView};

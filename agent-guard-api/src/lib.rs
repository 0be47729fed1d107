//! The words that the daemon, the command line and the page share: harm levels, holds, actions, audit records.
//!
//! Serde types and where to ask for them. JSON field names are part of the product's interface; new fields are added
//! as optional ones and none is renamed. I/O is only behind the feature `client`, which the daemon does not enable.
#![forbid(unsafe_code)]

pub mod action;
pub mod audit;
#[cfg(feature = "client")]
pub mod client;
pub mod explain;
pub mod harm;
pub mod hold;
pub mod routes;
pub mod status;

pub use action::{Action, ActionError, ErrorKind, Outcome};
pub use harm::{Flag, Harm, Magnitude};
pub use hold::{HoldState, HoldView, ProcessView};

//! Bytes in, messages out (sans-IO). No clock, no file descriptor, no unsafe.
//!
//! A passive reader cannot ask the sender to repeat itself, and it decides over requests that somebody else will
//! read after it. So a decoder here has four answers: an item, "need more" (`None`), bytes that were not seen, and
//! *undecidable*, which is final. It never repairs: what two readers could read differently is undecidable.
//!
//! Bias: fail closed. Being wrong in the direction of "undecidable" costs a person a look; being wrong in the
//! other direction lets a request pass that nobody read.
#![forbid(unsafe_code)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

pub mod http1;
pub mod message;
mod reader;
pub mod reconcile;
pub mod redact;

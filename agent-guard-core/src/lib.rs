//! Classify, decide, remember: (state, input, now) → effects. No clock, no file descriptor, no kernel.
#![forbid(unsafe_code)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

pub mod catalog;
pub mod classify;
pub mod digest;
pub mod effect;
pub mod engine;
pub mod explain;
pub mod hold;
pub mod lexicon;
pub mod operation;
pub mod policy;
pub mod request;
mod session;
pub mod verdict;

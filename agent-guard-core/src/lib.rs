//! Classify, decide, remember: (state, input, now) → effects. No clock, no file descriptor, no kernel.
#![forbid(unsafe_code)]

pub mod effect;
pub mod engine;
pub mod hold;
pub mod operation;
pub mod policy;
pub mod request;
mod session;
pub mod verdict;

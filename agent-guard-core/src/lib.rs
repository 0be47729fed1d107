//! Classify, decide, remember: (state, input, now) → effects. No clock, no file descriptor, no kernel.
#![forbid(unsafe_code)]

pub mod effect;
pub mod operation;
pub mod request;
pub mod verdict;

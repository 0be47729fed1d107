//! The classifier against labelled requests: what each would do, by the words of `docs/harm-levels.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "classify/asked.rs"]
mod asked;
#[path = "classify/aws.rs"]
mod aws;
#[path = "classify/digest.rs"]
mod digest;
#[path = "classify/explain.rs"]
mod explain;
#[path = "classify/rules.rs"]
mod rules;
#[path = "classify/table.rs"]
mod table;

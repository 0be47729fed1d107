//! The project's automation, in Rust so that it is reviewed, linted and tested like everything else.
//!
//! Invariants: every command works in a fresh clone; whatever is missing is said, with its reason, before it is
//! installed; tools live under `target/`, and nothing outside it changes but Debian packages, the mounts that the
//! guard needs, and the demo user (and `rust-src`, where rustup can add it). Bias: a step that cannot run is an
//! error with a remedy, never a silent pass.
#![forbid(unsafe_code)]

pub mod apt;
pub mod bench;
pub mod binaries;
pub mod ebpf;
pub mod lint;
pub mod paths;
pub mod run;
pub mod shell;
pub mod test;

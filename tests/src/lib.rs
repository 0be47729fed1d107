//! What the end-to-end tests stand on: real clients, a server that counts every byte, networks that lose and delay,
//! and the guard itself, each undone when its value is dropped.
//!
//! Invariants: nothing here waits by sleeping (events, lines and condition variables carry deadlines instead); every
//! process is ended by its own handle; nothing outside a namespace that the test made is configured. The tests judge
//! by what the *server* received, never by what the guard says of itself.

pub mod agent;
pub mod clients;
pub mod ctl;
pub mod events;
pub mod fuse;
pub mod gate;
pub mod guard;
pub mod moto;
pub mod netns;
pub mod people;
pub mod pki;
pub mod process;
pub mod require;
pub mod route;
pub mod scratch;
pub mod server;
pub mod venv;

/// How long anything that must happen may take before the test fails; generous, for it only runs out in failing tests.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

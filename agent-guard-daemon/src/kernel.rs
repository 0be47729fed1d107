//! Everything that talks to BPF: the only module that imports aya.
//!
//! What enforces is pinned (maps, programs, links) before the daemon says READY, so that the kernel half goes on when
//! the daemon is killed; the next daemon adopts the pins.

pub mod btf;
pub mod load;
pub mod maps;
pub mod pins;
pub mod probes;
pub mod ring;

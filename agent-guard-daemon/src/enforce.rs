//! Everything that changes the world: gates, sockets, processes. Nothing here decides.
//!
//! What breaks a connection asks for a [`agent_guard_core::verdict::Refused`] or says in its name why none is needed
//! (the client is gone). What opens a gate asks for the flow's opening, which only allowed requests move.

pub mod destroy;
pub mod duplicate;
pub mod processes;
pub mod waiting;

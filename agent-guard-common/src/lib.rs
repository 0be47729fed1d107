//! The ABI between the kernel half and the user half of Agent Guard, and nothing else.
//!
//! Everything here crosses the boundary as bytes: `#[repr(C)]`, fixed-width integers, no `bool`, no enum, no
//! implicit padding; `layout.rs` asserts each size and offset at compile time. Kind numbers and map names are
//! never reused. A change of any layout raises [`ABI_VERSION`], which leads every event and names the pin
//! directory, so that a daemon never reads what another version wrote.
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod config;
pub mod conn;
pub mod counters;
pub mod event;
pub mod layout;
pub mod maps;
pub mod suspicion;
pub mod task;
#[cfg(feature = "user")]
pub mod user;

/// Version of every layout in this crate; also the last part of the pin path, `/sys/fs/bpf/agent-guard/v<ABI>/`.
pub const ABI_VERSION: u16 = 1;

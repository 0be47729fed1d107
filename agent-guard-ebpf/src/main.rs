//! The kernel half of Agent Guard: select, copy, gate, submit. It never judges and never releases.
//!
//! Bias: whatever cannot be decided here (a full map, a fault, no slot) leaves the gate raised. The only way through
//! without the daemon is the fast path (`fast_path.rs`), whose conditions are checked on the very bytes that are sent.
#![no_std]
#![no_main]
// Atomics on map values; see `atomic.rs`. The eBPF object is built with the unstable `-Z build-std` anyway.
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "core offers no stable atomics for BPF")]

mod atomic;
mod copy;
mod count;
mod emit;
mod fast_path;
mod gate;
mod maps;
mod offsets;
mod packet;
mod probes;
mod records;
mod scope;
mod tie;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Unreachable: the verifier accepts no program that could panic. Required by the language.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

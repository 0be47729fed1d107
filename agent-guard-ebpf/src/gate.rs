//! The gate's first word. Nothing in this half ever lowers it or writes the second one.

use agent_guard_common::{
    conn::{Released, Socket, untagged},
    counters,
};

use crate::{atomic, count::count, maps::RELEASED};

/// Raises the gate of a socket; returns the number of the write that did it.
#[inline(always)]
pub fn raise(socket: *mut Socket) -> u64 {
    count(counters::GATED);
    // SAFETY: the map value is alive while the program runs; the word is only accessed atomically.
    unsafe { atomic::add(&raw mut (*socket).gated, 1) + 1 }
}

/// The gate's first word, read behind everything that was read before (a full barrier, not only on x86).
#[inline(always)]
pub fn gated(socket: *mut Socket) -> u64 {
    // SAFETY: as in `raise`.
    unsafe { atomic::read(&raw mut (*socket).gated) }
}

/// The daemon's words for a socket; all zero if there are none, which means closed once anything is gated.
#[inline(always)]
pub fn released(cookie: u64) -> Released {
    // SAFETY: copied at once; each word is read whole and carries its cookie, so that an old value only keeps the gate
    // closed longer and a recycled element counts as none.
    let words = unsafe { RELEASED.get(cookie) }.copied().unwrap_or_default();
    Released { released: untagged(cookie, words.released), in_step: untagged(cookie, words.in_step) }
}

/// The stream is in step at a request boundary: the fast path may be looked at.
#[inline(always)]
pub fn is_in_step(socket: *mut Socket, cookie: u64) -> bool {
    let words = released(cookie);
    let gated = gated(socket);
    words.in_step != 0 && words.in_step == gated && words.released == gated
}

//! Which socket does a TLS object write to?
//!
//! The record of a write is sent by the same thread right behind it. So a gated write of an untied object leaves its
//! mark on the thread, and the first record of fitting length that this thread sends *while it owns the socket's lock*
//! (not in softirq, where `current` is anybody) ties the two. Application data on a socket that never was tied and that
//! no mark accounts for does not leave (`egress.rs`): a missed tie closes, it never opens. A tie ends with its object
//! (SSL_free, SSL_clear, another BIO) or its socket, since allocators reuse addresses at once.

use agent_guard_common::{
    conn::{Pending, Released, Socket, TlsObject},
    counters,
    event::{Tied, kind},
};

use crate::{
    count::count,
    emit, gate,
    maps::{PENDING, RELEASED, SOCKETS, TIES},
    scope,
};

/// The socket that an object is tied to, if both still exist.
#[inline(always)]
pub fn socket_of(object: &TlsObject) -> Option<(u64, *mut Socket)> {
    // SAFETY: copied at once.
    let cookie = *unsafe { TIES.get(object) }?;
    SOCKETS.get_ptr_mut(cookie).map(|socket| (cookie, socket))
}

/// Marks the current thread: a gated write is on its way to a socket that is not known. An older mark is replaced: its
/// write was not sent right behind, so it will be offered again, or its record is held as unaccounted for.
#[inline(always)]
pub fn mark_pending(pending: &Pending) {
    if PENDING.insert(scope::current_thread(), pending, 0).is_err() {
        count(counters::MAP_FULL);
    }
}

/// The socket is tied to an object that still exists.
#[inline(always)]
pub fn is_live(cookie: u64, socket: *mut Socket) -> bool {
    // SAFETY: the map value is alive; only egress of this very socket, under its lock, writes these words.
    let object = unsafe { TlsObject { ssl: (*socket).ssl, tgid: (*socket).tgid, image: (*socket).image } };
    // SAFETY: copied at once.
    object.ssl != 0 && unsafe { TIES.get(object) }.is_some_and(|tied| *tied == cookie)
}

/// Ties the pending write of the current thread to the socket that it is sending on, and raises that gate.
#[inline(always)]
pub fn bind(cookie: u64, socket: *mut Socket, pending: &Pending) {
    let object = TlsObject { ssl: pending.ssl, tgid: pending.tgid, image: pending.image };
    // SAFETY: copied at once.
    let formerly = unsafe { TIES.get(object) }.copied().unwrap_or(0);
    if TIES.insert(object, cookie, 0).is_err() {
        count(counters::MAP_FULL);
    }
    let number = gate::raise(socket);
    // SAFETY: the map value is alive; only egress of this very socket, under its lock, writes these words.
    unsafe {
        (*socket).ssl = pending.ssl;
        (*socket).tgid = pending.tgid;
        (*socket).image = pending.image;
    }
    let _gone = PENDING.remove(scope::current_thread());
    count(counters::TIES_MADE);
    let mut header = emit::foreign_header(kind::TIED, size_of::<Tied>(), pending.session, pending.agent);
    header.tgid = pending.tgid;
    header.tid = pending.tid;
    // A lost event leaves the gate raised: the daemon's sweep finds it.
    emit::submit(&Tied { header, write: pending.write, ssl: pending.ssl, cookie, gate: number, formerly });
}

/// Remembers a socket of an agent, with both words of its gate. False if there is no room.
#[inline(always)]
pub fn remember_socket(cookie: u64, socket: &Socket) -> bool {
    const NOT_THERE_YET: u64 = 1; // BPF_NOEXIST
    if RELEASED.insert(cookie, Released::default(), NOT_THERE_YET).is_err()
        && RELEASED.get_ptr(cookie).is_none()
    {
        count(counters::MAP_FULL);
        return false;
    }
    if SOCKETS.insert(cookie, socket, NOT_THERE_YET).is_err() && SOCKETS.get_ptr(cookie).is_none() {
        count(counters::MAP_FULL);
        return false;
    }
    true
}

//! Which socket does a TLS object write to?
//!
//! The record of a write is sent by the same thread right behind it, so a gated write of an untied object marks its
//! thread pending, and the first application-data record that this thread sends *while it owns the socket's lock*
//! (not in softirq, where `current` is anybody) ties the two. Application data of a process with untied writes on
//! any other untied socket is dropped meanwhile. A tie ends with its object (SSL_free, SSL_clear, another BIO) or
//! its socket, since allocators reuse addresses at once.

use agent_guard_common::{
    conn::{Pending, Released, Socket, TlsObject, Untied},
    counters,
    event::{Tied, kind},
};

use crate::{
    atomic,
    count::count,
    emit, gate,
    maps::{PENDING, RELEASED, RESOLVED, SOCKETS, TIES, UNTIED},
    scope,
};

/// The socket that an object is tied to, if both still exist.
#[inline(always)]
pub fn socket_of(object: &TlsObject) -> Option<(u64, *mut Socket)> {
    // SAFETY: copied at once.
    let cookie = *unsafe { TIES.get(object) }?;
    SOCKETS.get_ptr_mut(cookie).map(|socket| (cookie, socket))
}

/// Marks the current thread and its process: a gated write is on its way to a socket that is not known.
/// False if there is no room to remember it; the caller must then refuse to go on without the daemon.
#[inline(always)]
pub fn mark_pending(pending: &Pending) -> bool {
    let thread = scope::current_thread();
    // A write of the same object that was never sent is offered again (the handshake was not done): it is the
    // new one that counts.
    // SAFETY: copied at once.
    let superseded = unsafe { PENDING.get(thread) }.is_some_and(|former| former.ssl == pending.ssl);
    if UNTIED.get_ptr_mut(pending.tgid).is_none() {
        let zero = Untied::default();
        // Failure is seen by the lookup below.
        let _absent = UNTIED.insert(pending.tgid, zero, 0);
        let _absent = RESOLVED.insert(pending.tgid, 0, 0);
    }
    let Some(untied) = UNTIED.get_ptr_mut(pending.tgid) else {
        count(counters::MAP_FULL);
        return false;
    };
    if !superseded {
        // SAFETY: the map value is alive while the program runs; the word is only accessed atomically.
        unsafe { atomic::add(&raw mut (*untied).raised, 1) };
    }
    if PENDING.insert(thread, pending, 0).is_err() {
        count(counters::MAP_FULL);
        return false;
    }
    true
}

/// The process has gated writes whose socket is not known.
#[inline(always)]
pub fn has_untied(tgid: u32) -> bool {
    let Some(untied) = UNTIED.get_ptr_mut(tgid) else { return false };
    // SAFETY: as in `mark_pending`.
    let (raised, tied) = unsafe {
        (
            atomic::read(&raw mut (*untied).raised),
            core::ptr::read_volatile(&raw const (*untied).tied),
        )
    };
    // SAFETY: copied at once.
    let resolved = unsafe { RESOLVED.get(tgid) }.copied().unwrap_or(0);
    raised > tied + resolved
}

/// One untied write of the process less.
#[inline(always)]
pub fn settle(tgid: u32) {
    if let Some(untied) = UNTIED.get_ptr_mut(tgid) {
        // SAFETY: as in `mark_pending`.
        unsafe { atomic::add(&raw mut (*untied).tied, 1) };
    }
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
    settle(pending.tgid);
    count(counters::TIES_MADE);
    let mut header = emit::foreign_header(kind::TIED, size_of::<Tied>(), pending.session, pending.agent);
    header.tgid = pending.tgid;
    // A lost event leaves the gate raised: the daemon's sweep finds it.
    emit::submit(&Tied { header, write: pending.write, ssl: pending.ssl, cookie, gate: number, formerly });
}

/// Remembers a socket of an agent, with both words of its gate. False if there is no room.
#[inline(always)]
pub fn remember_socket(cookie: u64, socket: &Socket) -> bool {
    const NOT_THERE_YET: u64 = 1; // BPF_NOEXIST
    if RELEASED.insert(cookie, Released::default(), NOT_THERE_YET).is_err() && RELEASED.get_ptr(cookie).is_none() {
        count(counters::MAP_FULL);
        return false;
    }
    if SOCKETS.insert(cookie, socket, NOT_THERE_YET).is_err() && SOCKETS.get_ptr(cookie).is_none() {
        count(counters::MAP_FULL);
        return false;
    }
    true
}

//! Entry of a TLS library's write function: `(ssl, buf, len)` in the first three argument registers (System V AMD64).
//! Sleepable, so that any page of the agent can be read. What it must remember is in its slot, see
//! `agent_guard_common::event::Slot`; so each step is a function with a small frame of its own.

use agent_guard_common::{
    config::COOKIE_LEN32,
    counters,
    event::{Slot, Write, kind},
    maps::{CHUNK_BYTES, FAST_PATH_BYTES, MAX_CHUNKS, SLOTS},
    task::Agent,
};
use aya_ebpf::{
    EbpfContext,
    helpers::bpf_get_current_pid_tgid,
    helpers::generated::{bpf_get_attach_cookie, bpf_ktime_get_boot_ns, bpf_loop},
    macros::uprobe,
    programs::ProbeContext,
};

use crate::{
    copy,
    count::count,
    emit, fast_path, gate,
    maps::{SEQUENCE_WRITE, SLOTS_MAP, SOCKETS, TASKS, TIES},
    scope, tie,
};

#[uprobe(sleepable)]
pub fn tls_write(ctx: ProbeContext) -> u32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if TASKS.get_ptr(tgid).is_none() {
        return 0;
    }
    // SAFETY: the context of a uprobe is a `pt_regs`, readable as such; the helper takes the context itself.
    let (ssl, buffer, mut len, cookie) =
        unsafe { ((*ctx.regs).rdi, (*ctx.regs).rsi, (*ctx.regs).rdx, bpf_get_attach_cookie(ctx.as_ptr())) };
    if cookie & COOKIE_LEN32 != 0 {
        len &= 0xffff_ffff;
        if len > 0x7fff_ffff {
            return 0; // a negative length: the library refuses it
        }
    }
    if len == 0 {
        return 0;
    }
    count(counters::WRITES_SEEN);
    let index = copy::take();
    if index >= u64::from(SLOTS) {
        count(counters::LOST_NO_SLOT);
        close_without_slot(ssl, len);
        return 0;
    }
    if let Some(slot) = SLOTS_MAP.get_ptr_mut(index as u32) {
        describe(slot, ssl, buffer, len);
        on_slot(slot, len);
    }
    copy::give_back(index);
    0
}

/// Copies, then lets go what is provably harmless and gates the rest.
#[inline(always)]
fn on_slot(slot: *mut Slot, len: u64) {
    if copy::fill(slot, 0) != 0 {
        count(counters::LOST_COPY_FAULT);
        // SAFETY: this thread owns the slot.
        unsafe { (*slot).write.flags |= Write::UNREADABLE | Write::LAST };
        close(slot);
        emit::submit_slot(slot, 0);
        return;
    }
    let last = len <= CHUNK_BYTES as u64;
    if last {
        // SAFETY: as above.
        unsafe { (*slot).write.flags |= Write::LAST };
    }
    if may_pass(slot) != 0 {
        // SAFETY: as above.
        unsafe { (*slot).write.flags |= Write::FAST };
        count(counters::FAST_PATH);
        if emit::submit_slot(slot, len) == 0 {
            count(counters::LOST_RECORD); // let go all the same, and counted as not on the record
        }
        return;
    }
    close(slot);
    submit(slot, if last { len } else { CHUNK_BYTES as u64 });
    if !last {
        copy_rest(slot, len);
    }
}

/// Fills in what is known before the copy.
#[inline(never)]
fn describe(slot: *mut Slot, ssl: u64, buffer: u64, len: u64) -> u64 {
    let pid_tgid = bpf_get_current_pid_tgid();
    let Some(task) = TASKS.get_ptr((pid_tgid >> 32) as u32) else { return 0 };
    // SAFETY: this thread owns the slot; the task's entry is alive while the program runs.
    unsafe {
        let write = &raw mut (*slot).write;
        (*write).header.abi = agent_guard_common::ABI_VERSION;
        (*write).header.kind = kind::WRITE;
        (*write).header.at_ns = bpf_ktime_get_boot_ns();
        (*write).header.tgid = (pid_tgid >> 32) as u32;
        (*write).header.tid = pid_tgid as u32;
        (*write).header.session = (*task).session;
        (*write).header.agent = (*task).agent;
        (*write).header.reserved = 0;
        (*write).write = scope::next(SEQUENCE_WRITE);
        (*write).ssl = ssl;
        (*write).cookie = 0;
        (*write).gate = 0;
        (*write).total = len;
        (*write).offset = 0;
        (*write).flags =
            if scope::agent_flags((*task).agent) & Agent::OBSERVE != 0 { Write::OBSERVED } else { 0 };
        (*slot).buffer = buffer;
        (*slot).object.ssl = ssl;
        (*slot).object.tgid = (pid_tgid >> 32) as u32;
        (*slot).object.image = (*task).image;
    }
    1
}

/// The fast path: in step, and exactly one harmless head. Looks up the socket behind the copy, which may have slept.
#[inline(never)]
fn may_pass(slot: *mut Slot) -> u64 {
    // SAFETY: this thread owns the slot.
    let (flags, total, agent) =
        unsafe { ((*slot).write.flags, (*slot).write.total, (*slot).write.header.agent) };
    if flags & Write::OBSERVED != 0
        || total > FAST_PATH_BYTES as u64
        || scope::agent_flags(agent) & Agent::FROZEN != 0
    {
        return 0;
    }
    let cookie = tied_to(slot);
    let Some(socket) = SOCKETS.get_ptr_mut(cookie) else { return 0 };
    if !gate::is_in_step(socket, cookie) {
        return 0;
    }
    // SAFETY: as above.
    unsafe { (*slot).write.cookie = cookie };
    fast_path::is_harmless_head(slot, total)
}

/// The socket that the slot's object is tied to, 0 if none.
#[inline(always)]
fn tied_to(slot: *mut Slot) -> u64 {
    // SAFETY: this thread owns the slot; the tie is copied at once.
    unsafe { TIES.get((*slot).object) }.copied().unwrap_or(0)
}

/// Raises the gate, or, while the socket is not known, marks the thread.
#[inline(never)]
fn close(slot: *mut Slot) -> u64 {
    // SAFETY: this thread owns the slot.
    if unsafe { (*slot).write.flags } & Write::OBSERVED != 0 {
        return 0;
    }
    let cookie = tied_to(slot);
    if let Some(socket) = SOCKETS.get_ptr_mut(cookie) {
        let number = gate::raise(socket);
        // SAFETY: as above.
        unsafe {
            (*slot).write.cookie = cookie;
            (*slot).write.gate = number;
        }
        return number;
    }
    // SAFETY: as above.
    unsafe {
        (*slot).write.cookie = 0;
        let (write, object) = (&raw const (*slot).write, (*slot).object.image);
        let pending = &raw mut (*slot).pending;
        (*pending).write = (*write).write;
        (*pending).ssl = (*write).ssl;
        (*pending).len = (*write).total;
        (*pending).session = (*write).header.session;
        (*pending).tgid = (*write).header.tgid;
        (*pending).tid = (*write).header.tid;
        (*pending).image = object;
        (*pending).agent = (*write).header.agent;
        tie::mark_pending(&*pending);
    }
    0
}

/// No slot: the write is gated all the same, and nobody will read it. If its socket is not known, nothing accounts for
/// its record, so it is held there.
#[inline(never)]
fn close_without_slot(ssl: u64, _len: u64) -> u64 {
    let Some((tgid, task)) = scope::current() else { return 0 };
    if scope::agent_flags(task.agent) & Agent::OBSERVE != 0 {
        return 0;
    }
    let object = agent_guard_common::conn::TlsObject { ssl, tgid, image: task.image };
    match tie::socket_of(&object) {
        Some((_, socket)) => gate::raise(socket),
        None => 0,
    }
}

#[inline(always)]
fn submit(slot: *mut Slot, captured: u64) {
    if emit::submit_slot(slot, captured) == 0 {
        count(counters::LOST_RING_FULL);
    }
}

/// Copies and submits what is behind the first piece, up to `MAX_CHUNKS` pieces in all.
#[inline(never)]
fn copy_rest(slot: *mut Slot, _len: u64) -> u64 {
    let mut context = slot;
    // SAFETY: the callback has the signature that the helper demands and touches nothing but the slot.
    unsafe {
        bpf_loop(MAX_CHUNKS as u32 - 1, copy_piece as *const () as *mut _, (&raw mut context).cast(), 0)
    };
    0
}

/// One more piece; the slot still describes the write.
unsafe extern "C" fn copy_piece(index: u64, context: *mut *mut Slot) -> i64 {
    // SAFETY: the helper hands back the pointer to the slot's address that it was given; this thread owns the slot.
    unsafe {
        let slot = *context;
        let offset = (index + 1) * CHUNK_BYTES as u64;
        let total = (*slot).write.total;
        if offset >= total {
            return 1;
        }
        let left = total - offset;
        let mut captured = if left > CHUNK_BYTES as u64 { CHUNK_BYTES as u64 } else { left };
        if left <= CHUNK_BYTES as u64 || index + 2 >= MAX_CHUNKS {
            (*slot).write.flags |= Write::LAST;
        }
        (*slot).write.offset = offset;
        if copy::fill(slot, offset) != 0 {
            count(counters::LOST_COPY_FAULT);
            (*slot).write.flags |= Write::UNREADABLE | Write::LAST;
            captured = 0;
        }
        submit(slot, captured);
        i64::from((*slot).write.flags & Write::LAST != 0)
    }
}

//! Entry of a TLS library's write function: `(ssl, buf, len)` in the first three argument registers (System V AMD64).
//! Sleepable, so that any page of the agent can be read.

use agent_guard_common::{
    config::COOKIE_LEN32,
    conn::{Pending, Socket, TlsObject},
    counters,
    event::{Slot, Write, kind},
    maps::{CHUNK_BYTES, FAST_PATH_BYTES, MAX_CHUNKS},
    task::{Agent, Task},
};
use aya_ebpf::{
    EbpfContext, helpers::bpf_get_current_pid_tgid, helpers::generated::{bpf_get_attach_cookie, bpf_loop}, macros::uprobe, programs::ProbeContext,
};

use crate::{
    copy,
    count::count,
    emit, fast_path, gate,
    maps::SEQUENCE_WRITE,
    scope, tie,
};

/// One call of the write function.
struct Call {
    ssl: u64,
    buffer: u64,
    len: u64,
    number: u64,
    tgid: u32,
    task: Task,
    tied: Option<(u64, *mut Socket)>,
}

#[uprobe(sleepable)]
pub fn tls_write(ctx: ProbeContext) -> u32 {
    if let Some((tgid, task)) = scope::current() {
        on_write(&ctx, tgid, &task);
    }
    0
}

#[inline(always)]
fn on_write(ctx: &ProbeContext, tgid: u32, task: &Task) {
    // SAFETY: the context of a uprobe is a `pt_regs`, readable as such; the helper takes the context itself.
    let (ssl, buffer, mut len, cookie) = unsafe {
        ((*ctx.regs).rdi, (*ctx.regs).rsi, (*ctx.regs).rdx, bpf_get_attach_cookie(ctx.as_ptr()))
    };
    if cookie & COOKIE_LEN32 != 0 {
        len &= 0xffff_ffff;
        if len > 0x7fff_ffff {
            return; // a negative length: the library refuses it
        }
    }
    if len == 0 {
        return;
    }
    count(counters::WRITES_SEEN);
    let object = TlsObject { ssl, tgid, image: task.image };
    let mut call = Call { ssl, buffer, len, number: scope::next(SEQUENCE_WRITE), tgid, task: *task, tied: None };
    let Some(owned) = copy::take(bpf_get_current_pid_tgid()) else {
        count(counters::LOST_NO_SLOT);
        if scope::agent_flags(task.agent) & Agent::OBSERVE == 0 {
            call.tied = tie::socket_of(&object);
            close(&call);
        }
        return;
    };
    // The copy may sleep: the socket is looked up behind it.
    let copied = copy::fill(owned.slot, buffer, len);
    call.tied = tie::socket_of(&object);
    on_copied(&call, owned.slot, copied);
    copy::give_back(&owned, bpf_get_current_pid_tgid());
}

/// With the first piece copied: let go what is provably harmless, gate the rest.
#[inline(always)]
fn on_copied(call: &Call, slot: *mut Slot, copied: Result<u32, ()>) {
    let observed = scope::agent_flags(call.task.agent) & Agent::OBSERVE != 0;
    let mut flags = if observed { Write::OBSERVED } else { 0 };
    let mut number = 0;
    let Ok(captured) = copied else {
        count(counters::LOST_COPY_FAULT);
        if !observed {
            number = close(call);
        }
        describe(call, slot, number, flags | Write::UNREADABLE | Write::LAST);
        submit(slot, 0);
        return;
    };
    if !observed {
        if may_pass(call, slot) {
            flags |= Write::FAST;
        } else {
            number = close(call);
        }
    }
    let last = call.len <= CHUNK_BYTES as u64;
    describe(call, slot, number, flags | if last { Write::LAST } else { 0 });
    if flags & Write::FAST != 0 {
        if !emit::submit_slot(slot, captured) {
            count(counters::LOST_RECORD); // let go all the same, and counted as not on the record
        }
        return;
    }
    submit(slot, captured);
    if !last {
        copy_rest(call, slot, flags);
    }
}

/// The fast path: in step, and exactly one harmless head.
#[inline(always)]
fn may_pass(call: &Call, slot: *mut Slot) -> bool {
    let Some((cookie, socket)) = call.tied else { return false };
    if call.len > FAST_PATH_BYTES as u64 || scope::agent_flags(call.task.agent) & Agent::FROZEN != 0 {
        return false;
    }
    if gate::is_in_step(socket, cookie) && fast_path::is_harmless_head(slot, call.len) {
        count(counters::FAST_PATH);
        return true;
    }
    false
}

/// Raises the gate, or, while the socket is not known, marks thread and process. Returns the gate's number or 0.
#[inline(always)]
fn close(call: &Call) -> u64 {
    if let Some((_, socket)) = call.tied {
        return gate::raise(socket);
    }
    let pending = Pending {
        write: call.number,
        ssl: call.ssl,
        len: call.len,
        session: call.task.session,
        tgid: call.tgid,
        tid: bpf_get_current_pid_tgid() as u32,
        image: call.task.image,
        agent: call.task.agent,
    };
    tie::mark_pending(&pending);
    0
}

#[inline(always)]
fn describe(call: &Call, slot: *mut Slot, gate: u64, flags: u32) {
    let write = Write {
        header: emit::header(kind::WRITE, 0, &call.task),
        write: call.number,
        ssl: call.ssl,
        cookie: match call.tied {
            Some((cookie, _)) => cookie,
            None => 0,
        },
        gate,
        total: call.len,
        offset: 0,
        captured: 0,
        flags,
    };
    // SAFETY: this thread owns the slot.
    unsafe { (*slot).write = write }
}

#[inline(always)]
fn submit(slot: *mut Slot, captured: u32) {
    if !emit::submit_slot(slot, captured) {
        count(counters::LOST_RING_FULL);
    }
}

/// The pieces of a write behind its first. Lives on the stack of the probe.
#[repr(C)]
struct Rest {
    slot: *mut Slot,
    buffer: u64,
    len: u64,
    flags: u64,
}

/// Copies and submits what is behind the first piece, up to `MAX_CHUNKS` pieces in all.
#[inline(always)]
fn copy_rest(call: &Call, slot: *mut Slot, flags: u32) {
    let mut rest = Rest { slot, buffer: call.buffer, len: call.len, flags: u64::from(flags) };
    // SAFETY: the callback has the signature that the helper demands and touches nothing but the slot.
    unsafe { bpf_loop(MAX_CHUNKS as u32 - 1, copy_piece as *const () as *mut _, (&raw mut rest).cast(), 0) };
}

/// One more piece; the slot still describes the write.
unsafe extern "C" fn copy_piece(index: u64, rest: *mut Rest) -> i64 {
    // SAFETY: the helper hands back the pointer to the `Rest` that it was given; this thread owns the slot.
    unsafe {
        let rest = &mut *rest;
        let offset = (index + 1) * CHUNK_BYTES as u64;
        if offset >= rest.len {
            return 1;
        }
        let left = rest.len - offset;
        let last = left <= CHUNK_BYTES as u64 || index + 2 >= MAX_CHUNKS;
        let mut captured = if left > CHUNK_BYTES as u64 { CHUNK_BYTES as u32 } else { left as u32 };
        let mut flags = rest.flags as u32;
        if last {
            flags |= Write::LAST;
        }
        if copy::fill(rest.slot, rest.buffer + offset, left).is_err() {
            count(counters::LOST_COPY_FAULT);
            flags |= Write::UNREADABLE | Write::LAST;
            captured = 0;
        }
        (*rest.slot).write.offset = offset;
        (*rest.slot).write.flags = flags;
        submit(rest.slot, captured);
        if flags & Write::LAST != 0 { 1 } else { 0 }
    }
}

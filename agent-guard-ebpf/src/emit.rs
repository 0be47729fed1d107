//! Events to the daemon: build, submit, count what is lost.

use agent_guard_common::{
    ABI_VERSION, counters,
    event::{Header, Slot},
    maps::CHUNK_BYTES,
    task::Task,
};
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_ktime_get_boot_ns, bpf_ringbuf_output},
};

use crate::{count::count, maps::EVENTS};

/// Header of an event of the current thread, `len` bytes long in all.
#[inline(always)]
pub fn header(kind: u16, len: usize, task: &Task) -> Header {
    let pid_tgid = bpf_get_current_pid_tgid();
    Header {
        tgid: (pid_tgid >> 32) as u32,
        tid: pid_tgid as u32,
        ..foreign_header(kind, len, task.session, task.agent)
    }
}

/// Header of an event that is about another process than the current one, whose tgid is still to be filled in.
#[inline(always)]
pub fn foreign_header(kind: u16, len: usize, session: u64, agent: u32) -> Header {
    Header {
        abi: ABI_VERSION,
        kind,
        len: len as u32,
        // SAFETY: no arguments, no side effects.
        at_ns: unsafe { bpf_ktime_get_boot_ns() },
        tgid: 0,
        tid: 0,
        session,
        agent,
        reserved: 0,
    }
}

/// Submits an event of fixed size. False, and counted, if the ring is full.
#[inline(always)]
pub fn submit<T: 'static>(event: &T) -> bool {
    if EVENTS.output::<T>(event, 0).is_ok() {
        return true;
    }
    count(counters::LOST_RING_FULL);
    false
}

/// Submits the slot's event with its first `captured` bytes. 0 if the ring is full; the caller counts.
#[inline(never)]
pub fn submit_slot(slot: *mut Slot, captured: u64) -> u64 {
    if captured > CHUNK_BYTES as u64 {
        return 0;
    }
    let len = size_of::<agent_guard_common::event::Write>() as u64 + captured;
    // SAFETY: the slot is at least `len` bytes long; `captured` was bounded above.
    unsafe {
        (*slot).write.header.len = len as u32;
        (*slot).write.captured = captured as u32;
        u64::from(bpf_ringbuf_output((&raw const EVENTS).cast_mut().cast(), slot.cast(), len, 0) == 0)
    }
}

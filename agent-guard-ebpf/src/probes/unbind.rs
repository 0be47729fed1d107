//! A TLS object is freed, cleared or given another socket: its tie ends here, before its address can be reused.
//! First argument: the object.

use agent_guard_common::{
    ABI_VERSION,
    conn::TlsObject,
    counters,
    event::{Unbound, kind},
};
use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_ktime_get_boot_ns},
    macros::uprobe,
    programs::ProbeContext,
};

use crate::{
    count::count,
    maps::{EVENTS, PENDING, TASKS, TIES},
    scope,
};

/// (Small frames: see `agent_guard_common::event::Slot`.)
#[uprobe]
pub fn tls_unbind(ctx: ProbeContext) -> u32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some(task) = TASKS.get_ptr(tgid) else { return 0 };
    // SAFETY: the context of a uprobe is a `pt_regs`, readable as such; the entry is alive while the program runs.
    let (ssl, image) = unsafe { ((*ctx.regs).rdi, (*task).image) };
    let dropped = drop_pending(ssl);
    let cookie = drop_tie(ssl, tgid, image);
    if cookie != 0 || dropped != 0 {
        report(ssl, cookie);
    }
    0
}

/// A write of the object that was not sent yet. If its record is sent all the same, nothing accounts for it.
#[inline(never)]
fn drop_pending(ssl: u64) -> u64 {
    let thread = scope::current_thread();
    // SAFETY: read at once.
    if unsafe { PENDING.get(thread) }.is_some_and(|pending| pending.ssl == ssl) {
        let _gone = PENDING.remove(thread);
        return 1;
    }
    0
}

#[inline(never)]
fn drop_tie(ssl: u64, tgid: u32, image: u32) -> u64 {
    let object = TlsObject { ssl, tgid, image };
    // SAFETY: copied at once.
    let cookie = unsafe { TIES.get(object) }.copied().unwrap_or(0);
    let _gone = TIES.remove(object);
    cookie
}

#[inline(never)]
fn report(ssl: u64, cookie: u64) -> u64 {
    let Some(mut entry) = EVENTS.reserve::<Unbound>(0) else {
        count(counters::LOST_RING_FULL);
        return 0;
    };
    let pid_tgid = bpf_get_current_pid_tgid();
    let event = entry.as_mut_ptr();
    // SAFETY: the reservation is as long as an `Unbound`.
    unsafe {
        (*event).header.abi = ABI_VERSION;
        (*event).header.kind = kind::UNBOUND;
        (*event).header.len = size_of::<Unbound>() as u32;
        (*event).header.at_ns = bpf_ktime_get_boot_ns();
        (*event).header.tgid = (pid_tgid >> 32) as u32;
        (*event).header.tid = pid_tgid as u32;
        (*event).header.session = 0;
        (*event).header.agent = 0;
        (*event).header.reserved = 0;
        (*event).ssl = ssl;
        (*event).cookie = cookie;
    }
    entry.submit(0);
    1
}

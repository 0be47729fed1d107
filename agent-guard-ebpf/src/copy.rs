//! Copy slots: where the bytes of a TLS write are collected.
//!
//! A copy may sleep, for ever if the agent's buffer is on a dead file system. So no ring reservation is open and no
//! per-CPU memory is used meanwhile: the bytes go to a slot that the thread owns, and one process may own only some.

use agent_guard_common::{
    event::Slot,
    maps::{CHUNK_BYTES, SLOTS, SLOTS_PER_PROCESS},
};
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_copy_from_user, bpf_get_smp_processor_id, bpf_loop},
};

use crate::{
    atomic,
    maps::{SLOT_OWNERS, SlotOwners, TASKS},
};

/// Times that a slot which another thread took first is looked for again.
const ATTEMPTS: u32 = 3;

/// State of one look through the owners. Lives on the stack of the probe.
#[repr(C)]
struct Search {
    owners: *const SlotOwners,
    start: u64,
    free: u64,
}

/// Takes a free slot for the current thread; its index, or `SLOTS` if there is none.
#[inline(never)]
pub fn take() -> u64 {
    let pid_tgid = bpf_get_current_pid_tgid();
    let Some(task) = TASKS.get_ptr_mut((pid_tgid >> 32) as u32) else { return u64::from(SLOTS) };
    // SAFETY: the map value is alive while the program runs; the word is only accessed atomically.
    if unsafe { atomic::add32(&raw mut (*task).slots, 1) } < SLOTS_PER_PROCESS {
        let index = take_free(pid_tgid);
        if index < u64::from(SLOTS) {
            return index;
        }
    }
    leave(pid_tgid);
    u64::from(SLOTS)
}

/// One slot less for the process.
#[inline(always)]
fn leave(pid_tgid: u64) {
    if let Some(task) = TASKS.get_ptr_mut((pid_tgid >> 32) as u32) {
        // SAFETY: as in `take`.
        unsafe { atomic::add32(&raw mut (*task).slots, u32::MAX) };
    }
}

#[inline(always)]
fn take_free(pid_tgid: u64) -> u64 {
    let Some(owners) = SLOT_OWNERS.get_ptr_mut(0) else { return u64::from(SLOTS) };
    for _ in 0..ATTEMPTS {
        // SAFETY: no arguments, no side effects.
        let start = u64::from(unsafe { bpf_get_smp_processor_id() }) * 8 % u64::from(SLOTS);
        let mut search = Search { owners, start, free: u64::from(SLOTS) };
        // SAFETY: the callback has the signature that the helper demands and reads nothing but the owners.
        unsafe { bpf_loop(SLOTS, look_at as *const () as *mut _, (&raw mut search).cast(), 0) };
        if search.free >= u64::from(SLOTS) {
            break;
        }
        // SAFETY: the index was bounded above; the word is only accessed atomically.
        if unsafe { atomic::replace_if(&raw mut (*owners).owners[search.free as usize], 0, pid_tgid) } {
            return search.free;
        }
    }
    u64::from(SLOTS)
}

/// One slot: has it an owner?
unsafe extern "C" fn look_at(index: u64, search: *mut Search) -> i64 {
    // SAFETY: the helper hands back the pointer to the `Search` that it was given; `index` is checked.
    unsafe {
        let search = &mut *search;
        // From another place on for each CPU, so that two takers want two slots.
        let mut index = index + search.start;
        if index >= u64::from(SLOTS) {
            index -= u64::from(SLOTS);
        }
        if index >= u64::from(SLOTS) {
            return 1;
        }
        let owner =
            core::ptr::read_volatile((&raw const (*search.owners).owners).cast::<u64>().add(index as usize));
        if owner == 0 {
            search.free = index;
        }
    }
    0
}

/// Frees the slot.
#[inline(never)]
pub fn give_back(index: u64) -> u64 {
    leave(bpf_get_current_pid_tgid());
    if index >= u64::from(SLOTS) {
        return 0;
    }
    if let Some(owners) = SLOT_OWNERS.get_ptr_mut(0) {
        // SAFETY: the index was checked above for the verifier; this thread owns the word.
        unsafe { atomic::replace(&raw mut (*owners).owners[index as usize], 0) };
    }
    0
}

/// Copies what of the agent's buffer starts at `offset`, at most [`CHUNK_BYTES`], into the slot. May sleep. 0: done.
#[inline(never)]
pub fn fill(slot: *mut Slot, offset: u64) -> i64 {
    // SAFETY: this thread owns the slot, which has CHUNK_BYTES of room behind its header; the length is bounded by that.
    unsafe {
        let left = (*slot).write.total.wrapping_sub(offset);
        let len = if left > CHUNK_BYTES as u64 { CHUNK_BYTES as u32 } else { left as u32 };
        bpf_copy_from_user((&raw mut (*slot).bytes).cast(), len, ((*slot).buffer + offset) as *const _)
    }
}

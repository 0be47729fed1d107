//! Copy slots: where the bytes of a TLS write are collected.
//!
//! A copy may sleep, for ever if the agent's buffer is on a dead file system. So no ring reservation is open and no
//! per-CPU memory is used meanwhile: the bytes go to a slot that the thread owns, and one process may own only some.

use agent_guard_common::{
    event::Slot,
    maps::{CHUNK_BYTES, SLOTS, SLOTS_PER_PROCESS},
};
use aya_ebpf::helpers::generated::bpf_copy_from_user;

use crate::{
    atomic,
    maps::{SLOT_OWNERS, SLOTS_MAP},
};

/// A slot owned by this thread. Give it back with [`give_back`]: the verifier follows no destructors.
pub struct Owned {
    pub index: u32,
    pub slot: *mut Slot,
}

/// Takes a free slot for the thread `pid_tgid`.
#[inline(always)]
pub fn take(pid_tgid: u64) -> Option<Owned> {
    let owners = SLOT_OWNERS.get_ptr_mut(0)?;
    let mut free = SLOTS;
    let mut mine = 0u64;
    for index in 0..SLOTS {
        // SAFETY: `index` is within the array, which lives as long as the map.
        let owner = unsafe { core::ptr::read_volatile(&raw const (*owners).owners[index as usize]) };
        if owner == 0 {
            free = index;
        } else if owner >> 32 == pid_tgid >> 32 {
            mine += 1;
        }
    }
    if free >= SLOTS || mine >= SLOTS_PER_PROCESS {
        return None;
    }
    claim(owners, free, pid_tgid).or_else(|| claim_any(owners, pid_tgid))
}

/// Another thread took the free slot first: takes whichever is free.
#[inline(always)]
fn claim_any(owners: *mut crate::maps::SlotOwners, pid_tgid: u64) -> Option<Owned> {
    for index in 0..SLOTS {
        if let Some(owned) = claim(owners, index, pid_tgid) {
            return Some(owned);
        }
    }
    None
}

#[inline(always)]
fn claim(owners: *mut crate::maps::SlotOwners, index: u32, pid_tgid: u64) -> Option<Owned> {
    // SAFETY: `index` is below SLOTS at both call sites; the word is only accessed atomically.
    if !unsafe { atomic::replace_if(&raw mut (*owners).owners[index as usize], 0, pid_tgid) } {
        return None;
    }
    SLOTS_MAP.get_ptr_mut(index).map(|slot| Owned { index, slot })
}

/// Frees the slot.
#[inline(always)]
pub fn give_back(owned: &Owned) {
    if owned.index >= SLOTS {
        return;
    }
    if let Some(owners) = SLOT_OWNERS.get_ptr_mut(0) {
        // SAFETY: the index was checked above for the verifier; this thread owns the word.
        unsafe { atomic::replace(&raw mut (*owners).owners[owned.index as usize], 0) };
    }
}

/// Copies `len` bytes (at most [`CHUNK_BYTES`]) of the agent's memory into the slot. May sleep.
#[inline(always)]
pub fn fill(slot: *mut Slot, from: u64, len: u64) -> Result<u32, ()> {
    let len = if len > CHUNK_BYTES as u64 { CHUNK_BYTES as u32 } else { len as u32 };
    // SAFETY: the slot has CHUNK_BYTES of room behind its header and `len` is bounded by it.
    let code = unsafe { bpf_copy_from_user((&raw mut (*slot).bytes).cast(), len, from as *const _) };
    if code == 0 { Ok(len) } else { Err(()) }
}

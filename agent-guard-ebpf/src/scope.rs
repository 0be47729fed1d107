//! Is this task an agent's? And who does it belong to?

use agent_guard_common::task::{Agent, Task};
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_get_current_task, bpf_get_current_task_btf},
};

use crate::{
    atomic,
    maps::{AGENTS, SEQUENCE, TASKS},
    offsets::{self, field},
};

/// The current process as an agent's, or `None`.
#[inline(always)]
pub fn current() -> Option<(u32, Task)> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: the value is copied at once; a concurrent exec changes `image` only.
    unsafe { TASKS.get(tgid) }.map(|task| (tgid, *task))
}

/// As [`current`], for programs that may not ask for the pid (cgroup_skb before Linux 6.10).
#[inline(always)]
pub fn current_by_task() -> Option<(u32, Task)> {
    // SAFETY: a typed helper, with an offset of its type.
    let tgid =
        unsafe { field::<u32>(bpf_get_current_task_btf().cast::<u8>().cast_const(), offsets::task_tgid()) };
    // SAFETY: as in `current`.
    unsafe { TASKS.get(tgid) }.map(|task| (tgid, *task))
}

/// Address of the current `task_struct`: the key of a thread. (`bpf_get_current_pid_tgid` is missing from
/// cgroup_skb programs before Linux 6.10.)
#[inline(always)]
pub fn current_thread() -> u64 {
    // SAFETY: no arguments, no side effects.
    unsafe { bpf_get_current_task() }
}

/// Flags of an agent ([`Agent`]).
#[inline(always)]
pub fn agent_flags(agent: u32) -> u32 {
    AGENTS.get(agent).map_or(Agent::KNOWN, |agent| agent.flags)
}

/// The next number of a sequence in `SEQUENCE`, from 1.
#[inline(always)]
pub fn next(sequence: u32) -> u64 {
    match SEQUENCE.get_ptr_mut(sequence) {
        // SAFETY: array entries live as long as the map; the access is atomic.
        Some(word) => unsafe { atomic::add(word, 1) + 1 },
        None => 0,
    }
}

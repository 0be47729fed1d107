//! A new process of an agent belongs to its parent's session before it runs: `task_newtask` fires in
//! `copy_process`, before the child is woken (kernel/fork.c).
//!
//! match-proto: task_newtask(struct task_struct *task, u64 clone_flags)

use agent_guard_common::{counters, task::Task};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    count::count,
    maps::TASKS,
    offsets::{self, field},
    scope,
};

const CLONE_THREAD: u64 = 0x0001_0000;

#[btf_tracepoint(function = "task_newtask")]
pub fn task_new(ctx: BtfTracePointContext) -> i32 {
    let flags: u64 = ctx.arg(1);
    if flags & CLONE_THREAD != 0 {
        return 0;
    }
    let Some((_, parent)) = scope::current() else { return 0 };
    let child: *const u8 = ctx.arg(0);
    // SAFETY: a typed program argument with offsets of its type.
    let (tgid, start_ns) =
        unsafe { (field::<u32>(child, offsets::task_tgid()), field::<u64>(child, offsets::task_start())) };
    if TASKS.insert(tgid, Task { start_ns, slots: 0, ..parent }, 0).is_err() {
        // The child would be unguarded. Its parent's session is known to user space, which acts on this counter.
        count(counters::MAP_FULL);
    }
    0
}

//! A thread ends; with the last one, its process leaves the session.
//!
//! match-proto: sched_process_exit(struct task_struct *p)

use agent_guard_common::event::{Exit, kind};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    emit,
    maps::{PENDING, TASKS},
    offsets::{self, field},
    scope,
};

#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(ctx: BtfTracePointContext) -> i32 {
    // The address of this thread may be another's soon.
    let _gone = PENDING.remove(scope::current_thread());
    let Some((tgid, task)) = scope::current() else { return 0 };
    let thread: *const u8 = ctx.arg(0);
    // SAFETY: a typed program argument, followed along a typed pointer. `live` counts threads that have not reached
    // do_exit and was lowered for this one already.
    let live = unsafe {
        let signal: *const u8 = field(thread, offsets::task_signal());
        field::<u32>(signal, offsets::signal_live())
    };
    if live == 0 {
        let _gone = TASKS.remove(tgid);
        emit::submit(&Exit {
            header: emit::header(kind::EXIT, size_of::<Exit>(), &task),
            start_ns: task.start_ns,
        });
    }
    0
}

//! A program is executed: does the process match an agent by user, cgroup or file? And: its TLS objects are new.
//!
//! match-proto: sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)

use agent_guard_common::{
    counters,
    event::{Exec, kind},
    task::{ExeKey, Task},
};
use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        generated::{bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id},
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};

use crate::{
    count::count,
    emit,
    maps::{MATCH_CGROUP, MATCH_EXE, MATCH_UID, SEQUENCE_SESSION, TASKS},
    offsets::{self, field},
    scope,
};

/// Levels of the cgroup tree that are compared, from the root's children down.
const CGROUP_LEVELS: i32 = 10;

#[btf_tracepoint(function = "sched_process_exec")]
pub fn process_exec(ctx: BtfTracePointContext) -> i32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let process: *const u8 = ctx.arg(0);
    let bprm: *const u8 = ctx.arg(2);
    if let Some(task) = TASKS.get_ptr_mut(tgid) {
        // SAFETY: the map value is alive; only this process's own exec writes `image`.
        let task = unsafe {
            (*task).image += 1;
            *task
        };
        report(&task, 0);
        return 0;
    }
    let Some(agent) = matching_agent(bprm) else { return 0 };
    // SAFETY: a typed program argument with an offset of its type.
    let start_ns = unsafe { field::<u64>(process, offsets::task_start()) };
    // Odd numbers are sessions that began here, even ones those that the daemon enrolled.
    let session = scope::next(SEQUENCE_SESSION) * 2 + 1;
    let task = Task { session, start_ns, agent, root: tgid, image: 1, slots: 0 };
    if TASKS.insert(tgid, task, 0).is_err() {
        count(counters::MAP_FULL);
        return 0;
    }
    report(&task, 1);
    0
}

#[inline(always)]
fn report(task: &Task, began: u32) {
    emit::submit(&Exec {
        header: emit::header(kind::EXEC, size_of::<Exec>(), task),
        start_ns: task.start_ns,
        root: task.root,
        began,
    });
}

#[inline(always)]
fn matching_agent(bprm: *const u8) -> Option<u32> {
    let uid = bpf_get_current_uid_gid() as u32;
    // SAFETY (each): copied at once.
    if let Some(agent) = unsafe { MATCH_UID.get(uid) } {
        return Some(*agent);
    }
    if let Some(agent) = unsafe { MATCH_EXE.get(executable(bprm)) } {
        return Some(*agent);
    }
    // SAFETY: no arguments, no side effects.
    let own = unsafe { bpf_get_current_cgroup_id() };
    if let Some(agent) = unsafe { MATCH_CGROUP.get(own) } {
        return Some(*agent);
    }
    for level in 1..CGROUP_LEVELS {
        // SAFETY: plain argument; 0 above the own level.
        let id = unsafe { bpf_get_current_ancestor_cgroup_id(level) };
        if id == 0 {
            return None;
        }
        if let Some(agent) = unsafe { MATCH_CGROUP.get(id) } {
            return Some(*agent);
        }
    }
    None
}

/// The file being executed.
#[inline(always)]
fn executable(bprm: *const u8) -> ExeKey {
    // SAFETY: a typed program argument, followed along typed pointers with offsets of their types.
    unsafe {
        let file: *const u8 = field(bprm, offsets::bprm_file());
        let inode: *const u8 = field(file, offsets::file_inode());
        let super_block: *const u8 = field(inode, offsets::inode_sb());
        ExeKey {
            inode: field(inode, offsets::inode_ino()),
            dev: field(super_block, offsets::sb_dev()),
            reserved: 0,
        }
    }
}

//! A TLS object is freed, cleared or given another socket: its tie ends here, before its address can be reused.
//! First argument: the object.

use agent_guard_common::{
    conn::TlsObject,
    event::{Unbound, kind},
};
use aya_ebpf::{macros::uprobe, programs::ProbeContext};

use crate::{
    emit,
    maps::{PENDING, TIES},
    scope,
};

#[uprobe]
pub fn tls_unbind(ctx: ProbeContext) -> u32 {
    let Some((tgid, task)) = scope::current() else { return 0 };
    // SAFETY: the context of a uprobe is a `pt_regs`, readable as such.
    let ssl = unsafe { (*ctx.regs).rdi };
    let thread = scope::current_thread();
    // SAFETY: copied at once.
    let dropped = unsafe { PENDING.get(thread) }.is_some_and(|pending| pending.ssl == ssl);
    if dropped {
        // Written and not sent yet. If its record is sent all the same, nothing accounts for it.
        let _gone = PENDING.remove(thread);
    }
    let object = TlsObject { ssl, tgid, image: task.image };
    // SAFETY: copied at once.
    let cookie = unsafe { TIES.get(object) }.copied().unwrap_or(0);
    if cookie == 0 && !dropped {
        return 0;
    }
    let _gone = TIES.remove(object);
    emit::submit(&Unbound { header: emit::header(kind::UNBOUND, size_of::<Unbound>(), &task), ssl, cookie });
    0
}

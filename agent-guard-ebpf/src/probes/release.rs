//! Sockets are made and given up.
//!
//! MPTCP: its subflows are sockets of their own, which the gate does not see; agents get none and fall back to TCP.
//! The last descriptor of a socket is closed: one that never was connected (no route, no
//! free port) changes no TCP state, so it would stay on the books for ever.

use agent_guard_common::{
    event::{SocketEvent, kind},
    task::Agent,
};
use aya_ebpf::{
    EbpfContext, helpers::generated::bpf_get_socket_cookie, macros::cgroup_sock, programs::SockContext,
};

use crate::{
    emit, gate,
    maps::{RELEASED, SOCKETS},
    scope,
};

const TCP_CLOSE: u32 = 7; // include/net/tcp_states.h

const IPPROTO_MPTCP: u32 = 262; // include/uapi/linux/in.h

#[cgroup_sock(sock_create)]
pub fn sock_create(ctx: SockContext) -> i32 {
    // SAFETY: a field of the program's context.
    if unsafe { (*ctx.sock).protocol } != IPPROTO_MPTCP {
        return 1;
    }
    match scope::current() {
        Some((_, task)) if scope::agent_flags(task.agent) & Agent::OBSERVE == 0 => 0,
        _ => 1,
    }
}

#[cgroup_sock(sock_release)]
pub fn sock_release(ctx: SockContext) -> i32 {
    // SAFETY: a field of the program's context.
    if unsafe { (*ctx.sock).state } != TCP_CLOSE {
        return 1;
    }
    // SAFETY: the helper takes the program's context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let Some(socket) = SOCKETS.get_ptr_mut(cookie) else { return 1 };
    let gated = gate::gated(socket);
    // SAFETY: copied at once.
    let known = unsafe { *socket };
    let _gone = SOCKETS.remove(cookie);
    let _gone = RELEASED.remove(cookie);
    let mut header = emit::foreign_header(kind::SOCKET, size_of::<SocketEvent>(), known.session, known.agent);
    header.tgid = known.tgid;
    emit::submit(&SocketEvent {
        header,
        cookie,
        gated,
        address: Default::default(),
        state: TCP_CLOSE,
        reserved: 0,
    });
    1
}

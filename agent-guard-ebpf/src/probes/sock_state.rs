//! A socket of an agent changes its TCP state: what is held on a closing one is reported, what is closed forgotten.
//!
//! match-proto: inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)

use agent_guard_common::{
    conn::TlsObject,
    event::{SocketEvent, kind},
};
use aya_ebpf::{
    helpers::generated::bpf_get_socket_cookie, macros::btf_tracepoint, programs::BtfTracePointContext,
};

use crate::{
    emit, gate,
    maps::{RELEASED, SOCKETS, TIES},
};

// include/net/tcp_states.h
const TCP_FIN_WAIT1: i32 = 4;
const TCP_CLOSE: i32 = 7;
const TCP_CLOSE_WAIT: i32 = 8;
const TCP_LAST_ACK: i32 = 9;
const TCP_CLOSING: i32 = 11;

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn sock_state(ctx: BtfTracePointContext) -> i32 {
    let state: i32 = ctx.arg(2);
    if !matches!(state, TCP_FIN_WAIT1 | TCP_CLOSE | TCP_CLOSE_WAIT | TCP_LAST_ACK | TCP_CLOSING) {
        return 0;
    }
    let sock: *mut core::ffi::c_void = ctx.arg(0);
    // SAFETY: a typed program argument, as the helper demands for tracing programs.
    let cookie = unsafe { bpf_get_socket_cookie(sock) };
    let Some(socket) = SOCKETS.get_ptr_mut(cookie) else { return 0 };
    let gated = gate::gated(socket);
    // SAFETY: copied at once.
    let known = unsafe { *socket };
    if state == TCP_CLOSE {
        if known.ssl != 0 {
            forget_tie(cookie, &TlsObject { ssl: known.ssl, tgid: known.tgid, image: known.image });
        }
        let _gone = SOCKETS.remove(cookie);
        let _gone = RELEASED.remove(cookie);
    } else if gated <= gate::released(cookie).released {
        return 0; // nothing held on it: its closing is its own affair
    }
    let mut header = emit::foreign_header(kind::SOCKET, size_of::<SocketEvent>(), known.session, known.agent);
    header.tgid = known.tgid;
    emit::submit(&SocketEvent {
        header,
        cookie,
        gated,
        address: Default::default(),
        state: state as u32,
        reserved: 0,
    });
    0
}

#[inline(always)]
fn forget_tie(cookie: u64, object: &TlsObject) {
    // SAFETY: copied at once.
    if unsafe { TIES.get(object) }.is_some_and(|tied| *tied == cookie) {
        let _gone = TIES.remove(object);
    }
}

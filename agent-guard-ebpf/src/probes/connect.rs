//! connect and sendmsg of agents: remember the socket before its first byte, switch Nagle off so that the writer
//! itself sends its records (see `tie.rs`), refuse what a frozen agent or QUIC wants.
//! Java connects IPv4 addresses through AF_INET6: both families are hooked.

use agent_guard_common::{
    conn::Socket,
    counters,
    event::{Address, Refused, SocketEvent, kind},
    task::{Agent, Task},
};
use aya_ebpf::{
    EbpfContext,
    bindings::bpf_sock_addr,
    helpers::generated::{bpf_get_socket_cookie, bpf_setsockopt},
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};

use crate::{count::count, emit, scope, tie};

const ALLOW: i32 = 1;
const REFUSE: i32 = 0;
const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
const IPPROTO_TCP: i32 = 6;
const TCP_NODELAY: i32 = 1;

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    on_connect(&ctx, address4(ctx.sock_addr))
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    on_connect(&ctx, address6(ctx.sock_addr))
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    on_datagram(address4(ctx.sock_addr))
}

#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    on_datagram(address6(ctx.sock_addr))
}

#[inline(always)]
fn on_connect(ctx: &SockAddrContext, mut address: Address) -> i32 {
    let Some((tgid, task)) = scope::current() else { return ALLOW };
    // SAFETY: a field of the program's context.
    let kind_of_socket = unsafe { (*ctx.sock_addr).type_ };
    if kind_of_socket != SOCK_STREAM {
        address.protocol = 17;
        return refusal(&task, &address, kind_of_socket == SOCK_DGRAM);
    }
    address.protocol = 6;
    if refusal(&task, &address, false) == REFUSE {
        return REFUSE;
    }
    // SAFETY: the helper takes the program's context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let socket =
        Socket { tgid, agent: task.agent, session: task.session, image: task.image, ..Socket::default() };
    if !tie::remember_socket(cookie, &socket) {
        return refuse(&task, &address, Refused::FULL);
    }
    let mut on: i32 = 1;
    // SAFETY: the helper takes the program's context and four bytes of our stack. Its failure is not fatal: ties then
    // rest on the untied rule, which fails closed.
    unsafe { bpf_setsockopt(ctx.as_ptr(), IPPROTO_TCP, TCP_NODELAY, (&raw mut on).cast(), 4) };
    emit::submit(&SocketEvent {
        header: emit::header(kind::SOCKET, size_of::<SocketEvent>(), &task),
        cookie,
        gated: 0,
        address,
        state: 0,
        reserved: 0,
    });
    ALLOW
}

#[inline(always)]
fn on_datagram(mut address: Address) -> i32 {
    let Some((_, task)) = scope::current() else { return ALLOW };
    address.protocol = 17;
    refusal(&task, &address, true)
}

#[inline(always)]
fn refusal(task: &Task, address: &Address, datagram: bool) -> i32 {
    let flags = scope::agent_flags(task.agent);
    if flags & Agent::FROZEN != 0 {
        return refuse(task, address, Refused::FROZEN);
    }
    if datagram && address.port == 443 && flags & Agent::OBSERVE == 0 {
        return refuse(task, address, Refused::QUIC);
    }
    ALLOW
}

#[inline(always)]
fn refuse(task: &Task, address: &Address, reason: u32) -> i32 {
    count(counters::CONNECT_REFUSED);
    emit::submit(&Refused {
        header: emit::header(kind::REFUSED, size_of::<Refused>(), task),
        address: *address,
        reason,
        reserved: 0,
    });
    REFUSE
}

#[inline(always)]
fn address4(ctx: *mut bpf_sock_addr) -> Address {
    // SAFETY: fields of the program's context, in network order.
    let (ip, port) = unsafe {
        (
            core::ptr::read_volatile(&raw const (*ctx).user_ip4),
            core::ptr::read_volatile(&raw const (*ctx).user_port),
        )
    };
    let mut address = Address { port: u16::from_be(port as u16), version: 4, ..Address::default() };
    let ip = ip.to_ne_bytes();
    address.ip[0] = ip[0];
    address.ip[1] = ip[1];
    address.ip[2] = ip[2];
    address.ip[3] = ip[3];
    address
}

#[inline(always)]
fn address6(ctx: *mut bpf_sock_addr) -> Address {
    let mut address = Address { version: 6, ..Address::default() };
    // SAFETY: fields of the program's context, in network order, read word by word as the verifier demands.
    unsafe {
        address.port = u16::from_be(core::ptr::read_volatile(&raw const (*ctx).user_port) as u16);
        let words = [
            core::ptr::read_volatile(&raw const (*ctx).user_ip6[0]),
            core::ptr::read_volatile(&raw const (*ctx).user_ip6[1]),
            core::ptr::read_volatile(&raw const (*ctx).user_ip6[2]),
            core::ptr::read_volatile(&raw const (*ctx).user_ip6[3]),
        ];
        core::ptr::write_unaligned((&raw mut address.ip).cast(), words);
    }
    address
}

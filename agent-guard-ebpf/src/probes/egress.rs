//! Every packet on its way out: what is gated does not leave.
//!
//! Only payload that was never sent is dropped: TCP keeps it and sends it again, the application notices nothing.
//! Retransmissions pass, and so do bytes of earlier, allowed writes that are still queued: `write_seq` is sampled
//! *before* the gate is looked up, so the last sample that found it open is their boundary.

use agent_guard_common::{
    conn::{Pending, Socket},
    counters,
    event::{Ack, Hello, Stray, kind},
    maps::HELLO_BYTES,
    task::Agent,
};
use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_fullsock, bpf_skc_to_tcp_sock},
    macros::cgroup_skb,
    programs::SkBuffContext,
};

use crate::{
    count::count,
    emit, gate,
    maps::{EVENTS, PENDING, SOCKETS},
    offsets::{self, field},
    packet::{self, Packet},
    records, scope, tie,
};

const PASS: i32 = 1;
const DROP: i32 = 0;

/// What the kernel knows of the sending socket.
struct Sender {
    cookie: u64,
    /// The socket's lock is owned: the current task is the one that sends.
    owned: bool,
    write_seq: u32,
    snd_nxt: u32,
}

#[cgroup_skb(egress)]
pub fn egress(ctx: SkBuffContext) -> i32 {
    // SAFETY: a field of the program's context; null is checked as the verifier demands.
    let sk = unsafe { (*ctx.skb.skb).__bindgen_anon_2.sk };
    if sk.is_null() {
        return PASS;
    }
    // SAFETY: the helper takes the program's context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.skb.skb.cast()) };
    // SAFETY: copied at once.
    let pending = unsafe { PENDING.get(scope::current_thread()) }.copied();
    if let Some(socket) = SOCKETS.get_ptr_mut(cookie) {
        return judge(&ctx, sk, cookie, socket, pending.as_ref());
    }
    // Not an agent's socket, unless an agent's write is on its way.
    let Some(pending) = &pending else { return PASS };
    if on_unknown(ctx.skb.skb, sk, cookie, pending) == 0 {
        return PASS;
    }
    // Known from now on. This packet does not leave; TCP sends it again, and then it is an agent's like any other.
    DROP
}

/// A pending thread sends on a socket that was not seen at connect: inherited, passed or older than the session.
#[inline(never)]
fn on_unknown(skb: *mut __sk_buff, sk: *mut bpf_sock, cookie: u64, pending: &Pending) -> u64 {
    let ctx = &SkBuffContext::new(skb);
    let Some(sender) = sender(sk, cookie) else { return 0 };
    let owner = scope::current_by_task().map_or(0, |(tgid, _)| tgid);
    if !sender.owned || owner != pending.tgid {
        return 0; // softirq: the current task is anybody
    }
    let Some(packet) = packet::parse(ctx) else { return 0 };
    if packet.payload == 0 {
        return 0;
    }
    let socket = Socket {
        tgid: pending.tgid,
        agent: pending.agent,
        session: pending.session,
        image: pending.image,
        flags: Socket::LATE,
        ..Socket::default()
    };
    tie::remember_socket(cookie, &socket);
    let Some(socket) = SOCKETS.get_ptr_mut(cookie) else { return 1 };
    if records::walk(ctx, &packet, socket, plaintext_of(pending)).fits {
        // Its gate is raised for a write that nobody knows: the daemon holds it as unreadable.
        gate::raise(socket);
        return 1;
    }
    let _gone = SOCKETS.remove(cookie);
    0
}

/// `None`: not a TCP socket.
#[inline(always)]
fn sender(sk: *mut bpf_sock, cookie: u64) -> Option<Sender> {
    // SAFETY: typed helpers, each result checked for null; loads with offsets of the type `tcp_sock`, whose first
    // member chain is `sock`.
    unsafe {
        let full = bpf_sk_fullsock(sk);
        if full.is_null() {
            return None;
        }
        let tcp: *const u8 = bpf_skc_to_tcp_sock(full.cast()).cast::<u8>().cast_const();
        if tcp.is_null() {
            return None;
        }
        Some(Sender {
            cookie,
            owned: field::<u32>(tcp, offsets::sock_owned()) != 0,
            write_seq: field(tcp, offsets::tcp_write_seq()),
            snd_nxt: field(tcp, offsets::tcp_snd_nxt()),
        })
    }
}

#[inline(always)]
fn judge(
    ctx: &SkBuffContext,
    sk: *mut bpf_sock,
    cookie: u64,
    socket: *mut Socket,
    pending: Option<&Pending>,
) -> i32 {
    let Some(sender) = sender(sk, cookie) else { return PASS };
    let Some(packet) = packet::parse(ctx) else {
        // Behind IPv6 extension headers or IPsec nothing can be told of the payload: it does not leave.
        // SAFETY: copied at once.
        let agent = scope::agent_flags(unsafe { (*socket).agent });
        return if agent & Agent::OBSERVE != 0 { PASS } else { DROP };
    };
    if packet.payload == 0 {
        return PASS;
    }
    let pending = if sender.owned { pending } else { None };
    judge_payload(ctx, socket, &sender, &packet, pending)
}

#[inline(always)]
fn judge_payload(
    ctx: &SkBuffContext,
    socket: *mut Socket,
    sender: &Sender,
    packet: &Packet,
    pending: Option<&Pending>,
) -> i32 {
    let end = packet.seq.wrapping_add(packet.payload);
    if end.wrapping_sub(sender.snd_nxt) as i32 <= 0 {
        return PASS; // let go before
    }
    // SAFETY: the map value is alive; these words are written by egress of this socket only, under its lock.
    let (agent, ssl, flags) =
        unsafe { (scope::agent_flags((*socket).agent), (*socket).ssl, (*socket).flags) };
    // A live tie is the truth: the mark of another object on this thread is not about this socket.
    let live = tie::is_live(sender.cookie, socket);
    let pending = pending.filter(|pending| !live || pending.ssl == ssl);
    let records = records::walk(ctx, packet, socket, pending.map_or(0, plaintext_of));
    if records.hello {
        let raise = agent & Agent::OBSERVE == 0;
        on_hello(
            ctx.skb.skb,
            socket,
            sender.cookie,
            packet.seq,
            u64::from(raise) | u64::from(sender.owned) << 1,
        );
    }
    match pending {
        Some(pending) if records.fits => tie::bind(sender.cookie, socket, pending),
        _ if ssl == 0 && records.data => on_unaccounted(socket, sender, end, agent),
        _ if !records.tls && flags & (Socket::TLS | Socket::PLAIN) == 0 => on_plain(socket, sender),
        _ => {}
    }
    if records.tls {
        // SAFETY: as above.
        unsafe {
            (*socket).next_record = records.next;
            (*socket).flags |= Socket::TLS | if records.finished { Socket::FINISHED } else { 0 };
        }
    }
    if agent & Agent::FROZEN != 0 {
        return drop(
            ctx.skb.skb,
            socket,
            sender.cookie,
            packet.ack,
            u64::from(packet.headers) << 32 | u64::from(packet.payload),
        );
    }
    if gate::gated(socket) <= gate::released(sender.cookie).released {
        // SAFETY: as above.
        unsafe {
            (*socket).boundary = sender.write_seq;
            (*socket).flags |= Socket::BOUNDARY;
        }
        return PASS;
    }
    // SAFETY: as above.
    let (flags, boundary) = unsafe { ((*socket).flags, (*socket).boundary) };
    if flags & Socket::BOUNDARY != 0 && end.wrapping_sub(boundary) as i32 <= 0 {
        return PASS;
    }
    drop(
        ctx.skb.skb,
        socket,
        sender.cookie,
        packet.ack,
        u64::from(packet.headers) << 32 | u64::from(packet.payload),
    )
}

/// Plaintext in the first record of a write: at most 2^14 bytes (RFC 8446 section 5.1).
#[inline(always)]
fn plaintext_of(pending: &Pending) -> u64 {
    if pending.len > 16_384 { 16_384 } else { pending.len }
}

/// Application data on a socket that never was tied, and no write of the sending thread fits it: another TLS stack of
/// the process, bytes that another thread sends, an object that was freed before its record left. It is held; the daemon
/// refuses it by the agent's setting. Raised once for each new stretch.
#[inline(always)]
fn on_unaccounted(socket: *mut Socket, sender: &Sender, end: u32, agent: u32) {
    // SAFETY: as in `judge_payload`.
    let (flags, stray_end) = unsafe { ((*socket).flags, (*socket).stray_end) };
    if agent & (Agent::OBSERVE | Agent::OPAQUE) != 0 {
        return;
    }
    if flags & Socket::STRAY != 0 && end.wrapping_sub(stray_end) as i32 <= 0 {
        return;
    }
    // SAFETY: as in `judge_payload`.
    unsafe {
        (*socket).stray_end = end;
        (*socket).flags |= Socket::STRAY;
    }
    count(counters::STRAYS);
    let number = gate::raise(socket);
    report_stray(socket, sender.cookie, Stray::UNACCOUNTED, number);
}

/// The ClientHello barrier: a new TLS connection waits until the daemon has looked at the process's libraries.
/// (In a frame of its own, like `drop`: a program's stack is 512 bytes.)
#[inline(never)]
fn on_hello(skb: *mut __sk_buff, socket: *mut Socket, cookie: u64, seq: u32, bits: u64) -> u64 {
    let (raise, owned) = (bits & 1 != 0, bits & 2 != 0);
    let ctx = &SkBuffContext::new(skb);
    let Some(packet) = packet::parse(ctx) else { return 0 };
    // SAFETY: as in `judge_payload`.
    let (flags, hello_seq) = unsafe { ((*socket).flags, (*socket).hello_seq) };
    if flags & Socket::HELLO != 0 && hello_seq == seq {
        return 0;
    }
    count(counters::HELLOS);
    // SAFETY: as in `judge_payload`.
    unsafe {
        (*socket).hello_seq = seq;
        // A new handshake on it: whatever was tied to it wrote in another one.
        (*socket).ssl = 0;
        (*socket).flags = ((*socket).flags | Socket::HELLO) & !Socket::FINISHED;
    }
    let number = if raise { gate::raise(socket) } else { 0 };
    let Some(mut entry) = EVENTS.reserve::<Hello>(0) else {
        count(counters::LOST_RING_FULL);
        return 0; // held; the daemon's sweep finds it
    };
    let hello = entry.as_mut_ptr();
    // SAFETY: as in `judge_payload`.
    let (session, index, tgid) = unsafe { ((*socket).session, (*socket).agent, (*socket).tgid) };
    // SAFETY: the reservation is as long as a `Hello`; its last field has room for HELLO_BYTES.
    unsafe {
        (*hello).header = emit::foreign_header(kind::HELLO, size_of::<Hello>(), session, index);
        (*hello).header.tgid = sending_process(tgid, owned);
        (*hello).cookie = cookie;
        (*hello).gate = number;
        (*hello).payload = packet.payload;
        (*hello).address = packet::address(ctx, &packet);
        let to = (&raw mut (*hello).bytes).cast();
        (*hello).captured = packet::load_up_to(ctx, packet.headers, to, packet.payload, HELLO_BYTES as u32);
    }
    entry.submit(0);
    number
}

/// The process that sends: the current one if it owns the lock and is an agent's, else the one that connected.
#[inline(always)]
fn sending_process(connected: u32, owned: bool) -> u32 {
    if owned && let Some((tgid, _)) = scope::current_by_task() {
        return tgid;
    }
    connected
}

#[inline(always)]
fn on_plain(socket: *mut Socket, sender: &Sender) {
    count(counters::PLAINTEXT);
    // SAFETY: as in `judge_payload`.
    unsafe { (*socket).flags |= Socket::PLAIN };
    report_stray(socket, sender.cookie, Stray::PLAIN, 0);
}

#[inline(never)]
fn report_stray(socket: *mut Socket, cookie: u64, what: u32, gate: u64) -> u64 {
    // SAFETY: as in `judge_payload`.
    let (session, index, tgid) = unsafe { ((*socket).session, (*socket).agent, (*socket).tgid) };
    let mut header = emit::foreign_header(kind::STRAY, size_of::<Stray>(), session, index);
    header.tgid = tgid;
    u64::from(emit::submit(&Stray { header, cookie, gate, what, reserved: 0 }))
}

/// Drops the packet. The acknowledgement that it carried goes to the daemon, which sends it alone.
#[inline(never)]
fn drop(skb: *mut __sk_buff, socket: *mut Socket, cookie: u64, ack_seq: u32, sizes: u64) -> i32 {
    let ctx = &SkBuffContext::new(skb);
    let (headers, payload) = ((sizes >> 32) as u32, sizes as u32);
    count(counters::PACKETS_HELD);
    // SAFETY: as in `judge_payload`.
    let (last_ack, session, index, tgid) = unsafe {
        (*socket).held_packets += 1;
        ((*socket).last_ack, (*socket).session, (*socket).agent, (*socket).tgid)
    };
    if last_ack == ack_seq || headers > 120 {
        return DROP;
    }
    // SAFETY: as in `judge_payload`.
    unsafe { (*socket).last_ack = ack_seq };
    let Some(mut entry) = EVENTS.reserve::<Ack>(0) else {
        count(counters::LOST_RING_FULL);
        return DROP;
    };
    let ack = entry.as_mut_ptr();
    // SAFETY: the reservation is as long as an `Ack`; its last field has room for 120 bytes.
    unsafe {
        (*ack).header = emit::foreign_header(kind::ACK, size_of::<Ack>(), session, index);
        (*ack).header.tgid = tgid;
        (*ack).cookie = cookie;
        (*ack).payload = payload;
        (*ack).captured = packet::load_up_to(ctx, 0, (&raw mut (*ack).bytes).cast(), headers, 120);
    }
    entry.submit(0);
    DROP
}

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
    task::{Agent, Task},
};
use aya_ebpf::{
    bindings::bpf_sock,
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
    scope, tie,
};

const PASS: i32 = 1;
const DROP: i32 = 0;
const CONTENT_HANDSHAKE: u8 = 22;
const CONTENT_APPLICATION_DATA: u8 = 23;

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
    let socket = SOCKETS.get_ptr_mut(cookie);
    let Some(socket) = socket else {
        // Not an agent's socket, unless an agent's write is on its way.
        return match &pending {
            Some(pending) => on_unknown(&ctx, sk, cookie, pending),
            None => PASS,
        };
    };
    judge(&ctx, sk, cookie, socket, pending.as_ref())
}

/// A pending thread sends on a socket that was not seen at connect: inherited, passed or older than the session.
#[inline(always)]
fn on_unknown(ctx: &SkBuffContext, sk: *mut bpf_sock, cookie: u64, pending: &Pending) -> i32 {
    let Some(sender) = sender(sk, cookie) else { return PASS };
    if !sender.owned {
        return PASS; // softirq: the current task is anybody
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
    match SOCKETS.get_ptr_mut(cookie) {
        Some(socket) => judge(ctx, sk, cookie, socket, Some(pending)),
        None => DROP,
    }
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
fn judge(ctx: &SkBuffContext, sk: *mut bpf_sock, cookie: u64, socket: *mut Socket, pending: Option<&Pending>) -> i32 {
    let Some(sender) = sender(sk, cookie) else { return PASS };
    // Behind IPv6 extension headers nothing can be told of the payload: it does not leave.
    let Some(packet) = packet::parse(ctx) else { return DROP };
    if packet.payload == 0 {
        return PASS;
    }
    let pending = if sender.owned { pending } else { None };
    judge_payload(ctx, socket, &sender, &packet, pending)
}

#[inline(always)]
fn judge_payload(ctx: &SkBuffContext, socket: *mut Socket, sender: &Sender, packet: &Packet, pending: Option<&Pending>) -> i32 {
    let end = packet.seq.wrapping_add(packet.payload);
    if end.wrapping_sub(sender.snd_nxt) as i32 <= 0 {
        return PASS; // let go before
    }
    // SAFETY: the map value is alive; these words are written by egress of this socket only, under its lock.
    let known = unsafe { *socket };
    let agent = scope::agent_flags(known.agent);
    let start: [u8; 6] = packet::load(ctx, packet.headers).unwrap_or_default();
    let tls = start[1] == 3 && (20..=23).contains(&start[0]);
    if tls && start[0] == CONTENT_HANDSHAKE && start[5] == 1 {
        on_hello(ctx, socket, sender, packet, agent);
    } else if let Some(pending) = pending
        && carries(ctx, packet, pending, &known)
    {
        // SAFETY: as above.
        unsafe { (*socket).flags |= Socket::APP_DATA | Socket::TLS };
        tie::bind(sender.cookie, socket, pending);
    } else if tls && start[0] == CONTENT_APPLICATION_DATA && known.ssl == 0 && tie::has_untied(known.tgid) {
        on_stray(socket, sender, &start);
        return DROP;
    } else if tls && is_unaccounted(&start, &known, agent) {
        on_opaque(socket, sender, &start);
    } else if !tls && known.flags & (Socket::TLS | Socket::PLAIN) == 0 {
        on_plain(socket, sender);
    }
    if agent & Agent::FROZEN != 0 {
        return drop(ctx, socket, sender, packet);
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
    let flags = unsafe { (*socket).flags };
    if flags & Socket::BOUNDARY != 0 && end.wrapping_sub(known.boundary) as i32 <= 0 {
        return PASS;
    }
    drop(ctx, socket, sender, packet)
}

/// Does this packet carry the record of the pending write? Told by the record's length: what a TLS 1.2 or 1.3 record
/// adds to its plaintext is known, and the only other application-data record that a client sends by itself is its
/// Finished in TLS 1.3 (53 or 69 bytes, RFC 8446 section 4.4.4). In doubt: yes.
#[inline(always)]
fn carries(ctx: &SkBuffContext, packet: &Packet, pending: &Pending, known: &Socket) -> bool {
    let plain = if pending.len > 16_384 { 16_384 } else { pending.len };
    let mut at = packet.headers;
    for _ in 0..4 {
        let Some(record) = packet::load::<[u8; 5]>(ctx, at) else {
            return false; // only handshake and change-cipher-spec records
        };
        if !(20..=23).contains(&record[0]) || record[1] != 3 {
            return true; // not on a record boundary
        }
        let len = u32::from(u16::from_be_bytes([record[3], record[4]]));
        if record[0] == CONTENT_APPLICATION_DATA {
            let added = u64::from(len).wrapping_sub(plain);
            let finished = known.flags & Socket::APP_DATA == 0 && (len == 53 || len == 69) && (added < 16 || added > 80);
            if !finished {
                return true;
            }
        }
        at += 5 + len;
    }
    true
}

/// Application data on a connection that began under guard, though no probed write was ever tied to it: another TLS
/// stack of the same process. What a client sends by itself before that is told by its length: a Finished, and the
/// alert that closes (RFC 8446 sections 4.4.4 and 6.1).
#[inline(always)]
fn is_unaccounted(start: &[u8; 6], known: &Socket, agent: u32) -> bool {
    let len = u32::from(u16::from_be_bytes([start[3], start[4]]));
    start[0] == CONTENT_APPLICATION_DATA
        && known.ssl == 0
        && known.flags & (Socket::HELLO | Socket::OPAQUE) == Socket::HELLO
        && agent & Agent::OBSERVE == 0
        && len != 53
        && len != 69
        && len != 19
}

/// Holds a connection that nobody reads; the daemon decides by the agent's setting.
#[inline(always)]
fn on_opaque(socket: *mut Socket, sender: &Sender, start: &[u8; 6]) {
    // SAFETY: as in `judge_payload`.
    unsafe { (*socket).flags |= Socket::OPAQUE };
    let number = gate::raise(socket);
    report_stray(socket, sender, Stray::OPAQUE, number, u32::from(u16::from_be_bytes([start[3], start[4]])));
}

/// The ClientHello barrier: a new TLS connection waits until the daemon has looked at the process's libraries.
#[inline(always)]
fn on_hello(ctx: &SkBuffContext, socket: *mut Socket, sender: &Sender, packet: &Packet, agent: u32) {
    // SAFETY: as in `judge_payload`.
    let known = unsafe { *socket };
    if known.flags & Socket::HELLO != 0 && known.hello_seq == packet.seq {
        return;
    }
    count(counters::HELLOS);
    // SAFETY: as in `judge_payload`.
    unsafe {
        (*socket).hello_seq = packet.seq;
        (*socket).flags |= Socket::HELLO | Socket::TLS;
    }
    let number = if agent & Agent::OBSERVE == 0 { gate::raise(socket) } else { 0 };
    let Some(mut entry) = EVENTS.reserve::<Hello>(0) else {
        count(counters::LOST_RING_FULL);
        return; // held; the daemon's sweep finds it
    };
    let hello = entry.as_mut_ptr();
    let mut header = emit::foreign_header(kind::HELLO, size_of::<Hello>(), known.session, known.agent);
    header.tgid = sending_process(&known, sender);
    // SAFETY: the reservation is as long as a `Hello`; its last field has room for HELLO_BYTES.
    unsafe {
        (*hello).header = header;
        (*hello).cookie = sender.cookie;
        (*hello).gate = number;
        (*hello).payload = packet.payload;
        (*hello).address = packet::address(ctx, packet);
        let to = (&raw mut (*hello).bytes).cast();
        (*hello).captured = packet::load_up_to(ctx, packet.headers, to, packet.payload, HELLO_BYTES as u32);
    }
    entry.submit(0);
}

/// The process that sends: the current one if it owns the lock and is an agent's, else the one that connected.
#[inline(always)]
fn sending_process(known: &Socket, sender: &Sender) -> u32 {
    if sender.owned
        && let Some((tgid, _)) = scope::current()
    {
        return tgid;
    }
    known.tgid
}

#[inline(always)]
fn on_stray(socket: *mut Socket, sender: &Sender, start: &[u8; 6]) {
    count(counters::UNTIED_HELD);
    report_stray(socket, sender, Stray::UNTIED, 0, u32::from(u16::from_be_bytes([start[3], start[4]])));
}

#[inline(always)]
fn on_plain(socket: *mut Socket, sender: &Sender) {
    count(counters::PLAINTEXT);
    // SAFETY: as in `judge_payload`.
    unsafe { (*socket).flags |= Socket::PLAIN };
    report_stray(socket, sender, Stray::PLAIN, 0, 0);
}

#[inline(always)]
fn report_stray(socket: *mut Socket, sender: &Sender, what: u32, gate: u64, record: u32) {
    // SAFETY: as in `judge_payload`.
    let known = unsafe { *socket };
    let task = Task { session: known.session, agent: known.agent, ..Task::default() };
    let mut header = emit::foreign_header(kind::STRAY, size_of::<Stray>(), task.session, task.agent);
    header.tgid = known.tgid;
    emit::submit(&Stray { header, cookie: sender.cookie, gate, what, record });
}

/// Drops the packet. The acknowledgement that it carried goes to the daemon, which sends it alone.
#[inline(always)]
fn drop(ctx: &SkBuffContext, socket: *mut Socket, sender: &Sender, packet: &Packet) -> i32 {
    count(counters::PACKETS_HELD);
    // SAFETY: as in `judge_payload`.
    let known = unsafe {
        (*socket).held_packets += 1;
        *socket
    };
    if known.last_ack == packet.ack {
        return DROP;
    }
    // SAFETY: as in `judge_payload`.
    unsafe { (*socket).last_ack = packet.ack };
    if known.held_packets == 0 || packet.headers > 120 {
        return DROP;
    }
    let Some(mut entry) = EVENTS.reserve::<Ack>(0) else {
        count(counters::LOST_RING_FULL);
        return DROP;
    };
    let ack = entry.as_mut_ptr();
    let mut header = emit::foreign_header(kind::ACK, size_of::<Ack>(), known.session, known.agent);
    header.tgid = known.tgid;
    // SAFETY: the reservation is as long as an `Ack`; its last field has room for 120 bytes.
    unsafe {
        (*ack).header = header;
        (*ack).cookie = sender.cookie;
        (*ack).payload = packet.payload;
        (*ack).captured = packet::load_up_to(ctx, 0, (&raw mut (*ack).bytes).cast(), packet.headers, 120);
    }
    entry.submit(0);
    DROP
}

//! The TLS records in a packet, told by their headers (RFC 8446 section 5.1): which kinds, and how long.

use agent_guard_common::conn::Socket;
use aya_ebpf::{bindings::__sk_buff, programs::SkBuffContext};

use crate::packet::{self, Packet};

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// Records of one packet that are looked at; behind them everything counts as application data. A client's longest
/// flight by itself is ChangeCipherSpec, Certificate, CertificateVerify, Finished.
const MAX_RECORDS: u32 = 4;

/// What the records of a packet are.
#[derive(Clone, Copy)]
pub struct Records {
    /// The packet starts with a TLS record.
    pub tls: bool,
    /// A ClientHello is the first.
    pub hello: bool,
    /// One of them fits the pending write's length: what TLS 1.2 and 1.3 add to a plaintext is known.
    pub fits: bool,
    /// Application data of the program: neither a handshake's Finished flight nor an alert.
    pub data: bool,
    /// A Finished is among them.
    pub finished: bool,
    /// Sequence number at which the next record starts.
    pub next: u32,
}

/// Walks the records of a packet on `socket`. `plain` is the length of the pending write, 0 if there is none.
#[inline(always)]
pub fn walk(ctx: &SkBuffContext, packet: &Packet, socket: *mut Socket, plain: u64) -> Records {
    // SAFETY: the map value is alive; these words are written by egress of this socket only, under its lock.
    let (flags, tied, next) = unsafe { ((*socket).flags, (*socket).ssl != 0, (*socket).next_record) };
    let on_record = flags & Socket::TLS != 0 && !tied;
    // A record that began in an earlier packet goes on first.
    let carried = if on_record { next.wrapping_sub(packet.seq) } else { 0 };
    let carried = if carried as i32 > 0 { carried } else { 0 };
    if carried >= packet.payload {
        return Records { tls: on_record, hello: false, fits: false, data: false, finished: false, next };
    }
    let place = u64::from(packet.headers + carried) << 32 | u64::from(packet.headers + packet.payload);
    // SAFETY: as above.
    let scratch = unsafe { &raw mut (*socket).scratch };
    let at = look(ctx.skb.skb, place, plain, scratch, u64::from(on_record)) as u32;
    // SAFETY: as above.
    let found = unsafe { core::ptr::read_volatile(scratch) };
    // A handshake ends in one Finished, behind the certificate if the client has one (RFC 8446 section 4.4).
    let handshake = flags & Socket::FINISHED == 0 && found & (FINISHED | TWICE | LAST) == (FINISHED | LAST);
    Records {
        tls: found & TLS != 0,
        hello: found & HELLO != 0,
        fits: found & FITS != 0,
        data: found & (OTHER | FINISHED) != 0 && !handshake,
        finished: found & FINISHED != 0,
        next: packet.seq.wrapping_add(at.wrapping_sub(packet.headers)),
    }
}

const TLS: u64 = 1;
const HELLO: u64 = 2;
const FITS: u64 = 4;
/// Application data that is neither of the length of a Finished nor of an alert, or what cannot be told.
const OTHER: u64 = 8;
const FINISHED: u64 = 16;
/// More than one of the length of a Finished.
const TWICE: u64 = 32;
/// The last record has the length of a Finished.
const LAST: u64 = 64;

/// The walk itself, in a frame of its own: a program's stack is 512 bytes. `place` is where the first record starts and
/// where the packet ends; returns where the next record starts.
#[inline(never)]
fn look(skb: *mut __sk_buff, place: u64, plain: u64, scratch: *mut u64, on_record: u64) -> u64 {
    let ctx = SkBuffContext::new(skb);
    let (first, end) = ((place >> 32) as u32, place as u32);
    let mut at = first;
    // SAFETY: the caller's pointer into a live map value, used by this packet alone.
    unsafe { core::ptr::write_volatile(scratch, on_record & TLS) };
    for _ in 0..MAX_RECORDS {
        if at >= end {
            return u64::from(at);
        }
        let header = packet::load::<[u8; 6]>(&ctx, at).unwrap_or_default();
        // SAFETY: as above.
        let found = unsafe { core::ptr::read_volatile(scratch) };
        if !(20..=23).contains(&header[0]) || header[1] != 3 {
            // Not TLS from the start, or not even a header and one byte, or out of place: it cannot be told what this is.
            let other = if found & TLS != 0 { OTHER } else { 0 };
            // SAFETY: as above.
            unsafe { core::ptr::write_volatile(scratch, found | other) };
            return u64::from(end);
        }
        let len = u32::from(u16::from_be_bytes([header[3], header[4]]));
        let first_is_hello = at == first && header[0] == HANDSHAKE && header[5] == 1;
        let mut now = (found & !LAST) | TLS | if first_is_hello { HELLO } else { 0 };
        if header[0] == APPLICATION_DATA {
            now |= kind_of(found, len, plain);
        }
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(scratch, now) };
        at += 5 + len;
    }
    if at < end {
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(scratch, core::ptr::read_volatile(scratch) | OTHER) };
    }
    u64::from(at)
}

/// What an application-data record of this length may be.
#[inline(always)]
fn kind_of(found: u64, len: u32, plain: u64) -> u64 {
    let added = u64::from(len).wrapping_sub(plain);
    let fits = if plain != 0 && (16..=80).contains(&added) { FITS } else { 0 };
    match len {
        53 | 69 => fits | LAST | FINISHED | (found & FINISHED) << 1,
        19 => fits,
        _ => fits | OTHER,
    }
}

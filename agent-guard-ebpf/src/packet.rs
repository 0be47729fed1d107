//! The TCP packet that is about to leave, as a cgroup_skb program sees it: from the IP header on.

use agent_guard_common::event::Address;
use aya_ebpf::{helpers::generated::bpf_skb_load_bytes, programs::SkBuffContext};

const IPPROTO_TCP: u8 = 6;

/// Where things are in the packet.
#[derive(Clone, Copy)]
pub struct Packet {
    pub seq: u32,
    pub ack: u32,
    /// Bytes in front of the payload.
    pub headers: u32,
    pub payload: u32,
    pub version: u8,
}

/// Reads the headers. `None`: not TCP (or behind IPv6 extension headers).
#[inline(always)]
pub fn parse(ctx: &SkBuffContext) -> Option<Packet> {
    let first: u8 = load(ctx, 0)?;
    let (protocol, ip_len): (u8, u32) = match first >> 4 {
        4 => (load(ctx, 9)?, u32::from(first & 0xf) * 4),
        6 => (load(ctx, 6)?, 40),
        _ => return None,
    };
    if protocol != IPPROTO_TCP {
        return None;
    }
    let tcp: [u8; 13] = load(ctx, ip_len)?;
    let tcp_len = u32::from(tcp[12] >> 4) * 4;
    let headers = ip_len + tcp_len;
    Some(Packet {
        seq: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
        ack: u32::from_be_bytes([tcp[8], tcp[9], tcp[10], tcp[11]]),
        headers,
        payload: ctx.len().saturating_sub(headers),
        version: first >> 4,
    })
}

/// Destination and local port.
#[inline(always)]
pub fn address(ctx: &SkBuffContext, packet: &Packet) -> Address {
    let mut address = Address { version: u16::from(packet.version), protocol: 6, ..Address::default() };
    let ip_len = if packet.version == 4 {
        if let Some(ip) = load::<[u8; 4]>(ctx, 16) {
            address.ip[0] = ip[0];
            address.ip[1] = ip[1];
            address.ip[2] = ip[2];
            address.ip[3] = ip[3];
        }
        u32::from(load::<u8>(ctx, 0).unwrap_or(0x45) & 0xf) * 4
    } else {
        if let Some(ip) = load::<[u8; 16]>(ctx, 24) {
            address.ip = ip;
        }
        40
    };
    if let Some(ports) = load::<[u8; 4]>(ctx, ip_len) {
        address.local_port = u16::from_be_bytes([ports[0], ports[1]]);
        address.port = u16::from_be_bytes([ports[2], ports[3]]);
    }
    address
}

/// Loads bytes at an offset.
#[inline(always)]
pub fn load<T: Copy>(ctx: &SkBuffContext, offset: u32) -> Option<T> {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes exactly `size_of::<T>()` bytes or fails.
    unsafe {
        if bpf_skb_load_bytes(ctx.skb.skb.cast(), offset, value.as_mut_ptr().cast(), size_of::<T>() as u32)
            != 0
        {
            return None;
        }
        Some(value.assume_init())
    }
}

/// Loads `len` bytes, at least one and at most `max`, to `to`; how many were loaded, 0 on failure.
///
/// The opaque copy of `len` keeps the compiler from moving the bound away from the call, where the verifier needs it.
///
/// # Safety
/// `to` has room for `max` bytes.
#[inline(always)]
pub unsafe fn load_up_to(ctx: &SkBuffContext, offset: u32, to: *mut u8, len: u32, max: u32) -> u32 {
    let wanted = core::hint::black_box(u64::from(if len > max { max } else { len }));
    if wanted == 0 || wanted > u64::from(max) {
        return 0;
    }
    // SAFETY: forwarded to the caller.
    if unsafe { bpf_skb_load_bytes(ctx.skb.skb.cast(), offset, to.cast(), wanted as u32) } == 0 {
        wanted as u32
    } else {
        0
    }
}

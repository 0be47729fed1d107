//! Events from the kernel half to the daemon. Each starts with a [`Header`].

use crate::{
    conn::{Pending, TlsObject},
    maps::{CHUNK_BYTES, HELLO_BYTES},
};

/// Numbers of the events. Never renumbered, never reused.
pub mod kind {
    pub const WRITE: u16 = 1;
    pub const TIED: u16 = 2;
    pub const HELLO: u16 = 3;
    pub const SOCKET: u16 = 4;
    pub const EXEC: u16 = 5;
    pub const EXIT: u16 = 6;
    pub const REFUSED: u16 = 7;
    pub const ACK: u16 = 8;
    pub const STRAY: u16 = 9;
    pub const UNBOUND: u16 = 10;
}

/// First bytes of every event.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Header {
    /// [`crate::ABI_VERSION`]
    pub abi: u16,
    /// [`kind`]
    pub kind: u16,
    /// Length of the whole event, bytes.
    pub len: u32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub at_ns: u64,
    /// Process and thread (initial pid namespace).
    pub tgid: u32,
    pub tid: u32,
    pub session: u64,
    pub agent: u32,
    pub reserved: u32,
}

/// A piece of a TLS write, captured at the entry of the library's write function. Its bytes follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Write {
    pub header: Header,
    /// Unique until reboot; the same for all pieces of one write.
    pub write: u64,
    /// TLS object.
    pub ssl: u64,
    /// Socket it is tied to, or 0.
    pub cookie: u64,
    /// Value of the socket's `gated` word after this write raised it; 0 on the fast path or while untied.
    pub gate: u64,
    /// Length of the whole write, bytes.
    pub total: u64,
    /// Where in the write this piece starts.
    pub offset: u64,
    /// Bytes that follow.
    pub captured: u32,
    /// [`Write::LAST`] ...
    pub flags: u32,
}

impl Write {
    /// No more pieces of this write follow. If `offset + captured < total`, the rest was not copied.
    pub const LAST: u32 = 1;
    /// Let go by the fast path.
    pub const FAST: u32 = 2;
    /// The bytes could not be copied (fault, no slot).
    pub const UNREADABLE: u32 = 4;
    /// Not gated: the agent is only observed.
    pub const OBSERVED: u32 = 8;
}

/// A write was tied to the socket that its record was sent on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Tied {
    pub header: Header,
    pub write: u64,
    pub ssl: u64,
    pub cookie: u64,
    /// Value of the socket's `gated` word after this write raised it.
    pub gate: u64,
    /// Socket that the object was tied to before, or 0.
    pub formerly: u64,
}

/// A TLS ClientHello is held on an agent's socket. `captured` bytes of it follow in `bytes`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Hello {
    pub header: Header,
    pub cookie: u64,
    pub gate: u64,
    pub captured: u32,
    /// Bytes of TCP payload in the packet.
    pub payload: u32,
    pub address: Address,
    pub bytes: [u8; HELLO_BYTES],
}

/// Destination of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Address {
    /// IPv6, or IPv4 in the first four bytes; network order.
    pub ip: [u8; 16],
    /// Host order.
    pub port: u16,
    /// 4 or 6
    pub version: u16,
    /// Host order; the port on this side, 0 before it is bound.
    pub local_port: u16,
    /// IP protocol: 6 TCP, 17 UDP.
    pub protocol: u16,
}

/// A socket of an agent was connected, is going or is gone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct SocketEvent {
    pub header: Header,
    pub cookie: u64,
    pub gated: u64,
    pub address: Address,
    /// New TCP state (`include/net/tcp_states.h`): 7 is CLOSE. 0: it is being connected.
    pub state: u32,
    pub reserved: u32,
}

/// A process of an agent executed a program. The daemon reads names from /proc.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Exec {
    pub header: Header,
    pub start_ns: u64,
    pub root: u32,
    /// 1: this exec began the session (rule matched).
    pub began: u32,
}

/// The last thread of an agent's process ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Exit {
    pub header: Header,
    pub start_ns: u64,
}

/// A connect or send was refused.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Refused {
    pub header: Header,
    pub address: Address,
    /// [`Refused::FROZEN`] ...
    pub reason: u32,
    pub reserved: u32,
}

impl Refused {
    pub const FROZEN: u32 = 1;
    pub const QUIC: u32 = 2;
    /// No room to remember the socket.
    pub const FULL: u32 = 3;
}

/// A held packet would have carried an acknowledgement that the peer has not had.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Ack {
    pub header: Header,
    pub cookie: u64,
    /// Bytes of the IP and TCP headers in `bytes`.
    pub captured: u32,
    /// Bytes of payload that were dropped with them.
    pub payload: u32,
    pub bytes: [u8; 120],
}

/// A socket of an agent sends what cannot be laid to a write; see the values of `what`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Stray {
    pub header: Header,
    pub cookie: u64,
    /// Value of the socket's `gated` word, for [`Stray::UNACCOUNTED`].
    pub gate: u64,
    /// [`Stray::PLAIN`] ...
    pub what: u32,
    pub reserved: u32,
}

impl Stray {
    /// The first bytes of a connection are in the clear.
    pub const PLAIN: u32 = 1;
    /// Application data that no probed write accounts for; the gate was raised for it.
    pub const UNACCOUNTED: u32 = 2;
}

/// A TLS object was freed, cleared or given another socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Unbound {
    pub header: Header,
    pub ssl: u64,
    /// Socket it was tied to, or 0.
    pub cookie: u64,
}

/// A copy slot: an event under construction, and everything else that its probe must remember. Owned by one thread at a
/// time (`SLOT_OWNERS`). Nothing of that may be on the program's stack: a sleepable program can be preempted or sleep, and
/// kernels with per-CPU private stacks (6.13 and later) then hand the same stack to the next thread on that CPU. Frames
/// below 64 bytes stay on the thread's own (kernel/bpf/verifier.c, `BPF_PRIV_STACK_MIN_SIZE`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Slot {
    pub write: Write,
    pub bytes: [u8; CHUNK_BYTES],
    /// Address of the agent's buffer.
    pub buffer: u64,
    pub object: TlsObject,
    pub pending: Pending,
    pub scan: Scan,
}

/// State of the fast path's look at a head.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Scan {
    /// The last bytes, the latest lowest.
    pub raw: u64,
    /// The same, folded ([`crate::suspicion::FOLD`]).
    pub folded: u64,
    /// 0 in the request line, 1 in the fields, 2 behind the empty line.
    pub part: u64,
    /// Set as soon as a condition fails.
    pub doubt: u64,
}

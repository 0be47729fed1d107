//! A socket of an agent and the two words of its gate.

/// Value of `SOCKETS`, keyed by socket cookie. Written by the kernel half only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Socket {
    /// The gate's first word: raised once per gated write (and once per held ClientHello).
    pub gated: u64,
    /// TLS object that writes to this socket (address in the process), 0 while untied.
    pub ssl: u64,
    /// Process that connected it, or that wrote last to it.
    pub tgid: u32,
    pub agent: u32,
    /// [`Socket::LATE`] ...
    pub flags: u32,
    /// TCP sequence number up to which everything queued was allowed: the last `write_seq` sampled before
    /// a lookup that found the gate open.
    pub boundary: u32,
    /// TCP sequence number of the ClientHello that raised the gate, so that its repetitions do not raise it again.
    pub hello_seq: u32,
    /// Last acknowledgement number that a held packet would have carried; see `event::Ack`.
    pub last_ack: u32,
    /// Packets dropped on this socket.
    pub held_packets: u64,
    pub session: u64,
    /// `Task::image` of the process when `ssl` was tied.
    pub image: u32,
    /// TCP sequence number at which the next TLS record starts; valid with [`Socket::TLS`], while `ssl` is 0.
    pub next_record: u32,
    /// TCP sequence number behind the last application data that nothing accounts for.
    pub stray_end: u32,
    pub reserved: u32,
    /// Used while a packet's records are looked at. Kept here and not in registers, so that the verifier does not follow
    /// each combination by itself.
    pub scratch: u64,
}

impl Socket {
    /// Not seen at connect: older than the session, inherited or passed to it.
    pub const LATE: u32 = 1;
    /// `hello_seq` is set.
    pub const HELLO: u32 = 2;
    /// `boundary` is set.
    pub const BOUNDARY: u32 = 4;
    /// The Finished of the handshake was seen; a second one is application data.
    pub const FINISHED: u32 = 8;
    /// Plaintext was seen leaving and reported once.
    pub const PLAIN: u32 = 16;
    /// TLS records were seen on it.
    pub const TLS: u32 = 32;
    /// `stray_end` is set.
    pub const STRAY: u32 = 64;
}

/// Value of `RELEASED`, keyed by socket cookie. Written by the daemon only; created and removed by the kernel half.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Released {
    /// Tagged ([`tagged`]). The gate's second word: the highest write up to which every write was judged and allowed.
    pub released: u64,
    /// Tagged. The fast path is open while `gated`, `released` and this word are equal and not 0: the stream is in step,
    /// between two requests.
    pub in_step: u64,
}

/// A word of the daemon with the cookie that it is for: map elements are recycled under their readers, and another
/// socket's word must count as none. 40 bits of number, 24 of cookie.
#[inline(always)]
#[must_use]
pub const fn tagged(cookie: u64, number: u64) -> u64 {
    (cookie & 0xff_ffff) << 40 | number & 0xff_ffff_ffff
}

/// The number in a tagged word, 0 if it is another socket's.
#[inline(always)]
#[must_use]
pub const fn untagged(cookie: u64, word: u64) -> u64 {
    if word >> 40 == cookie & 0xff_ffff { word & 0xff_ffff_ffff } else { 0 }
}

/// Key of `TIES`: a TLS object of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct TlsObject {
    pub ssl: u64,
    pub tgid: u32,
    /// [`crate::task::Task::image`]
    pub image: u32,
}

/// Value of `PENDING`, keyed by `task_struct` address: the last gated write of a thread, not tied yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Pending {
    pub write: u64,
    pub ssl: u64,
    pub len: u64,
    pub session: u64,
    pub tgid: u32,
    pub tid: u32,
    pub image: u32,
    pub agent: u32,
}

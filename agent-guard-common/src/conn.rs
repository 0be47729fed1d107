//! A socket of an agent and the two words of its gate.

/// Value of `SOCKETS`, keyed by socket cookie. Written by the kernel half only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout))]
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
    /// Last acknowledgement number that a held packet would have carried; see `Kind::Ack`.
    pub last_ack: u32,
    /// Packets dropped on this socket.
    pub held_packets: u64,
    pub session: u64,
    /// `Task::image` of the process when `ssl` was tied.
    pub image: u32,
    pub reserved: u32,
}

impl Socket {
    /// Not seen at connect: older than the session, inherited or passed to it.
    pub const LATE: u32 = 1;
    /// `hello_seq` is set.
    pub const HELLO: u32 = 2;
    /// `boundary` is set.
    pub const BOUNDARY: u32 = 4;
    /// An application-data record has left or was held; a Finished can no longer be expected.
    pub const APP_DATA: u32 = 8;
    /// Plaintext was seen leaving and reported once.
    pub const PLAIN: u32 = 16;
    /// TLS records were seen on it.
    pub const TLS: u32 = 32;
    /// Application data was seen that no probed write accounts for; the daemon was asked once.
    pub const OPAQUE: u32 = 64;
}

/// Value of `RELEASED`, keyed by socket cookie. Written by the daemon only; created and removed by the kernel half.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout))]
pub struct Released {
    /// The gate's second word: the highest write up to which every write was judged and allowed.
    pub released: u64,
    /// The fast path is open while `gated`, `released` and this word are equal and not 0: the stream is in step,
    /// between two requests.
    pub in_step: u64,
}

/// Key of `TIES`: a TLS object of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout))]
pub struct TlsObject {
    pub ssl: u64,
    pub tgid: u32,
    /// [`crate::task::Task::image`]
    pub image: u32,
}

/// Value of `PENDING`, keyed by `task_struct` address: the last gated write of a thread, not tied yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout))]
pub struct Pending {
    pub write: u64,
    pub ssl: u64,
    pub len: u64,
    pub session: u64,
    pub tgid: u32,
    pub image: u32,
    pub agent: u32,
    pub reserved: u32,
}

/// Value of `UNTIED`, keyed by tgid: gated writes of a process whose socket is not known.
/// The process has some while `raised > tied + resolved` (`RESOLVED` is the daemon's word).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout))]
pub struct Untied {
    pub raised: u64,
    pub tied: u64,
}

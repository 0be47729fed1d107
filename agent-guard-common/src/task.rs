//! Session tree: which process belongs to which session of which agent.

/// Value of `TASKS`, keyed by tgid (initial pid namespace). Inherited by the kernel half at fork.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Task {
    /// Unique until reboot; given by the kernel half (match at exec) or the daemon (enrolment).
    pub session: u64,
    /// Start of the process, nanoseconds since boot, as `task_struct.start_boottime`: tells a reused pid.
    pub start_ns: u64,
    /// Index into `AGENTS`.
    pub agent: u32,
    /// tgid of the session's first process.
    pub root: u32,
    /// Raised by every exec, so that TLS objects of an earlier program are not mistaken for new ones.
    pub image: u32,
    /// Copy slots that its threads own.
    pub slots: u32,
}

/// Value of `AGENTS`, keyed by the agent's index. Written by the daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Agent {
    /// [`Agent::KNOWN`], [`Agent::FROZEN`] ...
    pub flags: u32,
    pub reserved: u32,
}

impl Agent {
    /// The daemon knows this agent.
    pub const KNOWN: u32 = 1;
    /// Its connects are refused and nothing new leaves its sockets.
    pub const FROZEN: u32 = 2;
    /// Everything passes and is recorded (`mode = "observe"`): writes are copied, never gated.
    pub const OBSERVE: u32 = 4;
    /// Connections that cannot be read are let through (`opaque = "allow"`).
    pub const OPAQUE: u32 = 8;
}

/// Number of entries of `AGENTS`.
pub const MAX_AGENTS: u32 = 256;

/// Key of `MATCH_EXE`: an executable by file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct ExeKey {
    pub inode: u64,
    /// `super_block.s_dev`, the kernel's encoding (major << 20 | minor).
    pub dev: u32,
    pub reserved: u32,
}

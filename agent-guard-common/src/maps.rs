//! Map names, sizes and the meaning of indexes, once. The eBPF half declares the maps with these sizes.

/// Ring buffer of events, bytes. A power of two and a multiple of the page size.
pub const RING_BYTES: u32 = 8 * 1024 * 1024;
/// Processes of agents that can be known at a time.
pub const MAX_TASKS: u32 = 32_768;
/// Sockets of agents that can be known at a time; one more is refused at connect.
pub const MAX_SOCKETS: u32 = 16_384;
/// Threads with a write that is not tied to a socket yet.
pub const MAX_PENDING: u32 = 8_192;
/// Copy slots: threads that may copy a TLS write at the same time.
pub const SLOTS: u32 = 48;
/// Slots that one process may own at a time, so that its stuck copies delay nobody else.
pub const SLOTS_PER_PROCESS: u32 = 8;
/// Bytes of a write that one event carries.
pub const CHUNK_BYTES: usize = 65_536;
/// Chunks of one write that are copied: 1 MiB. What lies behind is told by `total`.
pub const MAX_CHUNKS: u64 = 16;
/// Largest head that the fast path may let go.
pub const FAST_PATH_BYTES: usize = 8_192;
/// Bytes of a ClientHello that its event carries.
pub const HELLO_BYTES: usize = 2_048;

/// Every pinned map by name, as the loader sees it.
pub const NAMES: &[&str] = &[
    "EVENTS",
    "TASKS",
    "SOCKETS",
    "RELEASED",
    "TIES",
    "PENDING",
    "SLOTS_MAP",
    "SLOT_OWNERS",
    "COUNTERS",
    "AGENTS",
    "MATCH_UID",
    "MATCH_CGROUP",
    "MATCH_EXE",
    "SEQUENCE",
];

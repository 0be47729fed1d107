//! Per-CPU counters: what was seen, and what was lost by which cause. Index into `COUNTERS`.

pub const WRITES_SEEN: u32 = 0;
pub const FAST_PATH: u32 = 1;
pub const GATED: u32 = 2;
pub const PACKETS_HELD: u32 = 3;
pub const LOST_RING_FULL: u32 = 4;
pub const LOST_COPY_FAULT: u32 = 5;
pub const LOST_NO_SLOT: u32 = 6;
/// A map was full, so that something was refused or left gated without an entry.
pub const MAP_FULL: u32 = 7;
pub const CONNECT_REFUSED: u32 = 8;
pub const HELLOS: u32 = 9;
pub const TIES_MADE: u32 = 10;
/// Times that application data was held because no probed write accounts for it.
pub const STRAYS: u32 = 11;
pub const PLAINTEXT: u32 = 12;
/// Fast-path records that were lost because the ring was full (the request itself had been let go).
pub const LOST_RECORD: u32 = 13;
/// Number of counters.
pub const COUNT: u32 = 16;

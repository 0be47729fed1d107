//! All maps. Sizes and meanings are in `agent_guard_common::maps`.

use agent_guard_common::{
    conn::{Pending, Released, Socket, TlsObject},
    counters,
    event::Slot,
    maps::{MAX_PENDING, MAX_SOCKETS, MAX_TASKS, RING_BYTES, SLOTS},
    task::{Agent, ExeKey, MAX_AGENTS, Task},
};
use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};

#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);
#[map]
pub static TASKS: HashMap<u32, Task> = HashMap::with_max_entries(MAX_TASKS, 0);
#[map]
pub static SOCKETS: HashMap<u64, Socket> = HashMap::with_max_entries(MAX_SOCKETS, 0);
#[map]
pub static RELEASED: HashMap<u64, Released> = HashMap::with_max_entries(MAX_SOCKETS, 0);
#[map]
pub static TIES: HashMap<TlsObject, u64> = HashMap::with_max_entries(MAX_SOCKETS, 0);
#[map]
pub static PENDING: HashMap<u64, Pending> = HashMap::with_max_entries(MAX_PENDING, 0);
#[map]
pub static SLOTS_MAP: Array<Slot> = Array::with_max_entries(SLOTS, 0);
#[map]
pub static SLOT_OWNERS: Array<SlotOwners> = Array::with_max_entries(1, 0);
#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counters::COUNT, 0);
#[map]
pub static AGENTS: Array<Agent> = Array::with_max_entries(MAX_AGENTS, 0);
#[map]
pub static MATCH_UID: HashMap<u32, u32> = HashMap::with_max_entries(1024, 0);
#[map]
pub static MATCH_CGROUP: HashMap<u64, u32> = HashMap::with_max_entries(1024, 0);
#[map]
pub static MATCH_EXE: HashMap<ExeKey, u32> = HashMap::with_max_entries(1024, 0);
#[map]
pub static SEQUENCE: Array<u64> = Array::with_max_entries(2, 0);

/// `pid_tgid` of the thread that owns each copy slot, 0 when free.
#[repr(C)]
pub struct SlotOwners {
    pub owners: [u64; SLOTS as usize],
}

/// Index into `SEQUENCE`: sessions that began in the kernel half.
pub const SEQUENCE_SESSION: u32 = 0;
/// Index into `SEQUENCE`: gated or recorded writes.
pub const SEQUENCE_WRITE: u32 = 1;

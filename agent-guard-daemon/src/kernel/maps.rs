//! The pinned maps, typed. Each word has one writer: what the kernel half writes is only read here.

use agent_guard_api::status::Counters;
use agent_guard_common::{
    conn::{Released, Socket, TlsObject, tagged, untagged},
    counters,
    task::{Agent, ExeKey, Task},
};
pub use aya::maps::MapError;
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use zerocopy::{FromBytes, IntoBytes};

use super::{load::LoadError, pins::Pins};

const SOCKET: usize = size_of::<Socket>();
const RELEASED: usize = size_of::<Released>();
const TASK: usize = size_of::<Task>();

/// Update only what exists: an entry that went away with its socket or process must not come back.
const EXISTING: u64 = 2; // BPF_EXIST

/// Open maps.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Maps {
    events: Option<RingBuf<MapData>>,
    tasks: HashMap<MapData, u32, [u8; TASK]>,
    sockets: HashMap<MapData, u64, [u8; SOCKET]>,
    released: HashMap<MapData, u64, [u8; RELEASED]>,
    ties: HashMap<MapData, [u8; 16], u64>,
    counters: PerCpuArray<MapData, u64>,
    agents: Array<MapData, [u8; 8]>,
    match_uid: HashMap<MapData, u32, u32>,
    match_cgroup: HashMap<MapData, u64, u32>,
    match_exe: HashMap<MapData, [u8; 16], u32>,
}

impl Maps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// [`LoadError::Map`] with the name of the map.
    pub fn open(pins: &Pins) -> Result<Self, LoadError> {
        fn map<T: TryFrom<Map, Error = MapError>>(pins: &Pins, name: &str) -> Result<T, LoadError> {
            let open = || T::try_from(Map::from_map_data(MapData::from_pin(pins.map(name))?)?);
            open().map_err(|source| LoadError::Map { name: name.to_owned(), source })
        }
        Ok(Maps {
            events: Some(map(pins, "EVENTS")?),
            tasks: map(pins, "TASKS")?,
            sockets: map(pins, "SOCKETS")?,
            released: map(pins, "RELEASED")?,
            ties: map(pins, "TIES")?,
            counters: map(pins, "COUNTERS")?,
            agents: map(pins, "AGENTS")?,
            match_uid: map(pins, "MATCH_UID")?,
            match_cgroup: map(pins, "MATCH_CGROUP")?,
            match_exe: map(pins, "MATCH_EXE")?,
        })
    }

    /// The event ring, once.
    pub fn take_events(&mut self) -> Option<RingBuf<MapData>> {
        self.events.take()
    }

    /// The process as an agent's.
    pub fn task(&self, tgid: u32) -> Option<Task> {
        self.tasks.get(&tgid, 0).ok().and_then(|bytes| Task::read_from_bytes(&bytes).ok())
    }

    /// Every process of every agent.
    pub fn tasks(&self) -> Vec<(u32, Task)> {
        self.tasks
            .iter()
            .flatten()
            .filter_map(|(tgid, bytes)| Some((tgid, Task::read_from_bytes(&bytes).ok()?)))
            .collect()
    }

    /// Puts a process under guard.
    ///
    /// # Errors
    /// The map is full or gone.
    pub fn enrol(&mut self, tgid: u32, task: &Task) -> Result<(), MapError> {
        self.tasks.insert(tgid, array::<TASK>(task.as_bytes()), 0)
    }

    /// Takes a process out (a rule matched it by mistake, or the guard is removed).
    pub fn dismiss(&mut self, tgid: u32) {
        drop(self.tasks.remove(&tgid));
    }

    pub fn socket(&self, cookie: u64) -> Option<Socket> {
        self.sockets.get(&cookie, 0).ok().and_then(|bytes| Socket::read_from_bytes(&bytes).ok())
    }

    /// Every socket of every agent.
    pub fn sockets(&self) -> Vec<(u64, Socket)> {
        self.sockets
            .iter()
            .flatten()
            .filter_map(|(cookie, bytes)| Some((cookie, Socket::read_from_bytes(&bytes).ok()?)))
            .collect()
    }

    pub fn released(&self, cookie: u64) -> Option<Released> {
        let words =
            self.released.get(&cookie, 0).ok().and_then(|bytes| Released::read_from_bytes(&bytes).ok())?;
        Some(Released {
            released: untagged(cookie, words.released),
            in_step: untagged(cookie, words.in_step),
        })
    }

    /// Writes the daemon's words of a gate. `Ok(false)`: the socket is gone.
    ///
    /// # Errors
    /// Any failure but the entry's absence.
    pub fn release(&mut self, cookie: u64, words: &Released) -> Result<bool, MapError> {
        let words =
            Released { released: tagged(cookie, words.released), in_step: tagged(cookie, words.in_step) };
        match self.released.insert(cookie, array::<RELEASED>(words.as_bytes()), EXISTING) {
            Ok(()) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The socket that a TLS object is tied to.
    pub fn tie(&self, object: &TlsObject) -> Option<u64> {
        self.ties.get(&array::<16>(object.as_bytes()), 0).ok()
    }

    /// Sums of the per-CPU counters; daemon-side fields stay 0.
    pub fn counters(&self) -> Counters {
        let sum = |index| self.counters.get(&index, 0).map_or(0, |values| values.iter().sum());
        Counters {
            writes_seen: sum(counters::WRITES_SEEN),
            fast_path: sum(counters::FAST_PATH),
            gated: sum(counters::GATED),
            packets_held: sum(counters::PACKETS_HELD),
            lost_ring_full: sum(counters::LOST_RING_FULL),
            lost_copy_fault: sum(counters::LOST_COPY_FAULT),
            lost_no_slot: sum(counters::LOST_NO_SLOT),
            plaintext_connections: sum(counters::PLAINTEXT),
            ..Counters::default()
        }
    }

    /// Events or entries that were lost so far, by any cause.
    pub fn losses(&self) -> u64 {
        let sum = |index| self.counters.get(&index, 0).map_or(0, |values| values.iter().sum::<u64>());
        [counters::LOST_RING_FULL, counters::LOST_NO_SLOT, counters::MAP_FULL].into_iter().map(sum).sum()
    }

    /// # Errors
    /// As the kernel says.
    pub fn set_agent(&mut self, index: u32, flags: u32) -> Result<(), MapError> {
        self.agents.set(index, array::<8>(Agent { flags, reserved: 0 }.as_bytes()), 0)
    }

    /// Replaces the rules that the kernel half matches at exec.
    ///
    /// # Errors
    /// As the kernel says, e.g. more rules than fit.
    pub fn set_rules(
        &mut self,
        uids: &[(u32, u32)],
        cgroups: &[(u64, u32)],
        exes: &[(ExeKey, u32)],
    ) -> Result<(), MapError> {
        replace(&mut self.match_uid, uids)?;
        replace(&mut self.match_cgroup, cgroups)?;
        let exes: Vec<([u8; 16], u32)> =
            exes.iter().map(|(key, agent)| (array(key.as_bytes()), *agent)).collect();
        replace(&mut self.match_exe, &exes)
    }
}

/// Adds what is new before it takes away what is old, so that no process slips through between.
fn replace<K: aya::Pod + PartialEq>(
    map: &mut HashMap<MapData, K, u32>,
    entries: &[(K, u32)],
) -> Result<(), MapError> {
    for (key, agent) in entries {
        map.insert(key, agent, 0)?;
    }
    let stale: Vec<K> =
        map.keys().flatten().filter(|key| !entries.iter().any(|(wanted, _)| wanted == key)).collect();
    for key in stale {
        map.remove(&key)?;
    }
    Ok(())
}

/// Bytes of a structure as the array that aya takes. Sizes are equal by the type's layout assertions.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    array
}

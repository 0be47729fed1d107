//! Writes of TLS objects whose socket is not known yet.
//!
//! Bias: an object of which anything was dropped is lost as a whole: what is tied later is judged as unread, never as
//! the rest that happened to be kept. What one process fills costs that process only its own objects; another's are
//! lost only by their own writes, while all of them together are too much.
//!
//! Before the handshake is done a library is offered the same bytes again and again. Such a repetition is left out only
//! where it certainly was not sent: it was offered before the ClientHello of its connection left this host, which waits
//! for the barrier. Everything later is handed on, as often as it was offered.

use std::collections::{HashMap, VecDeque};

use crate::ingest::{assemble::CapturedWrite, flow::Gated};

/// Writes of one object.
const MAX_WRITES: usize = 64;
/// Objects of one process; of further ones nothing is known for as long as the process lives.
const MAX_OBJECTS: usize = 1024;
/// Captured bytes of one process, and of all.
const MAX_PROCESS_BYTES: usize = 4 * 1024 * 1024;
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// When something was reported: counts the reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Untied {
    processes: HashMap<u32, Process>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Process {
    objects: HashMap<u64, Object>,
    bytes: usize,
    /// There were more objects than could be told apart: one that is not known may have written before.
    overflowed: bool,
}

#[derive(Debug)]
enum Object {
    Kept(VecDeque<(Moment, CapturedWrite)>),
    /// Something it wrote is not here any more.
    Lost,
}

impl Untied {
    /// Keeps a write; `None` for one that could not be read.
    pub(super) fn keep(&mut self, tgid: u32, ssl: u64, at: Moment, write: Option<CapturedWrite>) {
        let size = write.as_ref().map_or(0, |write| write.bytes.len());
        let process = self.processes.entry(tgid).or_default();
        if !process.objects.contains_key(&ssl) {
            if process.overflowed || process.objects.len() >= MAX_OBJECTS {
                process.overflowed = true;
                return;
            }
            process.objects.insert(ssl, Object::Kept(VecDeque::new()));
        }
        if matches!(process.objects.get(&ssl), Some(Object::Lost)) {
            return;
        }
        while process.bytes + size > MAX_PROCESS_BYTES || self.bytes + size > MAX_BYTES {
            let Some(freed) = process.lose_oldest(ssl) else { break };
            self.bytes -= freed;
        }
        let has_room = process.bytes + size <= MAX_PROCESS_BYTES && self.bytes + size <= MAX_BYTES;
        let Some(Object::Kept(kept)) = process.objects.get_mut(&ssl) else { return };
        match write {
            Some(write) if has_room && kept.len() < MAX_WRITES => {
                kept.push_back((at, write));
                process.bytes += size;
                self.bytes += size;
            }
            _ => self.bytes -= process.lose(ssl),
        }
    }

    /// What an object wrote up to the write that was seen to leave. `handshake_after`: its connection's ClientHello left
    /// after this moment.
    pub(super) fn take(
        &mut self,
        tgid: u32,
        ssl: u64,
        number: u64,
        handshake_after: Option<Moment>,
    ) -> Gated {
        let Some(process) = self.processes.get_mut(&tgid) else { return Gated::Lost };
        let Some(Object::Kept(kept)) = process.objects.get_mut(&ssl) else {
            self.forget(tgid, ssl);
            return Gated::Lost;
        };
        let count = kept.iter().take_while(|(_, write)| write.number <= number).count();
        let taken: Vec<_> = kept.drain(..count).collect();
        let is_empty = kept.is_empty();
        let freed: usize = taken.iter().map(|(_, write)| write.bytes.len()).sum();
        process.bytes -= freed;
        self.bytes -= freed;
        if is_empty {
            self.forget(tgid, ssl);
        }
        if taken.is_empty() { Gated::Lost } else { Gated::Writes(without_unsent(taken, handshake_after)) }
    }

    /// The object ended.
    pub(super) fn forget(&mut self, tgid: u32, ssl: u64) {
        let Some(process) = self.processes.get_mut(&tgid) else { return };
        self.bytes -= process.lose(ssl);
        process.objects.remove(&ssl);
        if process.objects.is_empty() && !process.overflowed {
            self.processes.remove(&tgid);
        }
    }

    pub(super) fn forget_process(&mut self, tgid: u32) {
        if let Some(process) = self.processes.remove(&tgid) {
            self.bytes -= process.bytes;
        }
    }
}

impl Process {
    /// Gives up the object whose last write is the oldest, but not `other`; returns the bytes that were freed.
    fn lose_oldest(&mut self, other: u64) -> Option<usize> {
        let last = |object: &Object| match object {
            Object::Kept(kept) => kept.back().map(|(at, _)| *at),
            Object::Lost => None,
        };
        let objects = self.objects.iter().filter(|(ssl, _)| **ssl != other);
        let (_, oldest) = objects.filter_map(|(ssl, object)| Some((last(object)?, *ssl))).min()?;
        Some(self.lose(oldest))
    }

    /// Gives up an object; returns the bytes that were freed.
    fn lose(&mut self, ssl: u64) -> usize {
        let Some(object) = self.objects.get_mut(&ssl) else { return 0 };
        let freed = match std::mem::replace(object, Object::Lost) {
            Object::Kept(kept) => kept.iter().map(|(_, write)| write.bytes.len()).sum(),
            Object::Lost => 0,
        };
        self.bytes -= freed;
        freed
    }
}

/// Leaves out each write that was offered again and cannot have been sent before that.
fn without_unsent(
    taken: Vec<(Moment, CapturedWrite)>,
    handshake_after: Option<Moment>,
) -> Vec<CapturedWrite> {
    let mut writes: Vec<(Moment, CapturedWrite)> = Vec::with_capacity(taken.len());
    for (at, write) in taken {
        let repeated = writes.last().is_some_and(|(earlier, last)| {
            handshake_after.is_some_and(|hello| *earlier < hello)
                && last.bytes == write.bytes
                && last.total == write.total
        });
        if repeated {
            writes.pop();
        }
        writes.push((at, write));
    }
    writes.into_iter().map(|(_, write)| write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(number: u64, bytes: &[u8]) -> CapturedWrite {
        CapturedWrite { number, bytes: bytes.to_vec(), total: bytes.len() as u64 }
    }

    fn count(gated: &Gated) -> Option<usize> {
        match gated {
            Gated::Writes(writes) => Some(writes.len()),
            Gated::Lost | Gated::Hello => None,
        }
    }

    fn keep(untied: &mut Untied, ssl: u64, number: u64, bytes: &[u8]) {
        untied.keep(1, ssl, Moment(number), Some(write(number, bytes)));
    }

    #[test]
    fn equal_writes_are_handed_on_as_often_as_they_were_offered() {
        let mut untied = Untied::default();
        keep(&mut untied, 7, 1, b"same");
        keep(&mut untied, 7, 2, b"same");
        assert_eq!(count(&untied.take(1, 7, 2, None)), Some(2));
        assert_eq!((untied.bytes, untied.processes.len()), (0, 0));
    }

    #[test]
    fn what_was_offered_before_the_client_hello_left_was_not_sent() {
        let mut untied = Untied::default();
        for number in [1, 2, 5, 6] {
            keep(&mut untied, 7, number, b"same");
        }
        // 1 and 2 were certainly not sent; of 5, offered again as 6, nobody knows.
        assert_eq!(count(&untied.take(1, 7, 6, Some(Moment(4)))), Some(2));
    }

    #[test]
    fn an_object_with_too_many_writes_is_lost() {
        let mut untied = Untied::default();
        for number in 0..=MAX_WRITES as u64 {
            keep(&mut untied, 7, number, b"x");
        }
        keep(&mut untied, 7, 100, b"y");
        assert_eq!(count(&untied.take(1, 7, 100, None)), None);
        assert_eq!(untied.bytes, 0);
    }

    #[test]
    fn an_unreadable_write_loses_its_object() {
        let mut untied = Untied::default();
        keep(&mut untied, 7, 1, b"x");
        untied.keep(1, 7, Moment(2), None);
        keep(&mut untied, 7, 3, b"y");
        assert_eq!(count(&untied.take(1, 7, 3, None)), None);
    }

    #[test]
    fn a_process_that_writes_too_much_loses_its_own_objects_only() {
        let mut untied = Untied::default();
        let big = vec![0; MAX_PROCESS_BYTES / 4];
        untied.keep(2, 7, Moment(0), Some(write(0, b"other")));
        for number in 1..=5 {
            keep(&mut untied, number, number, &big);
        }
        assert!(untied.bytes <= MAX_PROCESS_BYTES + 5);
        assert_eq!(count(&untied.take(1, 1, 9, None)), None, "the oldest one");
        assert_eq!(count(&untied.take(1, 5, 9, None)), Some(1));
        assert_eq!(count(&untied.take(2, 7, 9, None)), Some(1));
        untied.forget_process(1);
        assert_eq!(untied.bytes, 0);
    }

    #[test]
    fn all_processes_together_are_bounded() {
        let mut untied = Untied::default();
        let big = vec![0; MAX_PROCESS_BYTES];
        for tgid in 1..=5 {
            untied.keep(tgid, 7, Moment(1), Some(write(1, &big)));
        }
        assert_eq!(untied.bytes, MAX_BYTES);
        assert_eq!(count(&untied.take(5, 7, 1, None)), None);
        assert_eq!(count(&untied.take(1, 7, 1, None)), Some(1));
    }

    #[test]
    fn an_object_that_was_not_remembered_is_not_taken_for_a_new_one() {
        let mut untied = Untied::default();
        for ssl in 0..=MAX_OBJECTS as u64 {
            keep(&mut untied, ssl, ssl, b"x");
        }
        untied.forget(1, 0);
        keep(&mut untied, MAX_OBJECTS as u64, 5000, b"the rest");
        assert_eq!(count(&untied.take(1, MAX_OBJECTS as u64, 5000, None)), None);
    }
}

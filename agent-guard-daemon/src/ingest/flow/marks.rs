//! The numbers of a gate that are still closed, in order, and what each of them waits for.
//!
//! Bias: numbers that cannot be kept apart any more wait for the last of them; if not even that is possible, the gate
//! stays shut for good.

use std::collections::VecDeque;

/// Numbers kept apart. A held client that goes on writing raises one for each write, and for each repetition of it.
pub(super) const MAX_MARKS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Marks {
    queue: VecDeque<Mark>,
    shut: bool,
}

#[derive(Debug)]
struct Mark {
    /// The numbers that open together.
    first: u64,
    last: u64,
    waits: Waits,
    /// What the numbers stand for was never told.
    lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// For the barrier to let a ClientHello pass.
    Barrier,
    /// For everything in front of this stream offset to be allowed.
    Offset(u64),
}

impl Marks {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.shut
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// A ClientHello.
    pub(super) fn push_hello(&mut self, number: u64, passed: bool) {
        let waits = if passed { Waits::Offset(0) } else { Waits::Barrier };
        self.push(Mark { first: number, last: number, waits, lost: false });
    }

    /// A write behind which the stream stands at `offset`.
    pub(super) fn push_write(&mut self, number: u64, offset: u64) {
        self.push(Mark { first: number, last: number, waits: Waits::Offset(offset), lost: false });
    }

    /// Numbers of which nothing is known; the stream counts as standing at `offset` behind them.
    pub(super) fn push_lost(&mut self, first: u64, last: u64, offset: u64) {
        self.push(Mark { first, last, waits: Waits::Offset(offset), lost: true });
    }

    pub(super) fn hello_passed(&mut self, number: u64) {
        let waiting = self.queue.iter_mut().find(|mark| mark.last == number && mark.waits == Waits::Barrier);
        if let Some(mark) = waiting {
            mark.waits = Waits::Offset(0);
        }
    }

    /// A number that was given up as lost was a ClientHello: it waits for the barrier after all.
    pub(super) fn hello_found(&mut self, number: u64) {
        let holds = |mark: &Mark| mark.lost && (mark.first..=mark.last).contains(&number);
        let Some(at) = self.queue.iter().position(holds) else { return };
        if self.queue.len() >= MAX_MARKS {
            return self.shut();
        }
        let Some(Mark { first, last, waits, .. }) = self.queue.remove(at) else { return };
        let behind =
            (number < last).then(|| Mark { first: number.saturating_add(1), last, waits, lost: true });
        let hello = Mark { first: number, last: number, waits: Waits::Barrier, lost: false };
        let before =
            (first < number).then(|| Mark { first, last: number.saturating_sub(1), waits, lost: true });
        for mark in [behind, Some(hello), before].into_iter().flatten() {
            self.queue.insert(at, mark);
        }
    }

    /// ClientHellos that wait for the barrier.
    pub(super) fn hellos(&self) -> impl Iterator<Item = u64> {
        self.queue.iter().filter(|mark| mark.waits == Waits::Barrier).map(|mark| mark.last)
    }

    /// The number whose opening lets everything in front of this offset go; `None`: the last one.
    pub(super) fn covering(&self, offset: Option<u64>) -> Option<u64> {
        let covers = |mark: &&Mark| matches!((mark.waits, offset), (Waits::Offset(end), Some(offset)) if end >= offset);
        self.queue.iter().find(covers).or(self.queue.back()).map(|mark| mark.last)
    }

    /// A write ends at this offset, and no ClientHello in front of that waits for the barrier.
    pub(super) fn ends_at(&self, offset: u64) -> bool {
        let in_front = |mark: &&Mark| !matches!(mark.waits, Waits::Offset(end) if end < offset);
        !self.shut && self.queue.iter().find(in_front).is_some_and(|mark| mark.waits == Waits::Offset(offset))
    }

    /// Opens what need not wait if everything in front of `allowed` may leave; the highest number opened.
    pub(super) fn open(&mut self, allowed: u64) -> Option<u64> {
        let mut opened = None;
        while !self.shut
            && let Some(Mark { last, waits: Waits::Offset(offset), .. }) = self.queue.front()
            && *offset <= allowed
        {
            opened = Some(*last);
            self.queue.pop_front();
        }
        opened
    }

    fn push(&mut self, mark: Mark) {
        let full = self.queue.len() >= MAX_MARKS;
        let Some(last) = self.queue.back_mut() else { return self.queue.push_back(mark) };
        match (last.waits, mark.waits) {
            // Behind a repeated write the stream stands where it stood.
            (Waits::Offset(before), Waits::Offset(offset))
                if full || (before == offset && last.lost == mark.lost) =>
            {
                last.last = mark.last;
                last.waits = Waits::Offset(before.max(offset));
                last.lost |= mark.lost;
            }
            _ if full => {
                self.shut();
            }
            _ => self.queue.push_back(mark),
        }
    }

    fn shut(&mut self) {
        self.shut = true;
        self.queue.clear();
    }
}

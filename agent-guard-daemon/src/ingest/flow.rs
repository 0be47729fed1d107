//! One connection of an agent: gated writes in, requests out, and how far the gate may open.
//!
//! Invariant: the gate opens only up to the last number in front of which every byte belongs to a request that was
//! allowed (or to the head of one that waits for the server's `100 Continue`), every ClientHello was let pass by the
//! barrier, and no number is missing. Bytes of a head that is not complete stay, empty lines in front of it included.
//!
//! Bias: what cannot be read becomes an undecidable stretch that reaches as far as the stream was written when it was
//! offered to the judge; what is written later is another one. There is no way back: a stream that lost its place
//! stays undecidable. Two stretches are never with the judge at once, so what is written meanwhile waits as one.
//!
//! Memory: bodies up to [`MAX_KEPT`], early writes up to [`MAX_EARLY_BYTES`], [`MAX_REQUESTS`] requests and the numbers
//! of [`marks`].

use std::collections::{BTreeMap, VecDeque};

use agent_guard_core::request::Peer;
use agent_guard_decode::{
    http1::{Decoder, Limits},
    message::{Item, Located, Position, RequestHead},
    reconcile::{Offered, OfferedWrite, Reconciler},
};

use super::assemble::CapturedWrite;

mod doubt;
mod due;
mod marks;
mod request;

use doubt::Doubt;
pub use due::{Due, Stage, Subject};
use marks::Marks;
use request::{Request, Verdict};

/// Bytes of a body that are kept to be judged; beyond them a request is judged by what was seen.
pub const BODY_KEPT: usize = 1024 * 1024;
/// Bytes of all bodies of a connection that are kept while the judge has not seen them.
const MAX_KEPT: usize = 4 * BODY_KEPT;
/// Requests of one connection that may be unfinished or undecided (pipelining); one more makes the stream undecidable.
const MAX_REQUESTS: usize = 64;
/// Gate numbers that may arrive out of order, and bytes of their writes.
const MAX_EARLY: usize = 64;
const MAX_EARLY_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of an unreadable stretch that are shown.
const SHOWN_BYTES: usize = 512;

/// What raised the gate.
#[derive(Debug)]
pub enum Gated {
    /// A ClientHello, held until the process is known to be covered.
    Hello,
    /// Writes of one TLS object, in order; several if they left in one go. None at all counts as lost.
    Writes(Vec<CapturedWrite>),
    /// Raised, but nothing is known of it (lost event, copy fault).
    Lost,
}

/// How far the gate may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub released: u64,
    /// The stream is between two requests behind this write, and nothing is outstanding.
    pub in_step: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Flow {
    decoder: Decoder,
    reconciler: Reconciler,
    doubt: Doubt,
    /// Why the stream cannot be read any more; final.
    lost: Option<String>,
    /// Bytes of the stream, as far as they are known; a write that was not seen counts as one.
    offset: u64,
    marks: Marks,
    early: BTreeMap<u64, Early>,
    next_number: u64,
    /// The highest number that was opened.
    opened: u64,
    /// In order and without a hole between them. Only the last one may be unfinished.
    requests: VecDeque<Request>,
    next_index: u64,
    /// End of the last request that was allowed and is complete.
    settled: u64,
    /// How the last stretch that is not finished begins.
    raw: Vec<u8>,
    peer: Peer,
}

/// Something told before what comes in front of it.
#[derive(Debug)]
struct Early {
    what: Gated,
    blocked: bool,
    /// A ClientHello that the barrier let go already.
    passed: bool,
}

impl Flow {
    /// A connection that stands between two requests; `next_number` is the first number that its gate will have.
    #[must_use]
    pub fn new(next_number: u64, peer: Peer) -> Self {
        Flow {
            decoder: Decoder::new(Limits::default()),
            reconciler: Reconciler::new(),
            doubt: Doubt::default(),
            lost: None,
            offset: 0,
            marks: Marks::default(),
            early: BTreeMap::new(),
            next_number,
            opened: next_number.saturating_sub(1),
            requests: VecDeque::new(),
            next_index: 0,
            settled: 0,
            raw: Vec::new(),
            peer,
        }
    }

    /// A connection of which the past is not known: everything on it is undecidable, and it is never in step.
    #[must_use]
    pub fn desynchronised(next_number: u64, reason: &str) -> Self {
        Flow { lost: Some(reason.to_owned()), ..Flow::new(next_number, Peer::default()) }
    }

    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    pub fn peer_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// The highest number known to this flow, early ones included.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.early.keys().next_back().copied().unwrap_or(0).max(self.next_number.saturating_sub(1))
    }

    /// The number that opens the gate for a request: of the last write that carries a byte of it.
    #[must_use]
    pub fn number_of(&self, index: u64) -> Option<u64> {
        let request = self.requests.iter().find(|request| request.index == index)?;
        self.marks.covering(request.end)
    }

    /// Its requests are counted from here: those before are another flow's.
    #[must_use]
    pub fn counting_from(mut self, index: u64) -> Self {
        self.next_index = index;
        self
    }

    /// What takes the place of a flow that cannot be trusted any more: everything that was not opened is undecidable,
    /// and no answer that is still under way fits.
    #[must_use]
    pub fn replaced(&self, reason: &str) -> Self {
        let mut flow = Flow::desynchronised(self.opened.saturating_add(1), reason);
        flow.next_index = self.next_index.saturating_add(1);
        flow.peer = self.peer.clone();
        flow.lost_up_to(self.highest());
        self.marks.hellos().for_each(|number| flow.marks.hello_found(number));
        flow
    }

    /// The gate was raised for `number`. `blocked`: the write before it may not have been taken whole.
    pub fn gated(&mut self, number: u64, what: Gated, blocked: bool) {
        if number < self.next_number {
            // Told twice; or given up as lost, and then only a ClientHello still matters.
            if matches!(what, Gated::Hello) {
                self.marks.hello_found(number);
            }
            return;
        }
        self.early.entry(number).or_insert(Early { what, blocked, passed: false });
        self.take_early();
        let too_many = self.early.len() > MAX_EARLY
            || self.early.values().map(Early::bytes).sum::<usize>() > MAX_EARLY_BYTES;
        if too_many {
            self.lost_up_to(self.highest());
        }
    }

    /// The kernel half raised the gate up to `number`; whatever is missing below will not be told any more.
    pub fn lost_up_to(&mut self, number: u64) {
        while let Some(told) = self.early.keys().next().copied()
            && told <= number
        {
            self.lose_numbers(told.saturating_sub(1));
            self.take_early();
        }
        self.lose_numbers(number);
        self.take_early();
    }

    /// The barrier let the ClientHello go.
    pub fn hello_passed(&mut self, number: u64) {
        match self.early.get_mut(&number) {
            Some(early) => early.passed = true,
            None => self.marks.hello_passed(number),
        }
    }

    /// A write left by the kernel's fast path: what comes next is no repetition of anything seen here.
    pub fn passed_fast(&mut self) {
        self.reconciler.forget();
    }

    /// The send buffer is full, so that no more will come before the gate opens: a deferred request is judged by what
    /// is there.
    pub fn stalled(&mut self) {
        if let Some(last) = self.requests.back_mut()
            && matches!(last.verdict, Verdict::Deferred { .. })
        {
            last.cut();
        }
    }

    /// The next request that the judge should look at.
    pub fn due(&mut self) -> Option<Due> {
        self.settle();
        let mut all_allowed = true;
        for request in &mut self.requests {
            if let Some(stage) = request.stage()
                && (all_allowed || !request.is_undecidable())
            {
                return Some(request.ask(stage, &self.peer, self.offset, &self.raw));
            }
            all_allowed &= request.verdict == Verdict::Allowed;
        }
        None
    }

    /// The judge wants more of a request that was offered with its head. The head may leave meanwhile if the client
    /// waits for the server (`Expect: 100-continue`), so this is for requests whose body decides what they do.
    pub fn defer(&mut self, index: u64) {
        if let Some(request) = self.request(index) {
            request.defer(true);
        }
    }

    /// Like [`Flow::defer`], but the head stays: a server may act on it without reading the body.
    pub fn defer_closed(&mut self, index: u64) {
        if let Some(request) = self.request(index) {
            request.defer(false);
        }
    }

    /// The request may leave, as it was offered last.
    pub fn allow(&mut self, index: u64) {
        if let Some(request) = self.request(index) {
            request.allow();
        }
    }

    /// How far the gate may open, if further than before.
    pub fn opening(&mut self) -> Option<Opening> {
        self.settle();
        let released = self.marks.open(self.allowed_offset())?;
        self.opened = self.opened.max(released);
        let nothing_waits = self.requests.is_empty() && self.marks.is_empty();
        Some(Opening { released, in_step: nothing_waits && self.is_at_boundary() })
    }

    /// Nothing but this request and what was allowed in front of it leaves when the gate opens up to its number: it is
    /// the first that is not allowed, its end is known, and a write ends there.
    #[must_use]
    pub fn stands_alone(&self, index: u64) -> bool {
        let first = self.requests.iter().find(|request| request.verdict != Verdict::Allowed);
        first
            .is_some_and(|first| first.index == index && first.end.is_some_and(|end| self.marks.ends_at(end)))
    }

    /// Nothing is behind the write that ends this request: once it is let go, the stream is between two requests.
    #[must_use]
    pub fn ends_at_boundary(&self, index: u64) -> bool {
        self.is_at_boundary() && self.requests.back().is_some_and(|last| last.index == index)
    }

    /// The stream stands between two requests, and nothing behind them is known.
    fn is_at_boundary(&self) -> bool {
        self.lost.is_none() && self.decoder.position() == Position::Boundary && self.early.is_empty()
    }

    fn request(&mut self, index: u64) -> Option<&mut Request> {
        self.requests.iter_mut().find(|request| request.index == index)
    }

    /// Everything in front of this offset may leave.
    fn allowed_offset(&self) -> u64 {
        let mut allowed = self.settled;
        for request in &self.requests {
            if let Some(limit) = request.limit() {
                return limit;
            }
            // Unfinished and allowed: its body goes on, and is the last thing that was written.
            let Some(end) = request.end else { return self.offset };
            allowed = end;
        }
        allowed
    }

    fn settle(&mut self) {
        while self.requests.front().is_some_and(Request::is_done) {
            if let Some(end) = self.requests.pop_front().and_then(|request| request.end) {
                self.settled = end;
            }
        }
    }

    fn take_early(&mut self) {
        while let Some(early) = self.early.remove(&self.next_number) {
            let number = self.next_number;
            self.next_number = number.saturating_add(1);
            match early.what {
                Gated::Hello => self.take_hello(number, early.passed),
                Gated::Writes(writes) if !writes.is_empty() => {
                    for (at, write) in writes.iter().enumerate() {
                        self.take_write(write, at == 0, early.blocked);
                    }
                    self.marks.push_write(number, self.offset);
                }
                Gated::Writes(_) | Gated::Lost => self.take_lost(number, number),
            }
        }
    }

    /// Gives up what is missing up to `last`.
    fn lose_numbers(&mut self, last: u64) {
        let first = self.next_number;
        if first <= last {
            self.next_number = last.saturating_add(1);
            self.take_lost(first, last);
        }
    }

    fn take_lost(&mut self, first: u64, last: u64) {
        self.lose("a write was not seen");
        self.reconciler.forget();
        let base = self.offset;
        self.offset = base.saturating_add(1);
        self.keep_raw(&[], base);
        self.cover_rest();
        self.marks.push_lost(first, last, self.offset);
    }

    fn take_hello(&mut self, number: u64, passed: bool) {
        if self.decoder.position() != Position::Boundary {
            self.lose("a TLS handshake began in the middle of a request");
        }
        self.reconciler.forget();
        self.marks.push_hello(number, passed);
    }

    fn take_write(&mut self, write: &CapturedWrite, is_first: bool, blocked: bool) {
        let size = usize::try_from(write.total).unwrap_or(usize::MAX).min(write.bytes.len());
        let bytes = write.bytes.get(..size).unwrap_or_default();
        // Of writes that left in one go, the library may have been offered one twice before any of them left.
        let offered =
            self.reconciler.offer(&OfferedWrite { bytes, total: write.total }, blocked || !is_first);
        let known = match (offered, is_first) {
            (Offered::New, _) | (Offered::Unclear, false) => 0,
            // Requests that are whole: judged once more each, so that none leaves on another's verdict.
            (Offered::Repeat, false) if self.doubt.wrote_whole(self.decoder.position()) => 0,
            (Offered::Repeat, true) => self.skip(bytes, write.total, true),
            (Offered::Tail { .. }, true) => self.skip(bytes, write.total, false),
            (Offered::Extends { known }, true) => self.skip(bytes, known, true),
            (Offered::Unclear, true)
            | (Offered::Repeat | Offered::Tail { .. } | Offered::Extends { .. }, false) => {
                self.lose("it cannot be told which bytes of a repeated write are new");
                0
            }
        };
        let known_size = usize::try_from(known).unwrap_or(usize::MAX).min(size);
        let fresh = bytes.get(known_size..).unwrap_or_default();
        self.read(fresh, write.total.saturating_sub(known).saturating_sub(fresh.len() as u64));
    }

    /// The first `known` bytes of a write were offered before: how many of them that really are.
    fn skip(&mut self, bytes: &[u8], known: u64, is_whole: bool) -> u64 {
        let size = usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len());
        let old = bytes.get(..size).unwrap_or_default();
        if !self.doubt.skip(self.decoder.position(), old, known, is_whole) {
            return known;
        }
        self.lose("what looks like a repeated write may be a request");
        0
    }

    /// The next bytes of the stream, and how many behind them were not seen.
    fn read(&mut self, fresh: &[u8], missing: u64) {
        if fresh.is_empty() && missing == 0 {
            return;
        }
        let base = self.offset;
        self.offset = base.saturating_add(fresh.len() as u64).saturating_add(missing);
        if self.doubt.read(self.decoder.position(), fresh, missing) {
            self.lose(
                "a repeated write may have been a new one, and a request follows in what would be a body",
            );
        }
        if self.lost.is_none() {
            self.decoder.feed(fresh);
            self.poll();
        }
        if self.lost.is_none() {
            self.decoder.gap(missing);
            self.poll();
        }
        self.cover_rest();
        self.keep_raw(fresh, base);
    }

    fn poll(&mut self) {
        while self.lost.is_none()
            && let Some(Located { item, end }) = self.decoder.poll()
        {
            match item {
                Item::Head(head) => self.begin(head, end),
                Item::Body(bytes) => self.body(&bytes, 0, end),
                Item::BodyUnseen(count) => self.body(&[], count, end),
                Item::End => self.end(end),
                Item::Tunnel(_) => self.lose("behind a CONNECT or Upgrade, which is not read"),
                Item::Undecidable(cause) => self.lose(&cause.to_string()),
            }
        }
    }

    fn begin(&mut self, head: RequestHead, head_end: u64) {
        if self.requests.len() >= MAX_REQUESTS {
            return self.lose("too many requests without an answer");
        }
        let request = Request::http(self.next_index, self.finished(), head, head_end);
        self.push(request);
    }

    fn body(&mut self, bytes: &[u8], unseen: u64, end: u64) {
        let kept: usize = self.requests.iter().map(Request::kept).sum();
        if let Some(last) = self.requests.back_mut() {
            last.take_body(bytes, unseen, end, MAX_KEPT.saturating_sub(kept));
        }
    }

    fn end(&mut self, end: u64) {
        self.doubt.settle();
        if let Some(last) = self.requests.back_mut() {
            last.end = Some(end);
        }
    }

    /// The stream is not readable from here on.
    fn lose(&mut self, reason: &str) {
        if self.lost.is_some() {
            return;
        }
        self.lost = Some(reason.to_owned());
        self.decoder = Decoder::default();
        if let Some(last) = self.requests.back_mut()
            && last.end.is_none()
        {
            last.break_off(reason);
            if last.end.is_some() {
                self.raw.clear();
            }
        }
    }

    /// Whatever was written and is no request's, once the stream is lost, is an undecidable stretch.
    fn cover_rest(&mut self) {
        let Some(reason) = &self.lost else { return };
        let is_covered = self.requests.back().is_some_and(|last| last.end.is_none());
        if !is_covered && self.offset > self.finished() {
            let request = Request::undecidable(self.next_index, self.finished(), reason.clone());
            self.push(request);
        }
    }

    fn push(&mut self, request: Request) {
        self.next_index = self.next_index.saturating_add(1);
        self.requests.push_back(request);
    }

    /// Stream offset behind the last request that ended.
    fn finished(&self) -> u64 {
        self.requests.iter().rev().find_map(|request| request.end).unwrap_or(self.settled)
    }

    /// Keeps how the stretch begins that is not finished, in case it has to be shown.
    fn keep_raw(&mut self, fresh: &[u8], base: u64) {
        let unfinished = match self.finished().checked_sub(base) {
            None => fresh,
            Some(old) => {
                self.raw.clear();
                fresh.get(usize::try_from(old).unwrap_or(usize::MAX)..).unwrap_or_default()
            }
        };
        let room = SHOWN_BYTES.saturating_sub(self.raw.len());
        self.raw.extend(unfinished.iter().take(room));
    }
}

impl Early {
    fn bytes(&self) -> usize {
        match &self.what {
            Gated::Writes(writes) => writes.iter().map(|write| write.bytes.len()).sum(),
            Gated::Hello | Gated::Lost => 0,
        }
    }
}

#[cfg(test)]
mod tests;

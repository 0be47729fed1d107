//! One connection of an agent: gated writes in, requests out, and how far the gate may open.
//!
//! Invariant: the gate opens only up to the last write of which every byte belongs to a request that was allowed (or to
//! the head of one that waits for the server's `100 Continue`), in the order of the gate's numbers. Whatever cannot be
//! read becomes a request of its own, undecidable, that reaches to the end of what was written.

use std::collections::{BTreeMap, VecDeque};

use agent_guard_core::request::{Body, HttpRequest, Peer};
use agent_guard_decode::{
    http1::{Decoder, Limits},
    message::{Framing, Item, Position, RequestHead},
    reconcile::{Offered, OfferedWrite, Reconciler},
};

use super::assemble::CapturedWrite;

/// Bytes of a body that are kept to be judged; beyond them a request is judged by what was seen.
pub const BODY_KEPT: usize = 1024 * 1024;
/// Requests of one connection that may be unfinished or undecided (pipelining); one more makes the stream undecidable.
const MAX_REQUESTS: usize = 64;
/// Gate numbers that may arrive out of order.
const MAX_EARLY: usize = 64;

/// What raised the gate.
#[derive(Debug)]
pub enum Gated {
    /// A ClientHello, held until the process is known to be covered.
    Hello,
    /// Writes of one TLS object, in order; several if they left in one go.
    Writes(Vec<CapturedWrite>),
    /// Raised, but nothing is known of it (lost event, copy fault).
    Lost,
}

/// A request whose verdict is due, or could be.
#[derive(Debug)]
pub struct Due {
    pub index: u64,
    pub stage: Stage,
    pub subject: Subject,
}

#[derive(Debug)]
pub enum Subject {
    Http(Box<HttpRequest>),
    /// With the reason and the bytes that could not be read (a prefix).
    Undecidable { reason: String, bytes: Vec<u8> },
}

/// How much of the request is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its head only; it may be judged now or deferred until more is there.
    Head,
    /// All of it.
    Whole,
    /// As much as will be kept; it must be judged by that.
    Cut,
}

/// How far the gate may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub released: u64,
    /// The stream is between two requests behind this write.
    pub in_step: bool,
}

#[derive(Debug)]
struct Request {
    index: u64,
    start: u64,
    end: Option<u64>,
    head: Option<RequestHead>,
    head_end: u64,
    body: Vec<u8>,
    body_seen: u64,
    /// Some of the body was not kept or not seen.
    body_cut: bool,
    undecidable: Option<String>,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Not offered to the judge yet.
    Open,
    /// Offered with its head, the judge wants more. `true`: its head may leave meanwhile (`Expect: 100-continue`).
    Deferred { head_may_leave: bool },
    /// With the judge (or held).
    Asked,
    Allowed,
}

#[derive(Debug)]
struct Mark {
    number: u64,
    /// Stream offset behind this write; `None`: a ClientHello that waits for the barrier.
    end: Option<u64>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Flow {
    decoder: Decoder,
    reconciler: Reconciler,
    marks: VecDeque<Mark>,
    early: BTreeMap<u64, (Gated, bool)>,
    next_number: u64,
    requests: VecDeque<Request>,
    next_index: u64,
    opened: u64,
    /// End of the last request that was allowed and is complete.
    settled: u64,
    peer: Peer,
}

impl Flow {
    /// A connection of which nothing was seen; `next_number` is the first number that its gate will have.
    #[must_use]
    pub fn new(next_number: u64, peer: Peer) -> Self {
        Flow {
            decoder: Decoder::new(Limits::default()),
            reconciler: Reconciler::new(),
            marks: VecDeque::new(),
            early: BTreeMap::new(),
            next_number,
            requests: VecDeque::new(),
            next_index: 0,
            opened: next_number.saturating_sub(1),
            settled: 0,
            peer,
        }
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
        let end = request.end.unwrap_or(u64::MAX);
        let covering = self.marks.iter().find(|mark| mark.end.is_some_and(|mark_end| mark_end >= end));
        covering.or(self.marks.back()).map(|mark| mark.number)
    }

    /// The gate was raised for `number`. `blocked`: the write before it may not have been taken whole.
    pub fn gated(&mut self, number: u64, what: Gated, blocked: bool) {
        if number < self.next_number {
            return; // told twice
        }
        if number != self.next_number {
            self.early.insert(number, (what, blocked));
            if self.early.len() > MAX_EARLY {
                self.give_up("events of this connection were lost");
            }
            return;
        }
        self.take(number, what, blocked);
        while let Some((what, blocked)) = self.early.remove(&self.next_number) {
            self.take(self.next_number, what, blocked);
        }
    }

    /// The kernel half raised the gate up to `number`; whatever is missing below will not be told any more.
    pub fn lost_up_to(&mut self, number: u64) {
        while self.next_number <= number {
            let next = self.next_number;
            let (what, blocked) = self.early.remove(&next).unwrap_or((Gated::Lost, false));
            self.take(next, what, blocked);
        }
    }

    /// The barrier let the ClientHello go.
    pub fn hello_passed(&mut self, number: u64) {
        if let Some(mark) = self.marks.iter_mut().find(|mark| mark.number == number) {
            mark.end = Some(0);
        }
    }

    /// The next request that the judge should look at.
    pub fn due(&mut self) -> Option<Due> {
        let request = self.requests.iter_mut().find_map(|request| Some((stage(request)?, request)));
        let (stage, request) = request?;
        let index = request.index;
        request.verdict = Verdict::Asked;
        let subject = match (&request.undecidable, &request.head) {
            (None, Some(head)) => Subject::Http(Box::new(HttpRequest {
                head: head.clone(),
                body: body(request, stage),
                peer: self.peer.clone(),
            })),
            (reason, _) => Subject::Undecidable {
                reason: reason.clone().unwrap_or_else(|| "its head was not seen".to_owned()),
                bytes: request.body.clone(),
            },
        };
        Some(Due { index, stage, subject })
    }

    /// The judge wants more of a request that was offered with its head.
    pub fn defer(&mut self, index: u64) {
        if let Some(request) = self.requests.iter_mut().find(|request| request.index == index) {
            let head_may_leave =
                request.head.as_ref().is_some_and(|head| head.expects_continue) && request.body_seen == 0;
            request.verdict = Verdict::Deferred { head_may_leave };
        }
    }

    /// The request may leave.
    pub fn allow(&mut self, index: u64) {
        if let Some(request) = self.requests.iter_mut().find(|request| request.index == index) {
            request.verdict = Verdict::Allowed;
            request.body = Vec::new();
            if request.undecidable.is_some() {
                // These very bytes were allowed, nothing behind them.
                request.end = Some(self.decoder.offset());
            }
        }
    }

    /// How far the gate may open, if further than before.
    pub fn opening(&mut self) -> Option<Opening> {
        let allowed = self.allowed_offset();
        let mut opened = self.opened;
        while let Some(mark) = self.marks.front() {
            match mark.end {
                Some(end) if end <= allowed => opened = mark.number,
                _ => break,
            }
            self.marks.pop_front();
        }
        while self.requests.front().is_some_and(|request| request.verdict == Verdict::Allowed && request.end.is_some()) {
            if let Some(end) = self.requests.pop_front().and_then(|request| request.end) {
                self.settled = end;
            }
        }
        if opened == self.opened {
            return None;
        }
        self.opened = opened;
        let at_boundary = self.decoder.position() == Position::Boundary && self.requests.is_empty();
        let in_step = at_boundary && self.marks.is_empty() && self.early.is_empty();
        Some(Opening { released: opened, in_step })
    }

    /// Everything before this offset may leave.
    fn allowed_offset(&self) -> u64 {
        let mut allowed = self.settled;
        for request in &self.requests {
            match (request.verdict, request.end) {
                (Verdict::Allowed, Some(end)) => allowed = end,
                (Verdict::Allowed, None) => return self.decoder.offset(),
                (Verdict::Deferred { head_may_leave: true }, _) => return request.head_end,
                _ => return request.start,
            }
        }
        // Bytes of a head that is not complete stay, whatever was allowed in front of them.
        if self.decoder.position() == Position::Boundary { self.decoder.offset() } else { allowed }
    }

    fn take(&mut self, number: u64, what: Gated, blocked: bool) {
        self.next_number = number + 1;
        match what {
            Gated::Hello => return self.marks.push_back(Mark { number, end: None }),
            Gated::Writes(writes) => {
                for (index, write) in writes.iter().enumerate() {
                    self.offer(write, blocked && index == 0);
                }
            }
            Gated::Lost => {
                self.decoder.gap(1);
                self.poll();
                self.give_up("a write was not seen");
            }
        }
        self.marks.push_back(Mark { number, end: Some(self.decoder.offset()) });
    }

    fn offer(&mut self, write: &CapturedWrite, blocked: bool) {
        let offered = self.reconciler.offer(&OfferedWrite { bytes: &write.bytes, total: write.total }, blocked);
        let known = match offered {
            Offered::New => 0,
            Offered::Repeat | Offered::Tail { .. } => return,
            Offered::Extends { known } => known,
            Offered::Unclear => {
                self.give_up("it cannot be told which bytes of a repeated write are new");
                0
            }
        };
        let skip = usize::try_from(known).unwrap_or(usize::MAX).min(write.bytes.len());
        let fresh = write.bytes.get(skip..).unwrap_or_default();
        self.decoder.feed(fresh);
        self.poll();
        if self.decoder.position() == Position::Undecidable && self.requests.back().is_none_or(|last| last.end.is_some()) {
            self.give_up("behind bytes that could not be read");
        }
        if let Some(request) = self.requests.back_mut()
            && request.undecidable.is_some()
            && request.body.len() < 512
        {
            request.body.extend(fresh.iter().take(512));
        }
        let missing = write.total.saturating_sub(known).saturating_sub(fresh.len() as u64);
        self.decoder.gap(missing);
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(located) = self.decoder.poll() {
            match located.item {
                Item::Head(head) => self.begin(head, located.end),
                Item::Body(bytes) => self.body(&bytes, bytes.len() as u64),
                Item::BodyUnseen(count) => self.body(&[], count),
                Item::End => self.end(located.end),
                Item::Tunnel(_) => self.give_up("behind a CONNECT or Upgrade, which is not read"),
                Item::Undecidable(cause) => self.give_up(&cause.to_string()),
            }
        }
        if self.requests.len() > MAX_REQUESTS {
            self.give_up("too many requests without an answer");
        }
    }

    fn begin(&mut self, head: RequestHead, head_end: u64) {
        let start = self.requests.back().and_then(|last| last.end).unwrap_or(self.settled);
        self.requests.push_back(Request {
            index: self.next_index,
            start,
            end: None,
            body_cut: matches!(head.framing, Framing::Length(len) if len > BODY_KEPT as u64),
            head: Some(head),
            head_end,
            body: Vec::new(),
            body_seen: 0,
            undecidable: None,
            verdict: Verdict::Open,
        });
        self.next_index += 1;
    }

    fn body(&mut self, bytes: &[u8], count: u64) {
        let Some(request) = self.requests.back_mut() else { return };
        request.body_seen += count;
        if request.verdict == Verdict::Allowed {
            return; // counted, not kept
        }
        let room = BODY_KEPT.saturating_sub(request.body.len());
        request.body.extend(bytes.iter().take(room));
        if (request.body.len() as u64) < request.body_seen {
            request.body_cut = true;
        }
    }

    fn end(&mut self, end: u64) {
        if let Some(request) = self.requests.back_mut() {
            request.end = Some(end);
        }
    }

    /// The stream is not readable from here on: one undecidable request up to its end, anew for each verdict.
    fn give_up(&mut self, reason: &str) {
        let start = self.requests.back().map_or(self.settled, |last| last.end.unwrap_or(last.start));
        if let Some(last) = self.requests.back_mut()
            && last.end.is_none()
            && last.verdict != Verdict::Allowed
        {
            last.undecidable = Some(reason.to_owned());
            return;
        }
        self.requests.push_back(Request {
            index: self.next_index,
            start,
            end: None,
            head: None,
            head_end: 0,
            body: Vec::new(),
            body_seen: 0,
            body_cut: true,
            undecidable: Some(reason.to_owned()),
            verdict: Verdict::Open,
        });
        self.next_index += 1;
    }
}

impl Flow {
    /// A connection of which the past is not known: everything on it is undecidable from the start.
    #[must_use]
    pub fn desynchronised(next_number: u64, reason: &str) -> Self {
        let mut flow = Flow::new(next_number, Peer::default());
        flow.decoder.gap(1);
        flow.poll();
        flow.give_up(reason);
        flow
    }

    /// Nothing but this request is behind the write that ends it.
    #[must_use]
    pub fn ends_at_boundary(&self, index: u64) -> bool {
        let last = self.requests.back();
        self.decoder.position() == Position::Boundary && last.is_some_and(|request| request.index == index)
    }
}

/// What can be offered to the judge now, if anything new.
fn stage(request: &Request) -> Option<Stage> {
    match request.verdict {
        Verdict::Asked | Verdict::Allowed => None,
        Verdict::Open if request.undecidable.is_some() => Some(Stage::Cut),
        Verdict::Open if request.end.is_some() => Some(whole_or_cut(request)),
        Verdict::Open => Some(Stage::Head),
        Verdict::Deferred { .. } if request.undecidable.is_some() || request.body_cut => Some(Stage::Cut),
        Verdict::Deferred { .. } => request.end.map(|_| whole_or_cut(request)),
    }
}

fn whole_or_cut(request: &Request) -> Stage {
    if request.body_cut { Stage::Cut } else { Stage::Whole }
}

fn body(request: &Request, stage: Stage) -> Body {
    match stage {
        Stage::Whole if request.head.as_ref().is_some_and(|head| head.framing == Framing::None) => Body::None,
        Stage::Whole => Body::Whole(request.body.clone()),
        Stage::Head | Stage::Cut => Body::Prefix(request.body.clone()),
    }
}

#[cfg(test)]
mod tests;

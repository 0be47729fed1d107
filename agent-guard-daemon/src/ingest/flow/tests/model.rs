//! The flow against a model that knows for each byte of the stream whether it may leave.

use agent_guard_core::request::Body;
use proptest::{prelude::*, sample::Index};

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn exactly_what_is_allowed_may_leave(
        kinds in prop::collection::vec(kind(), 1..7),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
        repeats in prop::collection::vec(0..3_usize, 16),
        order in prop::collection::vec(any::<Index>(), 40),
        steps in prop::collection::vec((any::<bool>(), any::<Index>(), 0..4_u8), 0..120),
    ) {
        let mut model = Model::new(&kinds, &cuts, &repeats);
        let mut order = order.into_iter();
        for (deliver, pick, answer) in steps {
            if deliver {
                model.deliver(&order.next().unwrap_or(pick));
            } else {
                model.answer(&pick, answer);
            }
            model.check()?;
        }
        // In the end all is told and allowed, and nothing is left over.
        while !model.untold.is_empty() {
            model.deliver(&pick_first());
            model.check()?;
        }
        while !model.asked.is_empty() {
            model.answer(&pick_first(), 0);
            model.check()?;
        }
        prop_assert!(model.in_step);
        prop_assert_eq!(model.released, model.writes.len() as u64);
    }

    /// Whatever is told, in whatever order: what nobody allowed stays.
    #[test]
    fn without_an_answer_only_hellos_leave(events in prop::collection::vec(event(), 0..60)) {
        let mut flow = Flow::new(1, Peer::default());
        let is_hello = |number: u64| !number.is_multiple_of(3);
        for (number, event) in events {
            match event {
                Event::Told(..) if is_hello(number) => {
                    flow.gated(number, Gated::Hello, false);
                    flow.hello_passed(number);
                }
                Event::Told(bytes, more, blocked) => {
                    let write = captured(&bytes, bytes.len() + more);
                    flow.gated(number, Gated::Writes(vec![write]), blocked);
                }
                Event::Lost => flow.gated(number, Gated::Lost, false),
                Event::LostUpTo => flow.lost_up_to(number),
                Event::Defer => {
                    while let Some(due) = flow.due() {
                        flow.defer(due.index);
                    }
                }
            }
            if let Some(opening) = flow.opening() {
                prop_assert!((1..=opening.released).all(is_hello), "{opening:?}");
            }
            prop_assert!(flow.requests.len() <= MAX_REQUESTS + 2 && flow.early.len() <= MAX_EARLY);
        }
    }

    /// On a stream that cannot be read, each answer covers what was written when it was asked for.
    #[test]
    fn an_answer_covers_what_was_written_when_it_was_asked_for(steps in prop::collection::vec(0..3_u8, 0..60)) {
        let mut c = Connection::desynchronised();
        let mut asked: Option<(u64, u64)> = None;
        let mut allowed = 0;
        for step in steps {
            match step {
                0 => drop(c.write(b"some bytes")),
                1 => {
                    if let Some(due) = c.flow.due() {
                        prop_assert_eq!(asked, None);
                        asked = Some((due.index, c.number));
                    }
                }
                _ => {
                    if let Some((index, number)) = asked.take() {
                        c.flow.allow(index);
                        prop_assert_eq!(c.flow.opening(), Some(Opening { released: number, in_step: false }));
                        allowed = number;
                    }
                }
            }
            prop_assert_eq!(c.flow.opening(), None);
            prop_assert!(c.flow.requests.len() <= 2);
        }
        prop_assert!(allowed <= c.number);
    }
}

#[derive(Clone, Debug)]
enum Kind {
    Get { empty_lines: usize },
    Length { method: &'static str, len: usize, expects: bool },
    Chunked { chunks: Vec<usize>, expects: bool },
}

fn kind() -> impl Strategy<Value = Kind> {
    let method = prop::sample::select(vec!["POST", "PUT", "DELETE"]);
    prop_oneof![
        (0..3_usize).prop_map(|empty_lines| Kind::Get { empty_lines }),
        (method, 0..80_usize, any::<bool>()).prop_map(|(method, len, expects)| Kind::Length {
            method,
            len,
            expects
        }),
        (prop::collection::vec(1..30_usize, 0..4), any::<bool>())
            .prop_map(|(chunks, expects)| Kind::Chunked { chunks, expects }),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    /// A ClientHello or these bytes with more behind them, as the number has it; blocked or not.
    Told(Vec<u8>, usize, bool),
    Lost,
    LostUpTo,
    Defer,
}

fn event() -> impl Strategy<Value = (u64, Event)> {
    let bytes = prop_oneof![
        Just(GET.to_vec()),
        Just(DELETE.to_vec()),
        Just(post(40)),
        Just(DELETE[4..].to_vec()),
        Just(b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
        Just(b"5\r\nabcde\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 1..40),
    ];
    let more = prop_oneof![3 => Just(0_usize), 1 => 1..50_usize];
    let event = prop_oneof![
        8 => (bytes, more, any::<bool>()).prop_map(|(bytes, more, blocked)| Event::Told(bytes, more, blocked)),
        1 => Just(Event::Lost),
        1 => Just(Event::LostUpTo),
        2 => Just(Event::Defer),
    ];
    (1..30_u64, event)
}

fn pick_first() -> Index {
    // An index that picks the first of any collection.
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut tree = any::<Index>().new_tree(&mut runner).expect("an index");
    while tree.simplify() {}
    tree.current()
}

/// A request of the stream, by its offsets.
#[derive(Debug)]
struct Sent {
    start: usize,
    head_end: usize,
    end: usize,
    body: Vec<u8>,
    has_none: bool,
    /// Its head may leave while more of it is wanted.
    may_wait: bool,
    chunked: bool,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    None,
    Deferred,
    Allowed,
}

/// What is written under one number: the stream's bytes from `start` on; a repetition brings nothing new.
#[derive(Clone, Debug)]
struct Write {
    start: usize,
    end: usize,
    repeats: bool,
}

#[derive(Debug)]
struct Model {
    stream: Vec<u8>,
    sent: Vec<Sent>,
    writes: Vec<Write>,
    /// Numbers that were not told yet.
    untold: Vec<u64>,
    /// All below were told.
    next: u64,
    asked: Vec<(usize, Stage)>,
    flow: Flow,
    released: u64,
    in_step: bool,
}

impl Model {
    fn new(kinds: &[Kind], cuts: &[Index], repeats: &[usize]) -> Self {
        let (mut stream, mut sent) = (Vec::new(), Vec::new());
        for kind in kinds {
            let request = append(&mut stream, kind);
            sent.push(request);
        }
        let mut cuts: Vec<usize> =
            cuts.iter().map(|cut| cut.index(stream.len())).filter(|cut| *cut > 0).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        cuts.dedup();
        let (mut writes, mut start) = (Vec::new(), 0);
        for (end, repeats) in cuts.into_iter().zip(repeats.iter().chain(std::iter::repeat(&0))) {
            writes.push(Write { start, end, repeats: false });
            let repeats = if may_repeat(&stream, &sent, start, end) { *repeats } else { 0 };
            writes.extend(std::iter::repeat_n(Write { start, end, repeats: true }, repeats));
            start = end;
        }
        let untold = (1..=writes.len() as u64).collect();
        let flow = Flow::new(1, Peer::default());
        Model { stream, sent, writes, untold, next: 1, asked: Vec::new(), flow, released: 0, in_step: false }
    }

    /// Tells one of the next few numbers.
    fn deliver(&mut self, pick: &Index) {
        if self.untold.is_empty() {
            return;
        }
        let number = self.untold.remove(pick.index(self.untold.len().min(3)));
        let write = &self.writes[size(number) - 1];
        self.flow.gated(number, one(&self.stream[write.start..write.end]), write.repeats);
        self.next = self.untold.first().copied().unwrap_or(self.writes.len() as u64 + 1);
    }

    /// Answers one of those that were asked for: allows it, or wants more of it.
    fn answer(&mut self, pick: &Index, answer: u8) {
        if self.asked.is_empty() {
            return;
        }
        let at = pick.index(self.asked.len());
        let (index, stage) = self.asked[at];
        if answer < 2 {
            self.flow.allow(index as u64);
            self.sent[index].answer = Answer::Allowed;
            self.asked.remove(at);
        } else {
            self.flow.defer(index as u64);
            if stage == Stage::Head {
                self.sent[index].answer = Answer::Deferred;
                self.asked.remove(at);
            }
        }
    }

    /// Bytes of the stream that the flow was told in order.
    fn told(&self) -> usize {
        self.writes[..size(self.next) - 1].last().map_or(0, |write| write.end)
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        self.check_due()?;
        let may_leave = self.may_leave();
        let told = &self.writes[..size(self.next) - 1];
        let released = told.iter().take_while(|write| write.end <= may_leave).count() as u64;
        let at_boundary = self.told() == 0 || self.sent.iter().any(|sent| sent.end == self.told());
        let none_early = self.untold.len() as u64 == self.writes.len() as u64 + 1 - self.next;
        let in_step = released == self.next - 1 && at_boundary && none_early;
        let expected = (released > self.released).then_some(Opening { released, in_step });
        let opening = self.flow.opening();
        prop_assert_eq!(opening, expected, "{:?}", self);
        prop_assert!(self.flow.marks.len() <= self.writes.len());
        if let Some(opening) = expected {
            (self.released, self.in_step) = (opening.released, opening.in_step);
        }
        Ok(())
    }

    /// The first byte that may not leave, request by request.
    fn may_leave(&self) -> usize {
        let told = self.told();
        for sent in &self.sent {
            if sent.head_end > told {
                return sent.start.min(told);
            }
            match sent.answer {
                Answer::Allowed => {}
                // Once it is complete, it is with the judge again, and its client waits for nothing.
                Answer::Deferred if sent.may_wait && sent.end > told => return sent.head_end,
                Answer::Deferred | Answer::None => return sent.start,
            }
            if sent.end > told {
                return told;
            }
        }
        told
    }

    /// Everything that can be judged is offered once at each stage, with the right bytes.
    fn check_due(&mut self) -> Result<(), TestCaseError> {
        let told = self.told();
        let mut offered = Vec::new();
        while let Some(due) = self.flow.due() {
            let sent = &self.sent[size(due.index)];
            let stage = if sent.end <= told { Stage::Whole } else { Stage::Head };
            prop_assert_eq!(due.stage, stage);
            let Subject::Http(request) = due.subject else { panic!("{due:?}") };
            match request.body {
                Body::None => prop_assert!(sent.has_none && stage == Stage::Whole),
                Body::Whole(body) => {
                    prop_assert!(body == sent.body && !sent.has_none && stage == Stage::Whole)
                }
                Body::Prefix(body) => prop_assert!(sent.body.starts_with(&body) && stage == Stage::Head),
            }
            offered.push((size(due.index), stage));
        }
        self.asked.extend(&offered);
        for (at, sent) in self.sent.iter().enumerate() {
            let asked = self.asked.iter().filter(|(index, _)| *index == at).count();
            let expected = match sent.answer {
                Answer::None => sent.head_end <= told,
                Answer::Deferred => sent.end <= told,
                Answer::Allowed => false,
            };
            prop_assert_eq!(asked, usize::from(expected), "request {}: {:?}", at, self);
        }
        Ok(())
    }
}

fn append(stream: &mut Vec<u8>, kind: &Kind) -> Sent {
    let start = stream.len();
    let expect = |expects: bool| if expects { "Expect: 100-continue\r\n" } else { "" };
    let (head, wire, body, may_wait) = match kind {
        Kind::Get { empty_lines } => (
            format!("{}GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n".repeat(*empty_lines)),
            Vec::new(),
            Vec::new(),
            false,
        ),
        Kind::Length { method, len, expects } => {
            let head = format!("{method} /p HTTP/1.1\r\n{}Content-Length: {len}\r\n\r\n", expect(*expects));
            let body: Vec<u8> = (b'a'..=b'z').cycle().take(*len).collect();
            (head, body.clone(), body, *expects && *len > 0 && *method != "DELETE")
        }
        Kind::Chunked { chunks, expects } => {
            let head = format!("POST /c HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\n\r\n", expect(*expects));
            let (mut wire, mut body) = (Vec::new(), Vec::new());
            for len in chunks {
                let data: Vec<u8> = (b'a'..=b'z').cycle().take(*len).collect();
                wire.extend(format!("{len:x}\r\n").bytes().chain(data.iter().copied()).chain(*b"\r\n"));
                body.extend(data);
            }
            wire.extend(b"0\r\n\r\n");
            (head, wire, body, *expects)
        }
    };
    stream.extend(head.as_bytes());
    let head_end = stream.len();
    stream.extend(&wire);
    let (has_none, chunked) = (matches!(kind, Kind::Get { .. }), matches!(kind, Kind::Chunked { .. }));
    Sent { start, head_end, end: stream.len(), body, has_none, may_wait, chunked, answer: Answer::None }
}

/// Where a repetition cannot hide a request, so that the flow takes it for one (see `doubt`).
fn may_repeat(stream: &[u8], sent: &[Sent], start: usize, end: usize) -> bool {
    let is_boundary = |offset: usize| offset == 0 || sent.iter().any(|sent| sent.end == offset);
    let shows_none =
        !stream[..end].windows(8).enumerate().any(|(at, window)| at + 8 > start && window == b" HTTP/1.");
    let current = sent.iter().find(|sent| sent.start < end && end < sent.end);
    let in_chunked = current.is_some_and(|sent| sent.chunked);
    let in_head = current.is_some_and(|sent| end < sent.head_end);
    !in_chunked && (in_head || shows_none || (is_boundary(start) && is_boundary(end)))
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("small numbers")
}

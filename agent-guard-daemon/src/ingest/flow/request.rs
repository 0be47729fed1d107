//! One request of a connection, or a stretch of it that cannot be read, on its way through the judge.

use agent_guard_core::request::{Body, HttpRequest, Peer};
use agent_guard_decode::message::{Framing, RequestHead};

use super::{
    BODY_KEPT,
    due::{Due, Stage, Subject},
};

#[derive(Debug)]
pub(super) struct Request {
    pub(super) index: u64,
    /// Stream offset of its first byte.
    pub(super) start: u64,
    /// Stream offset behind its last byte, once that is known.
    pub(super) end: Option<u64>,
    pub(super) verdict: Verdict,
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not offered to the judge yet.
    Open,
    /// Offered with its head, the judge wants more. `true`: its head may leave meanwhile (`Expect: 100-continue`).
    Deferred {
        head_may_leave: bool,
    },
    /// With the judge (or held), as far as this.
    Asked(Stage),
    Allowed,
}

#[derive(Debug)]
enum Content {
    Http(Box<Http>),
    /// With the reason, and the beginning if it is not the flow's last stretch.
    Undecidable {
        reason: String,
        bytes: Vec<u8>,
    },
}

#[derive(Debug)]
struct Http {
    head: RequestHead,
    head_end: u64,
    /// Stream offset behind the last body byte that was read.
    read_end: u64,
    /// The beginning of the body, without a hole.
    body: Vec<u8>,
    /// Some of the body was not kept or not seen.
    is_cut: bool,
    /// Its framing was lost behind `read_end`, while it was with the judge.
    broken: Option<String>,
}

impl Request {
    pub(super) fn http(index: u64, start: u64, head: RequestHead, head_end: u64) -> Self {
        let http = Http { head, head_end, read_end: head_end, body: Vec::new(), is_cut: false, broken: None };
        Request { index, start, end: None, verdict: Verdict::Open, content: Content::Http(Box::new(http)) }
    }

    pub(super) fn undecidable(index: u64, start: u64, reason: String) -> Self {
        let content = Content::Undecidable { reason, bytes: Vec::new() };
        Request { index, start, end: None, verdict: Verdict::Open, content }
    }

    pub(super) fn is_undecidable(&self) -> bool {
        matches!(self.content, Content::Undecidable { .. })
    }

    pub(super) fn is_done(&self) -> bool {
        self.verdict == Verdict::Allowed && self.end.is_some()
    }

    /// Bytes of its body that are kept.
    pub(super) fn kept(&self) -> usize {
        match &self.content {
            Content::Http(http) => http.body.len(),
            Content::Undecidable { bytes, .. } => bytes.len(),
        }
    }

    /// What can be offered to the judge now, if anything new.
    pub(super) fn stage(&self) -> Option<Stage> {
        let Content::Http(http) = &self.content else {
            return (self.verdict == Verdict::Open).then_some(Stage::Cut);
        };
        let complete = self.end.map(|_| if http.is_cut { Stage::Cut } else { Stage::Whole });
        match self.verdict {
            Verdict::Asked(_) | Verdict::Allowed => None,
            Verdict::Open => Some(complete.unwrap_or(Stage::Head)),
            Verdict::Deferred { .. } if http.is_cut => Some(Stage::Cut),
            Verdict::Deferred { .. } => complete,
        }
    }

    /// Offers it to the judge. `offset` is where the stream stands, `raw` how its last unfinished stretch begins.
    pub(super) fn ask(&mut self, stage: Stage, peer: &Peer, offset: u64, raw: &[u8]) -> Due {
        self.verdict = Verdict::Asked(stage);
        let subject = match &mut self.content {
            Content::Http(http) => Subject::Http(Box::new(http.request(stage, peer))),
            Content::Undecidable { reason, bytes } => {
                let bytes = if self.end.is_some() { std::mem::take(bytes) } else { raw.to_vec() };
                // What is judged is what may leave: nothing that is written from now on.
                self.end = Some(self.end.unwrap_or(offset));
                Subject::Undecidable { reason: reason.clone(), bytes }
            }
        };
        Due { index: self.index, stage, subject }
    }

    /// The judge wants more than the head, which may leave meanwhile or not.
    pub(super) fn defer(&mut self, head_may_leave: bool) {
        if self.verdict != Verdict::Asked(Stage::Head) {
            return; // more will not come
        }
        let Content::Http(http) = &mut self.content else { return };
        match http.broken.take() {
            Some(reason) => {
                let bytes = std::mem::take(&mut http.body);
                self.content = Content::Undecidable { reason, bytes };
                self.verdict = Verdict::Open;
            }
            None => {
                let head_may_leave = head_may_leave && http.waits_for_the_server();
                self.verdict = Verdict::Deferred { head_may_leave };
            }
        }
    }

    pub(super) fn allow(&mut self) {
        if !matches!(self.verdict, Verdict::Asked(_) | Verdict::Deferred { .. }) {
            return; // what it is now, nobody has seen
        }
        self.verdict = Verdict::Allowed;
        if let Content::Http(http) = &mut self.content {
            http.body = Vec::new();
        }
    }

    /// Everything in front of this offset may leave as far as this request goes; `None`: it does not end the question.
    pub(super) fn limit(&self) -> Option<u64> {
        match (self.verdict, &self.content) {
            (Verdict::Allowed, _) => None,
            (Verdict::Deferred { head_may_leave: true }, Content::Http(http)) => Some(http.head_end),
            _ => Some(self.start),
        }
    }

    /// Bytes of its body, of which at most `room` can be kept; `unseen` ones came as a number only.
    pub(super) fn take_body(&mut self, bytes: &[u8], unseen: u64, end: u64, room: usize) {
        let wanted = !matches!(self.verdict, Verdict::Allowed | Verdict::Asked(Stage::Whole | Stage::Cut));
        let Content::Http(http) = &mut self.content else { return };
        http.read_end = end;
        if !wanted || http.is_cut {
            return;
        }
        let room = room.min(BODY_KEPT.saturating_sub(http.body.len()));
        http.body.extend(bytes.iter().take(room));
        http.is_cut = unseen > 0 || bytes.len() > room;
    }

    /// No more of it will be seen before it is judged.
    pub(super) fn cut(&mut self) {
        if let Content::Http(http) = &mut self.content
            && self.end.is_none()
        {
            http.is_cut = true;
        }
    }

    /// Its framing is lost before it ended.
    ///
    /// What the judge has in hand stays what it is and ends with what was read of it, so that an answer under way
    /// covers nothing else; otherwise it is no request any more.
    pub(super) fn break_off(&mut self, reason: &str) {
        let Content::Http(http) = &mut self.content else { return };
        match self.verdict {
            Verdict::Asked(_) | Verdict::Allowed => {
                self.end = Some(http.read_end);
                http.is_cut = true;
                http.broken = Some(reason.to_owned());
            }
            Verdict::Open | Verdict::Deferred { .. } => {
                self.verdict = Verdict::Open;
                self.content = Content::Undecidable { reason: reason.to_owned(), bytes: Vec::new() };
            }
        }
    }
}

impl Http {
    fn request(&mut self, stage: Stage, peer: &Peer) -> HttpRequest {
        let body = match stage {
            Stage::Whole if self.head.framing == Framing::None => Body::None,
            Stage::Whole => Body::Whole(std::mem::take(&mut self.body)),
            Stage::Cut => Body::Prefix(std::mem::take(&mut self.body)),
            // The judge may want more, and then all of it again.
            Stage::Head => Body::Prefix(self.body.clone()),
        };
        HttpRequest { head: self.head.clone(), body, peer: peer.clone() }
    }

    /// Other methods than these may be carried out by their head alone; and without a body, the head is all there is.
    fn waits_for_the_server(&self) -> bool {
        let has_body = matches!(self.head.framing, Framing::Length(1..) | Framing::Chunked);
        self.head.expects_continue
            && has_body
            && matches!(self.head.method.as_str(), "POST" | "PUT" | "PATCH")
    }
}

use agent_guard_core::request::Body;

use super::*;

mod model;
mod rules;
mod unread;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const DELETE: &[u8] = b"DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n";

/// A flow whose numbers count up by themselves.
struct Connection {
    flow: Flow,
    number: u64,
}

impl Connection {
    fn new() -> Self {
        Connection { flow: Flow::new(1, Peer::default()), number: 0 }
    }

    fn desynchronised() -> Self {
        Connection { flow: Flow::desynchronised(1, "late"), number: 0 }
    }

    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn write(&mut self, bytes: &[u8]) -> u64 {
        let number = self.next();
        self.flow.gated(number, one(bytes), false);
        number
    }

    fn again(&mut self, bytes: &[u8]) -> u64 {
        let number = self.next();
        self.flow.gated(number, one(bytes), true);
        number
    }

    fn hello(&mut self) -> u64 {
        let number = self.next();
        self.flow.gated(number, Gated::Hello, false);
        number
    }

    /// The one request that is due, at this stage.
    fn due(&mut self, stage: Stage) -> u64 {
        let due = self.flow.due().expect("a request is due");
        assert_eq!(due.stage, stage, "{due:?}");
        due.index
    }

    fn body(&mut self, stage: Stage) -> Body {
        let due = self.flow.due().expect("a request is due");
        assert_eq!(due.stage, stage);
        match due.subject {
            Subject::Http(request) => request.body,
            Subject::Undecidable { .. } => panic!("{due:?}"),
        }
    }

    fn undecidable(&mut self) -> (u64, Vec<u8>) {
        let due = self.flow.due().expect("a stretch is due");
        assert_eq!(due.stage, Stage::Cut);
        match due.subject {
            Subject::Undecidable { bytes, reason } => {
                assert!(!reason.is_empty());
                (due.index, bytes)
            }
            Subject::Http(_) => panic!("{due:?}"),
        }
    }

    fn allow_next(&mut self) {
        let due = self.flow.due().expect("a request is due");
        self.flow.allow(due.index);
    }

    fn opens(&mut self, released: u64, in_step: bool) {
        assert_eq!(self.flow.opening(), Some(Opening { released, in_step }));
    }

    fn stays(&mut self) {
        assert_eq!(self.flow.opening(), None);
    }

    fn nothing_due(&mut self) {
        assert!(self.flow.due().is_none());
    }
}

fn captured(bytes: &[u8], total: usize) -> CapturedWrite {
    CapturedWrite { number: 0, bytes: bytes.to_vec(), total: total as u64 }
}

fn one(bytes: &[u8]) -> Gated {
    Gated::Writes(vec![captured(bytes, bytes.len())])
}

fn post(length: usize) -> Vec<u8> {
    format!("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

fn expecting(method: &str, length: usize) -> Vec<u8> {
    format!("{method} /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
        .into_bytes()
}

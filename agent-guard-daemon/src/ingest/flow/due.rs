//! What a flow hands to the judge.

use agent_guard_core::request::HttpRequest;

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
    Undecidable {
        reason: String,
        bytes: Vec<u8>,
    },
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

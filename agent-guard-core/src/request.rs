//! A request as the classifier sees it: what was sent, and what is known of where it goes.

use agent_guard_decode::message::RequestHead;

/// One HTTP request with the evidence of whom it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    pub head: RequestHead,
    pub body: Body,
    pub peer: Peer,
}

/// Where the connection goes, from sources other than the request's own head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Server name of the connection's ClientHello, in lower case.
    pub sni: Option<String>,
    /// Destination as `ip:port` (`[v6]:port`), if known.
    pub address: Option<String>,
}

/// How much of the body was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The request has none.
    None,
    /// All of it, transfer coding removed.
    Whole(Vec<u8>),
    /// Its beginning; the rest is still to come or was not kept.
    Prefix(Vec<u8>),
}

impl Body {
    /// True if nothing is missing.
    pub fn is_whole(&self) -> bool {
        matches!(self, Body::None | Body::Whole(_))
    }

    /// The bytes that were seen.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::None => &[],
            Body::Whole(bytes) | Body::Prefix(bytes) => bytes,
        }
    }
}

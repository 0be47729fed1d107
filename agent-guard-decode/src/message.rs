//! What a decoder says about a client's byte stream.

/// An item and where it ends, in bytes since the stream's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    pub item: Item,
    /// Stream offset just behind the last byte of this item.
    pub end: u64,
}

/// One step of the client's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The head of a request is complete.
    Head(RequestHead),
    /// Body bytes, transfer coding removed, in order.
    Body(Vec<u8>),
    /// This many body bytes were not seen (they lie inside a body of known length, so framing goes on).
    BodyUnseen(u64),
    /// The request is complete; what follows is another one.
    End,
    /// Bytes behind a CONNECT or Upgrade head: not HTTP/1 any more, or not certainly.
    Tunnel(u64),
    /// The stream cannot be read any further; final.
    Undecidable(Undecidable),
}

/// The head of an HTTP/1.x request (RFC 9112 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// As sent; a token, at most 32 bytes.
    pub method: String,
    /// As sent: origin-form, absolute-form, authority-form or `*`. Visible ASCII and obs-text bytes only.
    pub target: Vec<u8>,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// In order; names in lower case, values without surrounding white space.
    pub headers: Vec<Header>,
    pub framing: Framing,
    /// `Expect: 100-continue`: the client waits for the server before it sends the body.
    pub expects_continue: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Vec<u8>,
}

/// How the body's length is told (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// Where the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Between requests: the next byte starts a head.
    Boundary,
    InHead,
    /// Bytes of the body that are still to come; `None` when chunked.
    InBody {
        remaining: Option<u64>,
    },
    Tunnel,
    Undecidable,
}

/// Why a stream cannot be read. Each is final for its connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecidable {
    /// `first` runs through the byte that settled it; `PRI ` is the HTTP/2 preface.
    #[error("not an HTTP/1 request: the stream starts with {first:02x?}")]
    NotHttp1 { first: Vec<u8> },
    #[error("malformed request: {what}")]
    Malformed { what: &'static str },
    #[error("ambiguous framing: {what}")]
    AmbiguousFraming { what: &'static str },
    /// `what` names unit and place: "bytes in a request head".
    #[error("more than {limit} {what}")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("{missing} bytes of the stream were not seen")]
    Gap { missing: u64 },
}

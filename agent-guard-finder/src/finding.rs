//! What the finder answers: plain values, ready to be cached and printed.

use std::fmt;

/// One TLS stack found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub stack: Stack,
    /// Sorted by role, then address. Empty of [`Role::Write`] when the stack is there and nothing could be proven.
    pub points: Vec<ProbePoint>,
    /// False when the file shows a way to write that none of `points` covers: code that could not be proven, or was
    /// left out. Points are worth probing then too, but the file is not covered.
    pub complete: bool,
    /// Sentences for people: what was seen, what it proves, what was left out and why.
    pub evidence: String,
}

impl Finding {
    /// True when probing this file shows all plaintext that goes through this stack, as far as the file tells.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        self.complete && self.points.iter().any(|point| matches!(point.role, Role::Write { .. }))
    }
}

/// A family of TLS libraries that share names and arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stack {
    /// OpenSSL 1.1 and 3.x, and libraries that export its `SSL_write` under that name.
    ///
    /// Known gaps: in 1.1.1, which does not name its inner function, writes through `BIO_f_ssl` reach no exported one
    /// and nothing in the file tells; `SSL_sendfile` (kernel TLS only) passes a file, not plaintext.
    OpenSsl,
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenSsl => f.write_str("openssl"),
        }
    }
}

/// The first instruction of a function to probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePoint {
    pub role: Role,
    /// The function's name: its symbol where there is one, else what the evidence says it is.
    pub symbol: String,
    /// Where in the file the instruction begins: what a uprobe is attached by.
    pub file_offset: u64,
    /// The address the file's headers give that instruction, before relocation.
    pub vaddr: u64,
    /// The bytes there, zeros past the end of the segment: to be compared again before attaching.
    pub first_bytes: [u8; 16],
}

/// What a hit of the probe means, and where its arguments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Plaintext is about to be encrypted: first argument the TLS object, second the buffer, third its length (`rdi`,
    /// `rsi`, `rdx` on x86-64).
    Write { len: LenWidth },
    /// The first argument is a TLS object that from now on is tied to no socket, or to another one.
    Unbind,
}

/// How wide the length argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LenWidth {
    /// A C `int` in the low 32 bits, the upper half undefined; not positive means that nothing is written.
    Int32,
    /// A `size_t`.
    Size64,
    /// Not proven. The low half is a lower bound; if the upper half is not zero, the length is undecided.
    Unknown,
}

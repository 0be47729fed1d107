//! What one request may take. A stream that goes over a limit is undecidable, so a limit bounds memory and never cuts.

/// Limits of one connection's decoder; the defaults are above what common servers accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, from its first byte (empty lines before it included) through its last CRLF. Default 64 KiB.
    pub head_bytes: usize,
    /// Header fields of a head; trailer fields of a body. Default 200.
    pub headers: usize,
    /// Bytes of a method. Default 32.
    pub method_bytes: usize,
    /// Bytes of a request target. Default 32 KiB.
    pub target_bytes: usize,
    /// Bytes of a chunk-size line with its extensions and its CRLF. Default 256.
    pub chunk_line_bytes: usize,
    /// Bytes of a trailer section with its last CRLF. Default 8 KiB.
    pub trailer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            headers: 200,
            method_bytes: 32,
            target_bytes: 32 * 1024,
            chunk_line_bytes: 256,
            trailer_bytes: 8 * 1024,
        }
    }
}

//! The one bounded cursor: everything else in this crate takes bytes through it and cannot reach past the end.

/// A slice that is used up from the front, and how much of it was.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    consumed: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, consumed: 0 }
    }

    /// Bytes taken since the beginning.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, which stays.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take_up_to(1).first().copied()
    }

    /// The next `n` bytes, or all that are left.
    pub(crate) fn take_up_to(&mut self, n: usize) -> &'a [u8] {
        let (head, tail) = self.rest.split_at_checked(n).unwrap_or((self.rest, &[]));
        self.rest = tail;
        self.consumed = self.consumed.saturating_add(len(head));
        head
    }

    /// The next bytes for which `accept` holds, at most `n`.
    pub(crate) fn take_while(&mut self, n: usize, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let run = self.rest.iter().take(n).take_while(|byte| accept(**byte)).count();
        self.take_up_to(run)
    }

    /// Everything that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        self.take_up_to(usize::MAX)
    }
}

/// A slice's length as the stream counts it.
pub(crate) fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_reaches_past_the_end() {
        let mut reader = Reader::new(b"abcd");
        assert_eq!(reader.peek(), Some(b'a'));
        assert_eq!(reader.take_while(2, |_| true), b"ab");
        assert_eq!(reader.take_up_to(9), b"cd");
        assert_eq!((reader.byte(), reader.take_rest(), reader.consumed()), (None, &b""[..], 4));
    }
}

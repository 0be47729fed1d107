//! Reading kernel bytes in user space: untrusted input, checked for length, version and kind.

use zerocopy::FromBytes;

use crate::{
    ABI_VERSION,
    event::{Ack, Exec, Exit, Header, Hello, Refused, SocketEvent, Stray, Tied, Unbound, Write, kind},
};

/// An event from the ring buffer.
#[derive(Debug)]
pub enum Event<'a> {
    /// With the bytes of this piece.
    Write(Write, &'a [u8]),
    Tied(Tied),
    /// With the captured bytes of the ClientHello.
    Hello(&'a Hello, &'a [u8]),
    Socket(SocketEvent),
    Exec(Exec),
    Exit(Exit),
    Refused(Refused),
    /// With the captured IP and TCP headers.
    Ack(&'a Ack, &'a [u8]),
    Stray(Stray),
    Unbound(Unbound),
}

/// Why bytes from the ring are not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventError {
    /// Shorter than its kind, or than it says itself.
    Short {
        kind: u16,
        len: usize,
    },
    /// Written by another version.
    Abi {
        abi: u16,
    },
    UnknownKind {
        kind: u16,
    },
}

impl core::fmt::Display for EventError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            EventError::Short { kind, len } => write!(f, "event of kind {kind} with only {len} bytes"),
            EventError::Abi { abi } => {
                write!(f, "event of ABI version {abi}, this daemon reads {ABI_VERSION}")
            }
            EventError::UnknownKind { kind } => write!(f, "event of unknown kind {kind}"),
        }
    }
}

impl core::error::Error for EventError {}

impl<'a> TryFrom<&'a [u8]> for Event<'a> {
    type Error = EventError;

    fn try_from(bytes: &'a [u8]) -> Result<Self, EventError> {
        let short = |kind| EventError::Short { kind, len: bytes.len() };
        let (header, _) = Header::read_from_prefix(bytes).map_err(|_prefix| short(0))?;
        if header.abi != ABI_VERSION {
            return Err(EventError::Abi { abi: header.abi });
        }
        // The ring rounds sizes up to 8 bytes.
        let bytes = bytes.get(..header.len as usize).ok_or_else(|| short(header.kind))?;
        let kind = header.kind;
        match kind {
            kind::WRITE => {
                let (write, rest) = Write::read_from_prefix(bytes).map_err(|_prefix| short(kind))?;
                let captured = rest.get(..write.captured as usize).ok_or_else(|| short(kind))?;
                Ok(Event::Write(write, captured))
            }
            kind::TIED => whole(bytes, kind).map(Event::Tied),
            kind::HELLO => {
                let (hello, _) = Hello::ref_from_prefix(bytes).map_err(|_prefix| short(kind))?;
                let captured = hello.bytes.get(..hello.captured as usize).ok_or_else(|| short(kind))?;
                Ok(Event::Hello(hello, captured))
            }
            kind::SOCKET => whole(bytes, kind).map(Event::Socket),
            kind::EXEC => whole(bytes, kind).map(Event::Exec),
            kind::EXIT => whole(bytes, kind).map(Event::Exit),
            kind::REFUSED => whole(bytes, kind).map(Event::Refused),
            kind::ACK => {
                let (ack, _) = Ack::ref_from_prefix(bytes).map_err(|_prefix| short(kind))?;
                let captured = ack.bytes.get(..ack.captured as usize).ok_or_else(|| short(kind))?;
                Ok(Event::Ack(ack, captured))
            }
            kind::STRAY => whole(bytes, kind).map(Event::Stray),
            kind::UNBOUND => whole(bytes, kind).map(Event::Unbound),
            kind => Err(EventError::UnknownKind { kind }),
        }
    }
}

/// An event of fixed size.
fn whole<T: FromBytes>(bytes: &[u8], kind: u16) -> Result<T, EventError> {
    T::read_from_prefix(bytes)
        .map(|(event, _)| event)
        .map_err(|_prefix| EventError::Short { kind, len: bytes.len() })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{vec, vec::Vec};

    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;

    fn write_event(len: u32, captured: u32, bytes: usize) -> Vec<u8> {
        let header = Header { abi: ABI_VERSION, kind: kind::WRITE, len, ..Header::default() };
        let mut event = Write { header, captured, ..Write::default() }.as_bytes().to_vec();
        event.extend(vec![7; bytes]);
        event
    }

    #[test]
    fn a_write_hands_out_exactly_what_was_captured() {
        let Ok(Event::Write(write, bytes)) =
            Event::try_from(write_event(96 + 5, 5, 8).as_slice()).map(|e| match e {
                Event::Write(w, b) => Event::Write(w, std::boxed::Box::leak(b.to_vec().into_boxed_slice())),
                other => panic!("{other:?}"),
            })
        else {
            panic!("not a write")
        };
        assert_eq!((write.captured, bytes), (5, &[7u8; 5][..]));
    }

    #[test]
    fn a_write_that_claims_more_than_is_there_is_refused() {
        assert!(matches!(
            Event::try_from(write_event(96 + 5, 6, 5).as_slice()),
            Err(EventError::Short { .. })
        ));
        assert!(matches!(Event::try_from(write_event(200, 5, 5).as_slice()), Err(EventError::Short { .. })));
    }

    #[test]
    fn another_version_and_an_unknown_kind_are_named() {
        let other = Header { abi: 9, len: 40, ..Header::default() };
        assert_eq!(Event::try_from(other.as_bytes()).unwrap_err(), EventError::Abi { abi: 9 });
        let unknown = Header { abi: ABI_VERSION, kind: 999, len: 40, ..Header::default() };
        assert_eq!(Event::try_from(unknown.as_bytes()).unwrap_err(), EventError::UnknownKind { kind: 999 });
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_event_or_an_error(kind in 0u16..14, len in 0u32..300, mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if bytes.len() >= 8 {
                bytes[..2].copy_from_slice(&ABI_VERSION.to_le_bytes());
                bytes[2..4].copy_from_slice(&kind.to_le_bytes());
                bytes[4..8].copy_from_slice(&len.to_le_bytes());
            }
            let _either = Event::try_from(bytes.as_slice());
        }
    }
}

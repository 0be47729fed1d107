//! Sizes and offsets, asserted at compile time: both halves are built from this crate by two compilers.

use core::mem::{offset_of, size_of};

use crate::{
    conn::{Pending, Released, Socket, TlsObject},
    event::{
        Ack, Address, Exec, Exit, Header, Hello, Refused, Slot, SocketEvent, Stray, Tied, Unbound, Write,
    },
    maps::{CHUNK_BYTES, HELLO_BYTES},
    task::{Agent, ExeKey, Task},
};

macro_rules! layout {
    ($($type:ty = $size:expr),* $(,)?) => { $(const _: () = assert!(size_of::<$type>() == $size);)* };
}

layout! {
    Header = 40, Write = 96, Tied = 80, Hello = 88 + HELLO_BYTES, Address = 24, SocketEvent = 88, Exec = 56, Exit = 48,
    Refused = 72, Ack = 176, Stray = 64, Unbound = 56, Slot = 96 + CHUNK_BYTES + 8 + 16 + 48 + 32, Task = 32, Agent = 8, ExeKey = 16,
    Socket = 80, Released = 16, TlsObject = 16, Pending = 48,
}

const _: () = assert!(
    offset_of!(Header, kind) == 2 && offset_of!(Header, len) == 4 && offset_of!(Header, session) == 24
);
const _: () = assert!(
    offset_of!(Write, write) == 40 && offset_of!(Write, captured) == 88 && offset_of!(Slot, bytes) == 96
);
const _: () = assert!(offset_of!(Hello, bytes) == 88 && offset_of!(Ack, bytes) == 56);

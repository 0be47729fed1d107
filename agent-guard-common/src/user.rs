//! Reading kernel bytes in user space: untrusted input, checked for length, version and kind.

use crate::{
    ABI_VERSION,
    event::{Ack, Address, Exec, Exit, Header, Hello, Refused, SocketEvent, Stray, Tied, Unbound, Write, kind},
    maps::{CHUNK_BYTES, HELLO_BYTES},
};

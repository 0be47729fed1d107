//! Bytes in, messages out (sans-IO). No clock, no file descriptor, no unsafe.
#![forbid(unsafe_code)]

pub mod message;

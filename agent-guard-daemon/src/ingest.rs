//! From the kernel half's events to requests: untrusted bytes in, plain values out. No privileges are needed here.

pub mod assemble;
pub mod flow;
pub mod hello;

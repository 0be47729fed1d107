//! One file per hook subject. A hook selects, copies, gates and submits; names and strings are user space's.

mod connect;
mod egress;
mod exec;
mod exit;
mod fork;
mod release;
mod sock_state;
mod tls;
mod unbind;

//! Two threads write at the same moment on two connections, one is held: the held one never leaks, the other never
//! waits. 200 trials each; `long_two_threads` has 2,500.

use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Connections, TwoThreads};
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use anyhow::Result;

fn play(connections: Connections, nodelay: bool, upload: bool) -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    TwoThreads { connections, nodelay, upload }.play(Path::LOOPBACK, 200)
}

#[test]
fn kept_connections_with_nagle() -> Result<()> {
    play(Connections::Kept, false, false)
}

#[test]
fn kept_connections_without_nagle_beside_an_upload() -> Result<()> {
    play(Connections::Kept, true, true)
}

#[test]
fn new_connections_with_nagle_beside_an_upload() -> Result<()> {
    play(Connections::New, false, true)
}

#[test]
fn new_connections_without_nagle() -> Result<()> {
    play(Connections::New, true, false)
}

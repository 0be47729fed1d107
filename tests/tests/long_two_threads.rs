//! The whole table of `two_threads`: 2,500 trials of each configuration.

use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Connections, TwoThreads};
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use anyhow::{Context, Result};

const TRIALS: u32 = 2_500;

fn play(connections: Connections, upload: bool) -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    for nodelay in [false, true] {
        let configuration = TwoThreads { connections, nodelay, upload };
        configuration.play(Path::LOOPBACK, TRIALS).with_context(|| format!("{configuration:?}"))?;
    }
    Ok(())
}

#[test]
#[ignore = "long: minutes"]
fn kept_connections() -> Result<()> {
    play(Connections::Kept, false)
}

#[test]
#[ignore = "long: minutes"]
fn kept_connections_beside_an_upload() -> Result<()> {
    play(Connections::Kept, true)
}

#[test]
#[ignore = "long: minutes"]
fn new_connections() -> Result<()> {
    play(Connections::New, false)
}

#[test]
#[ignore = "long: minutes"]
fn new_connections_beside_an_upload() -> Result<()> {
    play(Connections::New, true)
}

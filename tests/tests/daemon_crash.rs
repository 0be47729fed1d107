//! The daemon is killed with twenty holds open: they stay held, new requests are gated, and the next daemon takes over
//! every one of them. `long_daemon_crash` leaves a whole minute without a daemon.

use std::time::Duration;

use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{self, Ask, Gate};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Result, ensure};

#[test]
fn the_next_daemon_decides_what_the_last_one_held() -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    gate::crash(Duration::from_secs(5))
}

#[test]
fn ending_refuses_what_is_held_and_leaves_no_pin() -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let mut gate = Gate::guarded(Path::LOOPBACK, &Settings::default(), Behaviour::default())?;
    let mut client = gate.client(Kind::OpenSsl)?;
    client.passes("GET", "/before")?;
    let ask = Ask::delete("/left");
    gate.held(&mut client, &mut gate.events()?, ask)?;
    ensure!(!gate.guard()?.pins()?.is_empty(), "nothing is pinned, so nothing survives the daemon");
    gate.guard()?.stop()?;
    let answer = client.answer(agent_guard_tests::DEADLINE)?;
    ensure!(matches!(answer, agent_guard_tests::clients::Answer::Error(_)), "answered {answer:?}");
    gate.nothing_of(ask)?;
    let pins = gate.guard()?.pins()?;
    ensure!(pins.is_empty(), "left pinned: {pins:?}");
    // And nothing is left cut off.
    client.passes("DELETE", "/unguarded")
}

//! Every gate test over every way: loopback and a lossy, slow line of MTU 1500; IPv4, IPv6 and IPv4-mapped.

use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Ask, Gate};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Context, Result};

/// Clients that can be told every kind of address, one with a connection for each request and one that keeps its own.
fn play(path: Path) -> Result<()> {
    let kinds = [Kind::Curl, Kind::OpenSsl];
    if !require::met(&[&[Need::Root, Need::Guard], path.needs(), kinds[0].needs(), kinds[1].needs()].concat())
    {
        return Ok(());
    }
    let gate = Gate::guarded(path, &Settings::default(), Behaviour::default())?;
    for kind in kinds {
        let mut client = gate.client(kind)?;
        let name = format!("/{kind:?}");
        let small = format!("{name}/approved");
        gate.hold_and_approve(&mut client, Ask::delete(&small))
            .with_context(|| format!("{path} {kind:?}"))?;
        let segments = format!("{name}/delete-many");
        let segments = Ask { method: "POST", path: &segments, body_bytes: 20_000 };
        gate.hold_and_approve(&mut client, segments).with_context(|| format!("{path} {kind:?}"))?;
        let denied = format!("{name}/denied");
        gate.hold_and_deny(&mut client, Ask::delete(&denied)).with_context(|| format!("{path} {kind:?}"))?;
    }
    Ok(())
}

#[test]
fn loopback_v4() -> Result<()> {
    play(Path::ALL[0])
}

#[test]
fn loopback_v6() -> Result<()> {
    play(Path::ALL[1])
}

#[test]
fn loopback_v4_mapped() -> Result<()> {
    play(Path::ALL[2])
}

#[test]
fn slow_line_v4() -> Result<()> {
    play(Path::ALL[3])
}

#[test]
fn slow_line_v6() -> Result<()> {
    play(Path::ALL[4])
}

#[test]
fn slow_line_v4_mapped() -> Result<()> {
    play(Path::ALL[5])
}

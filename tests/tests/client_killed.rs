//! A client that dies while its request is held takes the request along: approval afterwards sends nothing, ever.

use agent_guard_api::Outcome;
use agent_guard_api::audit::AuditKind;
use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Ask, Gate, WATCH};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Result, ensure};

fn play(path: Path, kind: Kind) -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], path.needs(), kind.needs()].concat()) {
        return Ok(());
    }
    let gate = Gate::guarded(path, &Settings::default(), Behaviour::default())?;
    let mut client = gate.client(kind)?;
    client.passes("GET", "/before")?;
    let mut events = gate.events()?;
    let ask = Ask::delete("/orphan");
    let id = gate.held(&mut client, &mut events, ask)?;
    client.process().kill()?;
    events.wait_kind(AuditKind::ClientGone)?;
    let outcome = gate.ctl()?.approve_by_two(&id)?;
    ensure!(
        matches!(outcome, Outcome::Released { delivered: false, .. }),
        "approved after the client's death: {outcome:?}"
    );
    // Longer than the persist timer of an orphaned socket that was held for this long.
    gate.ledger().silent(WATCH * 8)?;
    gate.nothing_of(ask)?;

    // The approval is for the operation: the next client that asks for it gets it done, once, and nobody is asked again.
    let mut retry = gate.client(kind)?;
    retry.passes(ask.method, ask.path)?;
    ensure!(gate.delivered(ask) == 1, "the retry arrived {} times", gate.delivered(ask));
    Ok(())
}

#[test]
fn loopback() -> Result<()> {
    play(Path::LOOPBACK, Kind::OpenSsl)
}

#[test]
fn slow_line() -> Result<()> {
    play(Path::ALL[3], Kind::OpenSsl)
}

#[test]
fn python() -> Result<()> {
    play(Path::LOOPBACK, Kind::Requests)
}

//! The same life of a request with every client: harmless, held with nothing at the server, approved by two and delivered
//! exactly once, or denied with an ordinary error; and harmless again.

use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Ask, Gate};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::Result;

fn stage(kind: Kind) -> Result<Option<Gate>> {
    if !require::met(&[&[Need::Root, Need::Guard], kind.needs()].concat()) {
        return Ok(None);
    }
    Gate::guarded(Path::LOOPBACK, &Settings::default(), Behaviour::default()).map(Some)
}

/// Approval without and with a body, then denial, by one client on one guard.
fn play(kind: Kind) -> Result<()> {
    let Some(gate) = stage(kind)? else { return Ok(()) };
    let mut client = gate.client(kind)?;
    gate.hold_and_approve(&mut client, Ask::delete("/approved"))?;
    let with_body = Ask { method: "POST", path: "/approved/delete-all", body_bytes: 10_000 };
    gate.hold_and_approve(&mut client, with_body)?;
    gate.hold_and_deny(&mut client, Ask::delete("/denied"))?;
    // The approval was for one request: the same again is asked about again.
    gate.hold_and_deny_again(&mut client, Ask::delete("/approved"))
}

#[test]
fn curl() -> Result<()> {
    play(Kind::Curl)
}

#[test]
fn python_requests() -> Result<()> {
    play(Kind::Requests)
}

#[test]
fn aiohttp() -> Result<()> {
    play(Kind::Aiohttp)
}

#[test]
fn httpx() -> Result<()> {
    play(Kind::Httpx)
}

#[test]
fn node_fetch() -> Result<()> {
    play(Kind::Node)
}

#[test]
fn openssl() -> Result<()> {
    play(Kind::OpenSsl)
}

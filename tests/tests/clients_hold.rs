//! The same life of a request with every client: harmless, held with nothing at the server, approved by two and delivered
//! exactly once, or denied with an ordinary error; and harmless again.

use agent_guard_tests::DEADLINE;
use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Ask, Gate, WATCH};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::people::BOB;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Context, Result, ensure};

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

/// curl with three transfers on one kept connection, the second of them held: what it says of each, and the stage.
fn curl_in_one_go(decide: impl Fn(&Gate, &str) -> Result<()>) -> Result<Option<(Vec<String>, Gate)>> {
    let Some(gate) = stage(Kind::Curl)? else { return Ok(None) };
    let mut command = gate.agent().command(&require::tool("curl").context("curl")?);
    let base = format!("https://{}:{}", gate.target().host, gate.target().port);
    for (number, (method, path)) in
        [("GET", "/before"), ("DELETE", "/held"), ("GET", "/after")].into_iter().enumerate()
    {
        if number > 0 {
            command.arg("--next");
        }
        command.args([
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code} ",
            "--request",
            method,
        ]);
        command.arg("--cacert").arg(&gate.target().ca).arg(format!("{base}{path}"));
    }
    let mut process = gate.agent().spawn(command)?;
    let id = gate.events()?.wait_hold()?;
    gate.ledger().silent(WATCH)?;
    gate.nothing_of(Ask::delete("/held"))?;
    decide(&gate, &id)?;
    let finished = process.finish(DEADLINE)?;
    Ok(Some((finished.stdout.split_whitespace().map(str::to_owned).collect(), gate)))
}

#[test]
fn curl_keeps_its_connection_over_an_approval() -> Result<()> {
    let played = curl_in_one_go(|gate, id| gate.ctl()?.approve_by_two(id).map(|_outcome| ()))?;
    let Some((statuses, gate)) = played else { return Ok(()) };
    ensure!(statuses == ["200", "200", "200"], "{statuses:?}");
    ensure!(gate.ledger().read(|state| state.connections.len()) == 1, "the connection was not kept");
    ensure!(gate.delivered(Ask::delete("/held")) == 1);
    Ok(())
}

#[test]
fn curl_goes_on_after_a_denial() -> Result<()> {
    let Some((statuses, gate)) = curl_in_one_go(|gate, id| gate.ctl()?.deny(BOB, id))? else { return Ok(()) };
    ensure!(statuses == ["200", "000", "200"], "{statuses:?}");
    gate.nothing_of(Ask::delete("/held"))
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

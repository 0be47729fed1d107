//! Holds that outlive the patience of clients, servers and TCP: after approval exactly one effect, by the bytes that wait
//! or by the client's retry; never two, and none on its own.

use std::time::Duration;

use agent_guard_tests::DEADLINE;
use agent_guard_tests::agent::Agent;
use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Ask, Gate};
use agent_guard_tests::guard::{Guard, Settings};
use agent_guard_tests::moto::Moto;
use agent_guard_tests::pki::Authority;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::scratch::Scratch;
use agent_guard_tests::server::Behaviour;
use anyhow::{Result, ensure};

/// The AWS CLI with its default timeouts and retries, held for `how_long`.
fn aws(how_long: Duration) -> Result<()> {
    if !require::met(&[Need::Root, Need::Guard, Need::Venv]) {
        return Ok(());
    }
    let scratch = Scratch::new()?;
    let authority = Authority::new(&scratch)?;
    let moto = Moto::start(&scratch, &authority)?;
    let ids = moto.launch(3)?;
    let guard = Guard::start(&scratch, &Settings::default())?;
    let agent = Agent::by_user();
    let args: Vec<&str> = ["ec2", "terminate-instances", "--instance-ids"]
        .into_iter()
        .chain(ids.iter().map(String::as_str))
        .collect();
    let mut cli = moto.aws(&agent, &args)?;
    let id = guard.ctl().events()?.wait_hold()?;
    let gave_up = cli.ends_within(how_long)?;
    ensure!(moto.fleet()?.terminated == 0, "terminated while held");
    let open = guard.ctl().holds()?;
    ensure!(open.len() == 1 && open[0].id == id, "the CLI's own retries asked again: {open:?}");

    let before = moto.requests();
    guard.ctl().approve_by_two(&id)?;
    let finished = cli.finish(Duration::from_secs(120))?;
    println!(
        "after {how_long:?} the CLI had {}: {}",
        if gave_up { "given up" } else { "waited" },
        finished.stderr
    );
    if !finished.status.success() {
        ensure!(moto.requests() == before, "a request went out although the CLI had given up");
        moto.aws(&agent, &args)?.finish(DEADLINE)?.success()?;
    }
    ensure!(moto.fleet()?.terminated == 3);
    // The count itself is one request more each time it is asked for.
    ensure!(moto.requests() == before + 2, "{} requests after one approval", moto.requests() - before - 1);
    Ok(())
}

#[test]
#[ignore = "long: 90 seconds"]
fn aws_cli_for_90_seconds() -> Result<()> {
    aws(Duration::from_secs(90))
}

#[test]
#[ignore = "long: 6 minutes"]
fn aws_cli_for_6_minutes() -> Result<()> {
    aws(Duration::from_secs(360))
}

/// One client, one DELETE, held for `how_long`, then approved.
fn play(
    kind: Kind,
    path: Path,
    behaviour: Behaviour,
    prepare: impl Fn(&Gate) -> Result<()>,
    how_long: u64,
) -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], path.needs(), kind.needs()].concat()) {
        return Ok(());
    }
    let gate = Gate::guarded(path, &Settings::default(), behaviour)?;
    prepare(&gate)?;
    let mut client = gate.client(kind)?;
    client.passes("GET", "/before")?;
    let ask = Ask::delete("/long");
    let id = gate.held(&mut client, &mut gate.events()?, ask)?;
    gate.ledger().silent(Duration::from_secs(how_long))?;
    gate.approve_and_finish(&mut client, ask, &id)
}

#[test]
#[ignore = "long: 20 seconds"]
fn httpx_with_its_default_timeout() -> Result<()> {
    play(Kind::Httpx, Path::LOOPBACK, Behaviour::default(), |_| Ok(()), 8)
}

#[test]
#[ignore = "long: 20 seconds"]
fn a_server_that_closes_idle_connections() -> Result<()> {
    let behaviour = Behaviour { idle_close: Some(Duration::from_secs(5)), ..Behaviour::default() };
    play(Kind::OpenSsl, Path::LOOPBACK, behaviour.clone(), |_| Ok(()), 8)?;
    play(Kind::Requests, Path::LOOPBACK, behaviour, |_| Ok(()), 8)
}

/// TCP alone would give up after 13 s; the held connection must still be there after 80.
#[test]
#[ignore = "long: 90 seconds"]
fn an_impatient_tcp() -> Result<()> {
    let impatient = |gate: &Gate| {
        let namespace = gate.route().agent_namespace().expect("the slow line has one");
        namespace.within(|| std::fs::write("/proc/sys/net/ipv4/tcp_retries2", "5"))??;
        Ok(())
    };
    play(Kind::OpenSsl, Path::ALL[3], Behaviour::default(), impatient, 80)
}

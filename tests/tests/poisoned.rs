//! A request that kills the daemon kills it once: what was being decoded when it died is not decoded again.
//!
//! No such request is known, so the daemon is told to die of one (`AGENT_GUARD_TEST_ABORT_ON`: abort when a decoder
//! meets this text; `AGENT_GUARD_TEST_PANIC_ON`: panic).

use agent_guard_api::harm::Harm;
use agent_guard_tests::DEADLINE;
use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Gate, WATCH};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::people::ALICE;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Result, ensure};

const PILL: &str = "/poison-pill";

fn stage(variable: &'static str) -> Result<Option<Gate>> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(None);
    }
    let settings = Settings { ephemeral: false, environ: vec![(variable, PILL)], ..Settings::default() };
    Gate::guarded(Path::LOOPBACK, &settings, Behaviour::default()).map(Some)
}

#[test]
fn a_daemon_that_died_of_it_holds_it_unread() -> Result<()> {
    let Some(mut gate) = stage("AGENT_GUARD_TEST_ABORT_ON")? else { return Ok(()) };
    let mut client = gate.client(Kind::OpenSsl)?;
    client.passes("GET", "/before")?;
    client.send("POST", PILL, 10)?; // (a GET would take the fast path, undecoded)
    gate.guard()?.wait_end(DEADLINE)?;
    gate.ledger().silent(WATCH)?;

    // Still told to die of it.
    gate.guard()?.start_again()?;
    let id = gate.events()?.wait_hold()?;
    ensure!(gate.ctl()?.show(&id)?.harm == Harm::Undecidable);
    gate.client(Kind::OpenSsl)?.passes("GET", "/others")?;
    ensure!(gate.guard()?.runs()?, "it died of it again");
    gate.ctl()?.deny(ALICE, &id)?;
    ensure!(!gate.ledger().read(|state| state.saw(PILL)), "the poisoned request went out");
    Ok(())
}

#[test]
fn a_decoder_that_panics_ends_alone() -> Result<()> {
    let Some(mut gate) = stage("AGENT_GUARD_TEST_PANIC_ON")? else { return Ok(()) };
    let mut client = gate.client(Kind::OpenSsl)?;
    client.passes("GET", "/before")?;
    client.send("POST", PILL, 10)?; // (a GET would take the fast path, undecoded)
    let id = gate.events()?.wait_hold()?;
    ensure!(gate.ctl()?.show(&id)?.harm == Harm::Undecidable);
    gate.client(Kind::OpenSsl)?.passes("GET", "/others")?;
    ensure!(gate.guard()?.runs()?, "the daemon ended");
    gate.ctl()?.deny(ALICE, &id)?;
    ensure!(!gate.ledger().read(|state| state.saw(PILL)), "the poisoned request went out");
    Ok(())
}

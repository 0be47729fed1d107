//! Code that attacks its own memory. No probe can exclude it; this measures how much of it is seen. The numbers that it
//! prints are published in SECURITY.md.

use std::time::Duration;

use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::Gate;
use agent_guard_tests::guard::Settings;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Context, Result, ensure};

const REQUESTS: u64 = 10_000;

#[test]
#[ignore = "long: minutes"]
fn a_second_thread_flips_the_buffer() -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let mut gate = Gate::guarded(Path::LOOPBACK, &Settings::default(), Behaviour::default())?;
    let report = gate.run_client("flip", &[&REQUESTS.to_string()], Duration::from_secs(45 * 60))?;
    let report = report.first().context("flip printed nothing")?;
    let count = |name: &str| report.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let passed = gate.ledger().read(|state| state.with_method("DELETE"));
    let harmless = gate.ledger().read(|state| state.with_method("GET"));
    println!("buffer flip: {report}; at the server {passed} DELETE, {harmless} GET");
    println!("counters: {:?}", gate.ctl()?.status()?.counters);
    ensure!(
        ["answered", "broken", "silent", "refused"].map(count).iter().sum::<u64>() == REQUESTS,
        "{report}"
    );
    ensure!(count("broken") + count("silent") + count("refused") > 0, "the guard saw none of it");
    ensure!(gate.guard()?.runs()?, "the daemon ended");
    Ok(())
}

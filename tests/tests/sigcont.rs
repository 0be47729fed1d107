//! A process-held agent that another process of its user continues again and again: the server gets nothing, because the
//! guarantee is the network hold and not the stop.

use std::process::Command;
use std::time::Duration;

use agent_guard_tests::DEADLINE;
use agent_guard_tests::clients::{self, Kind};
use agent_guard_tests::gate::{Ask, Gate};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::people::AGENT_UID;
use agent_guard_tests::process::{Placement, Process};
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Result, ensure};

#[test]
fn continuing_a_held_process_sends_nothing() -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let settings = Settings { hold: "process", match_user: false, ..Settings::default() };
    let gate = Gate::guarded(Path::LOOPBACK, &settings, Behaviour::default())?;
    let mut client = gate.client(Kind::OpenSsl)?;
    client.passes("GET", "/before")?;
    let ask = Ask::delete("/stopped");
    let id = gate.held(&mut client, &mut gate.events()?, ask)?;

    let mut rogue = Command::new(clients::compile(gate.scratch(), "sigcont")?);
    rogue.args([&client.process().pid().to_string(), "10"]);
    let mut rogue = Process::spawn(rogue, &Placement::user(AGENT_UID))?;
    gate.ledger().silent(Duration::from_secs(10))?;
    let sent: u64 = rogue.finish(DEADLINE)?.success()?.trim().parse()?;
    ensure!(sent > 1_000, "only {sent} signals were sent, which proves nothing");
    gate.nothing_of(ask)?;

    gate.approve_and_finish(&mut client, ask, &id)?;
    client.passes("GET", "/after")
}

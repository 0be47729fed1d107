//! One agent's request lies on a page that never arrives. Its own thread waits; nobody else's verdict does.

use std::time::{Duration, Instant};

use agent_guard_tests::DEADLINE;
use agent_guard_tests::clients::Kind;
use agent_guard_tests::fuse::SilentFs;
use agent_guard_tests::gate::{Ask, Gate};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Result, ensure};

/// A verdict takes well under a millisecond; anything near the wait for the page would be minutes.
const PROMPT: Duration = Duration::from_secs(2);

#[test]
fn delays_nobody_else() -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard, Need::File("/dev/fuse")], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let mut gate = Gate::guarded(Path::LOOPBACK, &Settings::default(), Behaviour::default())?;
    let mut other = gate.client(Kind::OpenSsl)?;
    other.passes("GET", "/before")?;

    // More than one, in case somebody thought that one slot to copy into were enough. Declared before the file system, so
    // that a failing test drops that first: a process that waits for the page can end only then.
    let mut stuck = Vec::new();
    let silent = SilentFs::mount(gate.scratch().join("silent"))?;
    let file = silent.file().display().to_string();
    for _ in 0..3 {
        let mut writer = gate.start_client("fuse_write", &[&file])?;
        writer.line(DEADLINE, |line| line == "writing")?;
        stuck.push(writer);
    }
    silent.wait_asked(DEADLINE)?;

    let start = Instant::now();
    other.passes("GET", "/meanwhile")?;
    other.send("POST", "/frobnicate", 1_000)?;
    ensure!(other.answer(DEADLINE)? == agent_guard_tests::clients::Answer::Status(200));
    ensure!(start.elapsed() < PROMPT, "verdicts took {:?}", start.elapsed());
    gate.hold_and_approve(&mut other, Ask::delete("/meanwhile"))?;
    for writer in &stuck {
        ensure!(!writer.ended()?, "a stuck writer ended, so the page was not what it waited for");
    }
    drop(silent);
    for mut writer in stuck {
        writer.finish(DEADLINE)?;
    }
    other.passes("GET", "/after")?;
    ensure!(gate.guard()?.runs()?, "the daemon ended");
    Ok(())
}

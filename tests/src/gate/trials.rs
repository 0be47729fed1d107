//! The trials that are played a few hundred times in the ordinary tests and many thousand times in the long ones.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Gate;
use crate::guard::Settings;
use crate::route::Path;
use crate::server::Behaviour;

/// No free request may wait this long: the shortest TCP timer is 200 ms, so less means that none was involved.
const STALL: Duration = Duration::from_millis(200);

/// Which connections the two threads use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// Connected before, with harmless requests on them.
    Kept,
    /// Made for each trial.
    New,
}

/// One configuration of `clients/two_threads.c`.
#[derive(Clone, Copy, Debug)]
pub struct TwoThreads {
    pub connections: Connections,
    pub nodelay: bool,
    pub upload: bool,
}

impl TwoThreads {
    /// Plays `trials` of them: no DELETE may arrive, and no GET may notice.
    pub fn play(self, path: Path, trials: u32) -> Result<()> {
        let gate = Gate::guarded(path, &Settings::default(), Behaviour::default())?;
        let connections = if self.connections == Connections::Kept { "kept" } else { "new" };
        let nagle = if self.nodelay { "nodelay" } else { "nagle" };
        let upload = if self.upload { "upload" } else { "quiet" };
        let args = [&trials.to_string(), connections, nagle, upload];
        let deadline = Duration::from_secs(60) + trials * Duration::from_millis(250);
        let report = gate.run_client("two_threads", &args, deadline)?;
        let report = report.first().context("two_threads printed nothing")?;
        println!("{connections} {nagle} {upload}: {report}");

        gate.ledger().read(|state| {
            ensure!(state.with_method("DELETE") == 0, "{} of {trials} leaked", state.with_method("DELETE"));
            ensure!(!state.saw("DELETE"), "part of a held request leaked");
            let served = state.delivered("GET", "/free");
            ensure!(served >= trials as usize, "only {served} of {trials} free requests arrived");
            Ok(())
        })?;
        let slowest = report.get("max_us").and_then(serde_json::Value::as_f64).context("max_us")?;
        ensure!(slowest < STALL.as_secs_f64() * 1e6, "a free request stalled for {slowest} us");
        Ok(())
    }
}

/// Plays `writes` writes of `clients/interleave.c`: nothing from a DELETE on arrives, and what was answered did arrive.
pub fn interleave(writes: u32) -> Result<()> {
    let gate = Gate::guarded(Path::LOOPBACK, &Settings::default(), Behaviour::default())?;
    let deadline = Duration::from_secs(60) + writes * Duration::from_millis(20);
    let report = gate.run_client("interleave", &[&writes.to_string(), "20"], deadline)?;
    let expected = report.first().and_then(|report| report.get("expected")?.as_u64()).context("expected")?;
    let answered = report.first().and_then(|report| report.get("answered")?.as_u64()).context("answered")?;
    gate.ledger().read(|state| {
        ensure!(!state.saw("DELETE"), "a held request leaked");
        let posts = state.delivered("POST", "/free") as u64;
        ensure!(posts <= expected, "{posts} requests arrived, only {expected} stand before a DELETE");
        ensure!(posts >= answered && answered > 0, "{answered} requests were answered, {posts} arrived");
        Ok(())
    })
}

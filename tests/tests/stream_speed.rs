//! What the server sends comes in at full speed while the client's own write is held: a dropped data packet takes its
//! acknowledgement with it, and without a cure the stream falls to a thousandth.

use std::time::Duration;

use agent_guard_tests::DEADLINE;
use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Ask, Gate};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Context, Result, ensure};

/// Of the speed with nothing pending.
const KEPT: f64 = 0.8;
const RUNS: usize = 3;

/// The median of [`RUNS`] ratios, each measured on one connection, with `pending` bytes held.
fn play(pending: u32) -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let gate = Gate::guarded(Path::LOOPBACK, &Settings::default(), Behaviour::default())?;
    let mut ratios = Vec::new();
    for _ in 0..RUNS {
        ratios.push(measure(&gate, pending)?);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[RUNS / 2];
    println!("{pending} bytes pending: {ratios:?}");
    ensure!(
        median >= KEPT,
        "the stream kept {median:.2} of its speed with {pending} bytes held ({ratios:?})"
    );
    Ok(())
}

fn measure(gate: &Gate, pending: u32) -> Result<f64> {
    let held = Ask { method: "DELETE", path: "/held", body_bytes: pending as usize };
    let before = gate.delivered(held);
    let known: Vec<String> = gate.ctl()?.all_holds()?.into_iter().map(|hold| hold.id).collect();
    let mut client = gate.start_client("stream", &["300000000", &pending.to_string()])?;
    let line = client.line(Duration::from_secs(300), |line| line.contains("held_mb_s"))?;
    let speeds: serde_json::Value = serde_json::from_str(&line)?;
    let speed = |name: &str| speeds.get(name).and_then(serde_json::Value::as_f64).context("speed");
    ensure!(gate.delivered(held) == before, "the held request was delivered");
    let id = gate.events()?.wait_hold_but(&known)?;
    gate.ctl()?.approve_by_two(&id)?;
    client.line(DEADLINE, |line| line == "{\"status\":200}")?;
    ensure!(gate.delivered(held) == before + 1, "approved, but not delivered once");
    Ok(speed("held_mb_s")? / speed("free_mb_s")?)
}

#[test]
#[ignore = "timed, so not for the ordinary run: cargo test -p agent-guard-tests --test stream_speed -- --ignored"]
fn with_a_small_request_held() -> Result<()> {
    play(1_000)
}

#[test]
#[ignore = "timed, so not for the ordinary run: cargo test -p agent-guard-tests --test stream_speed -- --ignored"]
fn with_more_than_a_segment_held() -> Result<()> {
    play(20_000)
}

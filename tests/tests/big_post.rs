//! A request far larger than any buffer on the way is held at its first byte, released whole, or denied.

use agent_guard_tests::DEADLINE;
use agent_guard_tests::clients::{Answer, Kind};
use agent_guard_tests::gate::{Ask, Gate};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::people::ALICE;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

const SIZE: usize = 5 << 20;
/// 5 MiB over a line with 40 ms round trips and 1 % loss.
const SLOW: Duration = Duration::from_secs(180);

fn play(path: Path) -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], path.needs(), Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let gate = Gate::guarded(path, &Settings::default(), Behaviour::default())?;
    let mut client = gate.client(Kind::OpenSsl)?;
    client.passes("GET", "/before")?;
    let mut events = gate.events()?;

    let approved = Ask { method: "POST", path: "/approved/purge", body_bytes: SIZE };
    let id = gate.held(&mut client, &mut events, approved)?;
    gate.ctl()?.approve_by_two(&id)?;
    let answer = client.answer(SLOW)?;
    ensure!(answer == Answer::Status(200), "{path}: answered {answer:?}");
    gate.ledger().read(|state| {
        let mut arrived = state.requests.iter().filter(|request| request.target == approved.path);
        let request = arrived.next().context("it did not arrive")?;
        ensure!(arrived.next().is_none(), "{path}: it arrived twice");
        ensure!(
            request.body_bytes == SIZE as u64 && request.body.iter().all(|byte| *byte == b'b'),
            "{path}: changed"
        );
        Ok(())
    })?;

    let denied = Ask { method: "POST", path: "/denied/purge", body_bytes: SIZE };
    let id = gate.held(&mut client, &mut events, denied)?;
    gate.ctl()?.deny(ALICE, &id)?;
    let answer = client.answer(DEADLINE)?;
    ensure!(matches!(answer, Answer::Error(_)), "{path}: answered {answer:?}");
    client.passes("GET", "/after")?;
    gate.nothing_of(denied)
}

#[test]
fn loopback() -> Result<()> {
    play(Path::ALL[0])
}

#[test]
fn slow_line_v4() -> Result<()> {
    play(Path::ALL[3])
}

#[test]
fn slow_line_v6() -> Result<()> {
    play(Path::ALL[4])
}

//! Twenty holds and no daemon: played shortly in the ordinary tests and for a minute in the long ones.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Ask, Gate, WATCH};
use crate::DEADLINE;
use crate::clients::{Answer, Client, Kind};
use crate::guard::Settings;
use crate::people::ALICE;
use crate::route::Path;
use crate::server::Behaviour;

const HOLDS: usize = 20;

/// One client with its request and the hold of it.
struct Waiting {
    client: Client,
    path: String,
    id: String,
}

/// Opens twenty holds, kills the daemon, watches for `dead`, starts it again, and decides all twenty.
pub fn crash(dead: Duration) -> Result<()> {
    let settings = Settings { max_open_per_session: 1000, ephemeral: false, ..Settings::default() };
    let mut gate = Gate::guarded(Path::LOOPBACK, &settings, Behaviour::default())?;
    let mut waiting = open_holds(&gate)?;
    gate.guard()?.kill()?;

    // Nobody is there, and yet a new process is gated.
    let mut orphan = gate.client(Kind::OpenSsl)?;
    orphan.send("DELETE", "/while-dead", 0)?;
    gate.ledger().silent_plain(dead)?;
    for one in &waiting {
        gate.nothing_of(Ask::delete(&one.path))?;
    }

    gate.guard()?.start_again()?;
    let open = gate.ctl()?.holds()?;
    for one in &waiting {
        ensure!(
            open.iter().any(|hold| hold.id == one.id),
            "the new daemon does not list {}: {open:?}",
            one.id
        );
    }
    // What came while nobody was there is taken up too.
    let known: Vec<String> = waiting.iter().map(|one| one.id.clone()).collect();
    gate.events()?.wait_hold_but(&known)?;
    gate.ledger().silent_plain(WATCH)?;
    gate.nothing_of(Ask::delete("/while-dead"))?;
    for (number, one) in waiting.iter_mut().enumerate() {
        let ask = Ask::delete(&one.path);
        if number % 2 == 0 {
            gate.approve_and_finish(&mut one.client, ask, &one.id)?;
        } else {
            gate.ctl()?.deny(ALICE, &one.id)?;
            let answer = one.client.answer(DEADLINE)?;
            ensure!(matches!(answer, Answer::Error(_)), "the denied request was answered {answer:?}");
            gate.nothing_of(ask)?;
        }
        one.client.passes("GET", "/after")?;
    }
    Ok(())
}

fn open_holds(gate: &Gate) -> Result<Vec<Waiting>> {
    let mut events = gate.events()?;
    let mut waiting: Vec<Waiting> = Vec::new();
    for number in 0..HOLDS {
        let path = format!("/crash/{number}");
        let mut client = gate.client(Kind::OpenSsl)?;
        client.passes("GET", "/before")?;
        client.send("DELETE", &path, 0)?;
        let known: Vec<String> = waiting.iter().map(|one| one.id.clone()).collect();
        let id = events.wait_hold_but(&known)?;
        waiting.push(Waiting { client, path, id });
    }
    Ok(waiting)
}

//! What every hold must look like, whoever the client and whatever the way: said once, played by many tests.

use agent_guard_api::{HoldState, Outcome};
use anyhow::{Result, bail, ensure};

use super::{Gate, WATCH};
use crate::DEADLINE;
use crate::clients::{Answer, Client};
use crate::events::Events;
use crate::people::{ALICE, BOB, Person};

impl Gate {
    /// Asks the client for an irreversible request and waits until the guard says that it is held. Nothing of it may
    /// have reached the server, and nothing may reach it while we watch. The id of the hold.
    pub fn held(
        &self,
        client: &mut Client,
        events: &mut Events,
        method: &str,
        path: &str,
        body_bytes: usize,
    ) -> Result<String> {
        client.send(method, path, body_bytes)?;
        let id = events.wait_hold()?;
        self.nothing_of(method, path)?;
        self.ledger().silent(WATCH)?;
        self.nothing_of(method, path)?;
        Ok(id)
    }

    /// Neither the request nor the start of one is at the server.
    pub fn nothing_of(&self, method: &str, path: &str) -> Result<()> {
        let start = format!("{method} {path}");
        self.ledger().read(|state| {
            ensure!(!state.saw(&start), "the server has seen {start:?}, which is held");
            ensure!(state.delivered(method, path) == 0, "{start} was delivered while held");
            Ok(())
        })
    }

    /// Two people approve; the first of them cannot do so twice.
    pub fn approve(&self, id: &str) -> Result<Outcome> {
        let ctl = self.ctl()?;
        match ctl.approve(ALICE, id)? {
            Outcome::Approved { missing: 1, .. } => {}
            other => bail!("after one of two approvals: {other:?}"),
        }
        ctl.approve_refused(ALICE, id)?;
        ensure!(ctl.show(id)?.state == HoldState::Pending, "one person alone decided {id}");
        ctl.approve(BOB, id)
    }

    /// Harmless, held, approved, delivered exactly once, harmless: all by one client.
    pub fn hold_and_approve(&self, client: &mut Client, path: &str, body_bytes: usize) -> Result<()> {
        let mut events = self.events()?;
        client.passes("GET", "/before")?;
        let id = self.held(client, &mut events, "DELETE", path, body_bytes)?;
        let outcome = self.approve(&id)?;
        ensure!(
            matches!(outcome, Outcome::Released { delivered: true, .. }),
            "approved by two, but {outcome:?}"
        );
        self.ledger().wait_delivered("DELETE", path, 1)?;
        let answer = client.answer(DEADLINE)?;
        ensure!(answer == Answer::Status(200), "the approved request was answered {answer:?}");
        client.passes("GET", "/after")?;
        let delivered = self.ledger().read(|state| state.delivered("DELETE", path));
        ensure!(delivered == 1, "the approved request arrived {delivered} times");
        ensure!(self.ctl()?.show(&id)?.state == HoldState::Released, "{id} is not released");
        Ok(())
    }

    /// Harmless, held, denied, an ordinary error at the client, harmless again: all by one client.
    pub fn hold_and_deny(&self, client: &mut Client, path: &str, body_bytes: usize) -> Result<()> {
        self.hold_and_deny_by(client, path, body_bytes, BOB)
    }

    fn hold_and_deny_by(
        &self,
        client: &mut Client,
        path: &str,
        body_bytes: usize,
        person: Person,
    ) -> Result<()> {
        let mut events = self.events()?;
        client.passes("GET", "/before")?;
        let id = self.held(client, &mut events, "DELETE", path, body_bytes)?;
        self.ctl()?.deny(person, &id)?;
        let answer = client.answer(DEADLINE)?;
        ensure!(matches!(answer, Answer::Error(_)), "the denied request was answered {answer:?}");
        client.passes("GET", "/after")?;
        self.nothing_of("DELETE", path)?;
        ensure!(self.ctl()?.show(&id)?.state == HoldState::Denied, "{id} is not denied");
        Ok(())
    }
}

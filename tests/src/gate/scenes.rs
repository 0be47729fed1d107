//! What every hold must look like, whoever the client and whatever the way: said once, played by many tests.

use agent_guard_api::{HoldState, Outcome};
use anyhow::{Result, ensure};

use super::{Gate, WATCH};
use crate::DEADLINE;
use crate::clients::{Answer, Client};
use crate::events::Events;
use crate::people::BOB;

/// A request that must be held.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub body_bytes: usize,
}

impl<'a> Ask<'a> {
    pub fn delete(path: &'a str) -> Self {
        Self { method: "DELETE", path, body_bytes: 0 }
    }
}

impl Gate {
    /// Asks the client for an irreversible request and waits until the guard says that it is held. Nothing of it may
    /// have reached the server, and nothing may reach it while we watch. The id of the hold.
    pub fn held(&self, client: &mut Client, events: &mut Events, ask: Ask<'_>) -> Result<String> {
        let known: Vec<String> = self.ctl()?.all_holds()?.into_iter().map(|hold| hold.id).collect();
        client.send(ask.method, ask.path, ask.body_bytes)?;
        let id = events.wait_hold_but(&known)?;
        self.nothing_of(ask)?;
        self.ledger().silent(WATCH)?;
        self.nothing_of(ask)?;
        Ok(id)
    }

    /// Neither the request nor the start of one is at the server.
    pub fn nothing_of(&self, ask: Ask<'_>) -> Result<()> {
        let start = format!("{} {}", ask.method, ask.path);
        self.ledger().read(|state| {
            ensure!(!state.saw(&start), "the server has seen {start:?}, which is held");
            ensure!(state.delivered(ask.method, ask.path) == 0, "{start} was delivered while held");
            Ok(())
        })
    }

    /// How often the request arrived.
    pub fn delivered(&self, ask: Ask<'_>) -> usize {
        self.ledger().read(|state| state.delivered(ask.method, ask.path))
    }

    /// Harmless, held, approved, delivered exactly once, harmless: all by one client.
    pub fn hold_and_approve(&self, client: &mut Client, ask: Ask<'_>) -> Result<()> {
        let mut events = self.events()?;
        client.passes("GET", "/before")?;
        let id = self.held(client, &mut events, ask)?;
        let outcome = self.ctl()?.approve_by_two(&id)?;
        ensure!(
            matches!(outcome, Outcome::Released { delivered: true, .. }),
            "approved by two, but {outcome:?}"
        );
        self.ledger().wait_delivered(ask.method, ask.path, 1)?;
        let answer = client.answer(DEADLINE)?;
        ensure!(answer == Answer::Status(200), "the approved request was answered {answer:?}");
        client.passes("GET", "/after")?;
        ensure!(self.delivered(ask) == 1, "the approved request arrived {} times", self.delivered(ask));
        ensure!(self.ctl()?.show(&id)?.state == HoldState::Released, "{id} is not released");
        Ok(())
    }

    /// Harmless, held, denied, an ordinary error at the client, harmless again: all by one client.
    pub fn hold_and_deny(&self, client: &mut Client, ask: Ask<'_>) -> Result<()> {
        let mut events = self.events()?;
        client.passes("GET", "/before")?;
        let id = self.held(client, &mut events, ask)?;
        self.ctl()?.deny(BOB, &id)?;
        let answer = client.answer(DEADLINE)?;
        ensure!(matches!(answer, Answer::Error(_)), "the denied request was answered {answer:?}");
        client.passes("GET", "/after")?;
        self.nothing_of(ask)?;
        ensure!(self.ctl()?.show(&id)?.state == HoldState::Denied, "{id} is not denied");
        Ok(())
    }

    /// A request that was approved and delivered once is held when it comes again: the approval is used up.
    pub fn hold_and_deny_again(&self, client: &mut Client, ask: Ask<'_>) -> Result<()> {
        let before = self.delivered(ask);
        // Only from now on, so that the first time's hold is not mistaken for the second's.
        let known: Vec<String> = self.ctl()?.all_holds()?.into_iter().map(|hold| hold.id).collect();
        let mut events = self.events()?;
        client.send(ask.method, ask.path, ask.body_bytes)?;
        let id = events.wait_hold_but(&known)?;
        self.ledger().silent(WATCH)?;
        self.ctl()?.deny(BOB, &id)?;
        let answer = client.answer(DEADLINE)?;
        ensure!(matches!(answer, Answer::Error(_)), "the denied request was answered {answer:?}");
        ensure!(self.delivered(ask) == before, "a used-up approval let {ask:?} through");
        client.passes("GET", "/after")
    }

    /// Approves what is held and sees to it that the client gets it done exactly once: by the bytes that wait, or, if
    /// the client had given up, by its retry, about which nobody is asked again. Nothing may arrive on its own between.
    pub fn approve_and_finish(&self, client: &mut Client, ask: Ask<'_>, id: &str) -> Result<()> {
        let outcome = self.ctl()?.approve_by_two(id)?;
        match (client.answer(DEADLINE)?, outcome) {
            (Answer::Status(200), Outcome::Released { delivered: true, .. }) => {}
            (Answer::Error(_), Outcome::Released { delivered: false, .. }) => {
                self.nothing_of(ask)?;
                self.ledger().silent(WATCH)?;
                client.send(ask.method, ask.path, ask.body_bytes)?;
                let answer = client.answer(DEADLINE)?;
                ensure!(
                    answer == Answer::Status(200),
                    "the retry of an approved request was answered {answer:?}"
                );
            }
            (answer, outcome) => {
                anyhow::bail!("approved with {outcome:?}, but the client was answered {answer:?}")
            }
        }
        self.ledger().silent(WATCH)?;
        ensure!(self.delivered(ask) == 1, "the approved request arrived {} times", self.delivered(ask));
        Ok(())
    }
}

//! The story that the product is for: the real AWS CLI wants to terminate 847 instances.

use agent_guard_api::harm::{Harm, Magnitude};
use agent_guard_api::{HoldState, Outcome};
use agent_guard_tests::DEADLINE;
use agent_guard_tests::agent::Agent;
use agent_guard_tests::events::Events;
use agent_guard_tests::gate::WATCH;
use agent_guard_tests::guard::{Guard, Settings};
use agent_guard_tests::moto::{Fleet, Moto};
use agent_guard_tests::people::{BOB, STRANGER};
use agent_guard_tests::pki::Authority;
use agent_guard_tests::process::Process;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::scratch::Scratch;
use anyhow::{Result, ensure};

const INSTANCES: u32 = 847;
const ALL_RUN: Fleet = Fleet { running: INSTANCES as u64, terminated: 0 };
const NONE_RUN: Fleet = Fleet { running: 0, terminated: INSTANCES as u64 };

struct Story {
    guard: Guard,
    agent: Agent,
    ids: Vec<String>,
    moto: Moto,
    _scratch: Scratch,
}

impl Story {
    fn begin() -> Result<Option<Self>> {
        if !require::met(&[Need::Root, Need::Guard, Need::Venv]) {
            return Ok(None);
        }
        let scratch = Scratch::new()?;
        let authority = Authority::new(&scratch)?;
        let moto = Moto::start(&scratch, &authority)?;
        let ids = moto.launch(INSTANCES)?;
        let guard = Guard::start(&scratch, &Settings { match_user: false, ..Settings::default() })?;
        let agent = Agent::by_run(guard.ctl());
        Ok(Some(Self { guard, agent, ids, moto, _scratch: scratch }))
    }

    fn describe(&self) -> Result<()> {
        let query = "length(Reservations[].Instances[])";
        let args = ["ec2", "describe-instances", "--query", query, "--output", "text"];
        let text = self.moto.aws(&self.agent, &args)?.finish(DEADLINE)?.success()?;
        ensure!(text.trim() == INSTANCES.to_string(), "describe-instances counted {text:?}");
        Ok(())
    }

    /// Starts the termination and waits until it is held: nobody is terminated, and the hold says what it is about.
    fn terminate(&self, events: &mut Events) -> Result<(Process, String)> {
        let ids = self.ids.iter().map(String::as_str);
        let args: Vec<&str> =
            ["ec2", "terminate-instances", "--instance-ids"].into_iter().chain(ids).collect();
        let cli = self.moto.aws(&self.agent, &args)?;
        let id = events.wait_hold()?;
        let hold = self.guard.ctl().show(&id)?;
        ensure!(hold.operation == "TerminateInstances" && hold.harm == Harm::Irreversible, "{hold:?}");
        ensure!(hold.magnitude == Magnitude::Count(u64::from(INSTANCES)), "{hold:?}");
        ensure!(
            hold.resources_total == u64::from(INSTANCES) && self.ids.contains(&hold.resources[0]),
            "{hold:?}"
        );
        ensure!(
            hold.approvals_needed == 2 && hold.whole && hold.region.as_deref() == Some("us-east-1"),
            "{hold:?}"
        );
        ensure!(!cli.ends_within(WATCH)?, "the CLI did not wait: {}", cli.stderr());
        ensure!(self.moto.fleet()? == ALL_RUN, "instances were terminated while held");
        Ok((cli, id))
    }
}

#[test]
fn two_people_approve_and_exactly_these_are_terminated() -> Result<()> {
    let Some(story) = Story::begin()? else { return Ok(()) };
    story.describe()?;
    let (mut cli, id) = story.terminate(&mut story.guard.ctl().events()?)?;
    story.guard.ctl().approve_refused(STRANGER, &id)?;
    let before = story.moto.requests();
    let outcome = story.guard.ctl().approve_by_two(&id)?;
    ensure!(matches!(outcome, Outcome::Released { delivered: true, .. }), "{outcome:?}");
    let text = cli.finish(DEADLINE)?.success()?;
    ensure!(text.matches("shutting-down").count() == INSTANCES as usize, "the CLI printed {text}");
    ensure!(
        story.moto.requests() == before + 1,
        "one request was approved, {} came",
        story.moto.requests() - before
    );
    ensure!(story.moto.fleet()? == NONE_RUN);
    ensure!(story.guard.ctl().show(&id)?.state == HoldState::Released);
    Ok(())
}

#[test]
fn one_person_denies_and_the_agent_goes_on() -> Result<()> {
    let Some(story) = Story::begin()? else { return Ok(()) };
    let (mut cli, id) = story.terminate(&mut story.guard.ctl().events()?)?;
    story.guard.ctl().deny(BOB, &id)?;
    let finished = cli.finish(DEADLINE)?;
    ensure!(
        !finished.status.success() && !finished.stderr.trim().is_empty(),
        "the CLI got no error: {finished:?}"
    );
    ensure!(story.moto.fleet()? == ALL_RUN, "a denied request was carried out");
    story.describe()?;
    ensure!(story.guard.ctl().show(&id)?.state == HoldState::Denied);
    Ok(())
}

//! `run`: become an agent, then become the command.
//!
//! The same process does both, without a fork between: when the daemon answers, everything that this process does from
//! then on is under guard, and there is no instant at which the command runs and is not.

use std::{io, os::unix::process::CommandExt, process};

use agent_guard_api::{Action, Outcome, client::Client};

use crate::{args::Run, exit::Failure};

/// Returns only if the command did not start.
pub(super) fn run(client: &Client, run: Run) -> Failure {
    let Run { agent, command } = run;
    let mut words = command.into_iter();
    let Some(program) = words.next() else {
        return Failure::Usage("run needs a command behind --".to_owned());
    };
    match client.act(&Action::Enrol { agent }) {
        Ok(Outcome::Enrolled { agent: _, session: _ }) => {}
        // Anything else is no proof of being guarded.
        Ok(other) => return Failure::NotEnrolled(other),
        Err(error) => return error.into(),
    }
    let source: io::Error = process::Command::new(&program).args(words).exec();
    Failure::Command { command: program.to_string_lossy().into_owned(), source }
}

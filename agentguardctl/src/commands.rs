//! One function for each command: ask, render, exit status.

use std::io::Write;

use agent_guard_api::{Action, client::Client, status::Severity};

use crate::{
    args::{Args, Command},
    exit::{Exit, Failure},
    output::{Output, now},
    render,
};

mod explain;
mod run;

pub(crate) fn run(args: Args, output: &mut Output<impl Write>) -> Result<Exit, Failure> {
    let Args { socket, json: _, command } = args;
    let client = Client::new(socket);
    match command {
        Command::Run(run) => return Err(run::run(&client, run)),
        Command::Explain(explain) => return explain::explain(explain, output),
        Command::Doctor => return doctor(&client, output),
        Command::Status => output.answer(&client.status()?, |status| render::status(status, now()))?,
        Command::Holds { all } => {
            output.answer(&client.holds(all)?, |holds| render::holds(holds, all, now()))?
        }
        Command::Show { id } => output.answer(&client.hold(&id)?, |hold| render::hold(hold, now()))?,
        Command::Approve { id } => act(&client, &Action::Approve { hold: id }, output)?,
        Command::Deny { id, reason } => act(&client, &Action::Deny { hold: id, reason }, output)?,
        Command::Remove { force: _, reason } => act(&client, &Action::Remove { reason }, output)?,
        Command::Log { lines, follow } => {
            for record in client.log(lines, follow)? {
                output.answer(&record?, render::record)?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn act(client: &Client, action: &Action, output: &mut Output<impl Write>) -> Result<(), Failure> {
    output.answer(&client.act(action)?, render::outcome)
}

fn doctor(client: &Client, output: &mut Output<impl Write>) -> Result<Exit, Failure> {
    let findings = client.doctor()?;
    output.answer(&findings, |findings| render::findings(findings))?;
    let broken = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if broken { Exit::Failed } else { Exit::Ok })
}

//! The command line.

use std::{ffi::OsString, path::PathBuf};

use agent_guard_api::routes;
use clap::{Parser, Subcommand};

use crate::exit;

/// See what agents are held from doing, and decide it.
#[derive(Debug, Parser)]
#[command(name = "agentguardctl", version, after_help = exit::TABLE)]
pub(crate) struct Args {
    /// The daemon's control socket.
    #[arg(long, global = true, value_name = "PATH", env = routes::SOCKET_ENV, default_value = routes::SOCKET)]
    pub(crate) socket: PathBuf,
    /// Print JSON instead of text: one value, or one a line for log and explain. Errors too (on standard error).
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command as an agent: under guard from its first instruction.
    Run(Run),
    /// What is guarded, what was lost, how the daemon feels.
    Status,
    /// The requests that wait for people.
    Holds {
        /// Also those that are decided.
        #[arg(long)]
        all: bool,
    },
    /// Everything that is known of one held request.
    Show { id: String },
    /// Approve a held request as yourself.
    Approve { id: String },
    /// Deny a held request: its connection breaks, the agent goes on.
    Deny {
        id: String,
        /// Goes on the record.
        #[arg(long)]
        reason: String,
    },
    /// What happened: one record a line.
    Log {
        /// How many of the last records.
        #[arg(short = 'n', long, default_value_t = routes::LOG_LINES_DEFAULT, value_name = "N",
              value_parser = clap::value_parser!(u32).range(0..=i64::from(routes::LOG_LINES_MAX)))]
        lines: u32,
        /// Go on as new records are written.
        #[arg(short, long)]
        follow: bool,
    },
    /// What the built-in policy would say to a request. Needs no daemon, no root and no network.
    Explain(Explain),
    /// Check this host: every finding with its consequence and its remedy.
    Doctor,
    /// Refuse everything that is held, remove probes and pins, and end the daemon. Root only.
    Remove {
        /// Required: afterwards nothing is guarded.
        #[arg(long, required = true)]
        force: bool,
        /// Goes on the record.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The agent's name in the daemon's settings.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: String,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// One request by --method and --url, or one a line from FILE.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// Answer with one JSON object a line, in order; a line that is no request gets {"id":...,"error":"..."}.
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// Requests as JSON, one a line, like {"id":"1","method":"DELETE","host":"api.example.com","path":"/v1/users/7"};
    /// - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// Method of a single request.
    #[arg(long, requires = "url", conflicts_with = "file")]
    pub(crate) method: Option<String>,
    /// URL of a single request, https://HOST/PATH; the method is GET if none is given, POST with --data.
    #[arg(long, conflicts_with = "file")]
    pub(crate) url: Option<String>,
    /// A header of the single request.
    #[arg(long, short = 'H', requires = "url", value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// The single request's body.
    #[arg(long, short = 'd', requires = "url", value_name = "BODY")]
    pub(crate) data: Option<String>,
}

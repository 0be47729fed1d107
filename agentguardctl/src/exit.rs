//! What can go wrong, and the exit status that says so. The numbers are part of the interface: none is reused.

use std::{io, process::ExitCode};

use agent_guard_api::{ErrorKind, Outcome, client::ClientError};

/// The one list of exit statuses, as `--help` prints it.
pub(crate) const TABLE: &str = "\
Exit status:
  0    done
  1    failed in another way than below; explain: a line was no request; doctor: an error was found
  2    the command line is wrong
  3    the daemon is down, hung, or not at this socket
  4    you may not do this (group, identity, or an agent's process)
  5    there is no such hold or agent
  6    possible in another state only (decided already, the same person twice)
  7    the daemon cannot do it now, and granted nothing
  8    daemon and agentguardctl do not understand each other
  126  run: the command cannot be executed
  127  run: the command was not found
Once run has started the command, the status is the command's own.";

/// An exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Down = 3,
    Forbidden = 4,
    NotFound = 5,
    Conflict = 6,
    Unavailable = 7,
    Unreadable = 8,
    CannotExecute = 126,
    CommandNotFound = 127,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No answer of the daemon, or a refusal.
    Client(ClientError),
    /// Our own standard output.
    Reader(io::Error),
    /// A file or standard input that was to be read.
    Input { name: String, source: io::Error },
    /// The command line is well formed but makes no sense.
    Usage(String),
    /// `run`: the daemon answered something else than that this process is under guard.
    NotEnrolled(Outcome),
    /// `run`: the agent's command did not start.
    Command { command: String, source: io::Error },
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Client(error) => client_exit(error),
            Failure::Reader(_) | Failure::Input { .. } => Exit::Failed,
            Failure::Usage(_) => Exit::Usage,
            Failure::NotEnrolled(_) => Exit::Unreadable,
            Failure::Command { command: _, source } if source.kind() == io::ErrorKind::NotFound => {
                Exit::CommandNotFound
            }
            Failure::Command { .. } => Exit::CannotExecute,
        }
    }

    /// For people; not escaped.
    pub(crate) fn message(&self) -> String {
        match self {
            Failure::Client(error) => error.to_string(),
            Failure::Reader(source) => format!("the output cannot be written: {source}"),
            Failure::Input { name, source } => format!("{name} cannot be read: {source}"),
            Failure::Usage(message) => message.clone(),
            Failure::NotEnrolled(outcome) => {
                format!(
                    "the command was not started: the daemon answered {outcome:?} instead of enrolling it"
                )
            }
            Failure::Command { command, source } => {
                format!(
                    "{command} cannot be executed: {source} (this process is under guard already and ends now)"
                )
            }
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Client(error)
    }
}

fn client_exit(error: &ClientError) -> Exit {
    match error {
        ClientError::Absent { .. }
        | ClientError::Down { .. }
        | ClientError::TimedOut
        | ClientError::Io { .. } => Exit::Down,
        ClientError::NotPermitted { .. } => Exit::Forbidden,
        ClientError::Unreadable { .. } => Exit::Unreadable,
        ClientError::Refused(error) => match error.kind {
            ErrorKind::Malformed => Exit::Unreadable,
            ErrorKind::Forbidden => Exit::Forbidden,
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Conflict => Exit::Conflict,
            ErrorKind::Unavailable => Exit::Unavailable,
        },
    }
}

//! Why an answer could not be had, told apart by whose turn it is: start the daemon, join a group, ask for something else.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{ActionError, ErrorKind};

/// Messages are for people and may repeat what the daemon or an agent said: escape them before printing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no control socket at {}: agent-guardd is not running on this host, or its socket is elsewhere \
         (start it: systemctl start agent-guard; see why it ended: systemctl status agent-guard; \
         another place: --socket or AGENT_GUARD_SOCKET)", path.display()
    )]
    Absent { path: PathBuf },
    #[error(
        "nobody answers at {}: the socket is there but agent-guardd is not listening on it; \
         what was held stays held (see: systemctl status agent-guard)", path.display()
    )]
    Down { path: PathBuf },
    #[error(
        "you may not open {}: reading needs the group agent-guard, approving needs agent-guard-approvers \
         (sudo usermod -aG agent-guard NAME, then log in again)", path.display()
    )]
    NotPermitted { path: PathBuf },
    #[error(
        "agent-guardd did not answer in time; an action may have been carried out all the same, look before you repeat it \
         (see: systemctl status agent-guard)"
    )]
    TimedOut,
    #[error("the connection to agent-guardd failed: {source} (see: systemctl status agent-guard)")]
    Io {
        #[source]
        source: io::Error,
    },
    /// The daemon said no.
    #[error("{}", .0.message)]
    Refused(ActionError),
    #[error("the answer cannot be read: {what} (is agentguardctl of the same version as agent-guardd?)")]
    Unreadable { what: String },
}

impl ClientError {
    pub(super) fn connect(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Absent { path },
            io::ErrorKind::ConnectionRefused => Self::Down { path },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { path },
            _ => Self::io(source),
        }
    }

    pub(super) fn io(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io { source },
        }
    }

    pub(super) fn unreadable(what: impl Into<String>) -> Self {
        Self::Unreadable { what: what.into() }
    }

    /// What the daemon would say to an id that no hold can have; it need not be asked.
    pub(super) fn impossible_id(id: &str) -> Self {
        let message = format!("no hold {id:?}: ids look like h42 (see: agentguardctl holds)");
        Self::Refused(ActionError { kind: ErrorKind::NotFound, message })
    }
}

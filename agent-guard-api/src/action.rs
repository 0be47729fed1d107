//! Every control action is a variant of one enum that the command line, the page and the API share.

use serde::{Deserialize, Serialize};

/// What somebody asks the daemon to do. `POST /v1/actions` carries one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Approve this very request, as the person at the other end of the socket.
    Approve {
        hold: String,
    },
    Deny {
        hold: String,
        reason: String,
    },
    /// Put the calling process (by peer credentials) under guard as a new session of `agent`, before it executes the agent.
    Enrol {
        agent: String,
    },
    /// Refuse everything that is held, remove probes and pins, and end. Root only.
    Remove {
        reason: String,
    },
}

/// The answer to an action that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The approval counts; `missing` more are needed.
    Approved {
        hold: String,
        missing: u32,
    },
    /// The last approval: the request goes on (`delivered`) or waits for the client's retry.
    Released {
        hold: String,
        delivered: bool,
    },
    Denied {
        hold: String,
    },
    Enrolled {
        agent: String,
        session: u64,
    },
    Removing,
}

/// Why an action was refused. The HTTP status follows from `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionError {
    pub kind: ErrorKind,
    /// For people: the thing, the value, the remedy.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// 400: the request cannot be read.
    Malformed,
    /// 403: the peer's groups or identity do not allow it.
    Forbidden,
    /// 404: no such hold, agent or route.
    NotFound,
    /// 409: legal in another state only (decided already, same person twice).
    Conflict,
    /// 503: the state cannot be stored, so nothing is granted.
    Unavailable,
}

impl ErrorKind {
    /// The HTTP status that an answer with this kind carries.
    pub fn http_status(self) -> u16 {
        match self {
            ErrorKind::Malformed => 400,
            ErrorKind::Forbidden => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::Conflict => 409,
            ErrorKind::Unavailable => 503,
        }
    }
}

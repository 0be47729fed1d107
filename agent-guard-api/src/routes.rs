//! Where things are on the control socket: one place for the daemon, which parses targets, and the clients, which write them.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`](crate::status::Status) |
//! | `GET /v1/holds` | array of [`HoldView`](crate::HoldView): the open ones; with `?all=1` every one that is kept |
//! | `GET /v1/holds/{id}` | [`HoldView`](crate::HoldView) |
//! | `POST /v1/actions` | body [`Action`](crate::Action) as JSON; answer [`Outcome`](crate::Outcome) |
//! | `GET /v1/log?lines=N` | the last N [`AuditRecord`](crate::audit::AuditRecord)s, one a line ([`CONTENT_NDJSON`]), oldest first; with `&follow=1` the answer does not end |
//! | `GET /v1/doctor` | array of [`Finding`](crate::status::Finding) |
//!
//! Success is 200. Everything else is an [`ActionError`] as JSON with the status of [`ErrorKind::http_status`].
//! Without `lines` the log begins with the last [`LOG_LINES_DEFAULT`]; an empty line in it only keeps the stream alive.

use crate::{ActionError, ErrorKind};

pub const STATUS: &str = "/v1/status";
pub const HOLDS: &str = "/v1/holds";
/// A hold's id follows.
pub const HOLD_PREFIX: &str = "/v1/holds/";
pub const ACTIONS: &str = "/v1/actions";
pub const LOG: &str = "/v1/log";
pub const DOCTOR: &str = "/v1/doctor";

/// Where the daemon listens.
pub const SOCKET: &str = "/run/agent-guard/control.sock";
/// Environment variable that names another socket.
pub const SOCKET_ENV: &str = "AGENT_GUARD_SOCKET";

pub const CONTENT_JSON: &str = "application/json";
pub const CONTENT_NDJSON: &str = "application/x-ndjson";

pub const LOG_LINES_DEFAULT: u32 = 20;
/// More lines are not answered at once.
pub const LOG_LINES_MAX: u32 = 100_000;
/// A daemon needs to read no larger body of `POST /v1/actions`.
pub const ACTION_BYTES_MAX: usize = 16 * 1024;
/// Longest id that is looked up.
pub const ID_BYTES_MAX: usize = 64;

/// A request line of the control API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Status,
    Holds { all: bool },
    Hold { id: String },
    Actions,
    Log { lines: u32, follow: bool },
    Doctor,
}

impl Route {
    /// The HTTP method of this route; there is one for each.
    pub fn method(&self) -> &'static str {
        match self {
            Route::Actions => "POST",
            Route::Status | Route::Holds { .. } | Route::Hold { .. } | Route::Log { .. } | Route::Doctor => {
                "GET"
            }
        }
    }

    /// The request target. [`Route::parse`] reads it back if the id is one that can exist ([`is_id`]).
    pub fn target(&self) -> String {
        match self {
            Route::Status => STATUS.to_owned(),
            Route::Holds { all: false } => HOLDS.to_owned(),
            Route::Holds { all: true } => format!("{HOLDS}?all=1"),
            Route::Hold { id } => format!("{HOLD_PREFIX}{id}"),
            Route::Actions => ACTIONS.to_owned(),
            Route::Log { lines, follow: false } => format!("{LOG}?lines={lines}"),
            Route::Log { lines, follow: true } => format!("{LOG}?lines={lines}&follow=1"),
            Route::Doctor => DOCTOR.to_owned(),
        }
    }

    /// Reads a request line. Unknown parameters are refused, so that a misspelt one is not ignored.
    pub fn parse(method: &str, target: &str) -> Result<Self, ActionError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let route = match path {
            STATUS => none(query, Route::Status)?,
            HOLDS => Route::Holds { all: holds_query(query)? },
            ACTIONS => none(query, Route::Actions)?,
            LOG => log_query(query)?,
            DOCTOR => none(query, Route::Doctor)?,
            _ => match path.strip_prefix(HOLD_PREFIX) {
                Some(id) if is_id(id) => none(query, Route::Hold { id: id.to_owned() })?,
                Some(_) => {
                    return Err(error(ErrorKind::NotFound, "no hold can have this id; ids look like h42"));
                }
                None => {
                    return Err(error(ErrorKind::NotFound, "no such route; see agent-guard-api, routes.rs"));
                }
            },
        };
        if method != route.method() {
            let wanted = route.method();
            return Err(error(
                ErrorKind::Malformed,
                &format!("this route is asked with {wanted} and no other method"),
            ));
        }
        Ok(route)
    }
}

/// True if a hold may have this id: ASCII letters, digits, `-` and `_`. Others need not be sent to the daemon.
pub fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= ID_BYTES_MAX
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn none(query: &str, route: Route) -> Result<Route, ActionError> {
    if query.is_empty() { Ok(route) } else { Err(unknown_parameter("none")) }
}

fn holds_query(query: &str) -> Result<bool, ActionError> {
    let mut all = false;
    for (name, value) in parameters(query) {
        match name {
            "all" => all = switch(value)?,
            _ => return Err(unknown_parameter("all")),
        }
    }
    Ok(all)
}

fn log_query(query: &str) -> Result<Route, ActionError> {
    let (mut lines, mut follow) = (LOG_LINES_DEFAULT, false);
    for (name, value) in parameters(query) {
        match name {
            "lines" => lines = number(value)?,
            "follow" => follow = switch(value)?,
            _ => return Err(unknown_parameter("lines, follow")),
        }
    }
    Ok(Route::Log { lines, follow })
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
}

fn switch(value: &str) -> Result<bool, ActionError> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(error(ErrorKind::Malformed, "all and follow are 1 or 0")),
    }
}

fn number(value: &str) -> Result<u32, ActionError> {
    match value.parse() {
        Ok(lines) if lines <= LOG_LINES_MAX => Ok(lines),
        _ => Err(error(ErrorKind::Malformed, &format!("lines is a number from 0 to {LOG_LINES_MAX}"))),
    }
}

fn unknown_parameter(known: &str) -> ActionError {
    error(ErrorKind::Malformed, &format!("unknown parameter; this route has: {known}"))
}

fn error(kind: ErrorKind, message: &str) -> ActionError {
    ActionError { kind, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_route() -> impl Strategy<Value = Route> {
        prop_oneof![
            Just(Route::Status),
            any::<bool>().prop_map(|all| Route::Holds { all }),
            "[A-Za-z0-9_-]{1,64}".prop_map(|id| Route::Hold { id }),
            Just(Route::Actions),
            (0..=LOG_LINES_MAX, any::<bool>()).prop_map(|(lines, follow)| Route::Log { lines, follow }),
            Just(Route::Doctor),
        ]
    }

    proptest! {
        #[test]
        fn what_a_client_writes_the_daemon_reads(route in any_route()) {
            prop_assert_eq!(Route::parse(route.method(), &route.target()), Ok(route));
        }

        #[test]
        fn any_target_gets_an_answer(method in ".{0,8}", target in "(/v1/)?.{0,80}") {
            if let Ok(route) = Route::parse(&method, &target) {
                prop_assert_eq!(method, route.method());
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        let kind = |method, target| Route::parse(method, target).expect_err(target).kind;
        assert_eq!(kind("GET", "/v1/nothing"), ErrorKind::NotFound);
        assert_eq!(kind("GET", "/v1/holds/"), ErrorKind::NotFound);
        assert_eq!(kind("GET", "/v1/holds/../status"), ErrorKind::NotFound);
        assert_eq!(kind("POST", "/v1/status"), ErrorKind::Malformed);
        assert_eq!(kind("GET", "/v1/actions"), ErrorKind::Malformed);
        assert_eq!(kind("GET", "/v1/holds?al=1"), ErrorKind::Malformed);
        assert_eq!(kind("GET", "/v1/log?lines=100001"), ErrorKind::Malformed);
        assert_eq!(kind("GET", "/v1/log?follow=yes"), ErrorKind::Malformed);
        assert_eq!(kind("GET", "/v1/doctor?x"), ErrorKind::Malformed);
    }

    #[test]
    fn parameters_may_be_left_out() {
        let log = Route::parse("GET", "/v1/log").expect("log");
        assert_eq!(log, Route::Log { lines: LOG_LINES_DEFAULT, follow: false });
        let holds = Route::parse("GET", "/v1/holds?all=0").expect("holds");
        assert_eq!(holds, Route::Holds { all: false });
    }
}

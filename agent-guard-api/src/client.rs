//! A blocking client for the control socket: HTTP/1.1, one connection for each request.
//!
//! The daemon is the only server it ever speaks to, so it supports what that needs and nothing else; but what comes
//! back is bounded in size and time, because a hung daemon must not hang the person who asks what is wrong.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use crate::{
    Action, ActionError, HoldView, Outcome,
    routes::{CONTENT_JSON, Route, is_id},
    status::{Finding, Status},
};

mod error;
mod log;
mod response;

use self::response::Response;
pub use self::{error::ClientError, log::LogStream};

/// Asks the daemon behind one socket.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
    timeout: Duration,
}

impl Client {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), timeout: TIMEOUT }
    }

    /// Another limit for one whole exchange than [`TIMEOUT`]. A followed log is not limited.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn status(&self) -> Result<Status, ClientError> {
        self.ask(&Route::Status)
    }

    /// The open holds; with `all` also those that are decided.
    pub fn holds(&self, all: bool) -> Result<Vec<HoldView>, ClientError> {
        self.ask(&Route::Holds { all })
    }

    pub fn hold(&self, id: &str) -> Result<HoldView, ClientError> {
        if !is_id(id) {
            return Err(ClientError::impossible_id(id));
        }
        self.ask(&Route::Hold { id: id.to_owned() })
    }

    pub fn doctor(&self) -> Result<Vec<Finding>, ClientError> {
        self.ask(&Route::Doctor)
    }

    pub fn act(&self, action: &Action) -> Result<Outcome, ClientError> {
        let body = serde_json::to_vec(action)
            .map_err(|source| ClientError::unreadable(format!("the action cannot be written: {source}")))?;
        let deadline = Instant::now() + self.timeout;
        read_json(self.send(&Route::Actions, &body, deadline)?)
    }

    /// The last `lines` audit records, oldest first; with `follow` the iterator goes on as new ones are written.
    pub fn log(&self, lines: u32, follow: bool) -> Result<LogStream, ClientError> {
        let deadline = Instant::now() + self.timeout;
        let mut response = success(self.send(&Route::Log { lines, follow }, &[], deadline)?)?;
        if follow {
            response.body.wait_without_limit()?;
        }
        Ok(LogStream::new(response.body))
    }

    fn ask<T: DeserializeOwned>(&self, route: &Route) -> Result<T, ClientError> {
        read_json(self.send(route, &[], Instant::now() + self.timeout)?)
    }

    fn send(&self, route: &Route, body: &[u8], deadline: Instant) -> Result<Response, ClientError> {
        let mut stream =
            UnixStream::connect(&self.path).map_err(|source| ClientError::connect(&self.path, source))?;
        stream.set_write_timeout(Some(self.timeout)).map_err(ClientError::io)?;
        let mut request = head(route, body.len()).into_bytes();
        request.extend_from_slice(body);
        // The daemon may refuse and close before it has read everything; its answer says why, so read that first.
        let sent = stream.write_all(&request);
        match (Response::read(stream, deadline), sent) {
            (Ok(response), _) => Ok(response),
            (Err(_), Err(source)) => Err(ClientError::io(source)),
            (Err(error), Ok(())) => Err(error),
        }
    }
}

fn head(route: &Route, length: usize) -> String {
    let (method, target) = (route.method(), route.target());
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: agent-guard\r\nConnection: close\r\n");
    if length > 0 {
        head.push_str(&format!("Content-Type: {CONTENT_JSON}\r\nContent-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head
}

/// A response with status 200; any other becomes the error that it carries.
fn success(response: Response) -> Result<Response, ClientError> {
    if response.status == 200 {
        return Ok(response);
    }
    let status = response.status;
    let body = response.body.read_all(ERROR_BYTES_MAX)?;
    let error: ActionError = serde_json::from_slice(&body).map_err(|source| {
        ClientError::unreadable(format!("HTTP status {status} without a readable reason: {source}"))
    })?;
    if error.kind.http_status() != status {
        return Err(ClientError::unreadable(format!(
            "HTTP status {status} does not fit its reason {:?}",
            error.kind
        )));
    }
    Err(ClientError::Refused(error))
}

fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let body = success(response)?.body.read_all(ANSWER_BYTES_MAX)?;
    serde_json::from_slice(&body).map_err(|source| ClientError::unreadable(source.to_string()))
}

/// Limit for one whole exchange. Approving may wait for the daemon's disk.
pub const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 << 20;
const ERROR_BYTES_MAX: usize = 64 << 10;

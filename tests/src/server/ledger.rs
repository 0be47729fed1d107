//! Everything the server received, with a condition variable so that tests wait for bytes and not for time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Plaintext kept per connection; beyond it bytes are only counted.
const PLAIN_LIMIT: usize = 64 << 20;
/// Body bytes kept per request; the hash covers all of them.
const BODY_LIMIT: usize = 64 << 10;

/// One request that arrived whole.
#[derive(Clone, Debug)]
pub struct Request {
    /// Index into [`State::connections`].
    pub connection: usize,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body_bytes: u64,
    /// Hex SHA-256 of the whole body.
    pub body_sha256: String,
    /// The first 64 KiB of the body.
    pub body: Vec<u8>,
}

/// One connection, in the order of acceptance.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// TCP payload bytes received, handshake and record framing included.
    pub raw_bytes: u64,
    /// Decrypted bytes received.
    pub plain_bytes: u64,
    /// The decrypted bytes themselves, up to 64 MiB.
    pub plain: Vec<u8>,
    /// Why it ended; none while it is open.
    pub end: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct State {
    pub connections: Vec<Connection>,
    pub requests: Vec<Request>,
}

impl State {
    /// How many whole requests with this method and target arrived.
    pub fn delivered(&self, method: &str, target: &str) -> usize {
        self.requests.iter().filter(|request| request.method == method && request.target == target).count()
    }

    /// How many whole requests with this method arrived.
    pub fn with_method(&self, method: &str) -> usize {
        self.requests.iter().filter(|request| request.method == method).count()
    }

    /// TCP payload bytes received on all connections.
    pub fn raw_bytes(&self) -> u64 {
        self.connections.iter().map(|connection| connection.raw_bytes).sum()
    }

    /// Decrypted bytes received on all connections.
    pub fn plain_bytes(&self) -> u64 {
        self.connections.iter().map(|connection| connection.plain_bytes).sum()
    }

    /// True when any connection's plaintext, whole request or not, has `needle` in it.
    pub fn saw(&self, needle: &str) -> bool {
        let needle = needle.as_bytes();
        self.connections
            .iter()
            .any(|connection| connection.plain.windows(needle.len()).any(|part| part == needle))
    }
}

/// The shared record of one server.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
}

impl Ledger {
    /// Looks at the record as it is now.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Waits until `look` finds something; an error after `deadline` names `what` and what there is instead.
    pub fn wait<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut look: impl FnMut(&State) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + deadline;
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&state) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("the server did not see {what} within {deadline:?}; it saw {}", summary(&state));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for `count` whole requests with this method and target.
    pub fn wait_delivered(&self, method: &str, target: &str, count: usize) -> Result<()> {
        let what = format!("{count} x {method} {target}");
        self.wait(&what, crate::DEADLINE, |state| (state.delivered(method, target) >= count).then_some(()))
    }

    /// Watches for `window` and fails as soon as one more decrypted byte arrives on any connection; then for half as
    /// long again, in which not one byte of TCP payload may arrive either (the tail of a handshake may still be under
    /// way at first). This is an observation, not a wait for something to settle: what is asserted is that nothing comes.
    pub fn silent(&self, window: Duration) -> Result<()> {
        self.unchanged("decrypted", window, State::plain_bytes)?;
        self.unchanged("raw", window / 2, State::raw_bytes)
    }

    /// The same for decrypted bytes only: handshakes may go on.
    pub fn silent_plain(&self, window: Duration) -> Result<()> {
        self.unchanged("decrypted", window, State::plain_bytes)
    }

    fn unchanged(&self, kind: &str, window: Duration, count: impl Fn(&State) -> u64) -> Result<()> {
        let end = Instant::now() + window;
        let mut state = self.lock();
        let baseline = count(&state);
        loop {
            let now = count(&state);
            if now != baseline {
                bail!(
                    "{} {kind} bytes arrived that should not have; the server saw {}",
                    now - baseline,
                    summary(&state)
                );
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn opened(&self) -> usize {
        let mut state = self.lock();
        state.connections.push(Connection::default());
        self.changed.notify_all();
        state.connections.len() - 1
    }

    pub(super) fn received_raw(&self, connection: usize, bytes: usize) {
        self.change(|state| state.connections[connection].raw_bytes += bytes as u64);
    }

    pub(super) fn received_plain(&self, connection: usize, bytes: &[u8]) {
        self.change(|state| {
            let connection = &mut state.connections[connection];
            connection.plain_bytes += bytes.len() as u64;
            let room = PLAIN_LIMIT.saturating_sub(connection.plain.len()).min(bytes.len());
            connection.plain.extend_from_slice(&bytes[..room]);
        });
    }

    pub(super) fn received_request(&self, mut request: Request) {
        request.body.truncate(BODY_LIMIT);
        self.change(|state| state.requests.push(request));
    }

    pub(super) fn ended(&self, connection: usize, why: String) {
        self.change(|state| state.connections[connection].end = Some(why));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last requests and the sums, for messages.
fn summary(state: &State) -> String {
    let last: Vec<String> = state
        .requests
        .iter()
        .rev()
        .take(8)
        .map(|request| format!("{} {}", request.method, request.target))
        .collect();
    format!(
        "{} connections, {} bytes, {} requests, the last first: {}",
        state.connections.len(),
        state.raw_bytes(),
        state.requests.len(),
        if last.is_empty() { "none".to_owned() } else { last.join(", ") }
    )
}

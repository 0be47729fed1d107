//! Sockets that wait: duplicated when their hold starts, kept alive, watched for the client's close.

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use super::{destroy, duplicate};

/// A window probe is due this often, or twice within the application's own TCP_USER_TIMEOUT. TCP gives a connection up
/// after unanswered probes, at `tcp_retries2 = 5` after 13 s.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// However short the application's timeout is.
const PROBE_SELDOM_MORE: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Waiting {
    socket: OwnedFd,
    was_corked: bool,
    every: Duration,
    next_probe: Instant,
}

/// Duplicates of held sockets.
#[derive(Debug, Default)]
pub struct WaitingSockets {
    sockets: HashMap<u64, Waiting>,
}

impl WaitingSockets {
    /// Starts the wait of a socket, of which `socket` is a duplicate.
    ///
    /// # Errors
    /// It cannot be corked. The gate holds all the same; only keeping alive, nudging and a clean denial suffer.
    pub fn begin(&mut self, cookie: u64, socket: OwnedFd, now: Instant) -> io::Result<()> {
        let was_corked = duplicate::cork(&socket)?;
        let every = match duplicate::user_timeout(&socket) {
            0 => PROBE_EVERY,
            timeout => PROBE_EVERY.min(Duration::from_millis(u64::from(timeout) / 2)).max(PROBE_SELDOM_MORE),
        };
        self.sockets.insert(cookie, Waiting { socket, was_corked, every, next_probe: now + every });
        Ok(())
    }

    #[must_use]
    pub fn is_waiting(&self, cookie: u64) -> bool {
        self.sockets.contains_key(&cookie)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Cookies of all that wait.
    pub fn cookies(&self) -> Vec<u64> {
        self.sockets.keys().copied().collect()
    }

    /// Ends the wait: what is queued leaves now, and the socket is corked as the application had it.
    /// False if it did not wait.
    pub fn release(&mut self, cookie: u64) -> bool {
        let Some(waiting) = self.sockets.remove(&cookie) else { return false };
        if let Err(error) = duplicate::nudge(&waiting.socket) {
            tracing::warn!(cookie, %error, "a released socket could not be nudged; TCP's own timer sends it");
        }
        if waiting.was_corked
            && let Err(error) = duplicate::cork(&waiting.socket)
        {
            tracing::warn!(cookie, %error, "a released socket could not be corked as the application had it");
        }
        true
    }

    /// Ends the wait by breaking the connection. `None` if it did not wait.
    pub fn destroy(&mut self, cookie: u64) -> Option<io::Result<()>> {
        let destroyed = destroy::destroy(&self.sockets.get(&cookie)?.socket, cookie);
        if destroyed.is_ok() {
            self.sockets.remove(&cookie);
        }
        Some(destroyed)
    }

    /// Forgets a socket that is closed.
    pub fn forget(&mut self, cookie: u64) {
        self.sockets.remove(&cookie);
    }

    /// Keeps alive what is due.
    pub fn keep_alive(&mut self, now: Instant) {
        for (cookie, waiting) in &mut self.sockets {
            if waiting.next_probe <= now {
                waiting.next_probe = now + waiting.every;
                if let Err(error) = duplicate::probe_window(&waiting.socket) {
                    tracing::debug!(cookie, %error, "a held socket could not be kept alive");
                }
            }
        }
    }

    /// When [`Self::keep_alive`] is due next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.sockets.values().map(|waiting| waiting.next_probe).min()
    }
}

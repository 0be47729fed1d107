//! What a child prints, kept whole and handed out line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// One stream of a child.
#[derive(Debug)]
pub(super) struct Output {
    shared: Arc<Shared>,
    /// Lines before this one were handed out or passed over.
    next: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Printed {
    lines: Vec<String>,
    ended: bool,
}

impl Output {
    pub(super) fn collect(stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                writer.change(|printed| printed.lines.push(text));
                line.clear();
            }
            writer.change(|printed| printed.ended = true);
        });
        Self { shared, next: 0 }
    }

    pub(super) fn line(&mut self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let end = Instant::now() + deadline;
        let mut printed = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            while let Some(line) = printed.lines.get(self.next) {
                self.next += 1;
                if wanted(line) {
                    return Ok(line.clone());
                }
            }
            if printed.ended {
                bail!("the stream ended without the awaited line");
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("the awaited line did not come within {deadline:?}");
            }
            printed =
                self.shared.changed.wait_timeout(printed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn wait_end(&self, until: Instant) {
        let mut printed = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !printed.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            printed =
                self.shared.changed.wait_timeout(printed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn text(&self) -> String {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).lines.join("\n")
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Printed)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

//! The half with privileges: one loop over the event ring, people's requests and time.
//!
//! It turns events into [`Report`]s for the judge and executes the [`Command`]s that come back. It never decides.

mod barrier;
mod commands;
mod events;
mod people;
mod processes;
mod rules;
mod start;
mod stopped;
mod sweep;

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    api::ApiRequest,
    audit::Audit,
    enforce::{duplicate::Duplicates, waiting::WaitingSockets},
    ingest::assemble::Assembler,
    judge::Judge,
    kernel::{maps::Maps, pins::Pins, probes::Judged, ring::Ring},
    report::Report,
    settings::Settings,
};
use barrier::{Scan, Scanned};
use processes::Processes;
use stopped::Stopped;

pub use start::{Config, StartError, Started, start};

/// How often gates are compared with what is known, and clients of holds looked after.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// See the module's documentation.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Guard {
    maps: Maps,
    ring: Ring,
    pins: Pins,
    settings: Settings,
    cgroup_root: PathBuf,
    /// Names of agents by their index in the kernel half.
    agents: Vec<String>,
    judge: Judge,
    audit: Audit,
    assembler: Assembler,
    duplicates: Duplicates,
    waiting: WaitingSockets,
    processes: Processes,
    stopped: Stopped,
    judged_files: Arc<Mutex<Judged>>,
    scans: mpsc::Sender<Scan>,
    scanned: mpsc::Receiver<Scanned>,
    /// ClientHellos whose process is being scanned.
    held_hellos: Vec<barrier::HeldHello>,
    /// Connections that were to be broken and are not yet.
    broken: HashSet<u64>,
    /// How often the ring was found empty.
    drains: u64,
    addresses: HashMap<u64, String>,
    requests: tokio::sync::mpsc::Receiver<ApiRequest>,
    wake: OwnedFd,
    /// Gates above what is known, with `drains` when they were seen first.
    suspects: HashMap<(u64, u64), u64>,
    losses: u64,
    next_sweep: Instant,
    next_session: u64,
    started_ms: u64,
    opaque_refused: u64,
    findings: Vec<String>,
    ending: Option<Ending>,
}

/// How the loop ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything stays as it is pinned: holds, gates, stopped processes.
    Leave,
    /// What is held is refused, probes and pins are removed.
    Remove { reason: String },
}

impl Guard {
    /// Runs until somebody asks it to end. `signals` becomes readable when the process is told to.
    ///
    /// # Errors
    /// The loop cannot wait for events any more; pins and holds stay.
    pub fn run(mut self, signals: impl AsFd, on_signal: &Ending) -> io::Result<()> {
        while self.ending.is_none() {
            if self.wait(signals.as_fd())? {
                self.ending = Some(on_signal.clone());
            }
            self.take_events();
            self.take_scanned();
            self.take_requests();
            self.on_time();
        }
        if let Some(Ending::Remove { reason }) = self.ending.take() {
            self.remove(&reason);
        }
        Ok(())
    }

    /// Waits for an event, a request, a signal or the next deadline. True: the signal.
    fn wait(&mut self, signals: std::os::fd::BorrowedFd<'_>) -> io::Result<bool> {
        let timeout = self.until_next_deadline();
        let spec = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let ring = self.ring.as_fd();
        let mut ready = [
            PollFd::new(&ring, PollFlags::IN),
            PollFd::new(&self.wake, PollFlags::IN),
            PollFd::new(&signals, PollFlags::IN),
        ];
        match poll(&mut ready, Some(&spec)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let [_, woken, signalled] = ready.map(|fd| fd.revents().contains(PollFlags::IN));
        if woken {
            let mut count = [0; 8];
            // Only to empty it; what it announces is looked for in any case.
            let _emptied = rustix::io::read(&self.wake, &mut count[..]);
        }
        Ok(signalled)
    }

    fn until_next_deadline(&self) -> Duration {
        let now = Instant::now();
        let mut next = self.next_sweep.saturating_duration_since(now);
        if let Some(due) = self.waiting.next_due() {
            next = next.min(due.saturating_duration_since(now));
        }
        if !self.stopped.is_empty() {
            next = next.min(stopped::LOOK_EVERY);
        }
        if let Some(deadline) = self.judge.next_deadline() {
            next = next.min(Duration::from_millis(deadline.0.saturating_sub(crate::judge::now().0)));
        }
        next
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        self.waiting.keep_alive(now);
        self.keep_stopped();
        if self.judge.next_deadline().is_some_and(|deadline| deadline <= crate::judge::now()) {
            let commands = self.judge.tick();
            self.execute(commands);
        }
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_EVERY;
            self.sweep();
        }
    }

    fn report(&mut self, mut report: Report) {
        // A connection that an earlier daemon left between two requests goes on behind what it let go.
        if let Some((origin, cookie)) = report.source()
            && self.judge.highest(cookie) == 0
            && let Some(words) = self.maps.released(cookie)
            && words.in_step != 0
            && words.in_step == words.released
        {
            origin.released = words.released;
        }
        let commands = self.judge.on(report);
        self.execute(commands);
    }

    fn agent_name(&self, index: u32) -> String {
        self.agents
            .get(index as usize)
            .cloned()
            .unwrap_or_else(|| format!("agent {index} (not in the settings)"))
    }
}

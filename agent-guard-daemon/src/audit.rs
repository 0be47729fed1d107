//! Where every verdict and every loss goes: journald, a JSON-lines file, and the last records in memory.
//!
//! Whoever records must never wait for a disk or for journald, so records go through a bounded channel to a thread of
//! its own. What does not fit is counted, and the count becomes a record itself: nothing disappears silently. Delivery
//! is at least once and in order; after a crash while a spool is being delivered, some records may appear twice.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use agent_guard_api::audit::{AUDIT_VERSION, AuditKind, AuditRecord};
use agent_guard_core::effect::AuditEntry;
use tokio::sync::broadcast;

use crate::settings::AuditSettings;

pub mod journald;
pub mod jsonl;
pub mod outlet;
pub mod spool;

use journald::Journald;
use jsonl::JsonLines;
use outlet::Outlet;
use spool::Spool;

/// Takes records; cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    shared: Arc<Shared>,
    channel: SyncSender<Message>,
}

#[derive(Debug)]
struct Shared {
    /// Records that found the channel full and are not reported yet.
    lost: AtomicU64,
    recent: Mutex<VecDeque<Arc<AuditRecord>>>,
    follow: broadcast::Sender<Arc<AuditRecord>>,
}

enum Message {
    Record(Arc<AuditRecord>),
    /// Answered when everything before it was handed to the outlets.
    Flush(SyncSender<()>),
    End,
}

/// The thread that writes. Dropping it without [`AuditThread::finish`] leaves the thread running.
#[derive(Debug)]
pub struct AuditThread {
    channel: SyncSender<Message>,
    thread: JoinHandle<()>,
}

impl Audit {
    /// Opens the outlets of `settings` and starts the writing thread. `state_dir` must exist.
    pub fn start(settings: &AuditSettings, state_dir: PathBuf) -> Result<(Audit, AuditThread), AuditError> {
        let mut outlets = Vec::new();
        let journald = settings.journald && journald::is_here();
        if journald {
            let path = state_dir.join("audit-spool.jsonl");
            let spool = Spool::open(&path).map_err(|source| AuditError::Open { path, source })?;
            outlets.push(Outlet::new(Box::new(Journald::new(journald::SOCKET.into())), Some(spool)));
        }
        let file = settings.file.clone().or_else(|| (!journald).then(|| state_dir.join("audit.jsonl")));
        if let Some(path) = file {
            let file = JsonLines::open(path.clone()).map_err(|source| AuditError::Open { path, source })?;
            outlets.push(Outlet::new(Box::new(file), None));
        }
        Self::start_with(outlets)
    }

    /// Starts with outlets of the caller's.
    pub fn start_with(outlets: Vec<Outlet>) -> Result<(Audit, AuditThread), AuditError> {
        let (channel, receiver) = sync_channel(CHANNEL);
        let shared = Arc::new(Shared {
            lost: AtomicU64::new(0),
            recent: Mutex::new(VecDeque::with_capacity(RECENT)),
            follow: broadcast::channel(FOLLOW).0,
        });
        let writer = Writer { shared: Arc::clone(&shared), outlets };
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|source| AuditError::Thread { source })?;
        Ok((Audit { shared, channel: channel.clone() }, AuditThread { channel, thread }))
    }

    /// Records what the engine decided, with the time of now.
    pub fn entry(&self, entry: AuditEntry) {
        let AuditEntry { kind, message, agent, session, pid, hold, person, request, rule, why } = entry;
        let (version, at_ms, count) = (AUDIT_VERSION, now_ms(), None);
        self.record(AuditRecord {
            version,
            at_ms,
            kind,
            message,
            agent,
            session,
            pid,
            hold,
            person,
            request,
            rule,
            why,
            count,
        });
    }

    /// Records. Never waits; what cannot be taken is counted and reported as a loss.
    pub fn record(&self, record: AuditRecord) {
        match self.channel.try_send(Message::Record(Arc::new(record))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Records a sentence without a request, e.g. that the daemon started.
    pub fn note(&self, kind: AuditKind, message: String) {
        self.record(plain(kind, message));
    }

    /// The last `lines` records, oldest first; at most 2,000 are kept.
    pub fn recent(&self, lines: usize) -> Vec<Arc<AuditRecord>> {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().skip(recent.len().saturating_sub(lines)).cloned().collect()
    }

    /// The last `lines` records and every later one, without a gap or a double between the two.
    pub fn follow(&self, lines: usize) -> (Vec<Arc<AuditRecord>>, broadcast::Receiver<Arc<AuditRecord>>) {
        // The writer publishes while it holds this lock, so no record is on both sides or on none.
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let follow = self.shared.follow.subscribe();
        (recent.iter().skip(recent.len().saturating_sub(lines)).cloned().collect(), follow)
    }

    /// Records that were not taken and are not reported yet.
    pub fn unreported_losses(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits until everything recorded so far was handed to the outlets.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.channel.send(Message::Flush(done)).is_ok() {
            // The writer ends only after the channel is drained; an error means that it has.
            wait.recv().unwrap_or_default();
        }
    }
}

impl AuditThread {
    /// Writes what is queued and ends the thread.
    pub fn finish(self) {
        if self.channel.send(Message::End).is_ok() && self.thread.join().is_err() {
            tracing::error!(
                "the audit thread panicked; records may be missing, see the journal of the daemon"
            );
        }
    }
}

/// Why the audit cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("cannot open the audit file {}: {source}; correct [audit] file or make its directory writable for root", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot start the audit thread: {source}; raise the limit on threads (TasksMax=) of the service")]
    Thread { source: io::Error },
}

struct Writer {
    shared: Arc<Shared>,
    outlets: Vec<Outlet>,
}

impl Writer {
    fn run(mut self, channel: &Receiver<Message>) {
        let mut retried = Instant::now();
        loop {
            if retried.elapsed() >= RETRY {
                self.outlets.iter_mut().for_each(Outlet::retry);
                self.report_losses();
                retried = Instant::now();
            }
            match channel.recv_timeout(RETRY) {
                Ok(Message::Record(record)) => {
                    self.report_losses();
                    self.write(record);
                }
                Ok(Message::Flush(done)) => {
                    self.report_losses();
                    // Whoever asked may have gone away; nothing depends on the answer.
                    done.try_send(()).unwrap_or_default();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.outlets.iter_mut().for_each(Outlet::retry);
        self.report_losses();
    }

    fn report_losses(&mut self) {
        let outlets: u64 = self.outlets.iter_mut().map(Outlet::take_losses).sum();
        let channel = self.shared.lost.swap(0, Ordering::Relaxed);
        let count = outlets + channel;
        if count > 0 {
            let message = format!(
                "{count} audit records were lost: {channel} came faster than they could be written, {outlets} found \
                 neither journald nor room on the disk"
            );
            self.write(Arc::new(AuditRecord { count: Some(count), ..plain(AuditKind::Loss, message) }));
        }
    }

    fn write(&mut self, record: Arc<AuditRecord>) {
        for outlet in &mut self.outlets {
            outlet.write(&record);
        }
        let mut recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&record));
        // An error means that nobody follows.
        self.shared.follow.send(record).unwrap_or_default();
    }
}

fn plain(kind: AuditKind, message: String) -> AuditRecord {
    AuditRecord {
        version: AUDIT_VERSION,
        at_ms: now_ms(),
        kind,
        message,
        agent: None,
        session: None,
        pid: None,
        hold: None,
        person: None,
        request: None,
        rule: None,
        why: None,
        count: None,
    }
}

/// Milliseconds since the Unix epoch; 0 with a clock before it.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Records that wait for the writing thread; about 8 MiB of usual ones.
const CHANNEL: usize = 8192;

/// Records kept for `log`.
const RECENT: usize = 2000;

/// Records that a slow follower may lag behind before it is told how many it missed.
const FOLLOW: usize = 1024;

/// How often an outlet that is away is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;

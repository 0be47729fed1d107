//! The control socket: HTTP and JSON for anybody on this host, answered by who is asking.
//!
//! The socket's mode is 0666 because rights follow from the peer's credentials, not from who can open a file; so
//! everything here is bounded against callers who mean harm: connections in all and of one uid, sizes, times. This side
//! needs no capability and decides nothing: it identifies the caller, then asks the judge over a channel of values.
//!
//! One request a connection: a caller's identity is looked up once for what it asks, and no idle connection keeps a
//! place that an approval needs.

use std::{
    collections::BTreeMap,
    fmt, io,
    os::unix::net::UnixListener,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use agent_guard_api::status::Finding;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    audit::Audit,
    people::{HostAccounts, People},
};

mod answer;
mod channel;
mod listen;
mod peer;
mod refusals;
mod serve;
mod stream;

pub use channel::{ApiRequest, JudgeGone, JudgeLink, PeerIdentity};
pub use listen::{ListenError, bind};
pub use peer::{Peer, PeerError};

use serve::Call;
use stream::PeerStream;

/// What the API answers from.
pub struct Services {
    pub judge: JudgeLink,
    pub people: People<HostAccounts>,
    pub audit: Audit,
    /// The preflight, run again for every `doctor`.
    pub doctor: Box<dyn Fn() -> Vec<Finding> + Send + Sync>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("people", &self.people).finish_non_exhaustive()
    }
}

/// The thread that serves; [`ApiThread::stop`] ends it.
#[derive(Debug)]
pub struct ApiThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl ApiThread {
    /// Serves `listener` (ours from [`bind`], or one that systemd handed over) on a thread of its own.
    pub fn start(listener: UnixListener, services: Services) -> io::Result<Self> {
        listen::prepare(&listener)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(LOOKUPS)
            .thread_name("api")
            .enable_all()
            .build()?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::UnixListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let server = Arc::new(Server {
            services: Arc::new(services),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            follows: Arc::new(Semaphore::new(FOLLOWS)),
            by_uid: Arc::default(),
            refusals: refusals::Refusals::default(),
            doctor: tokio::sync::Mutex::new(()),
        });
        let thread = std::thread::Builder::new().name("api".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, server) => {}
                    // An error means that the handle was dropped, which ends us as well.
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(DRAIN);
        })?;
        Ok(ApiThread { stop, thread })
    }

    /// Ends the thread; requests in progress have half a second.
    pub fn stop(self) {
        // Not received: the thread has ended already.
        self.stop.send(()).unwrap_or_default();
        if self.thread.join().is_err() {
            tracing::error!("the API thread panicked");
        }
    }
}

struct Server {
    services: Arc<Services>,
    places: Arc<Semaphore>,
    /// Log streams that do not end.
    follows: Arc<Semaphore>,
    by_uid: Arc<Mutex<BTreeMap<u32, usize>>>,
    refusals: refusals::Refusals,
    /// One check of the host at a time.
    doctor: tokio::sync::Mutex<()>,
}

async fn accept(listener: tokio::net::UnixListener, server: Arc<Server>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors or memory: what is open will end.
                tracing::warn!("cannot accept a connection on the control socket: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let uid = match stream.peer_cred() {
            Ok(cred) => cred.uid(),
            Err(_) => continue,
        };
        match Place::take(&server, uid) {
            Some(place) => {
                let server = Arc::clone(&server);
                tokio::spawn(async move { connection(stream, server, place).await });
            }
            None => answer::refuse_busy(&stream),
        }
    }
}

async fn connection(stream: tokio::net::UnixStream, server: Arc<Server>, place: Place) {
    let peer = match Peer::of(&stream) {
        Ok(peer) => Ok(Arc::new(peer)),
        Err(error) => Err(error.to_string()),
    };
    let pid = peer.as_ref().map_or(0, |peer| peer.cred.pid);
    let (stream, senders) = PeerStream::new(stream, pid);
    let place = Arc::new(place);
    let kept = Arc::clone(&place);
    let service = service_fn(move |request| {
        let call = Call {
            server: Arc::clone(&server),
            peer: peer.clone(),
            senders: Arc::clone(&senders),
            place: Arc::clone(&place),
        };
        async move { Ok::<_, std::convert::Infallible>(call.answer(request).await) }
    });
    let serving = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(READ)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                tracing::debug!("a connection on the control socket ended early: {error}");
            }
        }
        () = kept.overdue() => tracing::debug!("a caller did not take its answer and was let go"),
    }
}

/// One of the connections that may be open, and one of those of its uid.
struct Place {
    uid: u32,
    /// The answer is a log that does not end; it has a limit of its own.
    endless: AtomicBool,
    by_uid: Arc<Mutex<BTreeMap<u32, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(server: &Server, uid: u32) -> Option<Place> {
        let permit = Arc::clone(&server.places).try_acquire_owned().ok()?;
        let mut by_uid = server.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        let open = by_uid.entry(uid).or_default();
        if *open >= CONNECTIONS_PER_UID {
            return None;
        }
        *open += 1;
        Some(Place {
            uid,
            endless: AtomicBool::new(false),
            by_uid: Arc::clone(&server.by_uid),
            _permit: permit,
        })
    }
}

impl Place {
    /// Ends when the connection has had all the time that an answer may take.
    async fn overdue(&self) {
        tokio::time::sleep(WHOLE).await;
        if self.endless.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = by_uid.get_mut(&self.uid) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                by_uid.remove(&self.uid);
            }
        }
    }
}

/// Open connections in all.
const CONNECTIONS: usize = 64;

/// Open connections of one uid, so that no agent's user can take them all.
const CONNECTIONS_PER_UID: usize = 16;

/// Log streams that do not end.
const FOLLOWS: usize = 16;

/// Threads that look accounts up or check the host; a name service that hangs keeps one busy.
const LOOKUPS: usize = 8;

/// Time to send a request's head, and its body.
const READ: Duration = Duration::from_secs(5);

/// Time for a request and the taking of its answer; longer than anything in between may wait.
const WHOLE: Duration = Duration::from_secs(90);

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const DRAIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;

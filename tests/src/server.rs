//! A TLS server that believes nothing and writes everything down: the judge of every test.
//!
//! It runs on threads of the test process (which is never an agent), optionally with its sockets in another network
//! namespace, and speaks HTTP/1.1 over TLS with certificates of the test's own authority.

mod connection;
mod http;
mod ledger;

use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::ServerConfig;

use crate::netns::NetNs;
pub use ledger::{Connection, Ledger, Request, State};

/// What the server answers to one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A whole answer.
    Body { status: u16, body: Vec<u8> },
    /// 200 with this many bytes of filler, as fast as the connection takes them.
    Stream(u64),
}

type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// How a server is to behave; the default answers every request at once and never closes.
#[derive(Clone)]
pub struct Behaviour {
    /// Close connections on which nothing arrives for this long.
    pub idle_close: Option<Duration>,
    pub handler: Handler,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { idle_close: None, handler: Arc::new(default_reply) }
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour").field("idle_close", &self.idle_close).finish_non_exhaustive()
    }
}

/// A running server; dropping it closes every connection.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    listener: Arc<TcpListener>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `bind` (port 0: any) in `namespace`, or in the test's own where there is none.
    pub fn start(
        bind: SocketAddr,
        namespace: Option<&NetNs>,
        tls: Arc<ServerConfig>,
        behaviour: Behaviour,
    ) -> Result<Self> {
        let listener = match namespace {
            Some(namespace) => namespace.within(|| TcpListener::bind(bind))?,
            None => TcpListener::bind(bind),
        };
        let listener = Arc::new(listener.with_context(|| format!("listen on {bind}"))?);
        let address = listener.local_addr()?;
        let ledger = Arc::new(Ledger::default());
        let open = Arc::new(Mutex::new(Vec::new()));
        let stopping = Arc::new(AtomicBool::new(false));
        let acceptor = {
            let (listener, ledger, open) = (Arc::clone(&listener), Arc::clone(&ledger), Arc::clone(&open));
            let stopping = Arc::clone(&stopping);
            thread::Builder::new().name("test-server".to_owned()).spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    if stopping.load(Ordering::SeqCst) {
                        break;
                    }
                    accept(stream, &ledger, &open, &tls, &behaviour);
                }
            })?
        };
        Ok(Self { address, ledger, listener, open, stopping, acceptor: Some(acceptor) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What arrived so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // On Linux this wakes accept(); the listener itself goes away with the last reference. It cannot fail on a
        // listening socket, and if it did the thread would only outlive the test.
        nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both).ok();
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            drop(stream.shutdown(Shutdown::Both));
        }
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

fn accept(
    stream: TcpStream,
    ledger: &Arc<Ledger>,
    open: &Mutex<Vec<TcpStream>>,
    tls: &Arc<ServerConfig>,
    behaviour: &Behaviour,
) {
    if let Ok(copy) = stream.try_clone() {
        open.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
    }
    let (ledger, tls, behaviour) = (Arc::clone(ledger), Arc::clone(tls), behaviour.clone());
    let id = ledger.opened();
    let serve = move || connection::serve(stream, id, &ledger, tls, &behaviour);
    drop(thread::Builder::new().name(format!("test-server-{id}")).spawn(serve));
}

/// `/stream/N` streams N bytes, `/size/N` answers N bytes, `/status/N` answers with that status, everything else `ok`.
fn default_reply(request: &Request) -> Reply {
    let number = |prefix: &str| request.target.strip_prefix(prefix).and_then(|rest| rest.parse::<u64>().ok());
    if let Some(bytes) = number("/stream/") {
        return Reply::Stream(bytes);
    }
    if let Some(bytes) = number("/size/").and_then(|bytes| usize::try_from(bytes).ok()) {
        return Reply::Body { status: 200, body: vec![b'x'; bytes] };
    }
    if let Some(status) = number("/status/").and_then(|status| u16::try_from(status).ok()) {
        return Reply::Body { status, body: Vec::new() };
    }
    Reply::Body { status: 200, body: b"ok\n".to_vec() }
}

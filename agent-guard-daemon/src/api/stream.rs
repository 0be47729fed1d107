//! A connection that notices when somebody else than the process that connected writes to it.
//!
//! A connected socket can be passed on: by fork, by SCM_RIGHTS, by sudo. The credentials of the connection stay those of
//! the process that connected, so an agent that is handed a person's connection would act as that person. The kernel
//! stamps every message with its sender (`SO_PASSCRED`); a second sender, or none, makes the connection worth nothing.

use std::{
    io,
    os::fd::AsRawFd,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::UnixStream,
};

/// What is known of the senders on a connection.
#[derive(Debug, Default)]
pub(super) struct Senders {
    foreign: AtomicBool,
}

impl Senders {
    /// True if bytes came from another process than the one that connected.
    pub(super) fn foreign(&self) -> bool {
        self.foreign.load(Ordering::Acquire)
    }
}

/// A connection whose senders are watched.
#[derive(Debug)]
pub(super) struct PeerStream {
    inner: UnixStream,
    pid: u32,
    senders: Arc<Senders>,
}

impl PeerStream {
    pub(super) fn new(inner: UnixStream, pid: u32) -> (Self, Arc<Senders>) {
        let senders = Arc::new(Senders::default());
        (PeerStream { inner, pid, senders: Arc::clone(&senders) }, senders)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // Room for the credentials alone: descriptors that somebody sends along are discarded by the kernel.
        let mut control = nix::cmsg_space!(UnixCredentials);
        let mut slices = [io::IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.inner.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
        let sender = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmCredentials(cred) => u32::try_from(cred.pid()).ok(),
            _ => None,
        });
        if message.bytes > 0 && sender != Some(self.pid) {
            self.senders.foreign.store(true, Ordering::Release);
        }
        Ok(message.bytes)
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.inner.poll_read_ready(cx))?;
            let space = buffer.initialize_unfilled();
            match self.inner.try_io(Interest::READABLE, || self.receive(space)) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

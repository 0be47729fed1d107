//! What only trying tells: kernels have these calls and policies still refuse them.

use std::{
    io::{self, Read},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::{fd::AsFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use agent_guard_api::status::Finding;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd as getfd, pidfd_open};

use super::{Destroy, error, ok, warning};

/// Breaks a loopback connection of our own, and sees whether it is broken.
pub(super) fn sock_destroy(destroy: Option<Destroy<'_>>) -> Finding {
    let Some(destroy) = destroy else {
        return warning(
            "sock_destroy",
            "not tried here",
            SOCK_DESTROY_LOST,
            "run agentguardctl doctor on the running daemon",
        );
    };
    match destroyed(destroy) {
        Ok(()) => ok("sock_destroy", "a connection of our own was destroyed"),
        Err(problem) => error(
            "sock_destroy",
            format!("destroying a connection of our own failed: {problem}"),
            SOCK_DESTROY_LOST,
            "boot a kernel with CONFIG_INET_DIAG_DESTROY=y and load the module tcp_diag",
        ),
    }
}

fn destroyed(destroy: Destroy<'_>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_read_timeout(Some(TRIAL))?;
    destroy(&client)?;
    let outcome = client.read(&mut [0]);
    drop(server);
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
        Err(error) => Err(io::Error::other(format!("the connection is still there ({error})"))),
        Ok(_) => Err(io::Error::other("the connection is still there")),
    }
}

/// Takes a duplicate of a socket out of a child of our own.
pub(super) fn pidfd_getfd() -> Finding {
    match duplicated() {
        Ok(()) => ok("pidfd_getfd", "a socket of another process could be duplicated"),
        Err(problem) => warning(
            "pidfd_getfd",
            format!("duplicating a socket of another process failed: {problem}"),
            "an approved request leaves at TCP's next retry (seconds), and a long hold may outlive its connection",
            "allow it: kernel.yama.ptrace_scope below 3, CAP_SYS_PTRACE, and pidfd_getfd in the seccomp profile",
        ),
    }
}

fn duplicated() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    // Waits for the end of its input, which is when `ours` is closed.
    let child = Command::new("cat")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn();
    let child =
        Ended(child.map_err(|error| io::Error::other(format!("cannot start cat to try it on: {error}")))?);
    let pid = i32::try_from(child.0.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let duplicate = UnixStream::from(getfd(pidfd.as_fd(), 0, PidfdGetfdFlags::empty())?);
    // Proof that it is the child's end: what is sent on it arrives at ours.
    io::Write::write_all(&mut &duplicate, b"x")?;
    ours.set_read_timeout(Some(TRIAL))?;
    let mut byte = [0];
    (&ours).read_exact(&mut byte)?;
    if byte == *b"x" { Ok(()) } else { Err(io::Error::other("another socket was duplicated")) }
}

/// A child that is ended and waited for, whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        if let Err(error) = ended {
            tracing::warn!("the child of the pidfd_getfd trial could not be ended: {error}");
        }
    }
}

const SOCK_DESTROY_LOST: &str = "a denied request cannot be broken off: it stays held until its client gives up, and so do the bytes of a client \
     that went away";

const TRIAL: Duration = Duration::from_secs(2);

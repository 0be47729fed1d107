//! Diagnostics to standard error, and signals as a file descriptor.

use std::{io, os::fd::OwnedFd};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

/// Diagnostics go to standard error; `AGENT_GUARD_LOG` chooses what (tracing-subscriber's filter syntax).
pub fn init() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("AGENT_GUARD_LOG")
        .unwrap_or_else(|_not_set| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

/// SIGINT and SIGTERM, blocked from here on (threads started later inherit that) and readable instead.
///
/// # Errors
/// As the kernel says.
pub fn signals() -> io::Result<OwnedFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set.add(Signal::SIGTERM);
    set.thread_block()?;
    let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    use std::os::fd::AsFd;
    fd.as_fd().try_clone_to_owned()
}

//! Child processes: where they are placed (user, namespaces), what they print, and when they end. Each is waited for
//! through its own pidfd and killed when its handle is dropped, or when the test dies.

mod output;

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Pid, Uid, setgid, setgroups, setuid};

use crate::netns::NetNs;
use output::Output;

/// As whom and where a process runs; the default changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// Numeric, without a passwd entry; the group has the same number, there are no others.
    pub uid: Option<u32>,
    pub netns: Option<NetNs>,
    /// Seen as `/etc/hosts` by this process and its children only (a private mount namespace).
    pub hosts: Option<PathBuf>,
}

impl Placement {
    pub fn user(uid: u32) -> Self {
        Self { uid: Some(uid), ..Self::default() }
    }

    pub fn inside(netns: &NetNs) -> Self {
        Self { netns: Some(netns.clone()), ..Self::default() }
    }

    /// Makes `command` start there.
    pub fn apply(&self, command: &mut Command) -> Result<()> {
        let Placement { uid, netns, hosts } = self.clone();
        let hosts = hosts.map(|path| CString::new(path.as_os_str().as_bytes())).transpose()?;
        let login = uid.map(|uid| uid.to_string());
        // SAFETY: between fork and exec the closure only makes system calls; what it uses is allocated beforehand, and
        // its errors carry an errno, no text.
        unsafe {
            command.pre_exec(move || {
                if let Some(netns) = &netns {
                    setns(netns.fd(), CloneFlags::CLONE_NEWNET)?;
                }
                if let Some(hosts) = &hosts {
                    private_hosts(hosts)?;
                }
                if let (Some(uid), Some(login)) = (uid, &login) {
                    own_login(login);
                    setgroups(&[])?;
                    setgid(Gid::from_raw(uid))?;
                    setuid(Uid::from_raw(uid))?;
                }
                // After setuid, which clears it: a killed test takes its processes along.
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                Ok(())
            });
        }
        Ok(())
    }
}

fn private_hosts(hosts: &CString) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, c"/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(Some(hosts.as_c_str()), c"/etc/hosts", None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(())
}

/// Makes the process look like a login of its own: people are told apart by login uid too, and all of the test's would
/// share that of whoever runs it. A kernel without audit has no such file, and then nobody has a login uid.
fn own_login(uid: &str) {
    let file = nix::fcntl::open(c"/proc/self/loginuid", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
    if let Ok(file) = file {
        nix::unistd::write(&file, uid.as_bytes()).ok();
    }
}

/// A running child with its standard streams.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pidfd: OwnedFd,
    stdin: Option<ChildStdin>,
    stdout: Output,
    stderr: Output,
}

/// How a process ended and all that it printed.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The standard output, or an error with the standard error's text when the status is not 0.
    pub fn success(self) -> Result<String> {
        if !self.status.success() {
            bail!("{}; stderr: {}; stdout: {}", self.status, self.stderr.trim(), self.stdout.trim());
        }
        Ok(self.stdout)
    }
}

impl Process {
    pub fn spawn(mut command: Command, placement: &Placement) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        placement.apply(&mut command)?;
        let name =
            Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let pidfd = pidfd_of(&child)?;
        let stdout = Output::collect(child.stdout.take().context("no stdout")?);
        let stderr = Output::collect(child.stderr.take().context("no stderr")?);
        let stdin = child.stdin.take();
        Ok(Self { name, child, pidfd, stdin, stdout, stderr })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes one line to its standard input.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().with_context(|| format!("{}'s stdin is closed", self.name))?;
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).with_context(|| format!("tell {}", self.name))
    }

    /// Closes its standard input, which ends the line clients.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits for the next line of standard output that `wanted` accepts; others are passed over.
    pub fn line(&mut self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.stdout.line(deadline, wanted).with_context(|| self.complaint())
    }

    /// The same on standard error.
    pub fn error_line(&mut self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.stderr.line(deadline, wanted).with_context(|| self.complaint())
    }

    /// Everything printed on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// True once it has ended.
    pub fn ended(&self) -> Result<bool> {
        self.readable(Duration::ZERO)
    }

    /// Waits for its end for that long at most; true if it came.
    pub fn ends_within(&self, window: Duration) -> Result<bool> {
        self.readable(window)
    }

    /// Waits for its end.
    pub fn finish(&mut self, deadline: Duration) -> Result<Finished> {
        self.hang_up();
        if !self.readable(deadline)? {
            bail!("{} (pid {}) still runs after {deadline:?}: {}", self.name, self.pid(), self.complaint());
        }
        let status = self.child.wait()?;
        // The streams end when the last descendant that holds them does; what is there after a second is enough.
        let settle = Instant::now() + Duration::from_secs(1);
        self.stdout.wait_end(settle);
        self.stderr.wait_end(settle);
        Ok(Finished { status, stdout: self.stdout.text(), stderr: self.stderr.text() })
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?);
        // Not waited for yet, so the number cannot have been given to another process.
        kill(pid, signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn readable(&self, deadline: Duration) -> Result<bool> {
        let end = Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut watched = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut watched, timeout) {
                Ok(0) if Instant::now() >= end => return Ok(false),
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error).context("poll a pidfd"),
            }
        }
    }

    fn complaint(&self) -> String {
        format!(
            "{} printed {:?} and, as errors, {:?}",
            self.name,
            tail(&self.stdout.text()),
            tail(&self.stderr.text())
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn pidfd_of(child: &Child) -> Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1; the child is not waited for yet.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let fd = i32::try_from(fd)?;
    if fd < 0 {
        return Err(io::Error::last_os_error()).context("pidfd_open");
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    debug_assert!(owned.as_raw_fd() >= 0);
    Ok(owned)
}

/// The end of a text, for messages.
fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(2000);
    text.get(text.ceil_char_boundary(start)..).unwrap_or_default()
}

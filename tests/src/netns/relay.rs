//! The delay: packets from one TUN device come out of the other a while later. The kernel's own netem is often not
//! built (cloud kernels, micro-VMs), and a TUN device also makes the kernel cut what it offloads into single packets.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::NetNs;

/// How long each packet is under way, in each direction.
pub(super) const ONE_WAY: Duration = Duration::from_millis(20);

/// Packets under way at most, per direction; more are lost, as in any router's queue.
const QUEUE: usize = 2000;

/// A TUN device's descriptor.
#[derive(Debug)]
pub(super) struct Tun(File);

nix::ioctl_write_ptr!(tun_set_iff, b'T', 202, libc::c_int);

impl Tun {
    /// Makes the device `name` inside `namespace`.
    pub(super) fn open(namespace: &NetNs, name: &str) -> Result<Self> {
        let name = name.to_owned();
        namespace.within(move || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open("/dev/net/tun")
                .context("/dev/net/tun")?;
            // SAFETY: ifreq is plain old data for which all zeroes is a valid value.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
                *slot = libc::c_char::from_ne_bytes([byte]);
            }
            request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_TUN | libc::IFF_NO_PI)?;
            // SAFETY: the kernel reads a whole ifreq through this pointer, and `request` is one that outlives the call.
            unsafe { tun_set_iff(file.as_raw_fd(), std::ptr::from_ref(&request).cast()) }
                .context("TUNSETIFF")?;
            Ok(Self(file))
        })?
    }
}

/// The thread that carries packets; dropping it stops it.
#[derive(Debug)]
pub(super) struct Relay {
    /// Closing it wakes and ends the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Relay {
    pub(super) fn start(near: Tun, far: Tun) -> Result<Self> {
        let (stopped, stop) = nix::unistd::pipe()?;
        let thread =
            thread::Builder::new().name("slow-line".to_owned()).spawn(move || carry(near, far, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join().unwrap_or_else(|_panic| Err(anyhow!("it panicked")));
            if let Err(error) = ended {
                eprintln!("the slow line failed: {error:#}");
            }
        }
    }
}

/// Packets under way in one direction.
struct Lane {
    from: File,
    to: File,
    queue: VecDeque<(Instant, Vec<u8>)>,
}

impl Lane {
    fn take_in(&mut self, now: Instant) -> Result<()> {
        let mut packet = [0; 2048];
        loop {
            match self.from.read(&mut packet) {
                Ok(bytes) if self.queue.len() < QUEUE => {
                    let packet = packet.get(..bytes).unwrap_or_default().to_vec();
                    self.queue.push_back((now + ONE_WAY, packet));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("read from a TUN device"),
            }
        }
    }

    fn let_out(&mut self, now: Instant) {
        while self.queue.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, packet)) = self.queue.pop_front() {
                // A full device queue loses the packet, as a line would.
                drop(self.to.write(&packet));
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        self.queue.front().map(|(due, _)| *due)
    }
}

fn carry(near: Tun, far: Tun, stopped: &OwnedFd) -> Result<()> {
    let mut out = Lane { from: near.0.try_clone()?, to: far.0.try_clone()?, queue: VecDeque::new() };
    let mut back = Lane { from: far.0, to: near.0, queue: VecDeque::new() };
    loop {
        let next = [out.due(), back.due()].into_iter().flatten().min();
        let wait = next.map(|due| TimeSpec::from_duration(due.saturating_duration_since(Instant::now())));
        let mut watched = [
            PollFd::new(out.from.as_fd(), PollFlags::POLLIN),
            PollFd::new(back.from.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut watched, wait, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error).context("ppoll"),
        }
        if watched[2].revents().is_some_and(|events| !events.is_empty()) {
            return Ok(());
        }
        let now = Instant::now();
        out.take_in(now)?;
        back.take_in(now)?;
        out.let_out(now);
        back.let_out(now);
    }
}

//! A duplicate of an agent's socket (`pidfd_getfd`), found by its cookie.
//!
//! A duplicate keeps the socket open: while the daemon has one, the agent's own close sends nothing. So they are taken
//! for a moment (a nudge) or for a hold, which watches for the agent's close by itself.

use std::{
    collections::HashMap,
    fs, io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
};

use rustix::{
    net::sockopt,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

/// Remembers where a socket was found, so that the next look is one system call.
#[derive(Debug, Default)]
pub struct Duplicates {
    pidfds: HashMap<u32, OwnedFd>,
    /// Descriptor number in the process, by cookie.
    known: HashMap<u64, (u32, RawFd)>,
}

/// Entries of each cache; beyond them it starts anew.
const MAX_CACHED: usize = 4096;

impl Duplicates {
    /// A duplicate of the socket `cookie` out of `first`, or one of the `others`, which are only looked up if need be.
    ///
    /// # Errors
    /// `NotFound`: none of them has it. `PermissionDenied`: the host forbids `pidfd_getfd` (`ptrace_scope = 3`).
    pub fn take(
        &mut self,
        cookie: u64,
        first: u32,
        others: impl FnOnce() -> Vec<u32>,
    ) -> io::Result<OwnedFd> {
        if let Some((tgid, number)) = self.known.get(&cookie).copied()
            && let Ok(socket) = self.duplicate(tgid, number)
            && cookie_of(&socket) == Some(cookie)
        {
            return Ok(socket);
        }
        let mut cause = None;
        let mut search = |tgid, cause: &mut Option<io::Error>| match self.search(cookie, tgid) {
            Ok(found) => found,
            Err(error) if is_gone(&error) => None,
            Err(error) => {
                *cause = Some(error);
                None
            }
        };
        if let Some(socket) = search(first, &mut cause) {
            return Ok(socket);
        }
        for tgid in others().into_iter().filter(|tgid| *tgid != first) {
            if let Some(socket) = search(tgid, &mut cause) {
                return Ok(socket);
            }
        }
        Err(cause.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "no process of the session has the socket")
        }))
    }

    /// Forgets a process that ended.
    pub fn forget_process(&mut self, tgid: u32) {
        self.pidfds.remove(&tgid);
        self.known.retain(|_, (owner, _)| *owner != tgid);
    }

    pub fn forget_socket(&mut self, cookie: u64) {
        self.known.remove(&cookie);
    }

    fn search(&mut self, cookie: u64, tgid: u32) -> io::Result<Option<OwnedFd>> {
        for entry in fs::read_dir(format!("/proc/{tgid}/fd"))? {
            let entry = entry?;
            let is_socket = fs::read_link(entry.path())
                .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
            let Some(number) =
                entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|_| is_socket)
            else {
                continue;
            };
            let socket = match self.duplicate(tgid, number) {
                Ok(socket) => socket,
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(error),
            };
            let Some(found) = cookie_of(&socket) else { continue };
            if self.known.len() >= MAX_CACHED {
                self.known.clear();
            }
            self.known.insert(found, (tgid, number));
            if found == cookie {
                return Ok(Some(socket));
            }
        }
        Ok(None)
    }

    fn duplicate(&mut self, tgid: u32, number: RawFd) -> io::Result<OwnedFd> {
        if !self.pidfds.contains_key(&tgid) {
            if self.pidfds.len() >= MAX_CACHED {
                self.pidfds.clear();
            }
            self.pidfds.insert(tgid, pidfd(tgid)?);
        }
        let Some(process) = self.pidfds.get(&tgid) else { return Err(io::ErrorKind::NotFound.into()) };
        Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
    }
}

/// A handle on a process that survives the reuse of its pid.
///
/// # Errors
/// As the kernel says; `ESRCH` when it is gone.
pub fn pidfd(tgid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(tgid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// The process or its descriptor is not there any more; anything else (no descriptors left, no permission) says nothing.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EBADF | libc::ENOENT))
        || error.kind() == io::ErrorKind::NotFound
}

fn cookie_of(socket: &OwnedFd) -> Option<u64> {
    sockopt::socket_cookie(socket).ok()
}

/// Sends what is queued now: uncorking pushes (`tcp_push_pending_frames`). Leaves the socket uncorked.
///
/// # Errors
/// As the kernel says.
pub fn nudge(socket: impl AsFd) -> io::Result<()> {
    Ok(sockopt::set_tcp_cork(socket, false)?)
}

/// Holds back partial frames, so that the peer's stream is acknowledged at once instead of with packets that are dropped.
/// Returns whether the application had corked the socket itself.
///
/// # Errors
/// As the kernel says.
pub fn cork(socket: impl AsFd) -> io::Result<bool> {
    let before = sockopt::tcp_cork(socket.as_fd())?;
    sockopt::set_tcp_cork(socket, true)?;
    Ok(before)
}

const TCP_REPAIR: libc::c_int = 19;
const SO_MEMINFO: libc::c_int = 55;

/// Sends a window probe, whose answer resets the count of unanswered ones: TCP would give up the connection otherwise.
/// (Leaving repair mode does that, include/uapi/linux/tcp.h; the socket never was in it.)
///
/// # Errors
/// As the kernel says.
pub fn probe_window(socket: impl AsFd) -> io::Result<()> {
    set_option(&socket, libc::IPPROTO_TCP, TCP_REPAIR, 0)
}

/// Lets the socket queue up to `bytes`, so that a client does not block in front of the end of a request that is to be
/// judged whole.
///
/// # Errors
/// As the kernel says.
pub fn make_room(socket: impl AsFd, bytes: libc::c_int) -> io::Result<()> {
    set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes)
}

/// `TCP_USER_TIMEOUT` in milliseconds, 0 if the application set none.
pub fn user_timeout(socket: impl AsFd) -> u32 {
    sockopt::tcp_user_timeout(socket).unwrap_or(0)
}

/// Bytes of send memory in use, and how many there may be.
pub fn send_memory(socket: impl AsFd) -> Option<(u32, u32)> {
    let mut words = [0u32; 9];
    let mut len = libc::socklen_t::try_from(size_of::<[u32; 9]>()).ok()?;
    // SAFETY: the kernel writes at most `len` bytes into `words`.
    let code = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            words.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    // SK_MEMINFO_WMEM_QUEUED and SK_MEMINFO_SNDBUF of include/uapi/linux/sock_diag.h
    (code == 0).then_some((words[5], words[3]))
}

fn set_option(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<libc::c_int>()).map_err(io::Error::other)?;
    // SAFETY: `value` lives through the call and `len` is its size.
    let code =
        unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn a_socket_is_found_by_its_cookie_until_it_is_closed() {
        let (client, _server) = pair();
        let cookie = sockopt::socket_cookie(&client).unwrap();
        let mut duplicates = Duplicates::default();
        let me = std::process::id();
        let first = duplicates.take(cookie, 1 << 30, || vec![me]).unwrap();
        assert_eq!(cookie_of(&first), Some(cookie));
        assert!(duplicates.known.contains_key(&cookie));
        drop((first, client));
        assert_eq!(duplicates.take(cookie, me, Vec::new).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn socket_options_do_what_they_say() {
        let (client, _server) = pair();
        assert!(!cork(&client).unwrap());
        assert!(cork(&client).unwrap());
        nudge(&client).unwrap();
        assert!(!sockopt::tcp_cork(&client).unwrap());
        let (used, room) = send_memory(&client).unwrap();
        assert!(used < room);
        assert_eq!(user_timeout(&client), 0);
    }
}

//! The process that connected, held fast: what is read of a pid counts only if the pid was still that process after.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{getsockopt, sockopt},
};

use crate::people::{LOGINUID_UNSET, PeerCred};

/// A process at the other end of a connection.
#[derive(Debug)]
pub struct Peer {
    pub cred: PeerCred,
    /// `None`: unset.
    pub loginuid: Option<u32>,
    /// Field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
    /// Where the kernel has `SO_PEERPIDFD` (6.5).
    pidfd: Option<OwnedFd>,
}

/// Why nothing is known of the peer; it is then allowed nothing.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("the calling process has ended or is hidden in another pid namespace; call from this host's own")]
    Gone,
    #[error("the kernel does not say who is calling: {0}; see agentguardctl doctor")]
    Io(#[from] io::Error),
}

impl Peer {
    /// Who connected `stream`.
    pub fn of(stream: &impl AsFd) -> Result<Peer, PeerError> {
        let cred = getsockopt(stream, sockopt::PeerCredentials).map_err(io::Error::from)?;
        let pid = u32::try_from(cred.pid()).unwrap_or_default();
        if pid == 0 {
            return Err(PeerError::Gone);
        }
        let pidfd = match getsockopt(stream, sockopt::PeerPidfd) {
            Ok(pidfd) => Some(pidfd),
            Err(Errno::ENOPROTOOPT) => None,
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENODATA) => return Err(PeerError::Gone),
            Err(error) => return Err(PeerError::Io(error.into())),
        };
        let start_ticks = start_ticks(pid)?;
        let gids = groups(&read(pid, "status")?);
        let loginuid = match fs::read_to_string(format!("/proc/{pid}/loginuid")) {
            Ok(text) => text.trim().parse().ok().filter(|uid| *uid != LOGINUID_UNSET),
            // A kernel without audit has no such file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(gone_or(error)),
        };
        let peer = Peer { cred: PeerCred { uid: cred.uid(), pid, gids }, loginuid, start_ticks, pidfd };
        peer.still_there()?;
        Ok(peer)
    }

    /// Fails once the process has ended: what was read of its pid meanwhile may be another's.
    pub fn still_there(&self) -> Result<(), PeerError> {
        if let Some(pidfd) = &self.pidfd {
            let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
            // Readable: the process has ended.
            return match poll(&mut fds, PollTimeout::ZERO) {
                Ok(0) => Ok(()),
                Ok(_) => Err(PeerError::Gone),
                Err(error) => Err(PeerError::Io(error.into())),
            };
        }
        if start_ticks(self.cred.pid)? == self.start_ticks { Ok(()) } else { Err(PeerError::Gone) }
    }
}

fn read(pid: u32, file: &str) -> Result<String, PeerError> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).map_err(gone_or)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn gone_or(error: io::Error) -> PeerError {
    match error.kind() {
        io::ErrorKind::NotFound => PeerError::Gone,
        _ if error.raw_os_error() == Some(Errno::ESRCH as i32) => PeerError::Gone,
        _ => PeerError::Io(error),
    }
}

/// Field 22 of proc(5) `stat`. The second field is the program's own choice and may hold spaces and parentheses.
fn start_ticks(pid: u32) -> Result<u64, PeerError> {
    parse_start(&read(pid, "stat")?).ok_or_else(|| io::Error::other("/proc/PID/stat cannot be read").into())
}

fn parse_start(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(START_AFTER_NAME)?.parse().ok()
}

/// The effective group and the supplementary ones.
fn groups(status: &str) -> Vec<u32> {
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let effective = line("Gid:").split_whitespace().nth(1);
    effective
        .into_iter()
        .chain(line("Groups:").split_whitespace())
        .filter_map(|gid| gid.parse().ok())
        .collect()
}

/// The state, the first field after the name, is field 3.
const START_AFTER_NAME: usize = 22 - 3;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_name_cannot_forge_the_start_time() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_start(&format!("7 (x) {tail}")), Some(4242));
        assert_eq!(parse_start(&format!("7 (a) R 1 1 1 (b) {tail}")), Some(4242));
        assert_eq!(parse_start("7 (x"), None);
        assert_eq!(parse_start(""), None);
    }

    #[test]
    fn groups_are_the_effective_and_the_supplementary() {
        assert_eq!(groups("Name:\tx\nGid:\t1\t2\t3\t4\nGroups:\t10 20 \n"), [2, 10, 20]);
        assert_eq!(groups(""), Vec::<u32>::new());
    }

    #[test]
    fn we_are_our_own_peer() {
        let (left, _right) = UnixStream::pair().unwrap();
        let peer = Peer::of(&left).unwrap();
        assert_eq!(peer.cred.pid, std::process::id());
        assert_eq!(peer.cred.uid, nix::unistd::geteuid().as_raw());
        peer.still_there().unwrap();
    }
}

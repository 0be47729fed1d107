//! Breaking a connection: the agent gets an ordinary connection error and lives on, the server gets a reset.
//!
//! `SOCK_DESTROY` (sock_diag(7), CONFIG_INET_DIAG_DESTROY) first; where the kernel has none, `connect(AF_UNSPEC)` on a
//! duplicate, which disconnects the socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage,
};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
/// Size of `struct inet_diag_sockid`.
const SOCKID: usize = 48;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;

/// Breaks the connection of `duplicate`.
///
/// # Errors
/// The reason of the fallback, if that failed as well.
pub fn destroy(duplicate: impl AsFd, cookie: u64) -> io::Result<()> {
    let fd = duplicate.as_fd().as_raw_fd();
    let by_diag = addresses(fd).and_then(|(local, peer)| sock_destroy(local, peer, cookie));
    match by_diag {
        Ok(()) => Ok(()),
        // Another network namespace, or not built in.
        Err(_not_here) => disconnect(fd),
    }
}

/// Breaks a connection of which nobody has a descriptor any more (an orphan that still carries held bytes), by its
/// cookie, in the network namespace of the daemon.
///
/// # Errors
/// `NotFound`: there is no such connection here.
pub fn destroy_orphan(cookie: u64) -> io::Result<()> {
    for family in [2u8, 10] {
        if let Some(id) = find_by_cookie(family, cookie)? {
            return exchange(&message(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, family, &id))
                .and_then(|answer| acknowledged(&answer));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The `inet_diag_sockid` of the connection with this cookie, from a dump of all.
fn find_by_cookie(family: u8, cookie: u64) -> io::Result<Option<Vec<u8>>> {
    let netlink = open()?;
    send(&netlink, &message(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, family, &[0; SOCKID]))?;
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let len = socket::recv(netlink.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..len).unwrap_or_default();
        while let Some((header, _)) = rest.split_at_checked(16) {
            let size = header.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
                as usize;
            let kind = header.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
            if size < 16 || kind != Some(SOCK_DIAG_BY_FAMILY) {
                return Ok(None); // the end of the dump, or an error
            }
            // struct inet_diag_msg: four bytes, then the id, whose last eight bytes are the cookie.
            if let Some(id) = rest.get(20..20 + SOCKID)
                && id.get(SOCKID - 8..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes)
                    == Some(cookie)
            {
                return Ok(Some(id.to_vec()));
            }
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// `SOCK_DESTROY` for a connection in the daemon's network namespace.
///
/// # Errors
/// `ENOENT`: no such connection here. `EOPNOTSUPP`: not built in.
pub fn sock_destroy(local: SocketAddr, peer: SocketAddr, cookie: u64) -> io::Result<()> {
    let family = if local.is_ipv4() { 2 } else { 10 };
    let answer =
        exchange(&message(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, family, &sockid(local, peer, cookie)))?;
    acknowledged(&answer)
}

fn open() -> io::Result<OwnedFd> {
    Ok(socket::socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?)
}

fn send(netlink: &OwnedFd, message: &[u8]) -> io::Result<()> {
    socket::sendto(netlink.as_raw_fd(), message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    Ok(())
}

fn exchange(message: &[u8]) -> io::Result<Vec<u8>> {
    let netlink = open()?;
    send(&netlink, message)?;
    let mut answer = vec![0u8; 4096];
    let len = socket::recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    answer.truncate(len);
    Ok(answer)
}

fn acknowledged(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::Error::other("sock_diag answered something that is not an acknowledgement")),
    }
}

/// `struct inet_diag_sockid` (include/uapi/linux/inet_diag.h).
fn sockid(local: SocketAddr, peer: SocketAddr, cookie: u64) -> Vec<u8> {
    let mut id = local.port().to_be_bytes().to_vec();
    id.extend(peer.port().to_be_bytes());
    for ip in [local.ip(), peer.ip()] {
        let mut bytes = [0u8; 16];
        match ip {
            IpAddr::V4(ip) => bytes[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes = ip.octets(),
        }
        id.extend(bytes);
    }
    id.extend(0u32.to_ne_bytes()); // any interface
    id.extend(cookie.to_ne_bytes()); // low word first on every machine that we build for
    id
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2` around an id.
fn message(kind: u16, flags: u16, family: u8, id: &[u8]) -> Vec<u8> {
    let mut body = vec![family, 6, 0, 0];
    body.extend(u32::MAX.to_ne_bytes()); // every state
    body.extend(id);
    let len = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut message = len.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn addresses(fd: i32) -> io::Result<(SocketAddr, SocketAddr)> {
    let local: SockaddrStorage = socket::getsockname(fd)?;
    let peer: SockaddrStorage = socket::getpeername(fd)?;
    match (address(&local), address(&peer)) {
        (Some(local), Some(peer)) => Ok((local, peer)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    let v6 = storage.as_sockaddr_in6()?;
    Some(SocketAddr::new(IpAddr::V6(v6.ip()), v6.port()))
}

/// `connect(AF_UNSPEC)`: drops what is queued and resets the connection.
fn disconnect(fd: i32) -> io::Result<()> {
    let address = libc::sockaddr { sa_family: 0, sa_data: [0; 14] };
    let len = libc::socklen_t::try_from(size_of::<libc::sockaddr>()).map_err(io::Error::other)?;
    // SAFETY: `address` lives through the call and `len` is its size.
    if unsafe { libc::connect(fd, &raw const address, len) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    use rustix::net::sockopt::socket_cookie;

    use super::*;

    fn pair(host: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn a_destroyed_connection_errs_on_both_sides() {
        for host in ["127.0.0.1", "::1"] {
            let (mut client, mut server) = pair(host);
            destroy(&client, socket_cookie(&client).unwrap()).unwrap();
            assert!(client.write_all(b"x").is_err(), "{host}: the client could still write");
            assert!(server.read(&mut [0; 8]).is_err(), "{host}: the server saw no reset");
        }
    }

    #[test]
    fn the_fallback_resets_as_well() {
        let (client, mut server) = pair("127.0.0.1");
        disconnect(client.as_raw_fd()).unwrap();
        assert!(server.read(&mut [0; 8]).is_err());
    }

    #[test]
    fn an_orphan_is_found_by_its_cookie() {
        for host in ["127.0.0.1", "::1"] {
            let (client, mut server) = pair(host);
            destroy_orphan(socket_cookie(&client).unwrap()).unwrap();
            assert!(server.read(&mut [0; 8]).is_err(), "{host}: the server saw no reset");
        }
        assert_eq!(destroy_orphan(1).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn another_cookie_destroys_nothing() {
        let (client, mut server) = pair("127.0.0.1");
        let (local, peer) = addresses(client.as_raw_fd()).unwrap();
        assert!(sock_destroy(local, peer, 1).is_err());
        (&client).write_all(b"y").unwrap();
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 1);
    }
}

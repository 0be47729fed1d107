//! Breaking a connection: the agent gets an ordinary connection error and lives on, the server gets a reset.
//!
//! `SOCK_DESTROY` (sock_diag(7), CONFIG_INET_DIAG_DESTROY) first; where the kernel has none, `connect(AF_UNSPEC)` on a
//! duplicate, which disconnects the socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
};

use nix::sys::socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage};

const SOCK_DESTROY: u16 = 21;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
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

/// `SOCK_DESTROY` for a connection in the daemon's network namespace.
///
/// # Errors
/// `ENOENT`: no such connection here. `EOPNOTSUPP`: not built in.
pub fn sock_destroy(local: SocketAddr, peer: SocketAddr, cookie: u64) -> io::Result<()> {
    let netlink = socket::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    let message = request(local, peer, cookie);
    socket::sendto(netlink.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0u8; 256];
    let len = socket::recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).filter(|_| len >= 20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::Error::other("sock_diag answered something that is not an acknowledgement")),
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2` (include/uapi/linux/inet_diag.h).
fn request(local: SocketAddr, peer: SocketAddr, cookie: u64) -> Vec<u8> {
    let family: u8 = if local.is_ipv4() { 2 } else { 10 };
    let mut body = vec![family, 6, 0, 0];
    body.extend(u32::MAX.to_ne_bytes()); // every state
    body.extend(local.port().to_be_bytes());
    body.extend(peer.port().to_be_bytes());
    for ip in [local.ip(), peer.ip()] {
        let mut bytes = [0u8; 16];
        match ip {
            IpAddr::V4(ip) => bytes[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes = ip.octets(),
        }
        body.extend(bytes);
    }
    body.extend(0u32.to_ne_bytes()); // any interface
    body.extend(cookie.to_ne_bytes()); // low word first on every machine that we build for
    let len = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut message = len.to_ne_bytes().to_vec();
    message.extend(SOCK_DESTROY.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
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
    if unsafe { libc::connect(fd, &raw const address, len) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
    fn another_cookie_destroys_nothing() {
        let (client, mut server) = pair("127.0.0.1");
        let (local, peer) = addresses(client.as_raw_fd()).unwrap();
        assert!(sock_destroy(local, peer, 1).is_err());
        (&client).write_all(b"y").unwrap();
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 1);
    }
}

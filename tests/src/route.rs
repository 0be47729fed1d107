//! The ways by which an agent reaches its server; gate tests run over every one of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;

use crate::netns::{NetNs, SlowLine};
use crate::require::Need;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    Loopback,
    /// veth with MTU 1500, 1 % loss, delay: see [`SlowLine`].
    Veth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
    /// An AF_INET6 socket that connects to `::ffff:a.b.c.d`, as Java's do.
    V4Mapped,
}

/// One way, as a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    pub medium: Medium,
    pub family: Family,
}

impl Path {
    pub const LOOPBACK: Path = Path { medium: Medium::Loopback, family: Family::V4 };

    pub const ALL: [Path; 6] = {
        use {Family::*, Medium::*};
        [
            Path { medium: Loopback, family: V4 },
            Path { medium: Loopback, family: V6 },
            Path { medium: Loopback, family: V4Mapped },
            Path { medium: Veth, family: V4 },
            Path { medium: Veth, family: V6 },
            Path { medium: Veth, family: V4Mapped },
        ]
    };

    /// What the machine needs for it.
    pub fn needs(self) -> &'static [Need] {
        match self.medium {
            Medium::Loopback => &[],
            Medium::Veth => &[Need::Root, Need::Tool("ip"), Need::Tool("nft"), Need::File("/dev/net/tun")],
        }
    }

    /// Builds it.
    pub fn lay(self) -> Result<Route> {
        let line = match self.medium {
            Medium::Loopback => None,
            Medium::Veth => Some(SlowLine::new()?),
        };
        let v6 = self.family == Family::V6;
        let bind = match (&line, v6) {
            (Some(_), v6) => SlowLine::server_address(v6),
            (None, true) => Ipv6Addr::LOCALHOST.into(),
            (None, false) => Ipv4Addr::LOCALHOST.into(),
        };
        let dial = match (self.family, bind) {
            (Family::V4Mapped, IpAddr::V4(v4)) => v4.to_ipv6_mapped().into(),
            (_, bind) => bind,
        };
        Ok(Route { line, bind, dial })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.medium, self.family)
    }
}

/// A way that exists; dropping it removes its namespaces.
#[derive(Debug)]
pub struct Route {
    line: Option<SlowLine>,
    bind: IpAddr,
    dial: IpAddr,
}

impl Route {
    /// Where the server listens.
    pub fn bind(&self) -> SocketAddr {
        SocketAddr::new(self.bind, 0)
    }

    /// What the client connects to.
    pub fn dial(&self) -> IpAddr {
        self.dial
    }

    pub fn agent_namespace(&self) -> Option<&NetNs> {
        self.line.as_ref().map(|line| &line.agent)
    }

    pub fn server_namespace(&self) -> Option<&NetNs> {
        self.line.as_ref().map(|line| &line.server)
    }
}

//! Network namespaces without names: each lives as long as its descriptor, so even a killed test leaves none behind.

mod relay;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns, unshare};

use crate::process::Placement;
use crate::require;
use relay::{Relay, Tun};

/// One network namespace; cheap to clone.
#[derive(Clone, Debug)]
pub struct NetNs(Arc<OwnedFd>);

impl NetNs {
    /// A new namespace with its loopback up.
    pub fn new() -> Result<Self> {
        let made = thread::spawn(|| -> Result<OwnedFd> {
            unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
            Ok(fs::File::open("/proc/thread-self/ns/net")?.into())
        });
        let namespace =
            Self(Arc::new(made.join().map_err(|_panic| anyhow!("the namespace's thread panicked"))??));
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Runs `job` on a thread of its own inside the namespace. Sockets made there stay there.
    pub fn within<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| -> Result<T> {
                setns(&*self.0, CloneFlags::CLONE_NEWNET).context("setns")?;
                Ok(job())
            });
            inside.join().map_err(|_panic| anyhow!("a job inside the namespace panicked"))?
        })
    }

    /// Runs `ip ARGS` inside.
    pub fn ip(&self, args: &str) -> Result<()> {
        self.run("ip", args.split_whitespace(), None)
    }

    /// Loads an nftables ruleset inside.
    pub fn nft(&self, rules: &str) -> Result<()> {
        self.run("nft", ["-f", "-"].into_iter(), Some(rules))
    }

    fn run<'a>(&self, program: &str, args: impl Iterator<Item = &'a str>, input: Option<&str>) -> Result<()> {
        let path = require::tool(program).with_context(|| format!("{program} is not installed"))?;
        let mut command = Command::new(path);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Placement::inside(self).apply(&mut command)?;
        let mut child = command.spawn()?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            std::io::Write::write_all(&mut stdin, input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// A line between an agent's namespace and a server's: a veth pair with MTU 1500 to a router, and behind the router a
/// link that loses every hundredth packet at random, both ways, and delays each by [`relay::ONE_WAY`].
#[derive(Debug)]
pub struct SlowLine {
    pub agent: NetNs,
    pub server: NetNs,
    /// Keeps the routing namespace and the relay alive.
    _router: NetNs,
    _relay: Relay,
}

impl SlowLine {
    pub const AGENT_V4: Ipv4Addr = Ipv4Addr::new(10, 201, 1, 1);
    pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(10, 201, 2, 2);
    pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x201, 2, 0, 0, 0, 0, 2);

    pub fn new() -> Result<Self> {
        let (agent, router, server) = (NetNs::new()?, NetNs::new()?, NetNs::new()?);
        let router_path = format!("/proc/{}/fd/{}", std::process::id(), router.fd().as_raw_fd());
        agent.ip(&format!("link add a0 mtu 1500 type veth peer name r0 mtu 1500 netns {router_path}"))?;
        let near = Tun::open(&router, "slow0")?;
        let far = Tun::open(&server, "slow0")?;

        assign(&agent, "a0", &["10.201.1.1/24", "fd00:201:1::1/64"])?;
        assign(&router, "r0", &["10.201.1.254/24", "fd00:201:1::fe/64"])?;
        assign(&router, "slow0", &["10.201.2.254/24", "fd00:201:2::fe/64"])?;
        assign(&server, "slow0", &["10.201.2.2/24", "fd00:201:2::2/64"])?;
        agent.ip("route add default via 10.201.1.254")?;
        agent.ip("-6 route add default via fd00:201:1::fe")?;
        server.ip("route add default dev slow0")?;
        server.ip("-6 route add default dev slow0")?;
        // /proc/sys/net shows the namespace of whoever opens it, so these touch the router's only.
        router.within(|| {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        })??;

        // Each direction loses behind the TUN device, where packets are single ones of at most 1500 bytes: on the
        // veth side segmentation offload would let one drop take 64 KiB at once.
        server.nft(&loss("input"))?;
        router.nft(&loss("forward"))?;
        Ok(Self { agent, server, _router: router, _relay: Relay::start(near, far)? })
    }

    pub fn server_address(v6: bool) -> IpAddr {
        if v6 { Self::SERVER_V6.into() } else { Self::SERVER_V4.into() }
    }
}

/// Rules by which every hundredth packet that comes in from the slow link is lost at random.
fn loss(hook: &str) -> String {
    format!(
        "table inet line {{\nchain loss {{\ntype filter hook {hook} priority 0\n\
         iifname slow0 numgen random mod 100 == 0 drop\n}}\n}}\n"
    )
}

fn assign(namespace: &NetNs, device: &str, addresses: &[&str]) -> Result<()> {
    for address in addresses {
        // Duplicate address detection would delay the first IPv6 connection by a second.
        let nodad = if address.contains(':') { "nodad" } else { "" };
        namespace.ip(&format!("address add {address} dev {device} {nodad}"))?;
    }
    namespace.ip(&format!("link set {device} up"))
}

/// The namespace that the calling thread is in.
pub fn current() -> Result<NetNs> {
    let file = fs::File::open(Path::new("/proc/thread-self/ns/net"))?;
    Ok(NetNs(Arc::new(file.into())))
}

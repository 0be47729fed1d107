//! The file systems that the guard stands on.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use agent_guard_api::status::Finding;

use super::{Host, error, ok, warning};

/// Where cgroup v2 is mounted on this host; `None`: nowhere.
pub fn cgroup_root() -> io::Result<Option<PathBuf>> {
    fs::read_to_string("/proc/self/mounts").map(|mounts| cgroup_root_of(&mounts))
}

/// The first cgroup v2 mount of a `/proc/self/mounts`, the usual places preferred.
pub fn cgroup_root_of(mounts: &str) -> Option<PathBuf> {
    let found: Vec<PathBuf> =
        entries(mounts).filter(|mount| mount.kind == "cgroup2").map(|mount| mount.path).collect();
    let usual = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let preferred = usual.iter().map(Path::new).find(|path| found.iter().any(|one| one == path));
    preferred.map(Path::to_owned).or_else(|| found.into_iter().next())
}

pub(super) fn check(host: &Host<'_>) -> Vec<Finding> {
    let mounts = host.text("/proc/self/mounts").unwrap_or_default();
    vec![cgroup2(&mounts), net_cls(host), bpffs(&mounts), tracefs(&mounts)]
}

struct Mount<'a> {
    path: PathBuf,
    kind: &'a str,
    options: &'a str,
}

/// proc(5): source, place, kind, options, two numbers; a space in a place is written `\040`.
fn entries(mounts: &str) -> impl Iterator<Item = Mount<'_>> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (_, path, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Mount { path: unescape(path), kind, options })
    })
}

fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                out.extend_from_slice(part.get(3..).unwrap_or_default().as_bytes());
            }
            None => {
                out.push(b'\\');
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
    OsString::from_vec(out).into()
}

fn cgroup2(mounts: &str) -> Finding {
    match cgroup_root_of(mounts) {
        Some(path) => ok("cgroup2", path.display().to_string()),
        None => error(
            "cgroup2",
            "cgroup v2 is mounted nowhere",
            "no packet of an agent can be held",
            "boot with systemd.unified_cgroup_hierarchy=1, or: mount -t cgroup2 none /sys/fs/cgroup/unified",
        ),
    }
}

/// Before 5.15 a socket had one word for its v2 cgroup and its v1 net_cls class: the class switched v2 programs off.
fn net_cls(host: &Host<'_>) -> Finding {
    let table = host.text("/proc/cgroups").unwrap_or_default();
    let used: Vec<&str> = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (name, hierarchy) = (fields.next()?, fields.next()?);
            (["net_cls", "net_prio"].contains(&name) && hierarchy != "0").then_some(name)
        })
        .collect();
    if used.is_empty() {
        return ok("net_cls", "no v1 hierarchy of net_cls or net_prio");
    }
    let finding = format!("{} is mounted as cgroup v1", used.join(" and "));
    if host.kernel().is_some_and(|version| version >= SOCKETS_KEEP_BOTH) {
        return ok("net_cls", format!("{finding}, which this kernel keeps apart from v2"));
    }
    error(
        "net_cls",
        finding,
        "sockets that get a class lose their v2 cgroup on this kernel: their packets would not be held",
        "boot a kernel of 5.15 or later, or with cgroup_no_v1=net_cls,net_prio",
    )
}

fn bpffs(mounts: &str) -> Finding {
    let writable = |mount: &Mount<'_>| mount.options.split(',').any(|option| option == "rw");
    let found =
        entries(mounts).filter(|mount| mount.kind == "bpf" && mount.path == Path::new("/sys/fs/bpf")).last();
    match found {
        Some(mount) if writable(&mount) => ok("bpffs", "/sys/fs/bpf"),
        Some(_) => error(
            "bpffs",
            "/sys/fs/bpf is mounted read-only",
            "nothing can be pinned: a held request would be let go when the daemon dies",
            "mount -o remount,rw /sys/fs/bpf",
        ),
        None => error(
            "bpffs",
            "no BPF file system is mounted on /sys/fs/bpf",
            "nothing can be pinned: a held request would be let go when the daemon dies",
            "mount -t bpf bpf /sys/fs/bpf",
        ),
    }
}

fn tracefs(mounts: &str) -> Finding {
    match entries(mounts).find(|mount| mount.kind == "tracefs") {
        Some(mount) => ok("tracefs", mount.path.display().to_string()),
        None => warning(
            "tracefs",
            "tracefs is not mounted",
            "tracepoints are found by raw attachment only, and perf cannot show the probes",
            "mount -t tracefs nodev /sys/kernel/tracing",
        ),
    }
}

/// Kernel commit 8520e224f547, "bpf, cgroups: Fix cgroup v2 fallback on v1/v2 mixed mode".
const SOCKETS_KEEP_BOTH: (u32, u32) = (5, 15);

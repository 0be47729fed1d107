//! The kernel's version and what its security settings leave us.

use agent_guard_api::status::Finding;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::{Host, error, ok, warning};

pub(super) fn check(host: &Host<'_>) -> Vec<Finding> {
    vec![release(host), btf(host), lockdown(host), lsm(host), ptrace_scope(host), memlock(host)]
}

/// `6.1.0-13-amd64` is (6, 1).
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn release(host: &Host<'_>) -> Finding {
    let text = host.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = text.trim();
    match version(release) {
        Some(version) if version >= FLOOR => ok("kernel", format!("Linux {release}")),
        Some(_) => error(
            "kernel",
            format!("Linux {release} is older than 6.1"),
            "the gate needs what 6.1 has (sleepable probes, cookies in cgroup programs)",
            "boot a kernel of Debian 12, Ubuntu 24.04 or later",
        ),
        None => warning(
            "kernel",
            format!("the release \"{}\" has no version number", release.escape_debug()),
            "whether the kernel is new enough is not known",
            "compare `uname -r` with 6.1 yourself",
        ),
    }
}

fn btf(host: &Host<'_>) -> Finding {
    if host.exists("/sys/kernel/btf/vmlinux") {
        return ok("btf", "/sys/kernel/btf/vmlinux is there");
    }
    error(
        "btf",
        "/sys/kernel/btf/vmlinux is not there",
        "the programs cannot find the fields of this kernel's structures",
        "mount /sys, or boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (all current distributions' are)",
    )
}

fn lockdown(host: &Host<'_>) -> Finding {
    let Some(text) = host.text("/sys/kernel/security/lockdown") else {
        if host.text("/proc/self/mounts").is_some_and(|mounts| mounts.contains(" securityfs ")) {
            return ok("lockdown", "this kernel has none");
        }
        return warning(
            "lockdown",
            "securityfs is not mounted, so lockdown cannot be read",
            "whether the kernel refuses probes that read memory is found out only by loading them",
            "mount -t securityfs securityfs /sys/kernel/security",
        );
    };
    match text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']')) {
        Some("confidentiality") => error(
            "lockdown",
            "lockdown is \"confidentiality\"",
            "the kernel refuses probes that read memory, so nothing can be seen",
            "boot with lockdown=integrity, or without secure boot's stricter policy",
        ),
        Some(mode) => ok("lockdown", format!("\"{}\"", mode.escape_debug())),
        None => warning(
            "lockdown",
            format!("/sys/kernel/security/lockdown says \"{}\"", text.trim().escape_debug()),
            "whether probes may read memory is not known",
            "report this line",
        ),
    }
}

fn lsm(host: &Host<'_>) -> Finding {
    match host.text("/sys/kernel/security/lsm") {
        Some(list) => ok("lsm", format!("{} (none of them is needed)", list.trim().escape_debug())),
        None => ok("lsm", "the list cannot be read (securityfs is not mounted); none is needed"),
    }
}

fn ptrace_scope(host: &Host<'_>) -> Finding {
    match host.text("/proc/sys/kernel/yama/ptrace_scope").as_deref().map(str::trim) {
        None => ok("ptrace_scope", "this kernel has no Yama"),
        Some(scope @ ("0" | "1" | "2")) => ok("ptrace_scope", scope),
        Some("3") => warning(
            "ptrace_scope",
            "kernel.yama.ptrace_scope is 3",
            "pidfd_getfd is refused: an approved request leaves at TCP's next retry (seconds), and a long hold may \
             outlive its connection",
            "boot with kernel.yama.ptrace_scope=2 in /etc/sysctl.d; 3 cannot be lowered while running",
        ),
        Some(other) => warning(
            "ptrace_scope",
            format!("kernel.yama.ptrace_scope is \"{}\"", other.escape_debug()),
            "what it allows is not known",
            "see whether the check pidfd_getfd passes",
        ),
    }
}

fn memlock(host: &Host<'_>) -> Finding {
    if host.kernel().is_some_and(|version| version >= BPF_MEMORY_BY_CGROUP) {
        return ok("memlock", "this kernel charges BPF maps to the cgroup, RLIMIT_MEMLOCK does not matter");
    }
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((soft, _)) if soft == RLIM_INFINITY => ok("memlock", "unlimited"),
        Ok((soft, _)) => warning(
            "memlock",
            format!("RLIMIT_MEMLOCK is {soft} bytes"),
            "on kernels before 5.11 the maps may not fit",
            "set LimitMEMLOCK=infinity in the unit",
        ),
        Err(problem) => warning(
            "memlock",
            format!("RLIMIT_MEMLOCK cannot be read: {problem}"),
            "on kernels before 5.11 the maps may not fit",
            "set LimitMEMLOCK=infinity in the unit",
        ),
    }
}

/// Oldest kernel that is supported.
const FLOOR: (u32, u32) = (6, 1);

const BPF_MEMORY_BY_CGROUP: (u32, u32) = (5, 11);

//! Who we are to the kernel: uid, capabilities, namespaces.

use std::os::linux::fs::MetadataExt;

use agent_guard_api::status::Finding;

use super::{Host, error, ok, warning};

pub(super) fn check(host: &Host<'_>) -> Vec<Finding> {
    vec![capabilities(host), user_namespace(host), pid_namespace(host)]
}

fn capabilities(host: &Host<'_>) -> Finding {
    let status = host.text("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let Some(effective) = effective else {
        return warning(
            "capabilities",
            "/proc/self/status does not tell our capabilities",
            "what follows may fail for want of one of them",
            "mount /proc",
        );
    };
    let has = |bit: u32| effective & (1 << bit) != 0;
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(_, bit, or_admin)| !(has(*bit) || *or_admin && has(CAP_SYS_ADMIN)))
        .map(|(name, _, _)| *name)
        .collect();
    if missing.is_empty() {
        return ok("capabilities", "all that are needed are there");
    }
    error(
        "capabilities",
        format!("missing: {}", missing.join(", ")),
        "nothing can be guarded",
        "start agent-guardd as root (sudo, or the unit agent-guard.service), in a container with these capabilities",
    )
}

fn user_namespace(host: &Host<'_>) -> Finding {
    let map = host.text("/proc/self/uid_map").unwrap_or_default();
    let fields: Vec<&str> = map.split_whitespace().collect();
    if fields == ["0", "0", "4294967295"] {
        return ok("user_namespace", "the host's own");
    }
    error(
        "user_namespace",
        "the daemon runs in a user namespace",
        "the kernel refuses BPF programs, whatever the capabilities in there",
        "start it outside: not in a rootless container, without PrivateUsers=",
    )
}

fn pid_namespace(host: &Host<'_>) -> Finding {
    match std::fs::metadata(host.path("/proc/self/ns/pid")) {
        Ok(metadata) if metadata.st_ino() == INITIAL_PID_NAMESPACE => ok("pid_namespace", "the host's own"),
        Ok(_) => warning(
            "pid_namespace",
            "the daemon runs in a pid namespace of its own",
            "it sees and guards only processes of this namespace, and none of the host's",
            "start it on the host, or in a container with --pid=host, to guard the host",
        ),
        Err(problem) => warning(
            "pid_namespace",
            format!("/proc/self/ns/pid cannot be read: {problem}"),
            "whether all processes of the host are visible is not known",
            "mount /proc",
        ),
    }
}

/// Name, number (capability.h), and whether CAP_SYS_ADMIN includes it.
const NEEDED: [(&str, u32, bool); 6] = [
    ("CAP_BPF", 39, true),
    ("CAP_PERFMON", 38, true),
    ("CAP_NET_ADMIN", 12, false),
    ("CAP_SYS_PTRACE", 19, false),
    ("CAP_KILL", 5, false),
    ("CAP_DAC_READ_SEARCH", 2, false),
];

const CAP_SYS_ADMIN: u32 = 21;

/// `PROC_PID_INIT_INO` of the kernel's include/linux/proc_ns.h.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

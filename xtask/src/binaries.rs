//! The programs that are shipped. The eBPF object comes first: the daemon embeds it.

use std::path::PathBuf;

use anyhow::Result;

use crate::{ebpf, paths, shell};

/// Builds the eBPF object, agent-guardd and agentguardctl; returns the folder of the binaries.
///
/// # Errors
/// When a step fails.
pub fn build(release: bool) -> Result<PathBuf> {
    ebpf::build()?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--package", "agent-guard-daemon", "--package", "agentguardctl"]);
    if release {
        cargo.arg("--release");
    }
    // The daemon's build script finds the object where we put it; somebody's own setting would embed another one.
    shell::run(cargo.env_remove("AGENT_GUARD_BPF_OBJECT"))?;
    Ok(paths::binaries(release))
}

/// Builds agent-guardd-faulty, the daemon with switches that make its decoder fail; only tests start it. By itself, since
/// cargo would give its features to the daemon that is built beside it.
///
/// # Errors
/// When it cannot be built.
pub fn build_faulty() -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--package", "agent-guard-daemon"]);
    cargo.args(["--features", "fault-injection", "--bin", "agent-guardd-faulty"]);
    shell::run(cargo.env_remove("AGENT_GUARD_BPF_OBJECT"))
}

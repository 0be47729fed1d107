//! The programs that are shipped. The eBPF object comes first: the daemon embeds it.

use std::path::PathBuf;

use anyhow::Result;

use crate::{ebpf, paths, shell};

/// Builds the eBPF object, agent-guardd and agentguardctl; returns the folder of the binaries.
///
/// # Errors
/// When a step fails.
pub fn build(release: bool) -> Result<PathBuf> {
    let object = ebpf::build()?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--package", "agent-guard-daemon", "--package", "agentguardctl"]);
    if release {
        cargo.arg("--release");
    }
    shell::run(cargo.env("AGENT_GUARD_BPF_OBJECT", object))?;
    Ok(paths::binaries(release))
}

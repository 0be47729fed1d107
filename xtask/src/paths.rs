//! Where things are. One place, so that the commands, the tests and the documentation agree on it.

use std::path::{Path, PathBuf};

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The project's own `target/`, whatever `CARGO_TARGET_DIR` says: the tools in it are found again by every command.
#[must_use]
pub fn target() -> PathBuf {
    root().join("target")
}

/// The finished eBPF object, which the daemon embeds.
#[must_use]
pub fn bpf_object() -> PathBuf {
    target().join("bpf/agent-guard.bpf.o")
}

/// The crate of the eBPF object, outside the workspace.
#[must_use]
pub fn ebpf_crate() -> PathBuf {
    root().join("agent-guard-ebpf")
}

/// Installed tools (`bin/`), their builds and the LLVM prefixes they are linked against.
#[must_use]
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// The folder of the built binaries.
#[must_use]
pub fn binaries(release: bool) -> PathBuf {
    target().join(if release { "release" } else { "debug" })
}

/// Python clients of the end-to-end tests.
#[must_use]
pub fn venv() -> PathBuf {
    target().join("venv")
}

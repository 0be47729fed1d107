//! The eBPF object: found toolchain → linker against the same LLVM → `target/bpf/agent-guard.bpf.o`.
//!
//! The BPF target is tier 3: no toolchain ships its core library, so it is built from source with `-Z build-std`,
//! which stable compilers accept with `RUSTC_BOOTSTRAP=1`. bpf-linker reads the compiler's bitcode, so it must be
//! linked against an LLVM of the same major version. Rebuilding what did not change is left to cargo.

pub mod linker;
pub mod toolchain;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{paths, shell};
use toolchain::Toolchain;

/// Builds the object and returns its path.
///
/// # Errors
/// When no toolchain can be had, the linker cannot be built, or the crate does not compile.
pub fn build() -> Result<PathBuf> {
    let toolchain = toolchain::find()?;
    let linker = linker::ensure(&toolchain)?;
    let mut command = cargo(&toolchain, &linker, &paths::target().join("bpf"), &[])?;
    shell::run(command.args(["build", "--release"]).args(target_arguments()))?;
    let built = paths::target().join("bpf").join(target_triple()).join("release").join(OBJECT);
    keep(&built, &paths::bpf_object())
}

/// A cargo of the toolchain, in the eBPF crate, with the flags of the BPF target and `extra` flags.
///
/// # Errors
/// When this machine's architecture has no BPF target.
pub fn cargo(toolchain: &Toolchain, linker: &Path, target: &Path, extra: &[&str]) -> Result<Command> {
    let mut command = toolchain.cargo()?;
    command
        .current_dir(paths::ebpf_crate())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(linker, extra)?);
    Ok(command)
}

/// The arguments that select the BPF target and build its core library.
#[must_use]
pub const fn target_arguments() -> [&'static str; 4] {
    ["--target", target_triple(), "-Z", "build-std=core"]
}

/// `bpf_target_arch` is what aya-ebpf selects the registers of its `pt_regs` by; v3 is the instruction set of
/// kernels since 5.12 (32-bit arithmetic, atomics with fetch), below our floor of 6.1.
fn rustflags(linker: &Path, extra: &[&str]) -> Result<OsString> {
    let arch = match std::env::consts::ARCH {
        arch @ ("x86_64" | "aarch64" | "riscv64" | "s390x" | "powerpc64") => arch,
        other => bail!("the eBPF object knows no registers of {other}: build on x86_64 or aarch64"),
    };
    let mut flags = OsString::from(format!("--cfg=bpf_target_arch=\"{arch}\"\x1f-Cdebuginfo=2\x1f-Clinker="));
    flags.push(linker);
    flags.push("\x1f-Clink-arg=--btf\x1f-Ctarget-cpu=v3");
    for flag in extra {
        flags.push("\x1f");
        flags.push(flag);
    }
    Ok(flags)
}

const fn target_triple() -> &'static str {
    if cfg!(target_endian = "little") { "bpfel-unknown-none" } else { "bpfeb-unknown-none" }
}

/// Copies the object only when it changed: the daemon's build script watches the copy's time.
fn keep(built: &Path, kept: &Path) -> Result<PathBuf> {
    let bytes = fs::read(built).with_context(|| format!("the build left no {}", built.display()))?;
    if fs::read(kept).ok().as_ref() != Some(&bytes) {
        fs::write(kept, &bytes).with_context(|| format!("cannot write {}", kept.display()))?;
    }
    shell::say(&format!("eBPF object: {} ({} KiB)", kept.display(), bytes.len() / 1024));
    Ok(kept.to_path_buf())
}

/// The binary target of the eBPF crate.
const OBJECT: &str = "agent-guard";

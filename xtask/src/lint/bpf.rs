//! Clippy on the eBPF crate, with warnings denied, by the very toolchain that builds the object.
//!
//! Debian's clippy is a package of its own. Where it cannot be had, the compiler's own warnings are denied instead,
//! and that is said.

use anyhow::Result;

use crate::{
    apt::{self, Need, Sign},
    ebpf::{self, linker, toolchain, toolchain::Toolchain},
    paths, shell,
};

pub(super) fn check() -> Result<()> {
    let toolchain = toolchain::find()?;
    let linker = linker::ensure(&toolchain)?;
    let subcommand = if has_clippy(&toolchain) { "clippy" } else { "check" };
    if subcommand == "check" {
        shell::say(&format!("{} has no clippy: only the compiler's warnings are denied", toolchain.name));
    }
    // A target folder of its own: other flags would throw away what `build-ebpf` has built.
    let target = paths::target().join("bpf-lint");
    let mut cargo = ebpf::cargo(&toolchain, &linker, &target, &["-Dwarnings"])?;
    shell::run(cargo.args([subcommand, "--release"]).args(ebpf::target_arguments()))
}

fn has_clippy(toolchain: &Toolchain) -> bool {
    if toolchain.debian
        && let Err(error) = apt::ensure(&[CLIPPY])
    {
        shell::say(&format!("{error:#}"));
    }
    toolchain.cargo().is_ok_and(|mut cargo| shell::succeeds(cargo.args(["clippy", "--version"])))
}

const CLIPPY: Need =
    Need { package: "rust-web-clippy", sign: Sign::Package, reason: "clippy on the BPF target" };

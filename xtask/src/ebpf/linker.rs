//! bpf-linker, built once under `target/tools` against the LLVM of the compiler whose bitcode it reads.
//!
//! The build needs no LLVM development package: its C bindings use no headers, and `-lLLVM` is met by a folder with
//! symlinks to the library that the compiler itself loads.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::toolchain::{self, Toolchain};
use crate::{paths, shell};

/// The pinned version.
pub const VERSION: &str = "0.13.0";

/// The linker's path; builds it when it is missing or was built against another LLVM.
///
/// # Errors
/// When it cannot be built.
pub fn ensure(toolchain: &Toolchain) -> Result<PathBuf> {
    let linker = paths::tools().join("bin/bpf-linker");
    let stamp = paths::tools().join("bpf-linker.stamp");
    let wanted =
        format!("bpf-linker {VERSION}, LLVM {}, {}\n", toolchain.llvm_version, toolchain.llvm.display());
    if linker.exists() && fs::read_to_string(&stamp).is_ok_and(|built| built == wanted) {
        return Ok(linker);
    }
    let words = format!(
        "building bpf-linker {VERSION} against LLVM {} of {}",
        toolchain.llvm_version, toolchain.name
    );
    shell::say(&format!("{words} — for linking the eBPF object; a minute or two, once"));
    build(&prefix(&toolchain.llvm)?, toolchain::major(&toolchain.llvm_version)?)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(linker)
}

fn build(prefix: &Path, major: u32) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo
        .env("LLVM_PREFIX", prefix)
        .env("CARGO_TARGET_DIR", paths::tools().join("build"))
        // The work is done in LLVM: the linker's own code need not be fast, but it has to be built on two cores.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--force", "--no-default-features"])
        .args(["--features", &format!("llvm-{major}"), "--root"])
        .arg(paths::tools());
    shell::run(&mut cargo).context("bpf-linker could not be built")
}

/// A folder that looks like an installed LLVM to the linker's build script.
fn prefix(llvm: &Path) -> Result<PathBuf> {
    let prefix = paths::tools().join("llvm");
    let lib = prefix.join("lib");
    fs::create_dir_all(&lib).with_context(|| format!("cannot make {}", lib.display()))?;
    // The first name is what the linker looks for, the second what the loader looks for at run time.
    for name in [OsStr::new("libLLVM.so"), llvm.file_name().context("the LLVM library has no name")?] {
        let link = lib.join(name);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link).with_context(|| format!("cannot replace {}", link.display()))?;
        }
        symlink(llvm, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(prefix)
}

//! Which compiler builds the eBPF object: a rustup toolchain with rust-src; else rustup is asked to add it; else
//! Debian's compiler packages; else a sentence with the remedy.
//!
//! That rustup could not add the component is remembered under `target/tools`, so that a machine without a way to
//! it does not try again with every build. `AGENT_GUARD_EBPF_TOOLCHAIN=rustup|debian` restricts the search.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    apt::{self, Need, Sign},
    paths, shell,
};

/// A compiler with the source of its core library, and its LLVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// What it is called in messages.
    pub name: String,
    pub rustc: PathBuf,
    pub cargo: PathBuf,
    /// "22.1.8", as `rustc -vV` says.
    pub llvm_version: String,
    /// The shared library of that LLVM.
    pub llvm: PathBuf,
    /// Installed by Debian's packages rather than by rustup.
    pub debian: bool,
}

impl Toolchain {
    /// This toolchain's cargo, with its folder first in PATH: `cargo clippy` is a program that cargo looks for there,
    /// and rustup's stand-in of that name would bring another toolchain.
    ///
    /// # Errors
    /// When PATH cannot be written.
    pub fn cargo(&self) -> Result<Command> {
        let mut command = Command::new(&self.cargo);
        shell::without_cargo_marks(&mut command);
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = self.cargo.parent().map(Path::to_path_buf).into_iter().chain(env::split_paths(&path));
        let path = env::join_paths(folders).context("a folder in PATH has a colon in its name")?;
        command.env("PATH", path).env("RUSTC", &self.rustc);
        Ok(command)
    }
}

/// Finds or installs a toolchain, in the order of the module's documentation.
///
/// # Errors
/// When none can be had: what was tried, and the remedy.
pub fn find() -> Result<Toolchain> {
    let only = env::var("AGENT_GUARD_EBPF_TOOLCHAIN").unwrap_or_default();
    if !["", "rustup", "debian"].contains(&only.as_str()) {
        bail!("AGENT_GUARD_EBPF_TOOLCHAIN is `{only}`: set it to `rustup` or `debian`, or unset it");
    }
    let mut tried = Vec::new();
    if only != "debian" {
        match from_rustup() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => tried.push(format!("rustup: {error:#}")),
        }
    }
    if only != "rustup" {
        match from_debian() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => tried.push(format!("Debian: {error:#}")),
        }
    }
    bail!("no toolchain can build the eBPF object.\n  {}\n{REMEDY}", tried.join("\n  "))
}

fn from_rustup() -> Result<Toolchain> {
    if shell::which("rustup").is_none() {
        bail!("not installed");
    }
    if let Some(found) = rustup_with_source()? {
        return Ok(found);
    }
    let refused = paths::tools().join("rust-src-refused");
    if refused.exists() {
        bail!(
            "no toolchain has rust-src, and adding it failed before (remove {} to retry)",
            refused.display()
        );
    }
    shell::say("adding rust-src to the rustup toolchain — for building the core library of the BPF target");
    let mut add = Command::new("timeout");
    shell::without_cargo_marks(&mut add);
    let arguments = ["300", "rustup", "component", "add", "rust-src"];
    if let Some(toolchain) = env::var_os("RUSTUP_TOOLCHAIN") {
        add.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    if let Err(error) = shell::output(add.env("RUST_BACKTRACE", "0").args(arguments)) {
        fs::create_dir_all(paths::tools()).context("cannot make target/tools")?;
        fs::write(&refused, format!("{error:#}\n")).context("cannot write below target/tools")?;
        bail!("rust-src could not be added: {}", first_error(&format!("{error:#}")));
    }
    rustup_with_source()?
        .context("rust-src was added but no toolchain with an LLVM that bpf-linker knows has it")
}

/// The active toolchain first, then the others.
fn rustup_with_source() -> Result<Option<Toolchain>> {
    let list = shell::output(Command::new("rustup").args(["toolchain", "list", "--quiet"]))?;
    let mut names: Vec<String> = env::var("RUSTUP_TOOLCHAIN").into_iter().collect();
    names.extend(list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned));
    Ok(names.iter().find_map(|name| rustup_toolchain(name)))
}

fn rustup_toolchain(name: &str) -> Option<Toolchain> {
    let which = |program| shell::output(Command::new("rustup").args(["which", "--toolchain", name, program]));
    let rustc = PathBuf::from(which("rustc").ok()?.trim());
    let cargo = PathBuf::from(which("cargo").ok()?.trim());
    describe(name, rustc, cargo, false).ok()
}

fn from_debian() -> Result<Toolchain> {
    if !Path::new(DEBIAN_RUSTC).exists() || !DEBIAN.iter().all(apt::is_there) {
        install_debian()?;
    }
    describe("Debian's rustc-web", DEBIAN_RUSTC.into(), "/usr/bin/cargo".into(), true)
}

fn install_debian() -> Result<()> {
    if shell::which("apt-cache").is_none() {
        bail!("no apt on this machine");
    }
    if apt::is_installed("rustup") {
        bail!(
            "the package rustup is installed, with which Debian's rustc-web conflicts; nothing is removed for you"
        );
    }
    if apt::candidate("rustc-web").is_none() {
        apt::update()?;
    }
    let version =
        apt::candidate("rustc-web").context("apt knows no rustc-web (Debian's security archive has it)")?;
    if !is_new_enough(&version) {
        bail!("apt's rustc-web is {version}: too old, its LLVM is none that bpf-linker knows");
    }
    apt::ensure(&DEBIAN)
}

/// The first rustc on an LLVM that bpf-linker 0.13 knows is 1.91 (LLVM 21).
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split(['.', '+']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (1, 91)
}

/// Reads what a compiler is; an error says which part is missing.
fn describe(name: &str, rustc: PathBuf, cargo: PathBuf, debian: bool) -> Result<Toolchain> {
    let mut ask = Command::new(&rustc);
    shell::without_cargo_marks(&mut ask);
    let sysroot = PathBuf::from(shell::output(ask.args(["--print", "sysroot"]))?.trim());
    let source = sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs");
    if !source.exists() {
        bail!("{name} has no {}", source.display());
    }
    let mut ask = Command::new(&rustc);
    shell::without_cargo_marks(&mut ask);
    let words = shell::output(ask.arg("-vV"))?;
    let llvm_version = llvm_version(&words).with_context(|| format!("{name} does not say its LLVM"))?;
    let major = major(&llvm_version)?;
    let llvm = find_llvm(&sysroot, major)
        .with_context(|| format!("{name} is built on LLVM {llvm_version}, whose library was not found"))?;
    Ok(Toolchain { name: name.to_owned(), rustc, cargo, llvm_version, llvm, debian })
}

fn llvm_version(words: &str) -> Option<String> {
    words
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))
        .map(|version| version.trim().to_owned())
}

/// The major version, if bpf-linker has a feature for it.
///
/// # Errors
/// When it has none.
pub fn major(version: &str) -> Result<u32> {
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    match major {
        Some(known @ 21..=23) => Ok(known),
        _ => bail!("LLVM {version} is none that bpf-linker {} knows (21 to 23)", super::linker::VERSION),
    }
}

/// rustup keeps LLVM beside the compiler; Debian in the multiarch folder, in the package that rustc depends on.
fn find_llvm(sysroot: &Path, major: u32) -> Option<PathBuf> {
    let folders = [sysroot.join("lib"), sysroot.join("lib").join(apt::multiarch())];
    let wanted = [format!("libLLVM.so.{major}."), format!("libLLVM-{major}")];
    let is_wanted = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let llvm = wanted.iter().any(|prefix| name.starts_with(prefix.as_str()));
        // rustup's libLLVM-22-rust-….so is a linker script that names the library.
        llvm && name.contains(".so") && fs::metadata(file).is_ok_and(|data| data.len() > 1 << 20)
    };
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok());
    let mut found: Vec<PathBuf> =
        files.flatten().flatten().map(|entry| entry.path()).filter(is_wanted).collect();
    found.sort();
    found.pop()
}

fn first_error(words: &str) -> &str {
    words
        .lines()
        .find(|line| line.starts_with("error:"))
        .or_else(|| words.lines().next())
        .unwrap_or("no words")
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

const DEBIAN: [Need; 3] = [
    Need { package: "rustc-web", sign: Sign::Package, reason: "the compiler of the eBPF object" },
    Need { package: "cargo-web", sign: Sign::Package, reason: "the same compiler's cargo" },
    Need {
        package: "rust-web-src",
        sign: Sign::Package,
        reason: "building the core library of the BPF target",
    },
];

const REMEDY: &str = "Remedy: `rustup component add rust-src` with a way to rustup's server, or on Debian with the \
                      security archive `apt-get install rustc-web cargo-web rust-web-src`; then try again.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_of_a_compiler_is_read_from_its_words() {
        let words = "rustc 1.96.0\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_version(words).as_deref(), Some("22.1.8"));
        assert_eq!(llvm_version("rustc 1.96.0\n"), None);
    }

    #[test]
    fn only_llvms_with_a_feature_in_the_linker_are_taken() {
        assert_eq!(major("22.1.8").unwrap(), 22);
        for refused in ["19.1.7", "24.0.0", "", "x"] {
            assert!(major(refused).is_err(), "LLVM `{refused}` was taken");
        }
    }

    #[test]
    fn old_packages_are_known_before_they_are_installed() {
        assert!(is_new_enough("1.96.0+dfsg1-1~deb12u2"));
        assert!(is_new_enough("2.0.0-1"));
        for old in ["1.85.0+dfsg3-1~deb12u3", "1.63.0+dfsg1-2", "none"] {
            assert!(!is_new_enough(old), "{old} was taken");
        }
    }

    #[test]
    fn the_library_of_the_right_llvm_is_found_and_linker_scripts_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let lib = folder.path().join("lib");
        fs::create_dir(&lib).unwrap();
        let library = |name: &str, size| fs::write(lib.join(name), vec![0; size]).unwrap();
        library("libLLVM-22-rust-1.95.0-stable.so", 40);
        library("libLLVM.so.21.1", 2 << 20);
        assert_eq!(find_llvm(folder.path(), 22), None);
        library("libLLVM.so.22.1-rust-1.95.0-stable", 2 << 20);
        assert_eq!(find_llvm(folder.path(), 22), Some(lib.join("libLLVM.so.22.1-rust-1.95.0-stable")));
    }

    #[test]
    fn the_error_that_is_shown_is_rustups_not_its_backtrace() {
        let words =
            "`rustup` ended with 1: info: downloading\nerror: component download failed\nStack backtrace:";
        assert_eq!(first_error(words), "error: component download failed");
    }
}

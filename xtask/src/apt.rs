//! Debian packages: what is missing, why it is wanted, and its installation.
//!
//! A need is judged by a file or program, not by a package name: whoever installed node otherwise has node.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// Something that a Debian package provides.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// The package that brings it.
    pub package: &'static str,
    /// How to see that it is there.
    pub sign: Sign,
    /// What it is wanted for, in words that follow "for".
    pub reason: &'static str,
}

/// How one sees that something is there.
#[derive(Debug, Clone, Copy)]
pub enum Sign {
    /// A program in PATH or sbin.
    Program(&'static str),
    /// A file; `{arch}` stands for the multiarch folder.
    File(&'static str),
    /// The package itself is installed.
    Package,
    /// Debian's `python3 -c` succeeds with this.
    Python(&'static str),
}

/// Says what is missing and why, then installs it.
///
/// # Errors
/// When there is no apt-get, no root, or the installation fails; the message lists the packages.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !is_there(need)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        shell::say(&format!("missing: {} — for {}", need.package, need.reason));
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    install(&packages)
}

/// Whether a need is met.
#[must_use]
pub fn is_there(need: &Need) -> bool {
    match need.sign {
        Sign::Program(name) => shell::which(name).is_some(),
        Sign::File(path) => Path::new(&path.replace("{arch}", &multiarch())).exists(),
        Sign::Package => is_installed(need.package),
        Sign::Python(code) => shell::succeeds(Command::new("/usr/bin/python3").args(["-c", code])),
    }
}

/// Whether a package is installed and configured.
#[must_use]
pub fn is_installed(package: &str) -> bool {
    let query = ["--show", "--showformat=${db:Status-Status}", package];
    shell::output(Command::new("dpkg-query").args(query)).is_ok_and(|status| status == "installed")
}

/// The version that apt would install, after one attempt to refresh its lists when it knows none.
#[must_use]
pub fn candidate(package: &str) -> Option<String> {
    let policy =
        shell::output(Command::new("apt-cache").env("LC_ALL", "C").args(["policy", package])).ok()?;
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim();
    (version != "(none)").then(|| version.to_owned())
}

/// Refreshes apt's lists.
///
/// # Errors
/// When apt-get is missing or fails.
pub fn update() -> Result<()> {
    shell::run(apt_get()?.args(["--quiet", "--quiet", "update"]))
        .context("apt's package lists are out of reach")
}

/// The name of Debian's library folder for this machine.
#[must_use]
pub fn multiarch() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

/// Installs packages. `--no-remove`: Debian's rustc conflicts with its rustup, and we never take away what is there.
///
/// # Errors
/// When it fails; the message lists the packages.
pub fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if packages.iter().any(|package| candidate(package).is_none()) {
        update()?;
    }
    shell::say(&format!("installing: {list}"));
    let options = ["--quiet", "--yes", "--no-remove", "--no-install-recommends", "install"];
    let first = shell::run(apt_get()?.args(options).args(packages));
    if first.is_ok() {
        return Ok(());
    }
    update()?;
    shell::run(apt_get()?.args(options).args(packages))
        .with_context(|| format!("cannot install {list}: install them by hand, then try again"))
}

fn apt_get() -> Result<Command> {
    if shell::which("apt-get").is_none() {
        bail!(
            "this is no Debian or Ubuntu (no apt-get): install the packages named above by your system's means"
        );
    }
    let mut command = shell::as_root("env")?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_missing_and_what_is_not_is() {
        let need = |sign| Need { package: "no-such-package-of-debian", sign, reason: "a test" };
        assert!(is_there(&need(Sign::Program("sh"))));
        assert!(is_there(&need(Sign::File("/proc/self/status"))));
        assert!(!is_there(&need(Sign::Program("no-such-program"))));
        assert!(!is_there(&need(Sign::File("/no/such/{arch}/file"))));
        assert!(!is_there(&need(Sign::Package)));
    }
}

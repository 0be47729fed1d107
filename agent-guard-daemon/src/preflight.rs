//! What this host gives us and what it refuses, found before anything is promised.
//!
//! Every check is made and every finding reported together, each with what follows from it and what to do. What can
//! be tried is tried, because a kernel that has a call may still refuse it. What cannot be found out is a warning and
//! never passes as good.

use std::{
    fmt, fs, io,
    net::TcpStream,
    path::{Path, PathBuf},
};

use agent_guard_api::status::{Finding, Severity};

use crate::people::Accounts;

mod kernel;
mod mounts;
mod rights;
mod social;
mod trials;

pub use mounts::{cgroup_root, cgroup_root_of};

/// Breaks a connection of our own, as a denial would (`SOCK_DESTROY`).
pub type Destroy<'a> = &'a dyn Fn(&TcpStream) -> io::Result<()>;

/// What the checks look at.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// `/`, or a directory of a test's with a `proc` and a `sys` in it.
    pub root: &'a Path,
    pub accounts: &'a dyn Accounts,
    /// How many different people can decide ([`crate::people::People::deciders`]).
    pub deciders: usize,
    /// `None`: not tried, which is a warning.
    pub destroy: Option<Destroy<'a>>,
}

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("root", &self.root)
            .field("deciders", &self.deciders)
            .finish_non_exhaustive()
    }
}

/// Every finding, good ones included, in a fixed order.
pub fn check(inputs: &Inputs<'_>) -> Vec<Finding> {
    let host = Host { root: inputs.root };
    let mut findings = Vec::new();
    findings.extend(rights::check(&host));
    findings.extend(kernel::check(&host));
    findings.extend(mounts::check(&host));
    findings.push(trials::sock_destroy(inputs.destroy));
    findings.push(trials::pidfd_getfd());
    findings.extend(social::check(&host, inputs));
    findings
}

/// True if a finding forbids the daemon to start.
pub fn forbids_start(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// The files of a host, real or of a test.
struct Host<'a> {
    root: &'a Path,
}

impl Host<'_> {
    /// The text of `path` (absolute), `None` where it is not there or cannot be read.
    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Major and minor version of the kernel.
    fn kernel(&self) -> Option<(u32, u32)> {
        kernel::version(self.text("/proc/sys/kernel/osrelease")?.trim())
    }
}

fn ok(check: &str, finding: impl Into<String>) -> Finding {
    Finding {
        check: check.to_owned(),
        severity: Severity::Ok,
        finding: finding.into(),
        consequence: String::new(),
        remedy: String::new(),
    }
}

fn warning(check: &str, finding: impl Into<String>, consequence: &str, remedy: &str) -> Finding {
    bad(Severity::Warning, check, finding.into(), consequence, remedy)
}

fn error(check: &str, finding: impl Into<String>, consequence: &str, remedy: &str) -> Finding {
    bad(Severity::Error, check, finding.into(), consequence, remedy)
}

fn bad(severity: Severity, check: &str, finding: String, consequence: &str, remedy: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        severity,
        finding,
        consequence: consequence.to_owned(),
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests;

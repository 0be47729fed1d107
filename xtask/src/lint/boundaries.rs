//! Which crate may use what. The pure crates cannot act, because they cannot name anything that acts; and only one
//! folder of the daemon names the kernel's loader.
//!
//! Checked twice: on the resolved dependencies (indirect ones too) and on the identifiers of production code, since
//! the standard library needs no dependency. Also run by `cargo test -p xtask`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::sources::{self, Source};
use crate::shell;

/// The crates that see no clock, no file descriptor and no pid.
const PURE: [&str; 2] = ["agent-guard-core", "agent-guard-decode"];

/// Crates by which one acts, waits or reads a clock.
const ACTING: [&str; 17] = [
    "async-io",
    "async-std",
    "aya",
    "aya-obj",
    "chrono",
    "coarsetime",
    "jiff",
    "libbpf-rs",
    "libbpf-sys",
    "libc",
    "minstant",
    "mio",
    "nix",
    "quanta",
    "rustix",
    "smol",
    "tokio",
];

/// Identifiers by which the standard library does.
const ACTING_WORDS: [&str; 7] =
    ["Instant", "SystemTime", "TcpListener", "TcpStream", "ToSocketAddrs", "UNIX_EPOCH", "UdpSocket"];

/// Modules of the standard library by which one acts; `net` and `time` have pure types as well.
const ACTING_MODULES: [&str; 5] = ["env", "fs", "os", "process", "thread"];

/// Who may depend on a crate directly.
const ONLY: [(&str, &[&str]); 3] = [
    ("aya", &["agent-guard-daemon", "agent-guard-tests"]),
    ("aya-obj", &["agent-guard-daemon", "agent-guard-tests"]),
    ("rusqlite", &["agent-guard-daemon", "agent-guard-tests"]),
];

/// Checks the workspace as it is.
///
/// # Errors
/// All findings, one a line.
pub fn check() -> Result<()> {
    let arguments = ["metadata", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"];
    let metadata = shell::output(shell::cargo().args(arguments))?;
    let mut findings = dependency_findings(&metadata)?;
    findings.extend(sources::rust()?.iter().flat_map(source_findings));
    super::report(&findings)
}

/// The findings in `cargo metadata`'s words.
///
/// # Errors
/// When they cannot be read, or a pure crate is not among them.
pub fn dependency_findings(metadata: &str) -> Result<Vec<String>> {
    let metadata: Metadata =
        serde_json::from_str(metadata).context("cargo metadata printed something unknown")?;
    let names: BTreeMap<&str, &str> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
    let graph: BTreeMap<&str, Vec<&str>> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node.normal())).collect();
    let name = |id: &str| names.get(id).copied().unwrap_or_default();
    let mut findings = Vec::new();
    for pure in PURE {
        let id = names.iter().find(|(_, known)| **known == pure).map(|(id, _)| *id);
        let id =
            id.with_context(|| format!("the workspace has no {pure}, which the boundaries are about"))?;
        let reached: BTreeSet<&str> = reached(id, &graph).into_iter().map(name).collect();
        let acting = ACTING.iter().filter(|acting| reached.contains(**acting));
        findings.extend(
            acting.map(|acting| format!("{pure} depends on {acting}, directly or not: it must stay pure")),
        );
    }
    for (id, direct) in &graph {
        for (limited, users) in ONLY {
            let is_ours = metadata.workspace_members.iter().any(|member| member == id);
            if is_ours && !users.contains(&name(id)) && direct.iter().any(|used| name(used) == limited) {
                findings.push(format!("{} depends on {limited}: only {} may", name(id), users.join(" and ")));
            }
        }
    }
    Ok(findings)
}

fn reached<'a>(from: &'a str, graph: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(id) = next.pop() {
        if reached.insert(id) {
            next.extend(graph.get(id).into_iter().flatten());
        }
    }
    reached
}

fn source_findings(source: &Source) -> Vec<String> {
    let words = sources::identifiers(&source.file);
    let path = source.path.as_str();
    if PURE.iter().any(|pure| path.strip_prefix(pure).is_some_and(|rest| rest.starts_with("/src/"))) {
        return pure_findings(path, &words, &sources::imports(&source.file));
    }
    let daemon = path.starts_with("agent-guard-daemon/src/");
    if !daemon
        || path == "agent-guard-daemon/src/kernel.rs"
        || path.starts_with("agent-guard-daemon/src/kernel/")
    {
        return Vec::new();
    }
    let aya = words.iter().filter(|(word, _)| word == "aya");
    aya.map(|(_, line)| format!("{path}:{line}: names aya: only daemon/src/kernel may")).collect()
}

fn pure_findings(path: &str, words: &[(String, usize)], imports: &[(Vec<String>, usize)]) -> Vec<String> {
    let finding = |line: &usize, what: &str| {
        format!("{path}:{line}: names {what}: a pure crate gets it as an argument")
    };
    let clocks = words.iter().filter(|(word, _)| ACTING_WORDS.contains(&word.as_str()));
    let mut findings: Vec<String> = clocks.map(|(word, line)| finding(line, word)).collect();
    let pairs = words.windows(2).filter_map(|pair| match pair {
        [(root, line), (module, _)] => Some((root, module, line)),
        _ => None,
    });
    let imported = imports.iter().filter_map(|(path, line)| match path.as_slice() {
        [root, module, ..] => Some((root, module, line)),
        _ => None,
    });
    let acting = pairs
        .chain(imported)
        .filter(|(root, module, _)| *root == "std" && ACTING_MODULES.contains(&module.as_str()));
    findings.extend(acting.map(|(_, module, line)| finding(line, &format!("std::{module}"))));
    findings.sort();
    findings.dedup();
    findings
}

/// What we read of `cargo metadata`, see the Cargo Book.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

impl Node {
    /// What is linked in, rather than used by tests or build scripts only.
    fn normal(&self) -> Vec<&str> {
        let normal = self.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        normal.map(|dep| dep.pkg.as_str()).collect()
    }
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let file = syn::parse_file(text).unwrap();
        source_findings(&Source { path: path.to_owned(), text: text.to_owned(), file })
    }

    #[test]
    fn a_clock_in_a_pure_crate_is_found_but_not_in_its_tests_and_comments() {
        let path = "agent-guard-core/src/engine.rs";
        assert_eq!(found(path, "fn now() -> u64 { std::time::Instant::now() }").len(), 1);
        assert_eq!(found(path, "use std::{fmt, fs};").len(), 1);
        assert_eq!(found(path, "use std::time::{Duration, SystemTime};").len(), 1);
        assert!(found(path, "use std::{fmt, net::IpAddr, time::Duration};").is_empty());
        assert_eq!(found(path, "use std::net::{IpAddr, TcpStream};").len(), 1);
        assert_eq!(found(path, "fn f() { std::fs::read(\"x\"); }").len(), 1);
        assert!(found(path, "/// SystemTime\nfn f() { g(\"Instant\") }").is_empty());
        assert!(found(path, "#[cfg(test)]\nmod tests { use std::time::Instant; }").is_empty());
        assert!(found("agentguardctl/src/main.rs", "use std::time::Instant;").is_empty());
    }

    #[test]
    fn aya_is_named_in_one_folder_of_the_daemon_only() {
        let text = "use aya::Ebpf;";
        assert_eq!(found("agent-guard-daemon/src/ingest.rs", text).len(), 1);
        assert!(found("agent-guard-daemon/src/kernel.rs", text).is_empty());
        assert!(found("agent-guard-daemon/src/kernel/load.rs", text).is_empty());
    }
}

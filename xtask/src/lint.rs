//! `cargo xtask lint`: everything that is checked without running the product. All checks run, all findings are
//! shown, and only then it fails.

pub mod boundaries;
mod bpf;
mod sizes;
mod sources;
mod words;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{paths, shell};

/// Runs every check, or the named one.
///
/// # Errors
/// When there is no such check; findings are an exit code.
pub fn run(only: Option<&str>) -> Result<ExitCode> {
    let chosen: Vec<_> = CHECKS.iter().filter(|check| only.is_none_or(|only| only == check.0)).collect();
    if chosen.is_empty() {
        let known = CHECKS.map(|check| check.0).join(", ");
        bail!("there is no check `{}`; there are: {known}", only.unwrap_or_default());
    }
    let mut failed = Vec::new();
    for (name, about, check) in chosen {
        shell::say(&format!("lint {name}: {about}"));
        if let Err(error) = check() {
            eprintln!("{error:#}");
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        shell::say("lint: nothing found");
        return Ok(ExitCode::SUCCESS);
    }
    shell::say(&format!("lint: findings in: {}", failed.join(", ")));
    Ok(ExitCode::FAILURE)
}

fn format() -> Result<()> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    for outside in ["agent-guard-ebpf/Cargo.toml", "fuzz/Cargo.toml"] {
        if paths::root().join(outside).exists() {
            shell::run(shell::cargo().args(["fmt", "--check", "--manifest-path", outside]))?;
        }
    }
    Ok(())
}

fn clippy() -> Result<()> {
    shell::run(shell::cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

fn dependencies() -> Result<()> {
    if shell::which("cargo-deny").is_none() {
        shell::say("skipped: cargo-deny is not installed (`cargo install cargo-deny --locked` brings it)");
        return Ok(());
    }
    shell::run(shell::cargo().args(["deny", "check"]))
}

/// Fails with all findings at once, one a line.
fn report(findings: &[String]) -> Result<()> {
    if findings.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("{}", findings.join("\n"))) }
}

type Check = fn() -> Result<()>;

const CHECKS: [(&str, &str, Check); 7] = [
    ("fmt", "the formatting of every crate", format),
    ("sizes", "functions up to 100 lines, files up to 500", sizes::check),
    ("boundaries", "which crate may use what", boundaries::check),
    ("words", "paths of one machine", words::check),
    ("clippy", "the host's crates, warnings denied", clippy),
    ("bpf", "the BPF target, warnings denied", bpf::check),
    ("deny", "licences and advisories of the dependencies", dependencies),
];

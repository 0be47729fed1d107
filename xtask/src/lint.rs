//! `cargo xtask lint`: everything that is checked without running the product. All checks run, all findings are
//! shown, and only then it fails.

pub mod boundaries;
mod bpf;
mod sizes;
mod sources;
mod words;

use std::process::ExitCode;

use anyhow::Result;

use crate::{paths, shell};

/// Runs every check.
///
/// # Errors
/// Only when the findings cannot be reported; findings are an exit code.
pub fn run() -> Result<ExitCode> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        shell::say(&format!("lint: {name}"));
        if let Err(error) = check() {
            eprintln!("{error:#}");
            failed.push(name);
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

const CHECKS: [(&str, Check); 7] = [
    ("format", format),
    ("size budgets", sizes::check),
    ("import boundaries", boundaries::check),
    ("machine words", words::check),
    ("clippy on the host", clippy),
    ("clippy on the BPF target", bpf::check),
    ("dependencies", dependencies),
];

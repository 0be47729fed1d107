//! `cargo xtask test`: what needs nothing, then what needs root, and with `--all` the long parts.
//!
//! Privileged test programs are built as the invoking user and only run as root. The closing line counts what the test programs themselves reported, and a program that reported
//! nothing (crashed, was cut off) counts as one failure.

mod clients;
mod fuzz;
mod parts;
mod programs;
mod tally;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{binaries, paths, shell};
use tally::Tally;

/// The command's options.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The long parts instead of the ordinary tests; a finished part is not run again on the same tree.
    #[arg(long)]
    all: bool,
    /// Only this part.
    #[arg(long, requires = "all", conflicts_with = "rotate")]
    part: Option<String>,
    /// Only the part whose turn it is today, among those that fit the limit.
    #[arg(long, requires = "all")]
    rotate: bool,
    /// List the parts and what is known of them.
    #[arg(long, requires = "all")]
    list: bool,
    /// Forget the remembered results.
    #[arg(long, requires = "all")]
    fresh: bool,
    /// Minutes that a part may take.
    #[arg(long, requires = "all", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=60))]
    limit_minutes: u64,
}

/// Runs the tests and says truthfully how many passed and failed.
///
/// # Errors
/// When a build or a preparation fails; failing tests are an exit code instead.
pub fn run(options: &Options) -> Result<ExitCode> {
    let tally = if options.all { long(options)? } else { ordinary()? };
    let Some(tally) = tally else { return Ok(ExitCode::SUCCESS) };
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ordinary() -> Result<Option<Tally>> {
    let mut tally = Tally::default();
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--exclude", "agent-guard-tests", "--no-fail-fast"]);
    tally.add(programs::counted(&mut cargo)?);
    prepare()?;
    for program in programs::build()? {
        if !program.is_long() {
            tally.add(programs::as_root(&program, MINUTES_EACH, false)?);
        }
    }
    Ok(Some(tally))
}

fn long(options: &Options) -> Result<Option<Tally>> {
    let parts = parts::all()?;
    let mut memory = parts::Memory::load(options.fresh)?;
    if options.list {
        parts.iter().for_each(|part| println!("{}", memory.describe(part)));
        return Ok(None);
    }
    let chosen = parts::choose(&parts, options.part.as_deref(), options.rotate, options.limit_minutes)?;
    if chosen.is_empty() {
        bail!(
            "there is no long part that fits: add tests/tests/long_NAME.rs or a target in fuzz/, or raise the limit"
        );
    }
    let mut tally = Tally::default();
    for part in chosen {
        if let Some(done) = memory.passed(part) {
            shell::say(&format!("{}: done on this tree already ({} passed)", part.name, done.passed));
            tally.add(done);
            continue;
        }
        shell::say(&format!("part {}: {}", part.name, part.about));
        let result = part.run(options.limit_minutes)?;
        memory.remember(part, result)?;
        tally.add(result);
    }
    Ok(Some(tally))
}

/// Installs the clients and servers that tests and benchmarks use.
///
/// # Errors
/// When something cannot be installed.
pub fn clients_ready() -> Result<()> {
    clients::ensure()
}

/// The environment, as `NAME=VALUE`, by which privileged tests and benchmarks find what they are about.
#[must_use]
pub fn environment() -> Vec<String> {
    programs::environment()
}

/// What the privileged and the end-to-end tests need.
fn prepare() -> Result<()> {
    clients::ensure()?;
    let folder = binaries::build(true)?;
    binaries::build_faulty()?;
    shell::say(&format!("under test: {} with {}", folder.display(), paths::bpf_object().display()));
    Ok(())
}

/// No ordinary test program may take longer; all together have 35 minutes.
const MINUTES_EACH: u64 = 20;

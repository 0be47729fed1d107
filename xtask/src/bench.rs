//! `cargo xtask bench`: one table of what is measured and how. Each entry is skipped aloud while its source is
//! missing, and none at all is an error.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::{binaries, paths, shell, test};

/// Runs all benchmarks, or the named one.
///
/// # Errors
/// When the name is unknown, a benchmark fails, or there was nothing to run.
pub fn run(name: Option<&str>) -> Result<ExitCode> {
    let chosen: Vec<&Bench> =
        TABLE.iter().filter(|bench| name.is_none_or(|name| name == bench.name)).collect();
    if chosen.is_empty() {
        let known = TABLE.map(|bench| bench.name).join(", ");
        bail!("there is no benchmark `{}`; there are: {known}", name.unwrap_or_default());
    }
    let mut ran = 0;
    for bench in chosen {
        let source = paths::root().join(bench.source);
        if !source.exists() {
            shell::say(&format!(
                "{} ({}): skipped, there is no {}",
                bench.name, bench.measures, bench.source
            ));
            continue;
        }
        shell::say(&format!("{}: {}", bench.name, bench.measures));
        execute(bench).with_context(|| format!("benchmark {}", bench.name))?;
        ran += 1;
    }
    if ran == 0 {
        bail!("none of the benchmarks could run");
    }
    Ok(ExitCode::SUCCESS)
}

fn execute(bench: &Bench) -> Result<()> {
    match bench.kind {
        Kind::Criterion => {
            shell::run(shell::cargo().args(["bench", "--package", bench.package, "--bench", bench.target]))
        }
        Kind::WholeProcess => {
            test::clients_ready()?;
            binaries::build(true)?;
            let build = ["build", "--release", "--package", bench.package, "--bin", bench.target];
            shell::run(shell::cargo().args(build))?;
            let mut command = shell::as_root("env")?;
            command.args(test::environment()).arg(paths::binaries(true).join(bench.target));
            shell::run(&mut command)
        }
    }
}

/// A benchmark.
struct Bench {
    name: &'static str,
    measures: &'static str,
    kind: Kind,
    package: &'static str,
    /// The bench or binary target.
    target: &'static str,
    /// Its source, from the root of the workspace.
    source: &'static str,
}

enum Kind {
    /// A criterion bench, without privileges.
    Criterion,
    /// A program that starts guards, servers and clients, as root.
    WholeProcess,
}

const TABLE: [Bench; 3] = [
    Bench {
        name: "decode",
        measures: "decoding of requests",
        kind: Kind::Criterion,
        package: "agent-guard-decode",
        target: "decode",
        source: "agent-guard-decode/benches/decode.rs",
    },
    Bench {
        name: "classify",
        measures: "decoding and classifying an AWS query request: at most 2 us",
        kind: Kind::Criterion,
        package: "agent-guard-core",
        target: "classify",
        source: "agent-guard-core/benches/classify.rs",
    },
    Bench {
        name: "guard",
        measures: "probe hits, a busy server that is no agent, requests under the guard, memory",
        kind: Kind::WholeProcess,
        package: "agent-guard-tests",
        target: "bench",
        source: "tests/src/bin/bench.rs",
    },
];

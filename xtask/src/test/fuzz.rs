//! The part `fuzz`: each target for its share of the time, with cargo-fuzz from `target/tools`.
//!
//! Without a sanitizer: what is fuzzed forbids unsafe code, so panics, hangs and unbounded memory are looked for, and
//! this way a stable toolchain serves (`RUSTC_BOOTSTRAP=1` for the coverage flags).

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use super::tally::Tally;
use crate::{
    apt::{self, Need, Sign},
    paths, shell,
};

/// Whether there are fuzz targets.
pub(super) fn exists() -> bool {
    paths::root().join("fuzz/Cargo.toml").exists()
}

/// Runs every target; one that finds something is a failure.
pub(super) fn run(limit: u64) -> Result<Tally> {
    apt::ensure(&[Need { package: "g++", sign: Sign::Program("c++"), reason: "building libFuzzer" }])?;
    let cargo_fuzz = ensure()?;
    let mut list = shell::cargo();
    let names = shell::output(list.args([
        "metadata",
        "--no-deps",
        "--format-version=1",
        "--manifest-path",
        MANIFEST,
    ]))?;
    let targets = targets(&names)?;
    if targets.is_empty() {
        bail!("{MANIFEST} has no fuzz target");
    }
    let seconds = limit.min(MINUTES) * 60 / u64::try_from(targets.len()).unwrap_or(1);
    let mut tally = Tally::default();
    for target in targets {
        let mut command = shell::cargo_like(&cargo_fuzz);
        command.env("RUSTC_BOOTSTRAP", "1").env_remove("CARGO_TARGET_DIR");
        let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
        for folder in [&corpus, &seeds] {
            fs::create_dir_all(paths::root().join(folder))
                .with_context(|| format!("cannot make {folder}"))?;
        }
        command.args(["fuzz", "run", "--sanitizer", "none", &target, &corpus, &seeds, "--"]);
        command.args([
            format!("-max_total_time={}", seconds.max(10)),
            "-timeout=10".into(),
            "-rss_limit_mb=1024".into(),
        ]);
        match shell::run(&mut command) {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                shell::say(&format!(
                    "fuzz target {target}: {error:#}; its input is below fuzz/artifacts/{target}"
                ));
                tally.failed += 1;
            }
        }
    }
    Ok(tally)
}

fn ensure() -> Result<PathBuf> {
    let program = paths::tools().join("bin/cargo-fuzz");
    if !program.exists() {
        shell::say("building cargo-fuzz — for the fuzz targets");
        let mut cargo = shell::cargo();
        cargo
            .args(["install", "cargo-fuzz", "--version", "0.13.2", "--locked", "--root"])
            .arg(paths::tools());
        shell::run(cargo.env("CARGO_TARGET_DIR", paths::tools().join("build")))?;
    }
    Ok(program)
}

fn targets(metadata: &str) -> Result<Vec<String>> {
    let value: serde_json::Value =
        serde_json::from_str(metadata).context("cargo metadata printed no JSON")?;
    let list = value.pointer("/packages/0/targets").and_then(|targets| targets.as_array());
    let is_bin = |target: &&serde_json::Value| target.pointer("/kind/0").is_some_and(|kind| kind == "bin");
    let name =
        |target: &serde_json::Value| target.get("name").and_then(|name| name.as_str()).map(str::to_owned);
    Ok(list.into_iter().flatten().filter(is_bin).filter_map(name).collect())
}

const MANIFEST: &str = "fuzz/Cargo.toml";
/// What all targets together take when nobody limits them further.
const MINUTES: u64 = 20;

#[cfg(test)]
mod tests {
    #[test]
    fn binaries_of_the_fuzz_crate_are_its_targets() {
        let metadata =
            r#"{"packages":[{"targets":[{"kind":["bin"],"name":"http1"},{"kind":["lib"],"name":"x"}]}]}"#;
        assert_eq!(super::targets(metadata).unwrap(), ["http1"]);
    }
}

//! The test programs of the package `agent-guard-tests`: built by us, run as root, one test at a time.

use std::{
    env,
    io::{BufRead as _, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::tally::Tally;
use crate::{paths, shell};

/// A built test program.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    file: PathBuf,
}

impl Program {
    /// Long programs are parts of `test --all`.
    pub(super) fn is_long(&self) -> bool {
        self.name.starts_with("long_")
    }
}

/// Builds the privileged test programs without running them.
pub(super) fn build() -> Result<Vec<Program>> {
    let mut cargo = shell::cargo();
    cargo.args([
        "test",
        "--package",
        "agent-guard-tests",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    let words = shell::output(cargo.stderr(Stdio::inherit()))?;
    Ok(words.lines().filter_map(program).collect())
}

/// Runs a test program as root, for at most so many minutes; `ignored` runs the tests marked as such instead.
pub(super) fn as_root(program: &Program, minutes: u64, ignored: bool) -> Result<Tally> {
    shell::say(&format!("{} (as root, at most {minutes} minutes)", program.name));
    let mut command = shell::as_root("env")?;
    command.args(environment()).args(["timeout", "--foreground", "--kill-after=60", &format!("{minutes}m")]);
    command.arg(&program.file).arg("--test-threads=1").current_dir(paths::root().join("tests"));
    if ignored {
        command.arg("--ignored");
    }
    counted(&mut command)
}

/// Runs a command, shows its output and counts the results in it.
pub(super) fn counted(command: &mut Command) -> Result<Tally> {
    counted_into(command, &mut std::io::stdout())
}

/// Where the output goes is a parameter for our own tests: their examples must not be counted by an outer run.
fn counted_into(command: &mut Command, shown: &mut dyn Write) -> Result<Tally> {
    let words = shell::shown(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {words}"))?;
    let output = child.stdout.take().context("no pipe to the tests")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("cannot read from {words}"))?;
        let line = String::from_utf8_lossy(&line);
        tally.read(&line);
        writeln!(shown, "{line}").context("cannot show the tests' output")?;
    }
    let status = child.wait().with_context(|| format!("cannot wait for {words}"))?;
    if !status.success() {
        shell::say(&format!("{words} ended with {status}"));
    }
    Ok(tally.ended(status.success()))
}

/// What the tests find their subjects by. Written into the command line, since sudo drops the environment.
pub(super) fn environment() -> Vec<String> {
    let variable = |name: &str, value: &Path| format!("{name}={}", value.display());
    let mut variables = vec![
        variable("AGENT_GUARD_BIN_DIR", &paths::binaries(true)),
        variable("AGENT_GUARD_BPF_OBJECT", &paths::bpf_object()),
        variable("AGENT_GUARD_VENV", &paths::venv()),
    ];
    for name in ["AGENT_GUARD_REQUIRE_PRIVILEGED", "RUST_BACKTRACE", "PATH", "HOME", "CI"] {
        if let Ok(value) = env::var(name) {
            variables.push(format!("{name}={value}"));
        }
    }
    variables
}

fn program(line: &str) -> Option<Program> {
    let message: Message = serde_json::from_str(line).ok()?;
    if message.reason != "compiler-artifact" || !message.profile?.test {
        return None;
    }
    Some(Program { name: message.target?.name, file: message.executable? })
}

/// What we read of cargo's messages, see the Cargo Book, "External tools", "JSON messages".
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_picked_out_of_cargos_messages() {
        let test = r#"{"reason":"compiler-artifact","target":{"name":"hold"},"profile":{"test":true},"executable":"/t/hold-1"}"#;
        let found = program(test).unwrap();
        assert_eq!((found.name.as_str(), found.file.as_path()), ("hold", Path::new("/t/hold-1")));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"x"},"profile":{"test":false},"executable":null}"#;
        for other in [library, r#"{"reason":"build-finished","success":true}"#, "no json"] {
            assert!(program(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_command_that_fails_without_results_counts_as_a_failure() {
        let mut shown = Vec::new();
        let mut run =
            |script: &str| counted_into(Command::new("sh").args(["-c", script]), &mut shown).unwrap();
        assert_eq!(run("exit 3"), Tally { passed: 0, failed: 1 });
        let words = "test result: ok. 2 passed; 0 failed; 0 ignored";
        assert_eq!(run(&format!("echo '{words}'")), Tally { passed: 2, failed: 0 });
        assert_eq!(String::from_utf8(shown).unwrap().trim_end(), words);
    }
}

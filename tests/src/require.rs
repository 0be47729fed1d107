//! What a test needs of its machine. A machine that lacks it skips the test with a sentence, and where
//! `AGENT_GUARD_REQUIRE_PRIVILEGED=1` is set (CI) that sentence is a failure: CI cannot go green by skipping.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// One thing that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The effective uid 0 in the initial user namespace.
    Root,
    /// `agent-guardd` and `agentguardctl`, built.
    Guard,
    /// A program in `PATH`, `/usr/sbin` or `/sbin`.
    Tool(&'static str),
    /// A device node or file.
    File(&'static str),
    /// The Python environment of `requirements.txt`.
    Venv,
}

/// True when every need is met. Otherwise says which are not, and either returns false (the caller skips) or panics.
///
/// # Panics
/// If `AGENT_GUARD_REQUIRE_PRIVILEGED=1` and something is missing.
pub fn met(needs: &[Need]) -> bool {
    let missing: Vec<String> = needs.iter().filter_map(|need| lacking(*need)).collect();
    if missing.is_empty() {
        return true;
    }
    let what = missing.join("; ");
    assert!(
        env::var_os("AGENT_GUARD_REQUIRE_PRIVILEGED").is_none_or(|value| value != "1"),
        "this test must run here (AGENT_GUARD_REQUIRE_PRIVILEGED=1), but {what}"
    );
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    // Not eprintln!: the test harness would swallow the sentence of a test that "passes" by skipping.
    io::stderr().write_all(format!("skipped {name}: {what}\n").as_bytes()).ok();
    false
}

/// Where the programs under test are: `AGENT_GUARD_BIN_DIR`, else the workspace's `target/release`.
pub fn bin_dir() -> PathBuf {
    env::var_os("AGENT_GUARD_BIN_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release"), PathBuf::from)
}

/// The path of a program in `PATH` or the administrator's directories.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn lacking(need: Need) -> Option<String> {
    match need {
        Need::Root => {
            (!geteuid().is_root() || !initial_user_namespace()).then(|| "it needs root: run it with sudo".to_owned())
        }
        Need::Guard => ["agent-guardd", "agentguardctl"].into_iter().find(|name| !bin_dir().join(name).is_file()).map(
            |name| {
                format!(
                    "{name} is not in {}: build it with `cargo xtask build --release` or set AGENT_GUARD_BIN_DIR",
                    bin_dir().display()
                )
            },
        ),
        Need::Tool(name) => tool(name).is_none().then(|| format!("the program {name} is not installed")),
        Need::File(path) => (!Path::new(path).exists()).then(|| format!("{path} does not exist")),
        Need::Venv => crate::venv::python().err().map(|error| format!("the Python environment is missing: {error:#}")),
    }
}

fn initial_user_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

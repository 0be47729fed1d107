//! The Python clients, in an environment of pinned versions made once per machine.
//!
//! It stands on Debian's `/usr/bin/python3`, whose `ssl` module uses the system's libssl: that is what agents have, and
//! what every user can execute (a Python in somebody's home cannot be run by the test's agent users).

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

/// The environment's interpreter; makes or renews the environment when `requirements.txt` changed.
pub fn python() -> Result<PathBuf> {
    Ok(dir()?.join("bin/python3"))
}

/// A program of the environment, such as `aws` or `moto_server`.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = dir()?.join("bin").join(name);
    if !path.is_file() {
        bail!("{} does not exist: remove the environment so that it is made again", path.display());
    }
    Ok(path)
}

fn dir() -> Result<PathBuf> {
    static READY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let ready = READY.get_or_init(|| ensure().map_err(|error| format!("{error:#}")));
    ready.clone().map_err(anyhow::Error::msg)
}

fn ensure() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = env::var_os("AGENT_GUARD_VENV").map_or_else(|| manifest.join("../target/venv"), PathBuf::from);
    let parent = dir.parent().context("the environment's directory has no parent")?;
    fs::create_dir_all(parent)?;
    let lock = File::create(parent.join("venv.lock")).context("lock file of the Python environment")?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;

    let requirements = manifest.join("requirements.txt");
    let wanted = format!("{:x?}", Sha256::digest(fs::read(&requirements)?));
    let stamp = dir.join("requirements.sha256");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(dir.canonicalize()?);
    }
    run(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&dir))
        .context("make the Python environment (Debian packages python3 and python3-venv)")?;
    run(Command::new(dir.join("bin/python3"))
        .args(["-m", "pip", "install", "--quiet", "-r"])
        .arg(&requirements))
    .context("install the pinned clients")?;
    fs::write(&stamp, wanted)?;
    Ok(dir.canonicalize()?)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

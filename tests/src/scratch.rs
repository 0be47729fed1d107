//! A directory per test that other users may enter: agents and approvers run under other uids than the test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A temporary directory with mode 0755, removed on drop.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    pub fn new() -> Result<Self> {
        // The guard trusts settings only below directories that root alone can write, which /tmp is not.
        let base =
            if nix::unistd::geteuid().is_root() { PathBuf::from("/run") } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new()
            .prefix("agent-guard-test-")
            .tempdir_in(base)
            .context("test directory")?;
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        Ok(Self(dir))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that everybody may read.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.join(name);
        if fs::read(&path).is_ok_and(|have| have == content) {
            return Ok(path);
        }
        // By renaming, so that whoever reads it meanwhile (a bind mount, a running client) sees one or the other.
        let fresh = self.join(&format!("{name}.new"));
        fs::write(&fresh, content).with_context(|| format!("write {}", fresh.display()))?;
        fs::set_permissions(&fresh, Permissions::from_mode(0o644))?;
        fs::rename(&fresh, &path)?;
        Ok(path)
    }

    /// Copies a program to where every user can execute it (the build directory may lie in a private home),
    /// once: it may be running.
    pub fn program(&self, source: &Path) -> Result<PathBuf> {
        let name = source.file_name().context("program without a name")?;
        let target = self.0.path().join(name);
        if target.exists() {
            return Ok(target);
        }
        fs::copy(source, &target).with_context(|| format!("copy {}", source.display()))?;
        fs::set_permissions(&target, Permissions::from_mode(0o755))?;
        Ok(target)
    }

    /// A directory that `uid` owns.
    pub fn owned_dir(&self, name: &str, uid: u32) -> Result<PathBuf> {
        let path = self.join(name);
        fs::create_dir_all(&path)?;
        std::os::unix::fs::chown(&path, Some(uid), Some(uid))?;
        Ok(path)
    }
}

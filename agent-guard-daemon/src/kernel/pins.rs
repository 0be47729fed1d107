//! The pin directory: `<root>/v<ABI>/{maps,progs,links}`. What is pinned goes on without the daemon.

use std::{
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use agent_guard_common::ABI_VERSION;

/// Default root of the pins.
pub const ROOT: &str = "/sys/fs/bpf/agent-guard";

/// Paths below one pin directory.
#[derive(Clone, Debug)]
pub struct Pins {
    base: PathBuf,
}

impl Pins {
    /// Pins of this ABI version below `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Pins { base: root.join(format!("v{ABI_VERSION}")) }
    }

    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.base.join("maps").join(name)
    }

    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.base.join("progs").join(name)
    }

    #[must_use]
    pub fn link(&self, name: &str) -> PathBuf {
        self.base.join("links").join(name)
    }

    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.base.join("links")
    }

    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Makes the directories, readable by root only.
    ///
    /// # Errors
    /// As the file system says; the root must lie on a bpffs.
    pub fn create(&self) -> io::Result<()> {
        for part in ["maps", "progs", "links"] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(self.base.join(part))?;
        }
        Ok(())
    }

    /// Removes every pin: links first, so that nothing is enforced with maps half gone, and of them the egress drop
    /// last, so that nothing leaves while the others go. Reports all failures together.
    ///
    /// # Errors
    /// The names that could not be removed, with the reason of the last.
    pub fn remove(&self) -> io::Result<()> {
        let mut failed = Vec::new();
        let mut reason = None;
        for part in ["links", "progs", "maps"] {
            let Ok(entries) = std::fs::read_dir(self.base.join(part)) else { continue };
            let mut entries: Vec<_> = entries.flatten().collect();
            entries.sort_by_key(|entry| entry.file_name() == "egress");
            for entry in entries {
                if let Err(error) = std::fs::remove_file(entry.path()) {
                    failed.push(entry.path().display().to_string());
                    reason = Some(error.kind());
                }
            }
        }
        for directory in ["links", "progs", "maps", "."] {
            // Not empty only if a removal above failed, which is reported there.
            drop(std::fs::remove_dir(self.base.join(directory)));
        }
        drop(std::fs::remove_dir(&self.base));
        match reason {
            None => Ok(()),
            Some(kind) => Err(io::Error::new(kind, format!("cannot remove {}", failed.join(", ")))),
        }
    }
}

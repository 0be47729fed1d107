//! What was being decoded when a daemon died is not decoded again.
//!
//! The cookie of the connection under decoding stands in a small file while it is decoded: a write into the page cache,
//! which survives the process however it ends.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// The marker file of a state directory.
#[derive(Debug)]
pub struct Poison {
    file: File,
    poisoned: HashSet<u64>,
}

impl Poison {
    /// Opens the marker; whatever it names was being decoded when the last daemon ended.
    ///
    /// # Errors
    /// As the file system says.
    pub fn open(state_dir: &Path, boot_id: &str) -> io::Result<Poison> {
        let path = state_dir.join(format!("decoding-{boot_id}"));
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut word = [0; 8];
        let mut poisoned = HashSet::new();
        if file.read(&mut word)? == 8 && word != [0; 8] {
            poisoned.insert(u64::from_ne_bytes(word));
        }
        let poison = Poison { file, poisoned };
        poison.write(0);
        Ok(poison)
    }

    /// An earlier daemon died on this connection.
    #[must_use]
    pub fn is_poisoned(&self, cookie: u64) -> bool {
        self.poisoned.contains(&cookie)
    }

    /// Decodes something of a connection; `None` if that panicked. If it ends the daemon, the next one knows of which.
    pub fn decode<T>(&self, cookie: u64, work: impl FnOnce() -> T) -> Option<T> {
        self.write(cookie);
        let done = catch_unwind(AssertUnwindSafe(work));
        self.write(0);
        done.ok()
    }

    fn write(&self, cookie: u64) {
        if let Err(error) = self.file.write_all_at(&cookie.to_ne_bytes(), 0) {
            tracing::warn!(%error, "the decoding marker cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_dies_while_decoding_leaves_its_mark() {
        let dir = tempfile::tempdir().unwrap();
        let first = Poison::open(dir.path(), "boot").unwrap();
        assert_eq!(first.decode(41, || 1), Some(1));
        first.write(42);
        drop(first); // killed here
        let second = Poison::open(dir.path(), "boot").unwrap();
        assert!(second.is_poisoned(42) && !second.is_poisoned(41));
        drop(second);
        assert!(!Poison::open(dir.path(), "boot").unwrap().is_poisoned(42));
    }

    #[test]
    fn a_panic_is_no_end_of_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let first = Poison::open(dir.path(), "boot").unwrap();
        assert_eq!(first.decode(41, || -> u8 { panic!("a test") }), None);
        drop(first);
        assert!(!Poison::open(dir.path(), "boot").unwrap().is_poisoned(41));
    }
}

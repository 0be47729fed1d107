//! Records that wait on disk for journald, in order, over a restart of the daemon as well.
//!
//! The file only grows until everything in it is delivered, then it is emptied: simple enough to be right, at the
//! price that a crash in the middle of a delivery delivers its first part twice.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use agent_guard_api::audit::AuditRecord;

use super::outlet::Sink;

/// A file of JSON lines, of which the first `read` bytes are delivered.
#[derive(Debug)]
pub struct Spool {
    file: File,
    read: u64,
    end: u64,
    lost: u64,
}

impl Spool {
    /// Largest spool, in bytes; what does not fit waits in memory, then is counted as lost.
    pub const MAX_BYTES: u64 = 64 << 20;

    /// Opens the spool with whatever a previous daemon left in it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
            .open(path)?;
        let end = file.seek(SeekFrom::End(0))?;
        let mut spool = Spool { file, read: 0, end, lost: 0 };
        spool.end_partial_line()?;
        Ok(spool)
    }

    pub fn is_empty(&self) -> bool {
        self.read == self.end
    }

    /// Records that could not be read back since the last call.
    pub fn take_losses(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Appends one record; on failure the spool is as it was.
    pub fn push(&mut self, record: &AuditRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if self.end + line.len() as u64 > Self::MAX_BYTES {
            return Err(io::Error::other("the spool is full (64 MiB)"));
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        match self.file.write_all(&line) {
            Ok(()) => {
                self.end += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.file.set_len(self.end)?;
                Err(error)
            }
        }
    }

    /// Offers everything to `sink` in order and empties the file; stops at the first record it does not take.
    pub fn deliver(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(self.read))?;
        let mut lines = BufReader::new(&self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = (&mut lines).take(MAX_LINE).read_until(b'\n', &mut line)? as u64;
            if length == 0 {
                break;
            }
            match serde_json::from_slice(&line) {
                Ok(record) => sink.write(&record)?,
                Err(_) => self.lost += u64::from(!line.trim_ascii().is_empty()),
            }
            self.read += length;
        }
        self.file.set_len(0)?;
        (self.read, self.end) = (0, 0);
        Ok(())
    }

    /// A daemon that died while writing left half a line; the next record must not be glued to it.
    fn end_partial_line(&mut self) -> io::Result<()> {
        if self.end == 0 {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(self.end - 1))?;
        let mut last = [0];
        self.file.read_exact(&mut last)?;
        if last != *b"\n" {
            self.file.write_all(b"\n")?;
            self.end += 1;
        }
        Ok(())
    }
}

/// Longest line that is read back; a record is far smaller.
const MAX_LINE: u64 = 4 << 20;

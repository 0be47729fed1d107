//! The JSON-lines file: the record of hosts without journald, and a copy for those who want one.
//!
//! What cannot be undone is on the disk before the next record is taken; the rest may be lost with the machine.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use agent_guard_api::audit::{AuditKind, AuditRecord};

use super::outlet::Sink;

/// `FILE`, rotated to `FILE.1` … `FILE.4` by size.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
    /// Length up to the end of the last whole record.
    length: u64,
    max_bytes: u64,
}

impl JsonLines {
    /// Size at which the file is rotated.
    pub const MAX_BYTES: u64 = 64 << 20;

    /// Rotated files that are kept.
    pub const KEPT: u32 = 4;

    pub fn open(path: PathBuf) -> io::Result<Self> {
        Self::open_with(path, Self::MAX_BYTES)
    }

    /// As [`JsonLines::open`] with another size.
    pub fn open_with(path: PathBuf, max_bytes: u64) -> io::Result<Self> {
        let file = append(&path)?;
        let mut length = file.metadata()?.len();
        if length > 0 && !ends_whole(&path, length)? {
            (&file).write_all(b"\n")?;
            length += 1;
        }
        Ok(JsonLines { path, file, length, max_bytes })
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        for number in (1..Self::KEPT).rev() {
            match std::fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, self.numbered(1))?;
        self.file = append(&self.path)?;
        self.length = 0;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Sink for JsonLines {
    fn write(&mut self, record: &AuditRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if self.length > 0 && self.length + line.len() as u64 > self.max_bytes {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(&line) {
            // Take back what was written of it: it is offered again.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += line.len() as u64;
        if must_last(record.kind) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// True for what cannot be undone or is a decision of a person.
fn must_last(kind: AuditKind) -> bool {
    match kind {
        AuditKind::Held
        | AuditKind::Approved
        | AuditKind::Released
        | AuditKind::Denied
        | AuditKind::Expired
        | AuditKind::ClientGone
        | AuditKind::Loss
        | AuditKind::Stopped => true,
        AuditKind::Started
        | AuditKind::Adopted
        | AuditKind::SessionStarted
        | AuditKind::SessionEnded
        | AuditKind::Allowed
        | AuditKind::Joined
        | AuditKind::Opaque
        | AuditKind::Refused
        | AuditKind::Resisted
        | AuditKind::ActionRefused => false,
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(path)
}

/// True if the last byte of the file ends a line.
fn ends_whole(path: &Path, length: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let mut last = [0];
    File::open(path)?.read_exact_at(&mut last, length.saturating_sub(1))?;
    Ok(last == *b"\n")
}

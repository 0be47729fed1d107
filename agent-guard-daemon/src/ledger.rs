//! What must outlive the daemon: holds, who waits for them, what was done that can be undone, sessions.
//!
//! An effect is written here before it happens, and an approval counts only once it is here. Each call is on the disk
//! when it returns (`synchronous = FULL`); where it cannot be, it fails, and the caller loosens nothing. One writer:
//! a second daemon on the same directory is refused.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use agent_guard_api::{HoldState, HoldView};
use rusqlite::{Connection, OptionalExtension, Row, params};

mod rows;
mod schema;

pub use rows::{EffectId, EffectRow, SessionRow, TaskRow, WaitingRow};

/// The open ledger of one state directory.
#[derive(Debug)]
pub struct Ledger {
    database: Connection,
    path: PathBuf,
    /// Held for as long as the ledger is open.
    _lock: File,
}

impl Ledger {
    /// Version of the tables; a ledger of a later version is refused.
    pub const SCHEMA_VERSION: u32 = schema::VERSION;

    /// Opens `ledger.db` in `state_dir`, which is made (mode 0700) where it is not there.
    pub fn open(state_dir: &Path) -> Result<Ledger, LedgerError> {
        let directory = |source| LedgerError::Directory { path: state_dir.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(directory)?;
        own(state_dir).map_err(directory)?;
        let lock = File::create(state_dir.join("ledger.lock")).map_err(directory)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::InUse { path: state_dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(directory(source)),
        }
        let path = state_dir.join("ledger.db");
        let database = schema::open(&path)?;
        Ok(Ledger { database, path, _lock: lock })
    }

    /// Writes a hold as it is now.
    pub fn store_hold(&mut self, hold: &HoldView) -> Result<(), LedgerError> {
        let json = serde_json::to_string(hold).map_err(|source| self.corrupt("hold", &hold.id, &source))?;
        self.write(
            "INSERT INTO holds (id, view, state, digest, whole, created_ms, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE SET view = ?2, state = ?3, digest = ?4, whole = ?5, expires_ms = ?7",
            params![
                hold.id,
                json,
                state_name(hold.state),
                hold.digest,
                hold.whole,
                signed(hold.created_ms),
                signed(hold.expires_ms)
            ],
        )
        .map(drop)
    }

    /// The holds that wait for people or for a retry, oldest first.
    pub fn load_open_holds(&self) -> Result<Vec<HoldView>, LedgerError> {
        self.holds(
            "SELECT id, view FROM holds WHERE state IN ('pending', 'approved') ORDER BY created_ms, rowid",
            params![],
        )
    }

    /// The newest `limit` holds of any state, newest first.
    pub fn load_holds(&self, limit: u32) -> Result<Vec<HoldView>, LedgerError> {
        self.holds("SELECT id, view FROM holds ORDER BY created_ms DESC, rowid DESC LIMIT ?1", params![limit])
    }

    /// One hold of any state.
    pub fn load_hold(&self, id: &str) -> Result<Option<HoldView>, LedgerError> {
        Ok(self.holds("SELECT id, view FROM holds WHERE id = ?1", params![id])?.pop())
    }

    /// Forgets decided holds that were made before `before_ms`; returns how many.
    pub fn forget_holds(&mut self, before_ms: u64) -> Result<usize, LedgerError> {
        self.write(
            "DELETE FROM holds WHERE state NOT IN ('pending', 'approved') AND created_ms < ?1",
            params![signed(before_ms)],
        )
    }

    /// The number of the next hold, never given before by this ledger.
    pub fn next_hold_number(&mut self) -> Result<u64, LedgerError> {
        self.next("next_hold")
    }

    /// The number of the next session, never given before by this ledger.
    pub fn next_session_number(&mut self) -> Result<u64, LedgerError> {
        self.next("next_session")
    }

    /// A value that was kept under `key`, e.g. the policy version.
    pub fn meta(&self, key: &str) -> Result<Option<String>, LedgerError> {
        self.database
            .query_row("SELECT value FROM meta WHERE key = ?1", params![key], |row| row.get(0))
            .optional()
            .map_err(|source| self.failed(source))
    }

    pub fn set_meta(&mut self, key: &str, value: &str) -> Result<(), LedgerError> {
        self.write(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            params![key, value],
        )
        .map(drop)
    }

    fn next(&mut self, key: &str) -> Result<u64, LedgerError> {
        let number: i64 = self
            .database
            .query_row(
                "INSERT INTO meta (key, value) VALUES (?1, '2')
                 ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1
                 RETURNING CAST(value AS INTEGER) - 1",
                params![key],
                |row| row.get(0),
            )
            .map_err(|source| self.failed(source))?;
        Ok(unsigned(number))
    }

    fn holds(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<HoldView>, LedgerError> {
        let texts = self.rows(sql, values, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        texts
            .into_iter()
            .map(|(id, text)| {
                serde_json::from_str(&text).map_err(|source| self.corrupt("hold", &id, &source))
            })
            .collect()
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, LedgerError> {
        let mut statement = self.database.prepare_cached(sql).map_err(|source| self.failed(source))?;
        let rows = statement.query_map(values, read).map_err(|source| self.failed(source))?;
        rows.collect::<rusqlite::Result<Vec<T>>>().map_err(|source| self.failed(source))
    }

    fn write(&mut self, sql: &str, values: impl rusqlite::Params) -> Result<usize, LedgerError> {
        let done = self.database.prepare_cached(sql).and_then(|mut statement| statement.execute(values));
        done.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: rusqlite::Error) -> LedgerError {
        LedgerError::from_sqlite(&self.path, source)
    }

    fn corrupt(&self, what: &'static str, id: &str, source: &serde_json::Error) -> LedgerError {
        LedgerError::Corrupt { path: self.path.clone(), what, id: id.to_owned(), problem: source.to_string() }
    }
}

/// Why something is not on the disk. Nothing may be loosened on the strength of it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("cannot use the state directory {}: {source}; make it a directory that belongs to root, or set [state] dir", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("{} is in use by another agent-guardd; stop that one first (agentguardctl status shows its pid)", path.display())]
    InUse { path: PathBuf },
    #[error("no room on the disk of {}: {source}; free some space, holds stay until then", path.display())]
    Full { path: PathBuf, source: rusqlite::Error },
    #[error("{} has schema version {found}, this agent-guardd knows versions up to {known}; start the newer one, or move the file away to give up what it holds", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{what} \"{id}\" in {} cannot be read: {problem}; move the file away to give up what it holds", path.display())]
    Corrupt { path: PathBuf, what: &'static str, id: String, problem: String },
    #[error("{} failed: {source}; check the disk and the permissions of its directory", path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
}

impl LedgerError {
    fn from_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => LedgerError::Full { path, source },
            _ => LedgerError::Database { path, source },
        }
    }
}

/// Makes sure that nobody else can put files into the directory.
fn own(directory: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::Error::other("it is no directory"));
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("it belongs to uid {}", metadata.uid())));
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

fn state_name(state: HoldState) -> &'static str {
    match state {
        HoldState::Pending => "pending",
        HoldState::Approved => "approved",
        HoldState::Released => "released",
        HoldState::Denied => "denied",
        HoldState::Expired => "expired",
    }
}

/// SQLite has signed integers only; the bits are kept.
fn signed(value: u64) -> i64 {
    value.cast_signed()
}

fn unsigned(value: i64) -> u64 {
    value.cast_unsigned()
}

#[cfg(test)]
mod tests;

//! The tables, and the steps from each version to the next.

use std::path::Path;

use rusqlite::Connection;

use super::LedgerError;

/// Opens the database, in the mode that survives power loss, at the current version.
pub(super) fn open(path: &Path) -> Result<Connection, LedgerError> {
    let failed = |source| LedgerError::from_sqlite(path, source);
    let mut database = Connection::open(path).map_err(failed)?;
    database.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    database.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    database.pragma_update(None, "foreign_keys", "ON").map_err(failed)?;
    // The log of changes is kept small, so that a full disk cannot grow it.
    database.pragma_update(None, "journal_size_limit", 1 << 20).map_err(failed)?;
    migrate(&mut database, path)?;
    Ok(database)
}

fn migrate(database: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let failed = |source| LedgerError::from_sqlite(path, source);
    let found: u32 = database.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    if found > VERSION {
        return Err(LedgerError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    for (version, sql) in (1..).zip(MIGRATIONS).skip(found as usize) {
        let step = database.transaction().map_err(failed)?;
        step.execute_batch(sql).map_err(failed)?;
        step.execute("INSERT INTO migrations (version) VALUES (?1)", [version]).map_err(failed)?;
        step.pragma_update(None, "user_version", version).map_err(failed)?;
        step.commit().map_err(failed)?;
    }
    Ok(())
}

pub(super) const VERSION: u32 = 1;

/// Step N leads from version N to N + 1. Steps that were released are never changed.
const MIGRATIONS: [&str; VERSION as usize] = ["
    CREATE TABLE migrations (version INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT;
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
    CREATE TABLE holds (
        id TEXT PRIMARY KEY, view TEXT NOT NULL, state TEXT NOT NULL, digest TEXT NOT NULL,
        whole INTEGER NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL) STRICT;
    CREATE INDEX holds_by_state ON holds (state, created_ms);
    CREATE INDEX holds_by_digest ON holds (digest);
    CREATE TABLE waiting (
        hold TEXT NOT NULL, conn INTEGER NOT NULL, request INTEGER NOT NULL, gate INTEGER NOT NULL,
        at_boundary INTEGER NOT NULL, tgid INTEGER NOT NULL, start_time INTEGER NOT NULL, boot_id TEXT NOT NULL,
        PRIMARY KEY (boot_id, conn, request)) STRICT;
    CREATE TABLE effects (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, session INTEGER NOT NULL, tgid INTEGER NOT NULL,
        start_time INTEGER NOT NULL, boot_id TEXT NOT NULL, state TEXT NOT NULL) STRICT;
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY, agent TEXT NOT NULL, root_tgid INTEGER NOT NULL, start_time INTEGER NOT NULL,
        boot_id TEXT NOT NULL) STRICT;
"];

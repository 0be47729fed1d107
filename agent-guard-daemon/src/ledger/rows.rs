//! What waits, what was done, and whose session it was. A pid travels with its start time and the boot it belongs to.

use rusqlite::{Row, params};

use super::{Ledger, LedgerError, signed, unsigned};

/// A process: tgid alone is reused, tgid and start time are not, until the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    pub tgid: u32,
    /// In the unit of the kernel side; compared, never computed with.
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// A request that waits on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRow {
    pub hold: String,
    /// Socket cookie; unique until the next boot.
    pub conn: u64,
    /// Index of the request on its connection.
    pub request: u64,
    /// The gate's number: the value of `released` that lets it go.
    pub gate: u64,
    /// The gated write ends at the request's end.
    pub at_boundary: bool,
    pub task: TaskRow,
}

/// Number of an effect in this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId(pub i64);

/// A reversible effect that is not undone. `done` is false between the intention and its success: after a crash it may
/// or may not have happened, and undoing it must be safe either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectRow {
    pub id: EffectId,
    /// Stable word for what was done, e.g. `stopped`.
    pub kind: String,
    pub session: u64,
    pub task: TaskRow,
    pub done: bool,
}

/// A session that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: u64,
    pub agent: String,
    pub root: TaskRow,
}

impl Ledger {
    pub fn waiting_add(&mut self, row: &WaitingRow) -> Result<(), LedgerError> {
        let WaitingRow { hold, conn, request, gate, at_boundary, task } = row;
        self.write(
            "INSERT OR REPLACE INTO waiting (hold, conn, request, gate, at_boundary, tgid, start_time, boot_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                hold,
                signed(*conn),
                signed(*request),
                signed(*gate),
                at_boundary,
                task.tgid,
                signed(task.start_time),
                task.boot_id
            ],
        )
        .map(drop)
    }

    /// Forgets one request that waited; returns whether there was such a one.
    pub fn waiting_remove(&mut self, boot_id: &str, conn: u64, request: u64) -> Result<bool, LedgerError> {
        let sql = "DELETE FROM waiting WHERE boot_id = ?1 AND conn = ?2 AND request = ?3";
        self.write(sql, params![boot_id, signed(conn), signed(request)]).map(|rows| rows > 0)
    }

    /// Forgets everything that waited on a connection that is gone.
    pub fn waiting_remove_conn(&mut self, boot_id: &str, conn: u64) -> Result<usize, LedgerError> {
        self.write("DELETE FROM waiting WHERE boot_id = ?1 AND conn = ?2", params![boot_id, signed(conn)])
    }

    /// Everything that waits, in the order of connection and request.
    pub fn waiting_list(&self) -> Result<Vec<WaitingRow>, LedgerError> {
        self.rows(
            "SELECT hold, conn, request, gate, at_boundary, tgid, start_time, boot_id FROM waiting ORDER BY conn, request",
            params![],
            |row| {
                Ok(WaitingRow {
                    hold: row.get(0)?,
                    conn: unsigned(row.get(1)?),
                    request: unsigned(row.get(2)?),
                    gate: unsigned(row.get(3)?),
                    at_boundary: row.get(4)?,
                    task: task(row, 5)?,
                })
            },
        )
    }

    /// Writes the intention. Only then may the effect be executed.
    pub fn effect_begin(
        &mut self,
        kind: &str,
        session: u64,
        task: &TaskRow,
    ) -> Result<EffectId, LedgerError> {
        self.write(
            "INSERT INTO effects (kind, session, tgid, start_time, boot_id, state) VALUES (?1, ?2, ?3, ?4, ?5, 'begun')",
            params![kind, signed(session), task.tgid, signed(task.start_time), task.boot_id],
        )?;
        Ok(EffectId(self.database.last_insert_rowid()))
    }

    /// The kernel says that the effect has happened.
    pub fn effect_finish(&mut self, id: EffectId) -> Result<(), LedgerError> {
        self.write("UPDATE effects SET state = 'done' WHERE id = ?1", params![id.0]).map(drop)
    }

    /// The effect is undone, or never happened.
    pub fn effect_undone(&mut self, id: EffectId) -> Result<(), LedgerError> {
        self.write("DELETE FROM effects WHERE id = ?1", params![id.0]).map(drop)
    }

    /// The effects that are not undone, oldest first.
    pub fn effect_list(&self) -> Result<Vec<EffectRow>, LedgerError> {
        self.rows(
            "SELECT id, kind, session, state = 'done', tgid, start_time, boot_id FROM effects ORDER BY id",
            params![],
            |row| {
                Ok(EffectRow {
                    id: EffectId(row.get(0)?),
                    kind: row.get(1)?,
                    session: unsigned(row.get(2)?),
                    done: row.get(3)?,
                    task: task(row, 4)?,
                })
            },
        )
    }

    pub fn session_begin(&mut self, row: &SessionRow) -> Result<(), LedgerError> {
        let SessionRow { id, agent, root } = row;
        self.write(
            "INSERT OR REPLACE INTO sessions (id, agent, root_tgid, start_time, boot_id) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![signed(*id), agent, root.tgid, signed(root.start_time), root.boot_id],
        )
        .map(drop)
    }

    pub fn session_end(&mut self, id: u64) -> Result<(), LedgerError> {
        self.write("DELETE FROM sessions WHERE id = ?1", params![signed(id)]).map(drop)
    }

    pub fn session_list(&self) -> Result<Vec<SessionRow>, LedgerError> {
        self.rows(
            "SELECT id, agent, root_tgid, start_time, boot_id FROM sessions ORDER BY id",
            params![],
            |row| Ok(SessionRow { id: unsigned(row.get(0)?), agent: row.get(1)?, root: task(row, 2)? }),
        )
    }

    /// Forgets what ended with an earlier boot: its sockets, processes and sessions are gone. Holds stay.
    pub fn forget_other_boots(&mut self, boot_id: &str) -> Result<(), LedgerError> {
        for sql in [
            "DELETE FROM waiting WHERE boot_id <> ?1",
            "DELETE FROM effects WHERE boot_id <> ?1",
            "DELETE FROM sessions WHERE boot_id <> ?1",
        ] {
            self.write(sql, params![boot_id])?;
        }
        Ok(())
    }
}

/// Three columns from `first` on.
fn task(row: &Row<'_>, first: usize) -> rusqlite::Result<TaskRow> {
    Ok(TaskRow {
        tgid: row.get(first)?,
        start_time: unsigned(row.get(first + 1)?),
        boot_id: row.get(first + 2)?,
    })
}

//! Taking over from an earlier daemon: its ledger says what was held, the kernel half says what still is.

use agent_guard_api::{HoldState, HoldView};
use agent_guard_core::effect::{ConnId, RequestKey};

use super::{Judge, adopted::Adopted, now};
use crate::{
    ledger::{LedgerError, WaitingRow},
    report::{Command, Origin},
};

/// Decided holds that are remembered across a restart.
const DECIDED_HOLDS: u32 = 1000;

/// A gate that the kernel half keeps closed at start.
#[derive(Clone, Debug)]
pub struct ClosedGate {
    pub cookie: u64,
    pub gated: u64,
    pub released: u64,
    pub origin: Origin,
}

impl Judge {
    /// Takes over holds and closed gates. What no hold explains is left alone: either its event is still in the ring, or
    /// the sweep finds it.
    ///
    /// # Errors
    /// The ledger cannot be read: the daemon must not start on a guess.
    pub fn restore(&mut self, gates: &[ClosedGate]) -> Result<Vec<Command>, LedgerError> {
        let holds = self.remembered_holds()?;
        let mut rows = self.ledger.waiting_list()?;
        rows.retain(|row| row.task.boot_id == self.boot_id);
        rows.sort_by_key(|row| (row.conn, row.gate, row.request));
        let mut live = Vec::new();
        for row in rows {
            // A lower gate was delivered before the daemon could say so; one that is not here is gone.
            let closed = gates.iter().find(|gate| gate.cookie == row.conn && gate.released < row.gate);
            let is_behind_another = self.adopted.contains_key(&row.conn);
            match closed.filter(|_| !is_behind_another) {
                Some(gate) => {
                    live.push((RequestKey { conn: ConnId(row.conn), index: row.request }, row.hold));
                    let WaitingRow { request, gate: number, at_boundary, .. } = row;
                    let (origin, raised) = (gate.origin.clone(), gate.gated);
                    self.adopted
                        .insert(row.conn, Adopted { request, gate: number, at_boundary, origin, raised });
                }
                None => drop(self.ledger.waiting_remove(&self.boot_id, row.conn, row.request)?),
            }
        }
        let waiting: Vec<u64> = live.iter().map(|(key, _)| key.conn.0).collect();
        let effects = self.engine.restore(now(), holds, live);
        let mut commands: Vec<Command> = waiting.into_iter().map(|cookie| Command::Wait { cookie }).collect();
        commands.extend(self.execute(effects));
        Ok(commands)
    }

    /// Every open hold and the newest decided ones, the oldest first.
    fn remembered_holds(&self) -> Result<Vec<HoldView>, LedgerError> {
        let is_open = |hold: &HoldView| matches!(hold.state, HoldState::Pending | HoldState::Approved);
        let mut holds = self.ledger.load_holds(DECIDED_HOLDS)?;
        holds.retain(|hold| !is_open(hold));
        holds.reverse();
        holds.extend(self.ledger.load_open_holds()?);
        holds.sort_by_key(|hold| hold.created_ms);
        Ok(holds)
    }
}

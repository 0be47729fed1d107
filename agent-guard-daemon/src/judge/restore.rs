//! Taking over from an earlier daemon: its ledger says what was held, the kernel half says what still is.

use agent_guard_core::effect::{ConnId, RequestKey};

use super::{Adopted, Judge, now};
use crate::{
    ledger::LedgerError,
    report::{Command, Origin},
};

/// A gate that the kernel half keeps closed at start.
#[derive(Clone, Debug)]
pub struct ClosedGate {
    pub cookie: u64,
    pub gated: u64,
    pub released: u64,
    pub origin: Origin,
}

impl Judge {
    /// Takes over holds and closed gates. Gates that no hold explains become undecidable connections.
    ///
    /// # Errors
    /// The ledger cannot be read: the daemon must not start on a guess.
    pub fn restore(&mut self, gates: &[ClosedGate]) -> Result<Vec<Command>, LedgerError> {
        let holds = self.ledger.load_holds(1000)?;
        let rows = self.ledger.waiting_list()?;
        let mut live = Vec::new();
        let mut unexplained = Vec::new();
        for gate in gates {
            let mut explained = false;
            for row in rows.iter().filter(|row| row.task.boot_id == self.boot_id && row.conn == gate.cookie) {
                if row.gate <= gate.released {
                    continue; // delivered before the daemon could say so
                }
                explained = true;
                let key = RequestKey { conn: ConnId(row.conn), index: row.request };
                live.push((key, row.hold.clone()));
                let (origin, highest) = (gate.origin.clone(), gate.gated);
                self.adopted.insert(key, Adopted { gate: row.gate, at_boundary: row.at_boundary, origin, highest });
            }
            if !explained {
                unexplained.push(gate.clone());
            }
        }
        let waiting: Vec<u64> = live.iter().map(|(key, _)| key.conn.0).collect();
        let effects = self.engine.restore(now(), holds.into_iter().rev().collect(), live);
        let mut commands: Vec<Command> = waiting.into_iter().map(|cookie| Command::Wait { cookie }).collect();
        commands.extend(self.execute(effects));
        for gate in unexplained {
            let ClosedGate { cookie, gated, origin, .. } = gate;
            commands.extend(self.on(crate::report::Report::Lost { origin, cookie, gate: gated }));
        }
        Ok(commands)
    }
}

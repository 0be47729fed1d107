//! Connections that an earlier daemon held: their bytes are not known here any more, only what they were held for.
//!
//! Bias: one hold of a connection is taken over, the one in front; everything behind it is unread and becomes a hold of
//! its own once the first is decided. A refused one stays closed until its connection is gone.

use agent_guard_core::{effect::RequestKey, request::Peer};

use super::{Conn, Judge, POISONED};
use crate::{
    ingest::flow::{Flow, Opening},
    report::{Command, Origin},
};

#[derive(Debug)]
pub(super) struct Adopted {
    /// Index of the request that waits.
    pub(super) request: u64,
    /// The number that lets it go.
    pub(super) gate: u64,
    pub(super) at_boundary: bool,
    pub(super) origin: Origin,
    /// The highest number that is known.
    pub(super) raised: u64,
}

impl Adopted {
    pub(super) fn highest(&self) -> u64 {
        self.raised.max(self.gate)
    }

    pub(super) fn raise(&mut self, gate: u64) {
        self.raised = self.highest().max(gate);
    }
}

impl Judge {
    /// The bytes of an adopted hold leave; what the gate was raised for since then is judged as unread. `None`: it is no
    /// adopted one.
    pub(super) fn release_adopted(&mut self, key: RequestKey) -> Option<Vec<Command>> {
        let cookie = key.conn.0;
        let adopted = self.adopted.get(&cookie)?;
        if adopted.request != key.index {
            return Some(Vec::new()); // nothing of that number is in front
        }
        let Adopted { request, gate, at_boundary, origin, raised } = self.adopted.remove(&cookie)?;
        let (next, is_poisoned) = (gate.saturating_add(1), self.poison.is_poisoned(cookie));
        let in_step = at_boundary && raised <= gate && !is_poisoned;
        let flow = if in_step {
            Flow::new(next, Peer::default())
        } else if is_poisoned {
            Flow::desynchronised(next, POISONED)
        } else {
            Flow::desynchronised(next, "it was written while another daemon held this connection")
        };
        let mut conn = Conn::new(flow.counting_from(request.saturating_add(1)), origin);
        conn.rows.insert(request, gate);
        if raised > gate {
            conn.flow.lost_up_to(raised);
        }
        self.conns.insert(cookie, conn);
        let mut commands = vec![Command::Open { cookie, opening: Opening { released: gate, in_step } }];
        commands.extend(self.judge_due(cookie));
        Some(commands)
    }
}

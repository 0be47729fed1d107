//! Who acts in the tests: uids without accounts, so that nothing needs to be set up on the machine.

use crate::process::Placement;

/// Somebody who may approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: &'static str,
    pub uid: u32,
}

pub const ALICE: Person = Person { name: "alice", uid: 61_001 };
pub const BOB: Person = Person { name: "bob", uid: 61_002 };
/// In no people table.
pub const STRANGER: Person = Person { name: "stranger", uid: 61_003 };

/// The user that agents run as.
pub const AGENT_UID: u32 = 61_010;

/// The name of the agent in the tests' settings.
pub const AGENT: &str = "robot";

impl Person {
    pub fn placement(self) -> Placement {
        Placement::user(self.uid)
    }
}

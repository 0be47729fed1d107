//! The guard's audit stream, which the tests wait on instead of the clock.

use std::time::Duration;

use agent_guard_api::audit::{AuditKind, AuditRecord};
use anyhow::{Context, Result};

use crate::process::Process;

/// A followed log. Records are read in order; each wait passes over those it does not want.
#[derive(Debug)]
pub struct Events(Process);

impl Events {
    pub(crate) fn new(follower: Process) -> Self {
        Self(follower)
    }

    /// The next record that `wanted` accepts.
    pub fn wait(
        &mut self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&AuditRecord) -> bool,
    ) -> Result<AuditRecord> {
        let parse = |line: &str| serde_json::from_str::<AuditRecord>(line).ok();
        let line = self
            .0
            .line(deadline, |line| parse(line).is_some_and(|record| wanted(&record)))
            .with_context(|| format!("no audit record of {what}"))?;
        parse(&line).context("an audit record that was readable a moment ago")
    }

    /// The next record of this kind.
    pub fn wait_kind(&mut self, kind: AuditKind) -> Result<AuditRecord> {
        self.wait(&format!("{kind:?}"), crate::DEADLINE, |record| record.kind == kind)
    }

    /// The id of the next hold that is made or joined and is not among `known`. (The log is followed from its beginning,
    /// so earlier holds come by again.)
    pub fn wait_hold_but(&mut self, known: &[String]) -> Result<String> {
        let wanted = |record: &AuditRecord| {
            matches!(record.kind, AuditKind::Held | AuditKind::Joined)
                && record.hold.as_ref().is_some_and(|id| !known.contains(id))
        };
        let record = self.wait("a new hold", crate::DEADLINE, wanted)?;
        record.hold.context("a hold's record without its id")
    }

    /// The id of the first hold.
    pub fn wait_hold(&mut self) -> Result<String> {
        self.wait_hold_but(&[])
    }
}

//! Coverage: one approval for records of one table or bucket also lets go the next few of the same kind.
//!
//! Kept in memory only: a restart forgets it and people are asked again, which is the safe direction. The container is
//! everything before the last separator of the record's name; a name without one, or names of several containers,
//! cover nothing.

use std::collections::BTreeMap;

use agent_guard_api::{HoldView, Magnitude};

use super::HoldId;
use crate::{effect::UnixMillis, operation::Operation, policy::Coverage};

/// What a grant is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cover {
    session: u64,
    provider: String,
    service: String,
    operation: String,
    host: String,
    region: Option<String>,
    account: Option<String>,
    container: String,
}

#[derive(Debug)]
struct Grant {
    hold: HoldId,
    until: UnixMillis,
    left: u64,
}

/// Grants in force, at most [`MAX_GRANTS`].
#[derive(Debug, Default)]
pub(crate) struct Grants {
    grants: BTreeMap<Cover, Grant>,
}

impl Cover {
    pub(crate) fn of_request(session: u64, operation: &Operation) -> Option<Cover> {
        Some(Cover {
            session,
            container: container(&operation.resources, operation.resources_total)?.to_owned(),
            provider: operation.provider.clone(),
            service: operation.service.clone(),
            operation: operation.name.clone(),
            host: operation.host.clone(),
            region: operation.region.clone(),
            account: operation.account.clone(),
        })
    }

    /// The same of a hold, which may come from the ledger.
    pub(crate) fn of_view(view: &HoldView) -> Option<Cover> {
        Some(Cover {
            session: view.session,
            container: container(&view.resources, view.resources_total)?.to_owned(),
            provider: view.provider.clone(),
            service: view.service.clone(),
            operation: view.operation.clone(),
            host: view.host.clone(),
            region: view.region.clone(),
            account: view.account.clone(),
        })
    }
}

impl Grants {
    /// Starts a grant by the approval of `view`, replacing an older one.
    pub(crate) fn start(&mut self, now: UnixMillis, hold: HoldId, view: &HoldView, coverage: Coverage) {
        let Some(cover) = Cover::of_view(view) else { return };
        let left = coverage.records.saturating_sub(records(&view.magnitude, view.resources_total));
        let until = UnixMillis(now.0.saturating_add(coverage.within_ms));
        self.grants.retain(|_, grant| grant.until > now);
        if self.grants.len() >= MAX_GRANTS {
            return;
        }
        self.grants.insert(cover, Grant { hold, until, left });
    }

    /// Uses a grant for this request, whole or not at all.
    pub(crate) fn spend(&mut self, now: UnixMillis, session: u64, operation: &Operation) -> Option<HoldId> {
        let grant = self.grants.get_mut(&Cover::of_request(session, operation)?)?;
        let wanted = records(&operation.magnitude, operation.resources_total);
        if grant.until <= now || grant.left < wanted {
            return None;
        }
        grant.left = grant.left.saturating_sub(wanted);
        Some(grant.hold)
    }

    /// A denial of the same kind of request ends the grant.
    pub(crate) fn revoke(&mut self, view: &HoldView) {
        if let Some(cover) = Cover::of_view(view) {
            self.grants.remove(&cover);
        }
    }
}

/// A request counts at least once; what is not countable counts as everything.
fn records(magnitude: &Magnitude, named: u64) -> u64 {
    match magnitude {
        Magnitude::Count(count) => (*count).max(named).max(1),
        Magnitude::Money { .. } | Magnitude::Unbounded(_) => u64::MAX,
    }
}

fn container(resources: &[String], total: u64) -> Option<&str> {
    let (first, rest) = resources.split_first()?;
    if u64::try_from(resources.len()).ok()? != total || resources.iter().any(|name| name.len() > NAME_BYTES) {
        return None;
    }
    let container = parent(first)?;
    rest.iter().all(|name| parent(name) == Some(container)).then_some(container)
}

fn parent(name: &str) -> Option<&str> {
    let (parent, record) = name.rsplit_once('/').or_else(|| name.rsplit_once(':'))?;
    (!parent.is_empty() && !record.is_empty()).then_some(parent)
}

/// Beyond it no more coverage is given; people are asked each time.
const MAX_GRANTS: usize = 1_000;
/// A longer name is cut in the view, so it could stand for another.
pub(crate) const NAME_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::{NAME_BYTES, container};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_container_is_what_all_names_share_before_the_record() {
        assert_eq!(container(&names(&["bucket/a", "bucket/b"]), 2), Some("bucket"));
        assert_eq!(container(&names(&["arn:aws:s3:::bucket/a"]), 1), Some("arn:aws:s3:::bucket"));
        assert_eq!(container(&names(&["users:7"]), 1), Some("users"));
    }

    #[test]
    fn no_certain_container_covers_nothing() {
        for resources in
            [&[][..], &["alone"], &["bucket/"], &["/key"], &["bucket/a", "other/b"], &["bucket/a", "b"]]
        {
            assert_eq!(container(&names(resources), resources.len() as u64), None, "{resources:?}");
        }
        assert_eq!(container(&names(&["bucket/a"]), 2), None, "not all are named");
        assert_eq!(container(&[format!("b/{}", "x".repeat(NAME_BYTES))], 1), None);
    }
}

//! The packed operation catalog: curated exceptions to the verb lexicon, each with its reason and examples.
//!
//! `build.rs` packs `/catalog` into sorted tables, so that looking something up allocates nothing and starting costs
//! nothing. The data can only be wrong in a way that a person wrote down: what is malformed does not build.
//! Bias: an entry can raise the level of what it matches by its parameters, never lower it.

use agent_guard_api::{Flag, Harm};

mod packed {
    use super::{Entry, Flag, Harm, PackedRoute, Place, Volatile, When};
    use crate::lexicon::{Kind, Word};
    include!(concat!(env!("OUT_DIR"), "/packed.rs"));
}

pub(crate) use packed::{AWS_PASSED_ON, AWS_SUFFIXES, COMPOUNDS, DESTROYING, INNOCENT, ROUTES, WORDS};

/// One operation, or all whose names start alike, whose level the lexicon would get wrong.
#[derive(Debug)]
pub struct Entry {
    /// Service as in the SigV4 scope, or `*`.
    pub service: &'static str,
    /// Name, or a prefix ending in `*`.
    pub operation: &'static str,
    pub harm: Harm,
    /// The worst that a body could make of it.
    pub unseen_body: Harm,
    pub flags: &'static [Flag],
    /// Parameter whose numbered values are the resources, where they are no ids.
    pub count: Option<&'static str>,
    /// Parameter whose value is the number of resources.
    pub count_value: Option<&'static str>,
    pub when: &'static [When],
    pub reason: &'static str,
    /// Form-encoded parameters beside `Action`; each is judged as `harm` says.
    pub examples: &'static [&'static str],
}

/// A parameter that raises the level.
#[derive(Debug)]
pub struct When {
    /// Parameter name; a `*` between dots stands for a number.
    pub parameter: &'static str,
    /// `None`: any value.
    pub equals: Option<&'static str>,
    pub harm: Harm,
    pub flags: &'static [Flag],
    pub reason: &'static str,
    pub example: &'static str,
}

/// An inference route as it stands in the catalog.
#[derive(Debug)]
pub struct PackedRoute {
    pub host: &'static str,
    /// What stands before and behind the `*` of the host, if it has one.
    pub any_label: Option<(&'static str, &'static str)>,
    pub method: &'static str,
    pub path: &'static str,
}

/// A field that stays out of the digest.
#[derive(Debug)]
pub struct Volatile {
    pub place: Place,
    pub aws_only: bool,
    pub name: &'static str,
    pub reason: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Header,
    Query,
    Form,
    Json,
}

/// Every entry, sorted by service and operation.
pub fn entries() -> &'static [Entry] {
    packed::ENTRIES
}

/// Every volatile field.
pub fn volatile() -> &'static [Volatile] {
    packed::VOLATILE
}

/// The entry that decides `operation` of `service`: the exact name, else the longest prefix of the service, else of `*`.
pub fn find(service: &str, operation: &str) -> Option<&'static Entry> {
    exact(service, operation).or_else(|| prefix(service, operation)).or_else(|| prefix("*", operation))
}

/// False if the operation is known to ignore a `DryRun` parameter (harm-levels 26).
pub fn honours_dry_run(service: &str, operation: &str) -> bool {
    packed::NO_DRY_RUN.binary_search(&(service, operation)).is_err()
}

fn exact(service: &str, operation: &str) -> Option<&'static Entry> {
    let found = packed::ENTRIES.binary_search_by(|e| (e.service, e.operation).cmp(&(service, operation)));
    found.ok().and_then(|at| packed::ENTRIES.get(at))
}

/// Few entries are prefixes; they are listed apart.
fn prefix(service: &str, operation: &str) -> Option<&'static Entry> {
    let matches = |entry: &&Entry| {
        entry.service == service
            && entry.operation.strip_suffix('*').is_some_and(|p| operation.starts_with(p))
    };
    let entries = packed::PREFIXES.iter().filter_map(|at| packed::ENTRIES.get(*at));
    entries.filter(matches).max_by_key(|entry| entry.operation.len())
}

impl When {
    /// Whether a decoded parameter is the one meant.
    pub fn matches(&self, name: &[u8], value: &[u8]) -> bool {
        let equals = self.equals.is_none_or(|wanted| wanted.as_bytes().eq_ignore_ascii_case(value));
        equals && name_matches(self.parameter, name)
    }
}

/// `*` between dots stands for a number; all else is literal.
fn name_matches(pattern: &str, name: &[u8]) -> bool {
    let mut parts = name.split(|b| *b == b'.');
    let fits = pattern.split('.').all(|wanted| {
        parts.next().is_some_and(|part| match wanted {
            "*" => !part.is_empty() && part.iter().all(u8::is_ascii_digit),
            literal => part == literal.as_bytes(),
        })
    });
    fits && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_wins_over_a_prefix_and_a_service_over_all() {
        assert_eq!(find("ec2", "StopInstances").map(|e| e.operation), Some("StopInstances"));
        assert_eq!(find("elasticmapreduce", "RemoveTags").map(|e| e.operation), Some("RemoveTags*"));
        assert_eq!(find("iam", "RemoveUserFromGroup").map(|e| e.operation), Some("Remove*"));
        assert_eq!(find("sts", "AssumeRoleWithSAML").map(|e| e.operation), Some("AssumeRole*"));
        assert!(find("ec2", "TerminateInstances").is_none());
    }

    #[test]
    fn a_star_stands_for_a_number_only() {
        assert!(name_matches("LaunchPermission.Add.*.Group", b"LaunchPermission.Add.12.Group"));
        assert!(!name_matches("LaunchPermission.Add.*.Group", b"LaunchPermission.Add.x.Group"));
        assert!(!name_matches("LaunchPermission.Add.*.Group", b"LaunchPermission.Add.1.Group.2"));
        assert!(!name_matches("UserGroup.*", b"UserGroup"));
        assert!(!name_matches("UserGroup.*", b"UserGroup."));
    }

    #[test]
    fn dry_run_is_not_believed_where_it_is_ignored() {
        assert!(honours_dry_run("ec2", "TerminateInstances"));
        assert!(!honours_dry_run("ec2", "ReleaseHosts"));
    }
}

//! The AWS query protocol: `Action=` and numbered parameters, in the query or in a form body.
//!
//! Bias: an action given twice, or in both places, counts as the worst of them; until the whole body was seen an
//! action may still follow, so the request counts as irreversible.

use std::collections::HashSet;

use agent_guard_api::{Flag, Harm, Magnitude};

use super::{Aws, By, MAX_PARAMS, all_params, operation};
use crate::{
    catalog,
    classify::{
        Asked,
        body::{self, Kind},
        judgement::Judgement,
        params::Param,
    },
    lexicon,
    operation::Operation,
};

/// Judges by the actions; `None`: the request is not of the query protocol.
pub(crate) fn judge(asked: &Asked<'_>, aws: &Aws, service: &str) -> Option<Judgement> {
    let params = all_params(asked);
    if params.len() > MAX_PARAMS {
        let why = format!("more than {MAX_PARAMS} parameters");
        return Some(Judgement::new("(too many parameters)".into(), Harm::Undecidable, why));
    }
    let mut judged: Option<Judgement> = None;
    for param in params.iter().filter(|p| p.name.eq_ignore_ascii_case(b"Action")) {
        let name = String::from_utf8_lossy(&param.value);
        let one = operation::judge(service, &name, &params);
        judged = Some(match judged {
            Some(before) => before.worst(one),
            None => one,
        });
    }
    let whole = body::is_whole(asked.request);
    let may_follow = !whole && is_query_service(asked, service);
    let mut judged = match judged {
        Some(judged) => judged,
        None if may_follow => Judgement::new("(the body names it)".into(), Harm::Unknown, "not seen".into()),
        None => return None,
    };
    if service == "ec2" {
        count(&params, &mut judged);
    }
    if may_follow {
        judged.unseen_body(Harm::Irreversible);
        judged.magnitude = Magnitude::UNBOUNDED;
    } else if aws.by == By::Host && asked.evidence.mismatch.is_none() && is_dry_run(service, &judged, &params)
    {
        judged.harm = Harm::ReadOnly;
        judged.flag(Flag::DryRun);
        judged.why = "a dry run: the server checks the permissions and does nothing".into();
    }
    Some(judged)
}

/// A form body to a service that is not S3 may name an action.
fn is_query_service(asked: &Asked<'_>, service: &str) -> bool {
    let start = asked.request.body.bytes();
    let kind = body::kind(&asked.request.head, start);
    let may_be_form = match kind {
        Kind::Form | Kind::Encoded => true,
        // No REST operation with data as its body has the path `/`.
        Kind::Other => asked.target.path == b"/",
        Kind::Json | Kind::GraphQl => false,
    };
    service != "s3" && may_be_form && body::header(&asked.request.head, "x-amz-target").next().is_none()
}

/// EC2 only: the one service whose operations are listed as honouring it (harm-levels 11, 26).
fn is_dry_run(service: &str, judged: &Judgement, params: &[Param<'_>]) -> bool {
    let mut values = params.iter().filter(|p| p.name.eq_ignore_ascii_case(b"DryRun"));
    let first = values.next();
    let single =
        first.is_some_and(|p| &*p.name == b"DryRun" && &*p.value == b"true") && values.next().is_none();
    let one_action = params.iter().filter(|p| p.name.eq_ignore_ascii_case(b"Action")).count() == 1;
    single && one_action && service == "ec2" && catalog::honours_dry_run(service, &judged.name)
}

/// Resources and magnitude: the distinct ids of what the operation is about.
fn count(params: &[Param<'_>], judged: &mut Judgement) {
    let entry = catalog::find("ec2", &judged.name);
    let main = match entry.and_then(|e| e.count) {
        Some(parameter) => Some(parameter.as_bytes()),
        None => main_id(params, &judged.name),
    };
    let Some(main) = main else {
        names(params, judged);
        count_value(entry, params, judged);
        return;
    };
    let mut seen = Distinct::default();
    let ids = params.iter().filter(|p| id_of(&p.name) == Some(main) || numbered(&p.name) == main);
    for id in ids {
        if seen.insert(&id.value) && judged.resources.len() < Operation::MAX_RESOURCES {
            judged.resources.push(String::from_utf8_lossy(&id.value).into_owned());
        }
    }
    judged.resources_total = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    judged.magnitude = Magnitude::Count(judged.resources_total.max(1));
    count_value(entry, params, judged);
}

/// The different ids; a few are compared one by one, which is faster than hashing them.
#[derive(Default)]
struct Distinct<'a> {
    few: Vec<&'a [u8]>,
    many: HashSet<&'a [u8]>,
}

impl<'a> Distinct<'a> {
    const FEW: usize = 8;

    /// True if it was not there.
    fn insert(&mut self, id: &'a [u8]) -> bool {
        if self.few.contains(&id) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(id);
            return true;
        }
        self.many.insert(id)
    }

    fn len(&self) -> usize {
        self.few.len().saturating_add(self.many.len())
    }
}

/// The kind of id that the operation's name contains; else `ResourceId`; else, unless something is made, the one given
/// most often. Kinds are compared without `Id`: `Instance` is in `TerminateInstances`.
fn main_id<'p>(params: &'p [Param<'_>], operation: &str) -> Option<&'p [u8]> {
    let mut kinds: Vec<(&'p [u8], usize)> = Vec::new();
    for param in params {
        if let Some(kind) = id_of(&param.name) {
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, times)) => *times = times.saturating_add(1),
                None => kinds.push((kind, 1)),
            }
        }
    }
    let in_name = |kind: &[u8]| {
        let noun = kind.strip_suffix(b"Id").unwrap_or(kind);
        !noun.is_empty()
            && operation.as_bytes().windows(noun.len()).any(|w| w.first() == noun.first() && w == noun)
    };
    let named = kinds.iter().filter(|(kind, _)| in_name(kind)).max_by_key(|(kind, _)| kind.len());
    let resource = || kinds.iter().find(|(kind, _)| *kind == b"ResourceId");
    let makes = lexicon::words(operation.as_bytes())
        .next()
        .is_some_and(|verb| matches!(verb, b"Create" | b"Run" | b"Request" | b"Allocate" | b"Import"));
    let most = || kinds.iter().max_by_key(|(_, times)| *times).filter(|_| !makes);
    named.or_else(resource).or_else(most).map(|(kind, _)| *kind)
}

/// `InstanceId.12` → `InstanceId`, `BlockDeviceMapping.1.Ebs.SnapshotId` → `SnapshotId`; `None`: no id.
fn id_of(name: &[u8]) -> Option<&[u8]> {
    let bare = numbered(name);
    let last = bare.rsplit(|b| *b == b'.').next().unwrap_or(bare);
    last.ends_with(b"Id").then_some(last)
}

/// Without a final `.12`.
fn numbered(name: &[u8]) -> &[u8] {
    let digits = name.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let bare = name.len().checked_sub(digits).and_then(|at| name.get(..at)).unwrap_or(name);
    if digits > 0 { bare.strip_suffix(b".").unwrap_or(name) } else { name }
}

/// Where no id is given: what is named (`KeyName`, `GroupName`).
fn names(params: &[Param<'_>], judged: &mut Judgement) {
    let named = |p: &&Param<'_>| numbered(&p.name).ends_with(b"Name") && !p.name.contains(&b'=');
    for param in params.iter().filter(named).take(Operation::MAX_RESOURCES) {
        judged.resources.push(String::from_utf8_lossy(&param.value).into_owned());
    }
    judged.resources_total = u64::try_from(judged.resources.len()).unwrap_or(u64::MAX);
}

fn count_value(entry: Option<&catalog::Entry>, params: &[Param<'_>], judged: &mut Judgement) {
    let Some(wanted) = entry.and_then(|e| e.count_value) else {
        return;
    };
    let value = |p: &Param<'_>| str::from_utf8(&p.value).ok()?.parse::<u64>().ok();
    let most = params.iter().filter(|p| &*p.name == wanted.as_bytes()).filter_map(value).max();
    if let Some(most) = most {
        judged.magnitude = Magnitude::Count(most.max(1));
    }
}

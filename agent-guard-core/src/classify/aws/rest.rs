//! AWS services with methods and paths: S3 by its own rules, the others by word and method (harm-levels 10, 15, 19).

use agent_guard_api::{Flag, Harm, Magnitude};
use agent_guard_decode::message::RequestHead;

use super::{Aws, By};
use crate::classify::{
    Asked,
    body::{self, header},
    generic,
    judgement::Judgement,
    params,
    target::Target,
};

/// Judges a request that names no operation.
pub(crate) fn judge(asked: &Asked<'_>, aws: &Aws, service: &str) -> Judgement {
    if service == "s3" {
        return s3(asked);
    }
    // A path of these APIs holds names of resources; a GET of one called `delete` is still a read. Where only the
    // agent says that this is AWS, the caller judges the path as of any API.
    let read = matches!(asked.request.head.method.as_str(), "GET" | "HEAD");
    generic::judge(asked, generic::Scope { parameters: true, path: !(read && aws.by == By::Host) })
}

/// Sub-resources whose body or name decides: (method, sub-resource, level, texts in the body that make it worse).
///
/// Amazon S3 API reference, "Actions".
const SUB_RESOURCES: &[(&str, &str, Harm, &[&str], Flag)] = &[
    ("PUT", "acl", Harm::MediumHarm, &["AllUsers", "AuthenticatedUsers"], Flag::Exposure),
    ("PUT", "policy", Harm::MediumHarm, &["\"*\""], Flag::Exposure),
    ("PUT", "lifecycle", Harm::LowHarm, &["Expiration"], Flag::Deferred),
    ("PUT", "object-lock", Harm::LowHarm, &["COMPLIANCE"], Flag::Privilege),
    ("PUT", "retention", Harm::LowHarm, &["COMPLIANCE"], Flag::Privilege),
    ("PUT", "publicAccessBlock", Harm::LowHarm, &["false"], Flag::Exposure),
    ("PUT", "versioning", Harm::LowHarm, &["Suspended"], Flag::GuardRemoval),
];

/// What is taken away with DELETE on a sub-resource: (sub-resource, level, flag).
const SUB_DELETES: &[(&str, Harm, Option<Flag>)] = &[
    ("tagging", Harm::LowHarm, None),
    ("uploadId", Harm::MediumHarm, Some(Flag::Housekeeping)),
    ("policy", Harm::MediumHarm, Some(Flag::Privilege)),
    ("lifecycle", Harm::MediumHarm, None),
    ("cors", Harm::MediumHarm, None),
    ("replication", Harm::MediumHarm, Some(Flag::GuardRemoval)),
    ("encryption", Harm::MediumHarm, Some(Flag::GuardRemoval)),
    ("website", Harm::MediumHarm, None),
    ("publicAccessBlock", Harm::Irreversible, Some(Flag::Exposure)),
];

fn s3(asked: &Asked<'_>) -> Judgement {
    let path = asked.target.path;
    let method = asked.request.head.method.as_str();
    let name = format!("{method} {}", String::from_utf8_lossy(path.get(..512).unwrap_or(path)));
    let subs: Vec<params::Param<'_>> = params::parse(asked.target.query).collect();
    let sub = |wanted: &str| subs.iter().any(|p| p.name.eq_ignore_ascii_case(wanted.as_bytes()));
    let mut judged = match method {
        "GET" | "HEAD" | "OPTIONS" => Judgement::new(name, Harm::ReadOnly, "S3: reads".into()),
        "PUT" => put(asked, name, &sub),
        "DELETE" => delete(asked, name, &sub),
        "POST" if sub("delete") => delete_many(asked, name),
        "POST" if sub("uploads") || sub("uploadId") || sub("restore") || sub("select") => {
            Judgement::new(name, Harm::LowHarm, "S3: adds an object".into())
        }
        _ => generic::judge(asked, generic::Scope { parameters: false, path: false }),
    };
    for value in ACL_HEADERS.iter().flat_map(|name| header(&asked.request.head, name)) {
        let public = ["public-read", "AllUsers", "AuthenticatedUsers", "authenticated-read"];
        if public.iter().any(|p| contains(value, p)) {
            judged.flag(Flag::Exposure);
            judged.raise(Harm::Irreversible, || "a header makes it public".into());
        }
    }
    judged
}

const ACL_HEADERS: [&str; 5] = [
    "x-amz-acl",
    "x-amz-grant-read",
    "x-amz-grant-write",
    "x-amz-grant-full-control",
    "x-amz-grant-read-acp",
];

fn put(asked: &Asked<'_>, name: String, sub: &dyn Fn(&str) -> bool) -> Judgement {
    let body = asked.request.body.bytes();
    let mut judged = Judgement::new(name, Harm::LowHarm, "S3: an upload that may overwrite".into());
    judged.flag(Flag::Overwrite);
    for (_, wanted, level, texts, flag) in SUB_RESOURCES.iter().filter(|row| sub(row.1)) {
        judged.raise(*level, || format!("S3: sets {wanted}"));
        if texts.iter().any(|text| contains(body, text)) {
            judged.flag(*flag);
            let harm = if *flag == Flag::GuardRemoval { Harm::MediumHarm } else { Harm::Irreversible };
            judged
                .raise(harm, || format!("S3: sets {wanted} to what cannot be undone, or turns a guard off"));
        } else if !body::is_whole(asked.request) {
            judged.unseen_body(Harm::Irreversible);
        }
    }
    judged
}

fn delete(asked: &Asked<'_>, name: String, sub: &dyn Fn(&str) -> bool) -> Judgement {
    if let Some((wanted, harm, flag)) = SUB_DELETES.iter().find(|row| sub(row.0)) {
        let mut judged = Judgement::new(name, *harm, format!("S3: takes {wanted} away"));
        judged.flags.extend(*flag);
        return judged;
    }
    let mut judged = Judgement::new(name, Harm::Irreversible, "S3: deletes".into());
    if has_key(asked) {
        judged.flag(Flag::Record);
    }
    judged
}

/// `POST ?delete`: up to a thousand keys in the body.
fn delete_many(asked: &Asked<'_>, name: String) -> Judgement {
    let mut judged =
        Judgement::new(name, Harm::Irreversible, "S3: deletes the objects that the body names".into());
    judged.flag(Flag::Record);
    judged.flag(Flag::Bulk);
    if body::is_whole(asked.request) {
        let keys = asked.request.body.bytes().windows(5).filter(|w| w == b"<Key>").count();
        judged.magnitude = Magnitude::Count(u64::try_from(keys).unwrap_or(u64::MAX).max(1));
    } else {
        judged.wants_body = true;
        judged.magnitude = Magnitude::UNBOUNDED;
    }
    judged
}

/// A key behind the bucket, which is in the host or the first segment.
fn has_key(asked: &Asked<'_>) -> bool {
    let segments = asked.target.path.split(|b| *b == b'/').filter(|s| !s.is_empty()).count();
    let in_host = asked.evidence.names.iter().any(|name| !name.starts_with("s3") && name.contains(".s3"));
    segments > usize::from(!in_host)
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|w| w.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// True where the body decides; an object's content does not.
pub(crate) fn s3_body_counts(head: &RequestHead, target: &Target<'_>) -> bool {
    let sub =
        |wanted: &str| params::parse(target.query).any(|p| p.name.eq_ignore_ascii_case(wanted.as_bytes()));
    match head.method.as_str() {
        "PUT" => SUB_RESOURCES.iter().any(|row| sub(row.1)),
        "POST" => sub("delete"),
        _ => false,
    }
}

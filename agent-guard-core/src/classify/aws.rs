//! AWS: which service is asked, and what its operation would do.
//!
//! A request is AWS by its host, by the scope of its signature, or by `X-Amz-Target` (harm-levels 16). Only the host
//! is more than the agent's word: where it is not AWS, this reading may not lower what any other API would make of the
//! request (harm-levels 27), and a dry run is not believed.

pub(crate) mod operation;
pub(crate) mod query;
pub(crate) mod rest;
pub(crate) mod scope;

use agent_guard_api::{Flag, Harm};
use agent_guard_decode::message::RequestHead;

use super::{
    Asked,
    body::{self, Kind, header},
    evidence::Evidence,
    generic,
    judgement::Judgement,
    params,
    target::Target,
};
use crate::catalog;

/// What makes a request one to AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aws {
    pub by: By,
    /// Each service that some evidence names; the first is shown.
    pub services: Vec<String>,
    pub region: Option<String>,
    pub access_key: Option<String>,
}

/// How far the agent's word is all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Every name of the host is AWS's.
    Host,
    /// The host is an address or this machine: a simulator, a tunnel, or anything else.
    Literal,
    /// Some name is another's.
    Name,
}

/// Finds the evidence; `None`: nothing says AWS, or the host only passes the request on to its owner's code.
pub(crate) fn identify(head: &RequestHead, target: &Target<'_>, evidence: &Evidence) -> Option<Aws> {
    let scopes = scope::find(head, target);
    let hosts: Vec<HostOf<'_>> = evidence.names.iter().filter_map(|name| host_of(name)).collect();
    if hosts.is_empty() && scopes.is_empty() && header(head, "x-amz-target").next().is_none() {
        return None;
    }
    if hosts.iter().any(|host| host.passed_on) {
        return None;
    }
    let by = match evidence.is_literal() {
        true => By::Literal,
        false if !hosts.is_empty() && hosts.len() == evidence.names.len() => By::Host,
        false => By::Name,
    };
    let mut services: Vec<String> = Vec::with_capacity(1);
    let named = scopes.iter().map(|s| s.service.as_str()).chain(hosts.iter().filter_map(|h| h.service));
    for service in named {
        if !services.iter().any(|known| known == service) {
            services.push(service.into());
        }
    }
    let first = scopes.into_iter().next();
    let (region, access_key) = first.map_or((None, None), |s| (s.region, s.access_key));
    let region = region.or_else(|| hosts.iter().find_map(|h| h.region).map(String::from));
    Some(Aws { by, services, region, access_key })
}

/// What a host name says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct HostOf<'a> {
    service: Option<&'a str>,
    region: Option<&'a str>,
    passed_on: bool,
}

fn host_of(name: &str) -> Option<HostOf<'_>> {
    let rest = catalog::AWS_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix))?;
    let mut of = HostOf::default();
    for (at, label) in rest.split('.').enumerate() {
        let first = at == 0;
        of.passed_on |= catalog::AWS_PASSED_ON.iter().any(|(l, under)| *l == label && !(*under && first));
        let dual_stack = label == "dualstack" || label.starts_with("vpce");
        if is_region(label) {
            of.region = of.region.or(Some(label));
        } else if label == "s3-control" {
            // The account's settings: not an object store, though it signs as one.
            of.service = Some(label);
        } else if label == "s3" || label.starts_with("s3-") {
            of.service = Some("s3");
        } else if first && !dual_stack {
            of.service = Some(alias(label));
        }
    }
    // `bucket.s3.region`: the service is not the first label.
    Some(of)
}

/// `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`.
fn is_region(label: &str) -> bool {
    let Some((words, number)) = label.rsplit_once('-') else {
        return false;
    };
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let short = words.split('-').next().is_some_and(|first| first.len() <= 4);
    number.len() == 1
        && number.bytes().all(|b| b.is_ascii_digit())
        && words.contains('-')
        && short
        && words.split('-').all(letters)
}

/// Host labels whose service signs under another name.
fn alias(label: &str) -> &str {
    match label {
        "email" => "ses",
        "queue" => "sqs",
        "ec2-fips" => "ec2",
        other => other.strip_suffix("-fips").unwrap_or(other),
    }
}

/// Judges by every service that is named; the worst counts.
pub(crate) fn judge(asked: &Asked<'_>, aws: &Aws) -> Judgement {
    let mut services = aws.services.iter().map(String::as_str);
    let mut judged = judge_as(asked, aws, services.next().unwrap_or_default());
    for service in services {
        judged = judged.worst(judge_as(asked, aws, service));
    }
    match aws.by {
        By::Host => judged,
        By::Literal => {
            let scope = generic::Scope { parameters: false, path: true };
            let other = generic::judge(asked, scope);
            if other.harm > Harm::Unknown { judged.worst(other) } else { judged }
        }
        By::Name => judged.worst(generic::judge(asked, generic::Scope::ALL)),
    }
}

fn judge_as(asked: &Asked<'_>, aws: &Aws, service: &str) -> Judgement {
    let head = &asked.request.head;
    let mut named: Option<Judgement> = None;
    let mut join = |judged: Judgement| {
        named = Some(match named.take() {
            Some(before) => before.worst(judged),
            None => judged,
        });
    };
    for value in header(head, "x-amz-target") {
        let operation = value.rsplit(|b| *b == b'.').next().unwrap_or_default();
        join(operation::judge(service, &String::from_utf8_lossy(operation), &[]));
    }
    if let Some(operation) = rpc_path(asked.target.path) {
        join(operation::judge(service, &String::from_utf8_lossy(operation), &[]));
    }
    if let Some(judged) = query::judge(asked, aws, service) {
        join(judged);
    }
    named.unwrap_or_else(|| rest::judge(asked, aws, service))
}

/// Smithy RPC v2: `/service/NAME/operation/OPERATION`.
fn rpc_path(path: &[u8]) -> Option<&[u8]> {
    let mut segments = path.rsplit(|b| *b == b'/');
    let operation = segments.next()?;
    (segments.next()? == b"operation" && segments.nth(1)? == b"service").then_some(operation)
}

/// True if the body of such a request could change the answer.
pub(crate) fn body_counts(head: &RequestHead, target: &Target<'_>, aws: &Aws) -> bool {
    let of_s3 = !aws.services.is_empty() && aws.services.iter().all(|s| s == "s3");
    if of_s3 {
        return rest::s3_body_counts(head, target);
    }
    body::kind(head, &[]) != Kind::Other || target.path == b"/"
}

/// Flags a request whose target is only the agent's word (harm-levels 16).
pub(crate) fn flag_literal(aws: &Aws, judged: &mut Judgement) {
    if aws.by == By::Literal && judged.harm > Harm::ReadOnly {
        judged.flag(Flag::HostMismatch);
    }
}

/// The parameters of the query and of a form body, decoded; one more than [`MAX_PARAMS`] if there are more.
///
/// A body of another kind that holds an action is read all the same: what a server makes of it is not known.
pub(crate) fn all_params<'a>(asked: &Asked<'a>) -> Vec<params::Param<'a>> {
    let body = asked.request.body.bytes();
    let in_body = match body::kind(&asked.request.head, body) {
        Kind::Form => true,
        Kind::Other => body.windows(ACTION.len()).any(|w| w.eq_ignore_ascii_case(ACTION)),
        Kind::Json | Kind::GraphQl | Kind::Encoded => false,
    };
    let of_body = in_body.then(|| params::parse(body)).into_iter().flatten();
    params::parse(asked.target.query).chain(of_body).take(MAX_PARAMS.saturating_add(1)).collect()
}

/// More parameters than any operation takes (EC2 names at most 1,000 resources in one call); bounds the memory.
pub(crate) const MAX_PARAMS: usize = 20_000;

const ACTION: &[u8] = b"Action=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_name_their_service_and_region() {
        let table = [
            ("ec2.us-east-1.amazonaws.com", Some("ec2"), Some("us-east-1"), false),
            ("ec2.amazonaws.com", Some("ec2"), None, false),
            ("bucket.s3.eu-west-1.amazonaws.com", Some("s3"), Some("eu-west-1"), false),
            ("my.bucket.s3.amazonaws.com", Some("s3"), None, false),
            ("s3-us-west-2.amazonaws.com", Some("s3"), None, false),
            ("s3.dualstack.us-west-2.amazonaws.com", Some("s3"), Some("us-west-2"), false),
            ("email.us-east-1.amazonaws.com", Some("ses"), Some("us-east-1"), false),
            ("ec2.us-gov-west-1.api.aws", Some("ec2"), Some("us-gov-west-1"), false),
            ("dynamodb-fips.us-east-1.amazonaws.com", Some("dynamodb"), Some("us-east-1"), false),
            ("a1.execute-api.us-east-1.amazonaws.com", Some("a1"), Some("us-east-1"), true),
            ("es.us-east-1.amazonaws.com", Some("es"), Some("us-east-1"), false),
            ("search-d.us-east-1.es.amazonaws.com", Some("search-d"), Some("us-east-1"), true),
            ("ec2-1-2-3-4.compute-1.amazonaws.com", Some("ec2-1-2-3-4"), None, true),
        ];
        for (name, service, region, passed_on) in table {
            assert_eq!(host_of(name), Some(HostOf { service, region, passed_on }), "{name}");
        }
        for other in ["amazonaws.com.evil.org", "ec2.amazonaws.org", "evilamazonaws.com", "amazonaws.com"] {
            assert_eq!(host_of(other), None, "{other}");
        }
    }
}

//! What a request would do: evidence → provider → operation → level.
//!
//! One function, no state. Bias: whatever contradicts itself, hides, or was not seen counts as the worst it could be
//! (harm-levels 13, 14, 16, 17); nothing that the agent writes lowers a level (27), except where a provider that the
//! connection itself names promises what it means.

mod aws;
mod body;
mod evidence;
mod generic;
mod graphql;
mod inference;
mod judgement;
mod params;
mod target;

use agent_guard_api::{Flag, Harm};
use agent_guard_decode::message::RequestHead;

pub use self::inference::{RouteError, Routes};
use self::{evidence::Evidence, judgement::Judgement, target::Target};
use crate::{
    operation::Operation,
    request::{HttpRequest, Peer},
};

pub(crate) use self::{
    aws::{MAX_PARAMS, scope::credential as sigv4_credential},
    body::header,
    params::{decodes_cleanly, parse as parse_params},
};

/// A request with what was found out about its target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub request: &'a HttpRequest,
    pub target: Target<'a>,
    pub evidence: &'a Evidence,
}

/// Judges one request.
pub fn classify(request: &HttpRequest, routes: &Routes) -> Operation {
    let found = Target::parse(&request.head.method, &request.head.target).and_then(|target| {
        Evidence::of(&request.head, &target, &request.peer).map(|evidence| (target, evidence))
    });
    match found {
        Ok((target, evidence)) => judge(&Asked { request, target, evidence: &evidence }, routes),
        Err(why) => undecidable(request, why),
    }
}

/// Whether the body could change what [`classify`] says; to be asked as soon as the head is there.
pub fn needs_body(head: &RequestHead, peer: &Peer, routes: &Routes) -> bool {
    if !body::has_body(head) {
        return false;
    }
    let Ok(target) = Target::parse(&head.method, &head.target) else {
        return false;
    };
    let Ok(evidence) = Evidence::of(head, &target, peer) else {
        return false;
    };
    let request = HttpRequest {
        head: head.clone(),
        body: crate::request::Body::Prefix(Vec::new()),
        peer: peer.clone(),
    };
    if inference::judge(&Asked { request: &request, target, evidence: &evidence }, routes).is_some() {
        return false;
    }
    match aws::identify(head, &target, &evidence) {
        Some(aws) => aws::body_counts(head, &target, &aws),
        None => generic::body_counts(head),
    }
}

/// True if the request is one to AWS by any evidence.
pub(crate) fn is_aws(head: &RequestHead, peer: &Peer) -> bool {
    let found = Target::parse(&head.method, &head.target)
        .and_then(|target| Evidence::of(head, &target, peer).map(|evidence| (target, evidence)));
    found.is_ok_and(|(target, evidence)| aws::identify(head, &target, &evidence).is_some())
}

fn judge(asked: &Asked<'_>, routes: &Routes) -> Operation {
    if let Some(judged) = inference::judge(asked, routes) {
        return operation(asked, None, judged);
    }
    let aws = aws::identify(&asked.request.head, &asked.target, asked.evidence);
    let mut judged = match &aws {
        Some(aws) => aws::judge(asked, aws),
        None => generic::judge(asked, generic::Scope::ALL),
    };
    if let Some(aws) = &aws {
        aws::flag_literal(aws, &mut judged);
    }
    let tunnel = asked.request.head.method == "CONNECT";
    if asked.evidence.mismatch.is_some() && judged.harm > Harm::ReadOnly && !(tunnel && names_agree(asked)) {
        judged.flag(Flag::HostMismatch);
    }
    operation(asked, aws, judged)
}

/// CONNECT names its host in the target; a Host header may be missing.
fn names_agree(asked: &Asked<'_>) -> bool {
    asked.evidence.names.len() == 1
}

fn operation(asked: &Asked<'_>, aws: Option<aws::Aws>, judged: Judgement) -> Operation {
    let host = asked.evidence.host.as_ref().map(|h| h.name.clone()).unwrap_or_default();
    let mut why = judged.why;
    if judged.flags.contains(&Flag::HostMismatch) {
        why.push_str("; ");
        why.push_str(asked.evidence.mismatch.unwrap_or("signed for AWS, but the host is an address"));
    }
    let (provider, service, region, account) = match aws {
        Some(aws) => ("aws", aws.services.into_iter().next().unwrap_or_default(), aws.region, aws.access_key),
        None => ("http", host.clone(), None, None),
    };
    Operation {
        provider: provider.into(),
        service,
        name: judged.name,
        harm: judged.harm,
        magnitude: judged.magnitude,
        resources: judged.resources,
        resources_total: judged.resources_total,
        flags: judged.flags,
        host,
        region,
        account,
        wants_body: judged.wants_body,
        why,
    }
}

fn undecidable(request: &HttpRequest, why: &str) -> Operation {
    Operation {
        provider: "http".into(),
        service: String::new(),
        name: request.head.method.clone(),
        harm: Harm::Undecidable,
        magnitude: agent_guard_api::Magnitude::Count(1),
        resources: Vec::new(),
        resources_total: 0,
        flags: Vec::new(),
        host: String::new(),
        region: None,
        account: None,
        wants_body: false,
        why: why.into(),
    }
}

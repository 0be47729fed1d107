//! From a request of the flow to what the engine judges.

use agent_guard_api::{Harm, Magnitude};
use agent_guard_core::{
    classify::{self, Routes},
    digest,
    effect::{RequestKey, RequestSeen},
    operation::Operation,
};
use agent_guard_decode::redact;

use crate::{
    ingest::flow::{Due, Stage, Subject},
    report::Origin,
};

/// What the head alone says; `None`: it is judged as it is.
pub(super) fn operation_of_head(subject: &Subject, routes: &Routes) -> Option<Operation> {
    match subject {
        Subject::Http(request) => Some(classify::classify(request, routes)),
        Subject::Undecidable { .. } => None,
    }
}

pub(super) fn request_seen(key: RequestKey, origin: &Origin, due: Due, routes: &Routes) -> RequestSeen {
    let sender = super::sender(origin);
    match due.subject {
        Subject::Http(request) => RequestSeen {
            key,
            sender,
            operation: classify::classify(&request, routes),
            digest: digest::digest(&origin.agent, &request),
            whole: due.stage == Stage::Whole,
            excerpt: redact::excerpt(&request.head, request.body.bytes()),
            bytes_good_until: digest::signature_good_until(&request.head),
        },
        Subject::Undecidable { reason, bytes } => {
            let beginning = bytes.get(..bytes.len().min(64)).unwrap_or_default();
            RequestSeen {
                key,
                sender,
                operation: undecidable(&reason),
                digest: digest::opaque(&origin.agent, &bytes),
                whole: false,
                excerpt: redact::escape(beginning),
                bytes_good_until: None,
            }
        }
    }
}

fn undecidable(reason: &str) -> Operation {
    Operation {
        provider: "unknown".to_owned(),
        service: "unknown".to_owned(),
        name: "unreadable bytes".to_owned(),
        harm: Harm::Undecidable,
        magnitude: Magnitude::UNBOUNDED,
        resources: Vec::new(),
        resources_total: 0,
        flags: Vec::new(),
        host: String::new(),
        region: None,
        account: None,
        wants_body: false,
        why: reason.to_owned(),
    }
}

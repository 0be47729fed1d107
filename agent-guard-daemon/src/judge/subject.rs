//! From a request of the flow to what the engine judges.

use agent_guard_api::{Harm, Magnitude};
use agent_guard_core::{
    classify::{self, Routes},
    digest,
    effect::{RequestKey, RequestSeen},
    operation::Operation,
    request::{Body, HttpRequest},
};
use agent_guard_decode::redact;

use crate::{
    ingest::flow::{Due, Stage, Subject},
    report::Origin,
};

/// What a head alone says.
pub(super) enum OfHead {
    Decided(Operation),
    /// The body could change the answer.
    WantsBody {
        /// What it would be with none: a server may act on the head without reading on.
        if_empty: Operation,
    },
}

impl OfHead {
    pub(super) fn read(request: &HttpRequest, routes: &Routes) -> Self {
        let operation = classify::classify(request, routes);
        if !operation.wants_body {
            return OfHead::Decided(operation);
        }
        let (head, peer) = (request.head.clone(), request.peer.clone());
        let empty = HttpRequest { head, body: Body::Whole(Vec::new()), peer };
        OfHead::WantsBody { if_empty: classify::classify(&empty, routes) }
    }
}

pub(super) fn request_seen(key: RequestKey, origin: &Origin, due: &Due, routes: &Routes) -> RequestSeen {
    let sender = super::sender(origin);
    match &due.subject {
        Subject::Http(request) => RequestSeen {
            key,
            sender,
            operation: classify::classify(request, routes),
            digest: digest::digest(&origin.agent, request),
            whole: due.stage == Stage::Whole,
            excerpt: redact::excerpt(&request.head, request.body.bytes()),
            bytes_good_until: digest::signature_good_until(&request.head),
        },
        Subject::Undecidable { reason, bytes } => unread(key, origin, reason, bytes),
    }
}

/// A request on which the classifier failed.
pub(super) fn unjudgeable(key: RequestKey, origin: &Origin, due: &Due) -> RequestSeen {
    let reason = "the classifier failed on it (a defect of the guard)";
    match &due.subject {
        Subject::Http(request) => {
            let line = [request.head.method.as_bytes(), b" ", &request.head.target].concat();
            unread(key, origin, reason, &line)
        }
        Subject::Undecidable { bytes, .. } => unread(key, origin, reason, bytes),
    }
}

fn unread(key: RequestKey, origin: &Origin, reason: &str, bytes: &[u8]) -> RequestSeen {
    let beginning = bytes.get(..bytes.len().min(64)).unwrap_or_default();
    RequestSeen {
        key,
        sender: super::sender(origin),
        operation: undecidable(reason),
        digest: digest::opaque(&origin.agent, bytes),
        whole: false,
        excerpt: redact::escape(beginning),
        bytes_good_until: None,
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

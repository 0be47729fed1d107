//! `agentguardctl explain --jsonl`: one line in, what the guard would say out (design, section 6).
//!
//! Strict, because its answers are believed: an unknown field, a wrong type or a key given twice is an error, not a
//! guess. What could not be sent as it is written, or would not be read by the guard, is answered as undecidable.

mod http;
mod line;

use agent_guard_api::{Harm, Magnitude, explain::Explanation};
use serde::Serialize;

use self::line::{Line, Protocol};
use crate::{
    classify::{Routes, classify},
    operation::Operation,
};

/// Why a line got no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{error}")]
pub struct ExplainError {
    /// Of the line, if it has a readable one.
    pub id: Option<String>,
    pub error: String,
}

/// Answers one line. `decide` turns an operation into verdict, rule and why.
pub fn line(
    json: &str,
    routes: &Routes,
    decide: impl Fn(&Operation) -> (String, String, String),
) -> Result<Explanation, ExplainError> {
    let line = Line::parse(json)?;
    let operation = match &line.protocol {
        Protocol::Http(parts) => match parts.request() {
            Ok(request) => classify(&request, routes),
            Err(why) => unreadable("http", parts.name(), parts.host(), why.into()),
        },
        Protocol::Other { protocol, what } => {
            let why = format!("this version does not decode {protocol}");
            unreadable(protocol, (*what).into(), "", why)
        }
    };
    let (verdict, rule, why) = decide(&operation);
    Ok(Explanation {
        id: line.id,
        provider: operation.provider,
        service: operation.service,
        operation: operation.name,
        harm: operation.harm,
        magnitude: operation.magnitude,
        resources: operation.resources,
        flags: operation.flags,
        verdict,
        rule,
        why,
    })
}

fn unreadable(provider: &str, name: String, host: &str, why: String) -> Operation {
    Operation {
        provider: provider.into(),
        service: host.into(),
        name,
        harm: Harm::Undecidable,
        magnitude: Magnitude::Count(1),
        resources: Vec::new(),
        resources_total: 0,
        flags: Vec::new(),
        host: host.into(),
        region: None,
        account: None,
        wants_body: false,
        why,
    }
}

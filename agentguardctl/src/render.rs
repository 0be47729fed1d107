//! Answers as text for people. Pure: what is relative to now takes `now`.
//!
//! A person decides by what stands here, and an agent chose much of it. So nothing reaches the terminal but through
//! [`text`]: escaped, and what an agent may have chosen also quoted, cut in the middle with a count, and marked. Every
//! list is bounded, with a count of what is not shown. A property test keeps this for every renderer.

use agent_guard_api::{
    Outcome,
    audit::AuditRecord,
    explain::Explanation,
    status::{Finding, Severity},
};

use self::text::{name, plural, retold, says, sentence, utc, word};

mod hold;
mod status;
pub(crate) mod text;

pub(crate) use self::{
    hold::{hold, holds},
    status::status,
};

/// Milliseconds since the Unix epoch.
pub(crate) type Millis = u64;

/// One audit record, one line.
pub(crate) fn record(record: &AuditRecord) -> String {
    let AuditRecord { at_ms, kind, message, agent, session, pid, hold, person, request, rule, .. } = record;
    let mut line = format!("{}  {:<15}", utc(*at_ms), word(kind));
    if let Some(agent) = agent {
        line.push_str(&format!(" {}", name(agent)));
    }
    if let Some(session) = session {
        line.push_str(&format!(" session {session}"));
    }
    if let Some(pid) = pid {
        line.push_str(&format!(" pid {pid}"));
    }
    if let Some(hold) = hold {
        line.push_str(&format!(" hold {}", name(hold)));
    }
    line.push_str(&format!(": {}", sentence(message)));
    if let Some(request) = request {
        line.push_str(&format!(" [{}, {}]", word(&request.harm), says(&request.operation)));
    }
    if let Some(person) = person {
        line.push_str(&format!(" (by {})", name(person)));
    }
    if let Some(rule) = rule {
        line.push_str(&format!(" (rule {})", name(rule)));
    }
    line.push('\n');
    line
}

pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Approved { hold, missing } => {
            let missing = plural(u64::from(*missing), "more approval", "more approvals");
            format!("{}: your approval counts; {missing} needed\n", name(hold))
        }
        Outcome::Released { hold, delivered: true } => {
            format!("{}: approved; the request went on\n", name(hold))
        }
        Outcome::Released { hold, delivered: false } => {
            format!(
                "{}: approved; the client gave up meanwhile, its next attempt goes through once\n",
                name(hold)
            )
        }
        Outcome::Denied { hold } => format!("{}: denied; the connection is broken\n", name(hold)),
        Outcome::Enrolled { agent, session } => format!("session {session} of {}\n", name(agent)),
        Outcome::Removing => {
            "everything that was held is refused; probes and pins are being removed: nothing is guarded now\n"
                .to_owned()
        }
    }
}

pub(crate) fn findings(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "nothing was checked\n".to_owned();
    }
    let mut page = String::new();
    for Finding { check, severity, finding, consequence, remedy } in findings {
        let severity = match severity {
            Severity::Ok => "ok     ",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR  ",
        };
        page.push_str(&format!("{severity} {}: {}\n", name(check), sentence(finding)));
        for (label, words) in [("so", consequence), ("remedy", remedy)] {
            if !words.is_empty() {
                page.push_str(&format!("          {label}: {}\n", sentence(words)));
            }
        }
    }
    page
}

pub(crate) fn explanation(explanation: &Explanation) -> String {
    let Explanation {
        id,
        provider,
        service,
        operation,
        harm,
        magnitude,
        resources,
        flags,
        verdict,
        rule,
        why,
    } = explanation;
    let mut page = format!(
        "{}: {}, {}: {} of {} {}, {}\n",
        name(id),
        name(verdict).to_uppercase(),
        word(harm),
        says(operation),
        says(provider),
        says(service),
        text::magnitude(magnitude),
    );
    page.push_str(&format!("    rule {}: {}\n", name(rule), retold(why)));
    if !flags.is_empty() {
        page.push_str(&format!("    flags {}\n", text::flags(flags)));
    }
    if !resources.is_empty() {
        let total = resources.len() as u64;
        page.push_str(&format!("    resources ({total}):\n"));
        page.push_str(&text::list(resources, total, RESOURCES_SHOWN, "      ", |resource| says(resource)));
    }
    page
}

pub(crate) fn explain_error(id: Option<&str>, error: &str) -> String {
    format!("{}: error: {}\n", id.map_or_else(|| "a line without an id".to_owned(), name), sentence(error))
}

/// As many resources as a hold's page shows.
const RESOURCES_SHOWN: usize = 20;

#[cfg(test)]
mod tests;

//! From a request to what people are shown of it, cut to sizes that a person can read and a ledger can keep.

use agent_guard_api::{HoldState, HoldView, ProcessView};

use super::{
    cover::NAME_BYTES,
    summary::{clip, sentence},
};
use crate::{
    effect::{Digest, RequestSeen, UnixMillis},
    policy::Terms,
    verdict::Because,
};

/// The view of a new hold; its id is given when it is entered.
pub(crate) fn pending(
    now: UnixMillis,
    seen: &RequestSeen,
    because: &Because,
    terms: Terms,
    before: Vec<String>,
) -> HoldView {
    let operation = &seen.operation;
    HoldView {
        id: String::new(),
        state: HoldState::Pending,
        agent: seen.sender.agent.clone(),
        session: seen.sender.session,
        processes: seen.sender.processes.iter().take(MAX_PROCESSES).map(process).collect(),
        provider: clip(&operation.provider, NAME_BYTES),
        service: clip(&operation.service, NAME_BYTES),
        operation: clip(&operation.name, NAME_BYTES),
        summary: sentence(operation),
        harm: operation.harm,
        flags: operation.flags.clone(),
        magnitude: operation.magnitude.clone(),
        resources: operation.resources.iter().take(MAX_RESOURCES).map(|name| clip(name, NAME_CUT)).collect(),
        resources_total: operation.resources_total,
        host: clip(&operation.host, NAME_BYTES),
        region: operation.region.as_deref().map(|region| clip(region, NAME_BYTES)),
        account: operation.account.as_deref().map(|account| clip(account, NAME_BYTES)),
        digest: hex(seen.digest),
        whole: seen.whole,
        excerpt: clip(&seen.excerpt, MAX_EXCERPT),
        before,
        rule: because.rule.clone(),
        why: because.why.clone(),
        approvals_needed: terms.approvals.max(1),
        approvals: Vec::new(),
        denied_by: None,
        denied_reason: None,
        created_ms: now.0,
        expires_ms: now.0.saturating_add(terms.within_ms),
        bytes_good_until_ms: seen.bytes_good_until.map(|until| until.0),
        waiting_connections: 0,
    }
}

/// The same operation asked anew: nobody has decided this one.
pub(crate) fn anew(now: UnixMillis, view: &HoldView, window_ms: u64) -> HoldView {
    HoldView {
        id: String::new(),
        state: HoldState::Pending,
        approvals: Vec::new(),
        denied_by: None,
        denied_reason: None,
        created_ms: now.0,
        expires_ms: now.0.saturating_add(window_ms),
        ..view.clone()
    }
}

fn process(process: &ProcessView) -> ProcessView {
    ProcessView {
        pid: process.pid,
        command: clip(&process.command, MAX_COMMAND),
        exe: clip(&process.exe, MAX_COMMAND),
    }
}

/// Lower-case hex, as the ledger and the audit spell a digest.
pub(crate) fn hex(digest: Digest) -> String {
    digest.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The way back; `None` for anything but 64 hex digits.
pub(crate) fn unhex(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        let at = index.checked_mul(2)?;
        *byte = u8::from_str_radix(text.get(at..at.checked_add(2)?)?, 16).ok()?;
    }
    Some(Digest(digest))
}

const MAX_PROCESSES: usize = 16;
const MAX_RESOURCES: usize = 20;
const MAX_EXCERPT: usize = 512;
const MAX_COMMAND: usize = 512;
/// Longer than a name that coverage believes, even when the cut moves to a character's start.
const NAME_CUT: usize = NAME_BYTES + 4;

#[cfg(test)]
mod tests {
    use super::{hex, unhex};
    use crate::effect::Digest;

    #[test]
    fn a_digest_survives_the_ledger() {
        let digest = Digest(std::array::from_fn(|index| u8::try_from(index * 7 % 256).unwrap()));
        assert_eq!(unhex(&hex(digest)), Some(digest));
        for text in ["", "00", &"g".repeat(64), &"é".repeat(32), &"+f".repeat(32)] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }
}

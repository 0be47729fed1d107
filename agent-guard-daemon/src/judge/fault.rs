//! Decoders that fail on demand, to show what becomes of a connection on which one does. Compiled in by the feature
//! `fault-injection` only; without it nothing here does anything.

use crate::ingest::flow::Gated;

/// Fails if a write contains the text that the environment names: `AGENT_GUARD_TEST_ABORT_ON` ends the process,
/// `AGENT_GUARD_TEST_PANIC_ON` panics.
#[cfg(feature = "fault-injection")]
pub(super) fn meet(what: &Gated) {
    let Gated::Writes(writes) = what else { return };
    let contains = |variable: &str| {
        let text = std::env::var(variable).unwrap_or_default();
        let is_in = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        !text.is_empty() && writes.iter().any(|write| is_in(&write.bytes))
    };
    if contains("AGENT_GUARD_TEST_ABORT_ON") {
        std::process::abort();
    }
    assert!(!contains("AGENT_GUARD_TEST_PANIC_ON"), "told to fail on this write");
}

#[cfg(not(feature = "fault-injection"))]
pub(super) fn meet(_what: &Gated) {}

//! Decoders that fail on demand, to show what becomes of a connection on which one does. Compiled in for tests and by
//! the feature `fault-injection` only; otherwise nothing here does anything.

use crate::ingest::flow::Gated;

/// Fails if a write contains the text that the environment names: `AGENT_GUARD_TEST_ABORT_ON` ends the process,
/// `AGENT_GUARD_TEST_PANIC_ON` panics.
#[cfg(feature = "fault-injection")]
pub(super) fn meet(what: &Gated) {
    let named = |variable: &str| {
        let text = std::env::var(variable).unwrap_or_default();
        !text.is_empty() && contains(what, text.as_bytes())
    };
    if named("AGENT_GUARD_TEST_ABORT_ON") {
        std::process::abort();
    }
    assert!(!named("AGENT_GUARD_TEST_PANIC_ON"), "told to fail on this write");
}

/// What unit tests write to have a decoder panic.
#[cfg(all(test, not(feature = "fault-injection")))]
pub(super) const PANIC: &str = "/panics-in-unit-tests";

#[cfg(all(test, not(feature = "fault-injection")))]
pub(super) fn meet(what: &Gated) {
    assert!(!contains(what, PANIC.as_bytes()), "told to fail on this write");
}

#[cfg(not(any(test, feature = "fault-injection")))]
pub(super) fn meet(_what: &Gated) {}

#[cfg(any(test, feature = "fault-injection"))]
fn contains(what: &Gated, text: &[u8]) -> bool {
    let Gated::Writes(writes) = what else { return false };
    writes.iter().any(|write| write.bytes.windows(text.len()).any(|window| window == text))
}

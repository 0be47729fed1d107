//! Per-CPU counters.

use crate::maps::COUNTERS;

/// Adds one to a counter of `agent_guard_common::counters`.
#[inline(always)]
pub fn count(index: u32) {
    if let Some(counter) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: the entry belongs to this CPU; a preempted update may lose a count, never more.
        unsafe { *counter += 1 }
    }
}

//! Atomic operations on map values. `core::sync::atomic` offers none for BPF targets although BPF v3 has them, so
//! these are the compiler's intrinsics under names that say what they do. All are full barriers.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd, atomic_xchg};

const SEQ_CST: AtomicOrdering = AtomicOrdering::SeqCst;

/// Adds to a word and returns what it was.
///
/// # Safety
/// `word` points into a live map value and is 8-byte aligned.
#[inline(always)]
pub unsafe fn add(word: *mut u64, value: u64) -> u64 {
    // SAFETY: forwarded to the caller.
    unsafe { atomic_xadd::<u64, u64, SEQ_CST>(word, value) }
}

/// Adds to a half word and returns what it was.
///
/// # Safety
/// `word` points into a live map value and is 4-byte aligned.
#[inline(always)]
pub unsafe fn add32(word: *mut u32, value: u32) -> u32 {
    // SAFETY: forwarded to the caller.
    unsafe { atomic_xadd::<u32, u32, SEQ_CST>(word, value) }
}

/// Reads a word behind everything that was read or written before.
///
/// # Safety
/// As [`add`].
#[inline(always)]
pub unsafe fn read(word: *mut u64) -> u64 {
    // SAFETY: forwarded to the caller.
    unsafe { add(word, 0) }
}

/// Replaces a word and returns what it was.
///
/// # Safety
/// As [`add`].
#[inline(always)]
pub unsafe fn replace(word: *mut u64, value: u64) -> u64 {
    // SAFETY: forwarded to the caller.
    unsafe { atomic_xchg::<u64, SEQ_CST>(word, value) }
}

/// Replaces a word if it is `expected`; true if it was.
///
/// # Safety
/// As [`add`].
#[inline(always)]
pub unsafe fn replace_if(word: *mut u64, expected: u64, value: u64) -> bool {
    // SAFETY: forwarded to the caller.
    unsafe { atomic_cxchg::<u64, SEQ_CST, SEQ_CST>(word, expected, value) }.1
}

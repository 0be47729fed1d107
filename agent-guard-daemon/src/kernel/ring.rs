//! The event ring: a file descriptor to wait on and events to take.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use aya::maps::{MapData, RingBuf};

/// The ring buffer of the kernel half. Events that were submitted while no daemon was there are still in it.
#[expect(missing_debug_implementations, reason = "aya's ring has none")]
pub struct Ring(RingBuf<MapData>);

impl Ring {
    pub fn new(ring: RingBuf<MapData>) -> Self {
        Ring(ring)
    }

    /// Hands the next event's bytes to `take`; false if there is none.
    pub fn next(&mut self, take: impl FnOnce(&[u8])) -> bool {
        match self.0.next() {
            Some(item) => {
                take(&item);
                true
            }
            None => false,
        }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring owns its descriptor for as long as it lives.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

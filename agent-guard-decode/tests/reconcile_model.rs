//! Against a model of a TLS library that takes any part of each offer: what is judged new, put together, is the stream.

use agent_guard_decode::reconcile::{CAPTURE_BYTES, Offered, OfferedWrite, Reconciler};
use proptest::prelude::*;

/// Bytes from which on a comparison counts.
const EVIDENCE: usize = 16;

/// What happens at one call of the write function.
#[derive(Clone, Copy, Debug)]
struct Call {
    /// Bytes the application would like to offer (at least).
    wants: usize,
    /// How much of an offer the library takes, in 256ths.
    takes: usize,
    /// The application appends to what was not taken before it tries again.
    extends: bool,
    /// The socket is nearly full although everything was taken.
    full: bool,
}

fn call() -> impl Strategy<Value = Call> {
    (EVIDENCE..400, prop_oneof![Just(0), Just(256), 0_usize..=256], any::<bool>(), any::<bool>())
        .prop_map(|(wants, takes, extends, full)| Call { wants, takes, extends, full })
}

/// Bytes in which no piece of 8 comes twice, so that nothing is old by coincidence.
fn stream(len: usize) -> Vec<u8> {
    (1..).flat_map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).take(len).collect()
}

/// Everything of the offered writes that was judged new, in order, and how far the stream was offered.
fn replay(stream: &[u8], calls: &[Call]) -> (Vec<u8>, usize) {
    let mut reconciler = Reconciler::new();
    let mut judged = Vec::new();
    let (mut start, mut end, mut blocked) = (0, 0, false);
    for call in calls {
        let known = end;
        if start == end || call.extends {
            end += call.wants;
        }
        let buffer = &stream[start..end];
        let write = OfferedWrite { bytes: buffer, total: buffer.len() as u64 };
        match reconciler.offer(&write, blocked) {
            Offered::New => judged.extend(buffer),
            Offered::Repeat | Offered::Tail { .. } => {}
            Offered::Extends { known } => judged.extend(&buffer[usize::try_from(known).unwrap()..]),
            Offered::Unclear => {
                assert!(known - start < EVIDENCE, "captured whole, so it can be told: {call:?}");
                return (judged, known);
            }
        }
        let taken = buffer.len() * call.takes / 256;
        start += taken;
        blocked = start < end || call.full;
    }
    (judged, end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A library that takes all or nothing: the same write comes again, or a longer one.
    #[test]
    fn all_or_nothing(calls in prop::collection::vec(call(), 1..40)) {
        let calls: Vec<Call> = calls.into_iter().map(|call| Call { takes: call.takes / 129 * 256, ..call }).collect();
        let stream = stream(400 * 41);
        let (judged, end) = replay(&stream, &calls);
        prop_assert_eq!(&judged, &stream[..end]);
    }

    /// A library with partial writes: the tail comes again.
    #[test]
    fn partial_writes(calls in prop::collection::vec(call(), 1..40)) {
        let calls: Vec<Call> = calls.into_iter().map(|call| Call { extends: false, ..call }).collect();
        let stream = stream(400 * 41);
        let (judged, end) = replay(&stream, &calls);
        prop_assert_eq!(&judged, &stream[..end]);
    }

    /// The tail with more behind it is never taken for new, whatever was captured of it.
    #[test]
    fn a_mixture_is_unclear(len in 32_usize..400, taken in 1_usize..384, more in 1_usize..400) {
        let taken = taken.min(len - 16);
        let stream = stream(800);
        let (first, second) = (&stream[..len], &stream[taken..len + more]);
        let mut reconciler = Reconciler::new();
        reconciler.offer(&OfferedWrite { bytes: first, total: first.len() as u64 }, false);
        let offered = reconciler.offer(&OfferedWrite { bytes: second, total: second.len() as u64 }, true);
        prop_assert_eq!(offered, Offered::Unclear);
    }

    /// Whatever is said to be old was seen before: no byte is left out on less than a comparison.
    #[test]
    fn old_bytes_were_offered_before(
        first in prop::collection::vec(0_u8..3, 0..12), first_unseen in 0_u64..3,
        second in prop::collection::vec(0_u8..3, 0..12), second_unseen in 0_u64..3,
    ) {
        let mut reconciler = Reconciler::new();
        reconciler.offer(&OfferedWrite { bytes: &first, total: first.len() as u64 + first_unseen }, false);
        let write = OfferedWrite { bytes: &second, total: second.len() as u64 + second_unseen };
        match reconciler.offer(&write, true) {
            Offered::Repeat => prop_assert!(first == second && first_unseen == second_unseen),
            Offered::Tail { offset } => {
                prop_assert!(first_unseen == 0 && second_unseen == 0 && offset > 0);
                prop_assert_eq!(&first[usize::try_from(offset).unwrap()..], &second[..]);
            }
            Offered::Extends { known } => {
                prop_assert!(first_unseen == 0 && known == first.len() as u64 && known < write.total);
                prop_assert!(second.starts_with(&first));
            }
            Offered::New | Offered::Unclear => {}
        }
    }

    /// Two writes that nobody saw whole never pass for new once the first may not have been taken.
    #[test]
    fn unseen_parts_are_unclear(len in 1_usize..50, unseen in 1_u64..50, other in prop::collection::vec(any::<u8>(), 1..50)) {
        let stream = stream(len);
        let mut reconciler = Reconciler::new();
        reconciler.offer(&OfferedWrite { bytes: &stream, total: len as u64 + unseen }, false);
        let offered = reconciler.offer(&OfferedWrite { bytes: &other, total: other.len() as u64 }, true);
        prop_assert_eq!(offered, Offered::Unclear);
    }
}

/// Self-similar bytes must not make the comparison quadratic: this ends at once, or the test run does not.
#[test]
fn comparing_is_linear() {
    let mut before = vec![b'a'; CAPTURE_BYTES];
    let mut after = before.clone();
    before[0] = b'b';
    after[CAPTURE_BYTES - 2] = b'c';
    let mut reconciler = Reconciler::new();
    for round in 0..200 {
        let bytes = if round % 2 == 0 { &before } else { &after };
        reconciler.offer(&OfferedWrite { bytes, total: bytes.len() as u64 }, true);
    }
}

//! Any sequence of offers: no panic, and nothing is called old that was not compared.
#![no_main]

use agent_guard_decode::reconcile::{Offered, OfferedWrite, Reconciler};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Offer {
    source: Source,
    unseen: u8,
    blocked: bool,
}

/// Where a write's bytes come from: retries are too rare among independent ones.
#[derive(Arbitrary, Debug)]
enum Source {
    Fresh(Vec<u8>),
    Same,
    Tail(u8),
    Longer(Vec<u8>),
    TailAndMore(u8, Vec<u8>),
}

fuzz_target!(|offers: Vec<Offer>| {
    let mut reconciler = Reconciler::new();
    let mut previous: Option<(Vec<u8>, u64)> = None;
    for Offer { source, unseen, blocked } in offers {
        let bytes = source.bytes(previous.as_ref().map_or(&[], |(bytes, _)| bytes));
        let total = bytes.len() as u64 + u64::from(unseen);
        let offered = reconciler.offer(&OfferedWrite { bytes: &bytes, total }, blocked);
        match &previous {
            Some((before, before_total)) if blocked => check(offered, before, *before_total, &bytes, total),
            Some(_) | None => assert_eq!(offered, Offered::New),
        }
        if total > 0 {
            previous = Some((bytes, total));
        }
    }
});

fn check(offered: Offered, before: &[u8], before_total: u64, bytes: &[u8], total: u64) {
    let was_whole = before.len() as u64 == before_total;
    match offered {
        Offered::New => assert!(was_whole || total == 0),
        Offered::Repeat => assert_eq!((before, before_total), (bytes, total)),
        Offered::Tail { offset } => {
            assert!(was_whole && offset > 0 && offset < before_total);
            assert_eq!(&before[usize::try_from(offset).unwrap()..], bytes);
        }
        Offered::Extends { known } => {
            assert!(was_whole && known == before_total && known < total);
            assert!(bytes.starts_with(before));
        }
        Offered::Unclear => {}
    }
}

impl Source {
    fn bytes(self, before: &[u8]) -> Vec<u8> {
        let tail = |from: u8| &before[usize::from(from).min(before.len())..];
        match self {
            Source::Fresh(bytes) => bytes,
            Source::Same => before.to_vec(),
            Source::Tail(from) => tail(from).to_vec(),
            Source::Longer(more) => [before, &more].concat(),
            Source::TailAndMore(from, more) => [tail(from), &more].concat(),
        }
    }
}

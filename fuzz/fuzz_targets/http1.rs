//! Any stream in any cut: no panic, and the same items as uncut, under small limits and under the defaults.
#![no_main]

use agent_guard_decode::http1::{Decoder, Limits};
use agent_guard_decode::message::{Item, Located, Position};
use libfuzzer_sys::fuzz_target;

// The first bytes are lengths of pieces, up to a zero; the rest is the stream. So a corpus entry stays readable.
fuzz_target!(|data: &[u8]| {
    let zero = data.iter().take(16).position(|byte| *byte == 0);
    let (cuts, stream) = zero.map_or((&[][..], data), |zero| (&data[..zero], &data[zero + 1..]));
    let small = Limits {
        head_bytes: 128,
        headers: 4,
        method_bytes: 8,
        target_bytes: 32,
        chunk_line_bytes: 16,
        trailer_bytes: 32,
    };
    for limits in [small, Limits::default()] {
        let whole = decode(limits, stream, std::iter::empty());
        assert_eq!(whole, decode(limits, stream, cuts.iter().map(|cut| usize::from(*cut))));
        assert_eq!(whole, decode(limits, stream, std::iter::repeat_n(1, stream.len())));
        check(&whole.0, whole.1, stream.len());
    }
});

fn decode(limits: Limits, stream: &[u8], cuts: impl Iterator<Item = usize>) -> (Vec<Located>, Position) {
    let mut decoder = Decoder::new(limits);
    let mut items = Vec::new();
    let mut rest = stream;
    for cut in cuts {
        let (piece, tail) = rest.split_at(cut.min(rest.len()));
        feed(&mut decoder, piece, &mut items);
        rest = tail;
    }
    feed(&mut decoder, rest, &mut items);
    assert_eq!(decoder.offset(), stream.len() as u64);
    (items, decoder.position())
}

/// Feeds and polls; adjacent pieces of a body or tunnel become one.
fn feed(decoder: &mut Decoder, bytes: &[u8], items: &mut Vec<Located>) {
    decoder.feed(bytes);
    while let Some(Located { item, end }) = decoder.poll() {
        match (items.last_mut(), item) {
            (Some(Located { item: Item::Body(all), end: last }), Item::Body(more)) => {
                all.extend(more);
                *last = end;
            }
            (Some(Located { item: Item::Tunnel(all), end: last }), Item::Tunnel(more)) => {
                *all += more;
                *last = end;
            }
            (_, item) => items.push(Located { item, end }),
        }
    }
}

fn check(items: &[Located], position: Position, len: usize) {
    assert!(items.windows(2).all(|pair| pair[0].end <= pair[1].end), "out of order");
    assert!(items.last().is_none_or(|last| last.end <= len as u64), "beyond the stream");
    let failed = items.iter().position(|located| matches!(located.item, Item::Undecidable(_)));
    assert_eq!(failed.is_some(), position == Position::Undecidable);
    assert!(failed.is_none_or(|at| at + 1 == items.len()), "something behind the end");
}

//! However a stream is cut, the same items come out at the same offsets.

use agent_guard_decode::http1::{Decoder, Limits};
use agent_guard_decode::message::{Item, Located, Position, Undecidable};
use proptest::prelude::*;

/// Small limits, so that generated streams reach them.
fn limits() -> Limits {
    Limits {
        head_bytes: 160,
        headers: 5,
        method_bytes: 8,
        target_bytes: 40,
        chunk_line_bytes: 16,
        trailer_bytes: 40,
    }
}

fn decode(limits: Limits, bytes: &[u8], cuts: &[usize]) -> (Vec<Located>, Position) {
    let mut decoder = Decoder::new(limits);
    let mut items = Vec::new();
    let mut rest = bytes;
    for cut in cuts {
        let (piece, tail) = rest.split_at(cut % (rest.len() + 1));
        decoder.feed(piece);
        items.extend(std::iter::from_fn(|| decoder.poll()));
        rest = tail;
    }
    decoder.feed(rest);
    items.extend(std::iter::from_fn(|| decoder.poll()));
    assert_eq!(decoder.offset(), bytes.len() as u64);
    (merge(items), decoder.position())
}

fn merge(items: Vec<Located>) -> Vec<Located> {
    let mut merged: Vec<Located> = Vec::new();
    for Located { item, end } in items {
        match (merged.last_mut(), item) {
            (Some(Located { item: Item::Body(all), end: last }), Item::Body(bytes)) => {
                all.extend(bytes);
                *last = end;
            }
            (Some(Located { item: Item::Tunnel(all), end: last }), Item::Tunnel(n)) => {
                *all += n;
                *last = end;
            }
            (_, item) => merged.push(Located { item, end }),
        }
    }
    merged
}

/// Pieces from which readable and unreadable streams are put together.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        b"hello",
        b"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5\r\nhello\r\n",
        b"3;a=\"b\"\r\nxyz\r\n",
        b"0\r\n\r\n",
        b"0\r\nX-Sum: 1\r\n\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"Content-Length: 3\r\n",
        b"A: b\r\n",
        b" ",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"DELETE /x HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
        b"PRI * HTTP/2.0\r\n",
    ])
    .prop_map(<[u8]>::to_vec);
    prop_oneof![8 => known, 1 => prop::collection::vec(any::<u8>(), 0..60), 1 => "[a-z/ ]{0,60}".prop_map(String::into_bytes)]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(fragment(), 0..14).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_cut_gives_the_same_items(bytes in stream(), cuts in prop::collection::vec(0_usize..50, 0..40)) {
        for limits in [limits(), Limits::default()] {
            let whole = decode(limits, &bytes, &[]);
            prop_assert_eq!(&decode(limits, &bytes, &cuts), &whole);
            prop_assert_eq!(&decode(limits, &bytes, &vec![1; bytes.len()]), &whole);
        }
    }

    #[test]
    fn items_are_in_order_and_nothing_follows_the_end(bytes in stream()) {
        let (items, position) = decode(Limits::default(), &bytes, &[]);
        prop_assert!(items.windows(2).all(|pair| pair[0].end <= pair[1].end));
        prop_assert!(items.last().is_none_or(|last| last.end <= bytes.len() as u64));
        let failed = items.iter().position(|located| matches!(located.item, Item::Undecidable(_)));
        prop_assert_eq!(failed.is_some(), position == Position::Undecidable);
        prop_assert!(failed.is_none_or(|at| at + 1 == items.len()));
    }

    /// A request that was written by the rules is read back, however its body looks.
    #[test]
    fn what_was_framed_is_read_back(
        requests in prop::collection::vec((prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..4), any::<bool>()), 1..5),
        cuts in prop::collection::vec(0_usize..50, 0..40),
    ) {
        let mut bytes = Vec::new();
        let mut bodies = Vec::new();
        for (chunks, chunked) in requests {
            bodies.push(chunks.concat());
            if chunked {
                bytes.extend(b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
                for chunk in &chunks {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
                }
                bytes.extend(b"0\r\n\r\n");
            } else {
                let body = chunks.concat();
                bytes.extend(format!("PUT /l HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).bytes().chain(body));
            }
        }
        let (items, position) = decode(Limits::default(), &bytes, &cuts);
        prop_assert_eq!(position, Position::Boundary);
        let mut got: Vec<Vec<u8>> = Vec::new();
        for located in items {
            match located.item {
                Item::Head(_) => got.push(Vec::new()),
                Item::Body(body) => got.last_mut().unwrap().extend(body),
                Item::End => {}
                item => prop_assert!(false, "{item:?}"),
            }
        }
        prop_assert_eq!(got, bodies);
    }

    /// A gap of any place and size is either inside a body of known length or fatal.
    #[test]
    fn gaps_never_lose_count(bytes in stream(), at in 0_usize..200, missing in 1_u64..20) {
        let at = at.min(bytes.len());
        let mut decoder = Decoder::default();
        decoder.feed(&bytes[..at]);
        let before = decoder.position();
        decoder.gap(missing);
        let after = decoder.position();
        let survives = match before {
            Position::InBody { remaining: Some(remaining) } => missing <= remaining,
            Position::Tunnel => true,
            _ => false,
        };
        prop_assert_eq!(after != Position::Undecidable, survives);
        decoder.feed(&bytes[at..]);
        prop_assert_eq!(decoder.offset(), bytes.len() as u64 + missing);
        let gaps = std::iter::from_fn(|| decoder.poll())
            .filter(|located| matches!(located.item, Item::Undecidable(Undecidable::Gap { .. })))
            .count();
        prop_assert_eq!(gaps, usize::from(!survives && before != Position::Undecidable));
    }
}

use std::{io::Write, thread, time::Duration};

use proptest::prelude::*;

use super::*;

/// Serves `pieces`, one write each, then closes; returns what a client reads.
fn exchange(pieces: Vec<Vec<u8>>) -> Result<(u16, Vec<u8>), ClientError> {
    let (client, mut server) = UnixStream::pair().expect("pair");
    let writer = thread::spawn(move || {
        for piece in pieces {
            // A client that has read enough hangs up.
            if server.write_all(&piece).is_err() {
                return;
            }
        }
    });
    let response = Response::read(client, Instant::now() + Duration::from_secs(20));
    let answer = response.and_then(|response| Ok((response.status, response.body.read_all(1 << 20)?)));
    writer.join().expect("writer");
    answer
}

fn served(text: &str) -> Result<(u16, Vec<u8>), ClientError> {
    exchange(vec![text.as_bytes().to_vec()])
}

fn unreadable(text: &str) -> String {
    match served(text) {
        Err(ClientError::Unreadable { what }) => what,
        other => panic!("expected an unreadable answer, got {other:?}"),
    }
}

#[test]
fn three_ways_to_end_a_body() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef";
    assert_eq!(served(length).expect("length"), (200, b"abc".to_vec()));
    let chunks = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nA: b\r\n\r\n";
    assert_eq!(served(chunks).expect("chunks"), (404, b"abc".to_vec()));
    assert_eq!(served("HTTP/1.1 200 OK\r\n\r\nabc").expect("close"), (200, b"abc".to_vec()));
}

#[test]
fn interim_responses_are_skipped() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(served(text).expect("answer"), (200, b"x".to_vec()));
}

#[test]
fn a_cut_answer_is_an_error() {
    assert!(unreadable("").contains("before an answer"));
    assert!(unreadable("HTTP/1.1 200 OK\r\n").contains("before an answer"));
    assert!(unreadable("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").contains("in the middle"));
    assert!(
        unreadable("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc").contains("in the middle")
    );
    assert!(
        unreadable("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .contains("in the middle")
    );
}

#[test]
fn ambiguous_framing_is_an_error() {
    let head = |headers: &str| unreadable(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n0\r\n\r\n"));
    assert!(head("Content-Length: 3\r\nTransfer-Encoding: chunked").contains("both"));
    assert!(head("Content-Length: 3\r\nContent-Length: 3").contains("Content-Length"));
    assert!(head("Content-Length: +3").contains("Content-Length"));
    assert!(head("Transfer-Encoding: gzip, chunked").contains("transfer coding"));
}

#[test]
fn nonsense_is_an_error() {
    assert!(unreadable("SSH-2.0-OpenSSH_9.2\r\n").contains("no HTTP"));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(unreadable(&format!("{chunked}zz\r\n")).contains("size"));
    assert!(unreadable(&format!("{chunked}2\r\nabc\r\n0\r\n\r\n")).contains("longer than its size"));
    assert!(unreadable(&format!("{chunked}{}", "0".repeat(300))).contains("size"));
    assert!(unreadable(&format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(200_000))).contains("head is longer"));
}

#[test]
fn what_is_too_large_is_an_error() {
    let mut pieces = vec![b"HTTP/1.1 200 OK\r\n\r\n".to_vec()];
    pieces.extend(std::iter::repeat_n(vec![b'x'; 1 << 16], 40));
    let error = exchange(pieces).expect_err("too large");
    assert!(error.to_string().contains("larger than"), "{error}");
}

#[test]
fn a_silent_daemon_is_given_up() {
    let (client, _server) = UnixStream::pair().expect("pair");
    let error = Response::read(client, Instant::now() + Duration::from_millis(20)).expect_err("timeout");
    assert!(matches!(error, ClientError::TimedOut), "{error}");
}

fn split_at(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut start = 0;
    let mut pieces = Vec::new();
    for cut in cuts.into_iter().chain([bytes.len()]) {
        pieces.push(bytes[start..cut].to_vec());
        start = cut;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunks_split_anywhere_join_again(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
            wire.extend(chunk);
            wire.extend(b"\r\n");
        }
        wire.extend(b"0\r\n\r\n");
        let (status, body) = exchange(split_at(&wire, &cuts)).expect("answer");
        prop_assert_eq!((status, body), (200, chunks.concat()));
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_error(
        start in prop_oneof![Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Just("")],
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let wire = [start.as_bytes(), &bytes].concat();
        // Either is fine; what counts is that it ends without a panic.
        drop(exchange(vec![wire]));
    }
}

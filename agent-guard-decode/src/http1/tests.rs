//! Tables: one row per rule, named. The property test over all cuts is in `tests/http1_splits.rs`.

use super::*;
use crate::message::Header;

/// All items of `bytes` fed at once.
fn items(bytes: &[u8]) -> Vec<Item> {
    located(bytes).into_iter().map(|located| located.item).collect()
}

fn located(bytes: &[u8]) -> Vec<Located> {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    std::iter::from_fn(|| decoder.poll()).collect()
}

/// How `bytes` end, whether fed whole or byte by byte; `None` if they are readable.
fn cause(bytes: &[u8]) -> Option<Undecidable> {
    let whole = located(bytes).pop();
    let mut decoder = Decoder::default();
    let mut last = None;
    for byte in bytes {
        decoder.feed(std::slice::from_ref(byte));
        while let Some(item) = decoder.poll() {
            last = Some(item);
        }
    }
    match (whole, last) {
        (
            Some(Located { item: Item::Undecidable(a), end: x }),
            Some(Located { item: Item::Undecidable(b), end: y }),
        ) => {
            assert_eq!((&a, x), (&b, y), "the cut changed the cause");
            Some(a)
        }
        (a, b) => {
            let is_final =
                |item: &Option<Located>| matches!(item, Some(Located { item: Item::Undecidable(_), .. }));
            assert!(!is_final(&a) && !is_final(&b), "the cut decided: {a:?} or {b:?}");
            None
        }
    }
}

fn head(bytes: &[u8]) -> RequestHead {
    match items(bytes).into_iter().next() {
        Some(Item::Head(head)) => head,
        other => panic!("no head in {:?}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

fn header(name: &str, value: &[u8]) -> Header {
    Header { name: name.into(), value: value.to_vec() }
}

fn malformed(what: &'static str) -> Option<Undecidable> {
    Some(Undecidable::Malformed { what })
}

fn ambiguous(what: &'static str) -> Option<Undecidable> {
    Some(Undecidable::AmbiguousFraming { what })
}

#[test]
fn a_head_is_given_as_sent() {
    let bytes = b"\r\n\r\nGeT /a?b=%20 HTTP/1.1\r\nHost:\texample.org \t\r\nX-Empty:\r\nx-b: \x80 c\r\n\r\n";
    assert_eq!(
        located(bytes),
        [
            Located {
                item: Item::Head(RequestHead {
                    method: "GeT".into(),
                    target: b"/a?b=%20".to_vec(),
                    minor_version: 1,
                    headers: vec![
                        header("host", b"example.org"),
                        header("x-empty", b""),
                        header("x-b", b"\x80 c"),
                    ],
                    framing: Framing::None,
                    expects_continue: false,
                }),
                end: bytes.len() as u64,
            },
            Located { item: Item::End, end: bytes.len() as u64 },
        ]
    );
}

#[test]
fn pipelined_requests_with_bodies() {
    let post = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    let all = [&post[..], b"DELETE /x HTTP/1.0\r\n\r\n", post].concat();
    let got = located(&all);
    let kinds: Vec<_> = got.iter().map(|located| (kind(&located.item), located.end)).collect();
    assert_eq!(
        kinds,
        [
            ("head", 38),
            ("body", 41),
            ("end", 41),
            ("head", 63),
            ("end", 63),
            ("head", 101),
            ("body", 104),
            ("end", 104)
        ]
    );
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::Head(_) => "head",
        Item::Body(_) => "body",
        Item::BodyUnseen(_) => "unseen",
        Item::End => "end",
        Item::Tunnel(_) => "tunnel",
        Item::Undecidable(_) => "undecidable",
    }
}

#[test]
fn readable_requests() {
    let long_method = [&[b'M'; 32][..], b" / HTTP/1.1\r\n\r\n"].concat();
    let table: &[(&str, &[u8])] = &[
        ("no header at all", b"GET / HTTP/1.0\r\n\r\n"),
        ("asterisk-form", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("absolute-form", b"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("authority-form", b"CONNECT [::1]:443 HTTP/1.1\r\n\r\n"),
        ("connect with an empty body", b"CONNECT a:443 HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        ("two empty lines before", b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        ("method of 32 bytes", &long_method),
        ("a method that only begins like the preface", b"PRIX / HTTP/1.1\r\n\r\n"),
        ("coding in capitals", b"POST / HTTP/1.1\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n"),
        ("largest length", b"POST / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n"),
        ("unfinished", b"POST / HT"),
    ];
    for (name, bytes) in table {
        assert_eq!(cause(bytes), None, "{name}");
    }
}

#[test]
fn other_protocols_are_named_at_once() {
    let table: &[(&str, &[u8], &[u8])] = &[
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI "),
        ("TLS", b"\x16\x03\x01\x02\x00", b"\x16"),
        ("PostgreSQL start-up", b"\0\0\0\x08\x04\xd2\x16\x2f", b"\0"),
        ("Redis", b"*1\r\n$4\r\nPING\r\n", b"*1\r"),
        ("space first", b" GET / HTTP/1.1\r\n\r\n", b" "),
        ("LF first", b"\nGET / HTTP/1.1\r\n\r\n", b"\n"),
        ("high bytes", b"GET\xff / HTTP/1.1\r\n\r\n", b"GET\xff"),
        ("HTTP/1 response", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/"),
        ("binary after an empty line", b"\r\n\x01\x02", b"\x01"),
    ];
    for (name, bytes, first) in table {
        assert_eq!(cause(bytes), Some(Undecidable::NotHttp1 { first: first.to_vec() }), "{name}");
    }
    let later = b"GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0\r\n\r\n";
    assert_eq!(cause(later), malformed("a request line without a method"), "not at the stream's start");
}

#[test]
fn malformed_heads() {
    let crlfs = |n: usize| [b"\r\n".repeat(n), b"GET / HTTP/1.1\r\n\r\n".to_vec()].concat();
    let line = |line: &str| format!("{line}\r\n\r\n").into_bytes();
    let field = |field: &[u8]| [b"GET / HTTP/1.1\r\n", field, b"\r\n\r\n"].concat();
    let no_form = "a request target of no known form for its method";
    let version = "a version other than HTTP/1.0 and HTTP/1.1";
    let table = [
        ("three empty lines before", crlfs(3), "more than two empty lines before a request"),
        ("CR before a request", b"\rGET / HTTP/1.1\r\n\r\n".to_vec(), "CR without LF"),
        ("HTTP/0.9", line("GET /"), "a request line without a version"),
        ("lower case version", line("GET / http/1.1"), version),
        ("HTTP/1.2", line("GET / HTTP/1.2"), version),
        ("HTTP/2", line("GET / HTTP/2.0"), version),
        ("two spaces before the target", line("GET  / HTTP/1.1"), "white space in a request target"),
        ("two spaces behind the target", line("GET /  HTTP/1.1"), "white space in a request target"),
        ("a space behind the version", line("GET / HTTP/1.1 "), "white space in a request target"),
        ("a space in the target", line("GET /a b HTTP/1.1"), "white space in a request target"),
        ("a tab in the target", line("GET /a\tb HTTP/1.1"), "white space in a request target"),
        ("no target", line("GET  HTTP/1.1"), "an empty request target"),
        ("fragment", line("GET /a#b HTTP/1.1"), "a fragment in a request target"),
        ("relative target", line("GET a HTTP/1.1"), no_form),
        ("scheme without authority", line("GET http:// HTTP/1.1"), no_form),
        ("asterisk for another method", line("DELETE * HTTP/1.1"), no_form),
        ("authority for another method", line("GET a:443 HTTP/1.1"), no_form),
        ("connect to a path", line("CONNECT /a HTTP/1.1"), no_form),
        ("connect without a port", line("CONNECT a HTTP/1.1"), no_form),
        ("connect with user information", line("CONNECT u@a:443 HTTP/1.1"), no_form),
        ("folded line", field(b"A: b\r\n c"), "a folded header line"),
        ("folded line with a tab", field(b"A: b\r\n\tc: d"), "a folded header line"),
        ("white space before the first header", field(b" A: b"), "a folded header line"),
        ("bare CR in a value", field(b"A: b\rc"), "CR without LF"),
        ("bare CR at a line's end", field(b"A: b\r\r"), "CR without LF"),
        ("bare LF in a value", field(b"A: b\nC: d"), "LF without CR"),
        ("bare LF in the request line", b"GET / HTTP/1.1\nA: b\r\n\r\n".to_vec(), "LF without CR"),
        ("bare LF at the head's end", b"GET / HTTP/1.1\r\nA: b\r\n\n".to_vec(), "LF without CR"),
        ("NUL in a value", field(b"A: b\0c"), "NUL"),
        ("NUL in a name", field(b"A\0: b"), "NUL"),
        ("vertical tab in a value", field(b"Transfer-Encoding:\x0bchunked"), "control character"),
        ("DEL in a value", field(b"A: \x7f"), "control character"),
        ("space before the colon", field(b"A : b"), "white space before a header's colon"),
        ("tab before the colon", field(b"A\t: b"), "white space before a header's colon"),
        ("empty name", field(b": b"), "an empty header name"),
        ("no colon", field(b"A"), "a header line without a colon"),
        ("a name with a space", field(b"A b: c"), "a header name that is no token"),
        ("a name in Latin-1", field(b"\xc4: b"), "a header name that is no token"),
        ("two hosts", field(b"Host: a\r\nhost: a"), "more than one Host"),
        (
            "no method in the second request",
            b"GET / HTTP/1.1\r\n\r\n{}".to_vec(),
            "a request line without a method",
        ),
    ];
    for (name, bytes, what) in table {
        assert_eq!(cause(&bytes), malformed(what), "{name}");
    }
}

#[test]
fn ambiguous_framing_is_never_repaired() {
    let digits = "a Content-Length that is not a decimal number";
    let several = "more than one Content-Length";
    let coding = "a Transfer-Encoding other than chunked";
    let both = "Content-Length with Transfer-Encoding";
    let disguised = "a header name that some servers read as Content-Length or Transfer-Encoding";
    let table = [
        ("length and coding", "Content-Length: 3\r\nTransfer-Encoding: chunked", both),
        ("coding and length", "Transfer-Encoding: chunked\r\nContent-Length: 3", both),
        ("length and an unknown coding", "Content-Length: 3\r\nTransfer-Encoding: x", both),
        ("two lengths", "Content-Length: 3\r\nContent-Length: 4", several),
        ("the same length twice", "Content-Length: 3\r\nContent-Length: 3", several),
        ("list of lengths", "Content-Length: 3, 3", digits),
        ("signed length", "Content-Length: +3", digits),
        ("negative length", "Content-Length: -3", digits),
        ("hexadecimal length", "Content-Length: 0x3", digits),
        ("empty length", "Content-Length:", digits),
        ("length with a space", "Content-Length: 1 0", digits),
        ("quoted length", "Content-Length: \"3\"", digits),
        ("fractional length", "Content-Length: 3.0", digits),
        ("leading zeros", "Content-Length: 03", "a Content-Length with leading zeros"),
        ("length beyond i64", "Content-Length: 9223372036854775808", "a Content-Length beyond 63 bits"),
        ("length beyond u64", "Content-Length: 18446744073709551617", "a Content-Length beyond 63 bits"),
        ("coding before chunked", "Transfer-Encoding: gzip, chunked", coding),
        ("chunked not last", "Transfer-Encoding: chunked, identity", coding),
        ("chunked twice in a list", "Transfer-Encoding: chunked, chunked", coding),
        ("chunked with a parameter", "Transfer-Encoding: chunked;a=b", coding),
        ("trailing comma", "Transfer-Encoding: chunked,", coding),
        ("quoted chunked", "Transfer-Encoding: \"chunked\"", coding),
        ("identity", "Transfer-Encoding: identity", coding),
        ("no coding", "Transfer-Encoding:", coding),
        ("look-alike", "Transfer-Encoding: xchunked", coding),
        (
            "chunked in two fields",
            "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked",
            "more than one Transfer-Encoding",
        ),
        ("underscore in the coding's name", "Transfer_Encoding: chunked", disguised),
        ("underscore in the length's name", "Content_Length: 3", disguised),
    ];
    for (name, fields, what) in table {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        assert_eq!(cause(bytes.as_bytes()), ambiguous(what), "{name}");
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(cause(old), ambiguous("Transfer-Encoding in HTTP/1.0"));
    let connect = b"CONNECT a:1 HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(cause(connect), ambiguous("CONNECT with a body"));
}

fn chunked(body: &[u8]) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", body].concat()
}

#[test]
fn chunked_bodies_lose_their_framing() {
    let table: &[(&str, &[u8], &[u8])] = &[
        ("empty", b"0\r\n\r\n", b""),
        ("two chunks", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        ("capital digits and zeros", b"00A\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
        ("extensions", b"1;a;b=c;d=\"e;\\\" f\"\r\nx\r\n0;z\r\n\r\n", b"x"),
        ("trailers", b"1\r\nx\r\n0\r\nX-Checksum: a\r\nB:\r\n\r\n", b"x"),
        ("data like framing", b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"),
    ];
    for (name, bytes, body) in table {
        let got = items(&chunked(bytes));
        let text: Vec<u8> =
            got.iter().flat_map(|item| if let Item::Body(b) = item { b.clone() } else { vec![] }).collect();
        assert_eq!(&text, body, "{name}");
        assert_eq!(got.last(), Some(&Item::End), "{name}");
    }
}

#[test]
fn chunked_bodies_with_two_readings() {
    let no_size = "a chunk size that is not a hexadecimal number";
    let behind = "a chunk size with something behind it";
    let crlf = "chunk data not followed by CRLF";
    let trailer = "a trailer field that may change the request";
    let digits = "a chunk size of more than 15 digits";
    let table: &[(&str, &[u8], &'static str)] = &[
        ("no size", b"\r\n", no_size),
        ("extension without a size", b";a\r\n", no_size),
        ("signed size", b"+1\r\n", no_size),
        ("negative size", b"-1\r\n", no_size),
        ("space before the size", b" 1\r\n", no_size),
        ("prefix 0x", b"0x1\r\n", behind),
        ("space behind the size", b"1 \r\n", behind),
        ("tab behind the size", b"1\t\r\n", behind),
        ("space before an extension", b"1 ;a\r\n", behind),
        ("space in an extension", b"1; a\r\n", behind),
        ("extension without a name", b"1;\r\n", behind),
        ("extension without a value", b"1;a=\r\n", behind),
        ("open quotation", b"1;a=\"b\r\n", behind),
        ("open quoted pair", b"1;a=\"b\\\r\n", behind),
        ("underscore in the size", b"1_0\r\n", behind),
        ("size of 16 digits", b"0000000000000001\r\n", digits),
        ("size overflow", b"10000000000000001\r\n", digits),
        ("data too long", b"1\r\nab\r\n", crlf),
        ("LF behind the data", b"1\r\na\n", crlf),
        ("CR CR behind the data", b"1\r\na\r\r", crlf),
        ("no terminator", b"1\r\na0\r\n", crlf),
        ("length in the trailer", b"0\r\nContent-Length: 3\r\n\r\n", trailer),
        ("disguised coding in the trailer", b"0\r\ntransfer_encoding: chunked\r\n\r\n", trailer),
        ("host in the trailer", b"0\r\nhost: b\r\n\r\n", trailer),
        ("override in the trailer", b"0\r\nX-HTTP-Method-Override: DELETE\r\n\r\n", trailer),
    ];
    for (name, bytes, what) in table {
        assert_eq!(cause(&chunked(bytes)), ambiguous(what), "{name}");
    }
    let table: &[(&str, &[u8], &'static str)] = &[
        ("LF behind the size", b"1\na\r\n", "LF without CR"),
        ("LF in an extension", b"1;a\n", "LF without CR"),
        ("CR in a quoted value", b"1;a=\"\rb\"\r\n", "CR without LF"),
        ("NUL in an extension", b"1;\0\r\n", "NUL"),
        ("LF behind the last chunk", b"0\r\n\n", "LF without CR"),
        ("folded trailer", b"0\r\nA: b\r\n c\r\n\r\n", "a folded header line"),
        ("trailer without a colon", b"0\r\nGET / HTTP/1.1\r\n\r\n", "a header line without a colon"),
    ];
    for (name, bytes, what) in table {
        assert_eq!(cause(&chunked(bytes)), malformed(what), "{name}");
    }
}

#[test]
fn limits_cut_nothing() {
    let too_large = |what: &'static str, limit: u64| Some(Undecidable::TooLarge { what, limit });
    let get = |target: usize, fields: &str| format!("GET /{} HTTP/1.1\r\n{fields}\r\n", "a".repeat(target));
    let fields = |n: usize| "A: b\r\n".repeat(n);
    // "GET / HTTP/1.1\r\n" + "A: " + value + "\r\n\r\n" = 23 bytes and the value.
    let value = |n: usize| format!("A: {}\r\n", "v".repeat(n));
    let table = [
        ("target at the limit", get(32 * 1024 - 1, ""), None),
        ("target over it", get(32 * 1024, ""), too_large("bytes in a request target", 32 * 1024)),
        ("headers at the limit", get(0, &fields(200)), None),
        ("headers over it", get(0, &fields(201)), too_large("header fields", 200)),
        ("head at the limit", get(0, &value(64 * 1024 - 23)), None),
        ("head over it", get(0, &value(64 * 1024 - 22)), too_large("bytes in a request head", 64 * 1024)),
        ("endless line", "x".repeat(33), too_large("bytes in a method", 32)),
    ];
    for (name, bytes, expected) in table {
        assert_eq!(cause(bytes.as_bytes()), expected, "{name}");
    }
    let extension = |n: usize| chunked(format!("1;{}\r\n", "e".repeat(n)).as_bytes());
    let trailer = |n: usize| chunked(format!("0\r\nA:{}\r\n\r\n", "v".repeat(n)).as_bytes());
    let trailers = chunked(format!("0\r\n{}", fields(201)).as_bytes());
    let table = [
        ("chunk line at the limit", extension(252), None),
        ("chunk line over it", extension(253), too_large("bytes in a chunk-size line", 256)),
        ("trailers at the limit", trailer(8 * 1024 - 6), None),
        ("trailers over it", trailer(8 * 1024 - 5), too_large("bytes in a trailer section", 8 * 1024)),
        ("trailer fields over it", trailers, too_large("trailer fields", 200)),
    ];
    for (name, bytes, expected) in table {
        assert_eq!(cause(&bytes), expected, "{name}");
    }
}

#[test]
fn expectation_is_flagged() {
    let table = [
        ("1.1", "POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true),
        (
            "1.0 does not know it",
            "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            false,
        ),
        ("another expectation", "POST / HTTP/1.1\r\nExpect: x\r\nContent-Length: 1\r\n\r\n", false),
        ("none", "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", false),
    ];
    for (name, bytes, expected) in table {
        assert_eq!(head(bytes.as_bytes()).expects_continue, expected, "{name}");
    }
}

#[test]
fn nothing_is_read_behind_connect_and_upgrade() {
    let table: &[(&str, &[u8])] = &[
        ("connect", b"CONNECT a:443 HTTP/1.1\r\n\r\n"),
        ("upgrade", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
        ("upgrade without connection", b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"),
    ];
    for (name, bytes) in table {
        let mut decoder = Decoder::default();
        decoder.feed(bytes);
        assert_eq!(decoder.position(), Position::Tunnel, "{name}");
        decoder.feed(b"DELETE / HTTP/1.1\r\n\r\n");
        decoder.gap(5);
        let got: Vec<_> = std::iter::from_fn(|| decoder.poll()).skip(1).collect();
        let end = bytes.len() as u64;
        assert_eq!(
            got,
            [
                Located { item: Item::End, end },
                Located { item: Item::Tunnel(21), end: end + 21 },
                Located { item: Item::Tunnel(5), end: end + 26 },
            ],
            "{name}"
        );
    }
    let post = items(b"POST / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nabPRI");
    assert_eq!(post[1..], [Item::Body(b"ab".to_vec()), Item::End, Item::Tunnel(3)]);
}

#[test]
fn gaps_are_bearable_only_in_a_body_of_known_length() {
    let post = b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc";
    let after = |bytes: &[u8], gap: u64| {
        let mut decoder = Decoder::default();
        decoder.feed(bytes);
        decoder.gap(gap);
        assert_eq!(decoder.offset(), bytes.len() as u64 + gap);
        let items: Vec<_> = std::iter::from_fn(|| decoder.poll()).map(|located| located.item).collect();
        (items.last().cloned(), decoder.position())
    };
    let missing = |missing: u64| Some(Item::Undecidable(Undecidable::Gap { missing }));
    let body = |remaining| Position::InBody { remaining: Some(remaining) };
    let table = [
        ("none", after(post, 0), Some(Item::Body(b"abc".to_vec())), body(7)),
        ("inside", after(post, 4), Some(Item::BodyUnseen(4)), body(3)),
        ("through its end", after(post, 7), Some(Item::End), Position::Boundary),
        ("beyond its end", after(post, 9), missing(2), Position::Undecidable),
        ("at the start", after(b"", 1), missing(1), Position::Undecidable),
        ("in a head", after(b"GET /", 3), missing(3), Position::Undecidable),
        ("in a chunk", after(&chunked(b"5\r\na"), 1), missing(1), Position::Undecidable),
        ("huge", after(post, u64::MAX - 43), missing(u64::MAX - 50), Position::Undecidable),
    ];
    for (name, (last, position), expected, place) in table {
        assert_eq!((last, position), (expected, place), "{name}");
    }
}

#[test]
fn position_tells_where_the_next_byte_belongs() {
    let table: &[(&str, &[u8], Position)] = &[
        ("nothing sent", b"", Position::Boundary),
        ("half an empty line", b"\r", Position::InHead),
        ("an empty line", b"\r\n", Position::InHead),
        ("in the method", b"G", Position::InHead),
        ("before the head's last LF", b"GET / HTTP/1.1\r\n\r", Position::InHead),
        ("behind a request", b"GET / HTTP/1.1\r\n\r\n", Position::Boundary),
        (
            "in a length",
            b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na",
            Position::InBody { remaining: Some(1) },
        ),
        (
            "in chunks",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            Position::InBody { remaining: None },
        ),
        ("not HTTP/1", b"\x16", Position::Undecidable),
    ];
    for (name, bytes, expected) in table {
        let mut decoder = Decoder::default();
        decoder.feed(bytes);
        assert_eq!(decoder.position(), *expected, "{name}");
    }
}

#[test]
fn undecidable_is_final() {
    let mut decoder = Decoder::default();
    decoder.feed(b"\x16");
    assert!(decoder.poll().is_some());
    decoder.feed(b"GET / HTTP/1.1\r\n\r\n");
    decoder.gap(7);
    assert_eq!((decoder.poll(), decoder.position(), decoder.offset()), (None, Position::Undecidable, 26));
}

//! Any bytes: no panic, bounded output, nothing but visible characters.
#![no_main]

use agent_guard_decode::message::{Framing, Header, RequestHead};
use agent_guard_decode::redact::{command_line, escape, excerpt, quote};
use libfuzzer_sys::fuzz_target;

// The input's lines are arguments; the first ones are target, Host, Content-Type, what follows is the body.
fuzz_target!(|data: &[u8]| {
    let arguments: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let mut parts = data.splitn(4, |byte| *byte == b'\n').map(<[u8]>::to_vec);
    let mut part = || parts.next().unwrap_or_default();
    let (target, host, content_type) = (part(), part(), part());
    let head = RequestHead {
        method: "POST".into(),
        target,
        minor_version: 1,
        headers: vec![
            Header { name: "host".into(), value: host },
            Header { name: "content-type".into(), value: content_type },
        ],
        framing: Framing::None,
        expects_continue: false,
    };
    let excerpt = excerpt(&head, &part());
    assert!(excerpt.len() <= 512);
    let line = command_line(&arguments);
    assert!(line.len() <= 400);
    for text in [excerpt, line, escape(data), quote(data)] {
        assert!(text.chars().all(is_printable), "{text:?}");
    }
});

fn is_printable(c: char) -> bool {
    let invisible = matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{1b}'
    );
    !c.is_control() && !invisible && (c == ' ' || !c.is_whitespace())
}

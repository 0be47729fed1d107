//! Whatever an agent writes: what is shown is visible, bounded, and free of the secrets that were put in.

use agent_guard_decode::message::{Framing, Header, RequestHead};
use agent_guard_decode::redact::{command_line, escape, excerpt, quote};
use proptest::prelude::*;

/// Bytes that are often text, often hostile text.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let hostile = prop::sample::select(vec![
        "\u{202e}",
        "\u{2066}",
        "\u{2069}",
        "\u{200b}",
        "\u{200f}",
        "\u{feff}",
        "\u{1b}[2J",
        "\u{9b}",
        "\\",
        "\"",
        "\r",
        "\n",
        "\0",
        "%3D",
        "%",
        "=",
        ":",
        "//",
        "@",
        "<",
        ">",
        "[",
        "{",
        "…",
        " · ",
        "token",
        "password=",
        "-----BEGIN",
        "bearer ",
        "name=\"token\"",
        "\r\n\r\n",
        "sk-",
        "-p",
        "'",
    ]);
    let part = prop_oneof![
        hostile.prop_map(|text| text.as_bytes().to_vec()),
        any::<String>().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

fn is_printable(c: char) -> bool {
    let invisible = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{1b}');
    !c.is_control() && !invisible && (c == ' ' || !c.is_whitespace())
}

fn head(target: Vec<u8>, value: Vec<u8>) -> RequestHead {
    let header = |name: &str| Header { name: name.into(), value: value.clone() };
    RequestHead {
        method: "POST".into(),
        target,
        minor_version: 1,
        headers: vec![header("host"), header("content-type"), header("authorization")],
        framing: Framing::None,
        expects_continue: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn only_visible_characters(a in text(), b in text(), c in text()) {
        let shown = [
            escape(&a),
            quote(&a),
            excerpt(&head(a.clone(), b.clone()), &c),
            command_line(&[&a, &b, &c]),
        ];
        for text in shown {
            prop_assert!(text.chars().all(is_printable), "{text:?}");
        }
    }

    #[test]
    fn every_character_that_is_not_ascii_is_a_letter_or_digit(c in any::<char>()) {
        let shown = escape(c.to_string());
        prop_assert!(shown.is_ascii() || (shown == c.to_string() && c.is_alphanumeric()));
    }

    #[test]
    fn lengths_are_bounded(a in text(), b in text(), many in 0_usize..8) {
        let long = a.repeat(many);
        prop_assert!(excerpt(&head(long.clone(), long.clone()), &long).len() <= 512);
        prop_assert!(command_line(&[&long, &b, &long]).len() <= 400);
    }

    #[test]
    fn escaping_is_unambiguous(a in text(), b in text()) {
        prop_assert_eq!(escape(&a) == escape(&b), a == b);
    }

    /// The secret is what nobody else writes; it must not be in what is shown, wherever the pair stands.
    #[test]
    fn named_values_do_not_come_through(
        name in prop::sample::select(vec!["password", "api_key", "X-Amz-Security-Token", "client-secret", "accessToken"]),
        form in 0_usize..6,
        before in "[a-z0-9 ]{0,20}",
        after in "[a-z0-9 ]{0,20}",
    ) {
        const SECRET: &str = "Zq7Zq7Zq7";
        let pair = match form {
            0 => format!("{before}&{name}={SECRET}&{after}"),
            1 => format!("{{\"{before}\":1,\"{name}\":\"{SECRET}\",\"{after}\":2}}"),
            2 => format!("{before}\r\n{name}: {SECRET}\r\n{after}"),
            3 => format!("<{name}>{SECRET}</{name}>{after}"),
            4 => format!("{{\"x\":\"{{\\\"{name}\\\": \\\"{SECRET}\\\"}}\"}}"),
            _ => format!("{before} --{name} {SECRET} {after}"),
        };
        prop_assert!(!command_line(&[b"sh", b"-c", pair.as_bytes()]).contains(SECRET), "{pair}");
        if form < 5 {
            let shown = excerpt(&head(pair.clone().into_bytes(), pair.clone().into_bytes()), pair.as_bytes());
            prop_assert!(!shown.contains(SECRET), "{shown}");
        }
    }
}

/// Work must stay in proportion to the input: this ends at once, or the test run does not.
#[test]
fn hostile_repetition_is_linear() {
    for unit in [
        "=",
        "a=",
        "token",
        "token=[",
        "\"token\":{",
        "://",
        "://a",
        "name=\"token\"",
        "-----BEGIN PRIVATE KEY",
        "\\\"",
        "%3D",
        "<a>",
        "eyJ",
    ] {
        let text = unit.repeat(200_000 / unit.len());
        assert!(command_line(&[b"x", text.as_bytes()]).len() <= 400);
    }
}

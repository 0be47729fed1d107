//! `*` and `?` over a command line: enough to name an agent, too little to be slow.

/// A checked pattern: `*` stands for any run of characters, `?` for one, `\` takes the next one literally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    AnyRun,
    AnyOne,
    Literal(char),
}

impl Glob {
    /// Longest pattern, in characters.
    pub const MAX_LEN: usize = 512;

    /// Parses a pattern; the error says what is wrong with it.
    pub fn parse(source: &str) -> Result<Glob, &'static str> {
        if source.chars().count() > Self::MAX_LEN {
            return Err("the pattern is longer than 512 characters");
        }
        let mut parts = Vec::new();
        let mut chars = source.chars();
        while let Some(c) = chars.next() {
            let part = match c {
                '*' => Part::AnyRun,
                '?' => Part::AnyOne,
                '\\' => Part::Literal(chars.next().ok_or("the pattern ends in a lone backslash")?),
                other => Part::Literal(other),
            };
            if !(part == Part::AnyRun && parts.last() == Some(&Part::AnyRun)) {
                parts.push(part);
            }
        }
        if !parts.iter().any(|part| matches!(part, Part::Literal(_))) {
            return Err("the pattern has no literal character, so it matches everything");
        }
        Ok(Glob { source: source.to_owned(), parts })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// True if the whole of `text` matches. Takes at most pattern length times text length steps.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut part, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.parts.get(part) {
                Some(Part::AnyRun) => {
                    retry = Some((part, at));
                    part += 1;
                }
                Some(Part::AnyOne) => (part, at) = (part + 1, at + 1),
                Some(Part::Literal(c)) if *c == text[at] => (part, at) = (part + 1, at + 1),
                Some(Part::Literal(_)) | None => match retry {
                    Some((run, from)) => {
                        retry = Some((run, from + 1));
                        (part, at) = (run + 1, from + 1);
                    }
                    None => return false,
                },
            }
        }
        self.parts[part..].iter().all(|part| *part == Part::AnyRun)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn patterns_match_the_whole_text() {
        assert!(matches("claude *", "claude --print hi"));
        assert!(!matches("claude *", "claude"));
        assert!(!matches("claude", "claude x"));
        assert!(matches("*node*agent.js*", "/usr/bin/node /srv/agent.js -v"));
        assert!(matches("a?c", "abc"));
        assert!(!matches("a?c", "ac"));
        assert!(matches(r"a\*c", "a*c"));
        assert!(!matches(r"a\*c", "abc"));
        assert!(matches("*ab", "aab"));
    }

    #[test]
    fn empty_handed_patterns_are_refused() {
        for pattern in ["", "*", "**", "?*", "x\\"] {
            assert!(Glob::parse(pattern).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_escaped_and_any_infix(text in "[a-z*?\\\\ ]{1,20}", around in "[a-z]{0,5}") {
            let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert!(matches(&escaped, &text));
            let infix = format!("*{escaped}*");
            let wrapped = format!("{around}{text}{around}");
            prop_assert!(matches(&infix, &wrapped));
        }

        #[test]
        fn never_panics(pattern in ".{0,40}", text in ".{0,80}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                glob.matches(&text);
            }
        }
    }
}

//! GraphQL documents (GraphQL specification, October 2021, section 2): operation types and root fields.
//!
//! Only names are needed, so this is a scanner, not a parser. Bias: every operation of a document counts, whichever
//! `operationName` picks; what does not scan is an error, and the caller calls it undecidable.

/// What a document asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    /// It has at least one mutation.
    pub mutates: bool,
    /// Names of root fields of every operation and fragment, aliases resolved.
    pub fields: Vec<String>,
}

/// Reads a document; an error says what is wrong.
pub(crate) fn read(text: &str) -> Result<Document, &'static str> {
    let mut scanner = Scanner { rest: text.as_bytes() };
    let mut document = Document::default();
    let mut definitions = 0_u32;
    while let Some(token) = scanner.token()? {
        definitions = definitions.saturating_add(1);
        match token {
            Token::Punct(b'{') => {}
            Token::Name(kind @ (b"query" | b"mutation" | b"subscription" | b"fragment")) => {
                document.mutates |= kind == b"mutation";
                skip_to_selection(&mut scanner)?;
            }
            Token::Name(_) | Token::Punct(_) | Token::Value => {
                return Err("no operation where one must start");
            }
        }
        root_fields(&mut scanner, &mut document.fields)?;
    }
    if definitions == 0 { Err("no operation") } else { Ok(document) }
}

/// From behind the keyword to behind the `{` of the selection set: name, variables with defaults, directives.
fn skip_to_selection(scanner: &mut Scanner<'_>) -> Result<(), &'static str> {
    loop {
        match scanner.token()?.ok_or("an operation without a selection")? {
            Token::Punct(b'{') => return Ok(()),
            Token::Punct(b'(') => scanner.skip_round()?,
            Token::Name(_) | Token::Punct(_) | Token::Value => {}
        }
    }
}

/// Collects the fields up to the matching `}`. Inline fragments belong to the set they stand in.
fn root_fields(scanner: &mut Scanner<'_>, fields: &mut Vec<String>) -> Result<(), &'static str> {
    // One entry for each open brace: true if its fields are root fields.
    let mut open = vec![true];
    let mut inline = false;
    let mut directive = false;
    let mut alias_pending = false;
    while let Some(at_root) = open.last().copied() {
        if open.len() > DEEPEST {
            return Err("selections nested too deeply");
        }
        match scanner.token()?.ok_or("a selection that does not end")? {
            Token::Punct(b'{') => {
                open.push(at_root && inline);
                inline = false;
            }
            Token::Punct(b'}') => drop(open.pop()),
            Token::Punct(b'(') => scanner.skip_round()?,
            Token::Punct(b'.') => inline = scanner.spread()?,
            Token::Punct(b'@') => directive = true,
            Token::Punct(b':') => alias_pending = true,
            Token::Name(_) if directive => directive = false,
            Token::Name(name) if at_root => {
                if alias_pending {
                    fields.pop();
                }
                alias_pending = false;
                inline = false;
                if fields.len() >= MOST_FIELDS {
                    return Err("more root fields than this version reads");
                }
                fields.push(String::from_utf8_lossy(name).into_owned());
            }
            Token::Name(_) => alias_pending = false,
            Token::Punct(_) | Token::Value => return Err("a character that no selection has"),
        }
    }
    Ok(())
}

const DEEPEST: usize = 200;

const MOST_FIELDS: usize = 10_000;

enum Token<'a> {
    Name(&'a [u8]),
    Punct(u8),
    /// A string or number.
    Value,
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn token(&mut self) -> Result<Option<Token<'a>>, &'static str> {
        self.skip_ignored();
        let Some((first, after)) = self.rest.split_first() else {
            return Ok(None);
        };
        if first.is_ascii_alphabetic() || *first == b'_' {
            return Ok(Some(Token::Name(self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_'))));
        }
        if first.is_ascii_digit() || *first == b'-' {
            self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'));
            return Ok(Some(Token::Value));
        }
        if *first == b'"' {
            self.skip_string()?;
            return Ok(Some(Token::Value));
        }
        self.rest = after;
        if b"!$&()*:=@[]{|}.".contains(first) {
            Ok(Some(Token::Punct(*first)))
        } else {
            Err("an unknown character")
        }
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|b| !wanted(*b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// White space, commas, byte order mark, comments.
    fn skip_ignored(&mut self) {
        loop {
            let before = self.rest.len();
            self.take_while(|b| b.is_ascii_whitespace() || b == b',');
            self.rest = self.rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.rest);
            if self.rest.first() == Some(&b'#') {
                self.take_while(|b| !matches!(b, b'\n' | b'\r'));
            }
            if self.rest.len() == before {
                return;
            }
        }
    }

    fn skip_string(&mut self) -> Result<(), &'static str> {
        let block = self.rest.starts_with(b"\"\"\"");
        let quote: &[u8] = if block { b"\"\"\"" } else { b"\"" };
        self.rest = self.rest.get(quote.len()..).unwrap_or_default();
        while !self.rest.is_empty() {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                self.rest = rest;
                return Ok(());
            }
            let escape =
                if block { self.rest.starts_with(b"\\\"\"\"") } else { self.rest.first() == Some(&b'\\') };
            let step = match (escape, block) {
                (true, true) => 4,
                (true, false) => 2,
                (false, _) => 1,
            };
            self.rest = self.rest.get(step..).unwrap_or_default();
        }
        Err("a string that does not end")
    }

    /// From behind a `(` to behind its `)`.
    fn skip_round(&mut self) -> Result<(), &'static str> {
        let mut open = 1_usize;
        while open > 0 {
            match self.token()?.ok_or("arguments that do not end")? {
                Token::Punct(b'(') => open = open.saturating_add(1),
                Token::Punct(b')') => open = open.saturating_sub(1),
                Token::Name(_) | Token::Punct(_) | Token::Value => {}
            }
        }
        Ok(())
    }

    /// Behind the first dot of `...`: true if an inline fragment follows, else the spread's name is consumed.
    fn spread(&mut self) -> Result<bool, &'static str> {
        self.rest = self.rest.strip_prefix(b"..").ok_or("a dot that starts no spread")?;
        self.skip_ignored();
        if !self.rest.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_') {
            return Ok(true);
        }
        let name = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_');
        if name != b"on" {
            return Ok(false);
        }
        self.skip_ignored();
        self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_');
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn root_fields_are_named() {
        let table = [
            ("{ me { name deleteX } }", false, "me"),
            ("query Q($a: Int = 3) @d(x: 1) { a(b: \"}\") { c } d }", false, "a d"),
            ("mutation { deleteUser(id: 1) { id } }", true, "deleteUser"),
            (
                "mutation M { x: deleteUser(id: {a: \"{\"}) @include(if: true) { y: id } z }",
                true,
                "deleteUser z",
            ),
            ("mutation { ... on Mutation { deleteAll } ok }", true, "deleteAll ok"),
            ("mutation { ... @skip(if: false) { deleteAll { id } } }", true, "deleteAll"),
            ("mutation { ...F } fragment F on Mutation { deleteAll }", true, "deleteAll"),
            ("# mutation { x }\n,query{a}", false, "a"),
            ("query A { a } mutation B { b }", true, "a b"),
            ("{ a(x: \"\"\"}\\\"\"\" \" }\"\"\") b }", false, "a b"),
        ];
        for (text, mutates, fields) in table {
            let document = read(text).unwrap();
            assert_eq!((document.mutates, document.fields.join(" ").as_str()), (mutates, fields), "{text}");
        }
    }

    #[test]
    fn what_does_not_scan_is_an_error() {
        for text in [
            "",
            "mutation",
            "{ a",
            "{ a(b: \"x }",
            "hello",
            "{ a ? }",
            "{ a } }",
            "mutation ( { a }",
            "{ .a }",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"{a".repeat(1000)).is_err());
        assert!(read(&format!("{{{}}}", "a ".repeat(20_000))).is_err());
    }

    proptest! {
        #[test]
        fn it_never_panics(text in "[ -~\\n]{0,200}|[{}()\".:@a#]{0,60}") {
            drop(read(&text));
        }
    }
}

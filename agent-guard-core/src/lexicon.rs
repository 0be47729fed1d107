//! Verbs and what they say of an operation, and how texts are split into words.
//!
//! Names of operations are written for people, so their words are the best guide to an API that nobody has curated
//! (harm-levels 15). Bias: a destroying word counts wherever it stands in a name; every other word only counts as the
//! leading verb of a known provider's operation. The words are data (`catalog/lexicon.toml`), each with its reason.

use crate::catalog;

/// One word of the lexicon.
#[derive(Debug)]
pub struct Word {
    /// In lower case.
    pub text: &'static str,
    pub kind: Kind,
    /// False: does not count in the path of GET, HEAD and OPTIONS.
    pub any_method: bool,
    /// Counts at the start or end of a longer word too.
    pub compound: bool,
    pub reason: &'static str,
}

/// What a word says of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Destroys,
    Spends,
    Interrupts,
    Edits,
    Reads,
}

/// The words that make a request irreversible whatever its method is, each at least four letters, in lower case.
///
/// The kernel's fast path refuses any request line that contains the first four letters of one of them.
pub fn destroying_words() -> &'static [&'static str] {
    catalog::DESTROYING
}

/// Every word, sorted.
pub fn all() -> &'static [Word] {
    catalog::WORDS
}

/// The entry of a word in any case.
pub fn find(word: &[u8]) -> Option<&'static Word> {
    let mut lower = [0; LONGEST];
    find_lower(lower_case(word, &mut lower))
}

/// The first word of `text` that destroys, or (where the request is no read) spends.
///
/// Each run of letters is looked at twice: split at its capitals, and as one word, since case says nothing to a server
/// that ignores it (`DeLeTe`, `DELETEusers`).
pub fn worst_word(text: &[u8], reads: bool) -> Option<&'static Word> {
    let harmful = |entry: &&'static Word| {
        matches!(entry.kind, Kind::Destroys | Kind::Spends) && (entry.any_method || !reads)
    };
    let runs = text.split(|b| !b.is_ascii_alphabetic()).filter(|run| run.len() > 1);
    runs.into_iter().find_map(|run| {
        let by_capitals = || words(run).filter(|word| word.len() < run.len()).find_map(one_word);
        let whole = if odd_capitals(run) { one_word(run) } else { find(run) };
        whole.filter(harmful).or_else(|| by_capitals().filter(harmful))
    })
}

fn one_word(word: &[u8]) -> Option<&'static Word> {
    let mut lower = [0; LONGEST];
    let lower = lower_case(word, &mut lower);
    find_lower(lower).or_else(|| compound(lower)).filter(|e| matches!(e.kind, Kind::Destroys | Kind::Spends))
}

/// No camelCase: all small, or capitals that end inside a word, or more than a third of them.
fn odd_capitals(run: &[u8]) -> bool {
    let capitals = run.iter().filter(|b| b.is_ascii_uppercase()).count();
    let ends_inside = run.windows(3).any(|w| {
        matches!(w, [a, b, c] if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_lowercase())
    });
    capitals == 0 || ends_inside || capitals.saturating_mul(3) > run.len()
}

/// Splits on everything but letters, and on the borders of camelCase and ACRONYMWords.
pub fn words(text: &[u8]) -> Words<'_> {
    Words { rest: text }
}

/// See [`words`].
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(u8::is_ascii_alphabetic)?;
        let text = self.rest.get(start..)?;
        let upper = text.iter().take_while(|b| b.is_ascii_uppercase()).count();
        let lower = text.iter().skip(upper).take_while(|b| b.is_ascii_lowercase()).count();
        // `DBInstance`: the last of several capitals starts the next word. `DELETEd` does not occur.
        let length = match (upper, lower) {
            (0 | 1, _) | (_, 0) => upper.saturating_add(lower),
            (several, _) => several.saturating_sub(1),
        };
        let (word, rest) = text.split_at_checked(length)?;
        self.rest = rest;
        Some(word)
    }
}

/// Longer words are compared by their first letters: no word of the lexicon is as long.
const LONGEST: usize = 40;

fn lower_case<'b>(word: &[u8], buffer: &'b mut [u8; LONGEST]) -> &'b [u8] {
    for (to, from) in buffer.iter_mut().zip(word) {
        *to = from.to_ascii_lowercase();
    }
    buffer.get(..word.len().min(LONGEST)).unwrap_or_default()
}

fn find_lower(word: &[u8]) -> Option<&'static Word> {
    let at = catalog::WORDS.binary_search_by(|entry| entry.text.as_bytes().cmp(word)).ok()?;
    catalog::WORDS.get(at)
}

/// `deletemessages`, `bulkdelete`: words written without a border.
fn compound(word: &[u8]) -> Option<&'static Word> {
    let shortest = 6;
    if word.len() <= shortest || catalog::INNOCENT.iter().any(|i| i.as_bytes() == word) {
        return None;
    }
    let hides = |text: &&&str| word.starts_with(text.as_bytes()) || word.ends_with(text.as_bytes());
    catalog::COMPOUNDS.iter().find(hides).and_then(|text| find_lower(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        words(text.as_bytes()).map(|w| String::from_utf8_lossy(w).to_lowercase()).collect()
    }

    #[test]
    fn words_end_at_every_border() {
        let table = [
            ("TerminateInstances", "terminate instances"),
            ("deleteDBInstance2", "delete db instance"),
            ("DELETE_ALL", "delete all"),
            ("v1/users.delete", "v users delete"),
            ("bulk-delete;x", "bulk delete x"),
            ("projects/p:purge", "projects p purge"),
            ("S3delete4me", "s delete me"),
            ("", ""),
            ("123-_.", ""),
            ("DELETEUsers", "delete users"),
        ];
        for (text, expected) in table {
            assert_eq!(split(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn destroying_words_are_found_wherever_they_stand() {
        let harmful = [
            "deleteMessage",
            "deletemessages",
            "bulkdelete",
            "users/DELETE",
            "forceTerminate",
            "purge-queue",
            "hardDelete",
            "drop_table",
            "harddestroy",
            "DeLeTe",
            "DELETEusers",
            "DeLeTeUsers",
            "deletedatabase",
        ];
        for text in harmful {
            assert!(worst_word(text.as_bytes(), true).is_some(), "{text}");
        }
        let harmless = [
            "deleted",
            "deletedUsers",
            "isDeleted",
            "undelete",
            "dropdown",
            "killers",
            "skill",
            "removed-items",
            "terminal",
            "deletion",
        ];
        for text in harmless {
            assert!(worst_word(text.as_bytes(), true).is_none(), "{text}");
        }
    }

    #[test]
    fn nouns_and_short_words_do_not_count_for_reads() {
        for text in ["refunds", "account-deletion", "del", "rm"] {
            assert!(worst_word(text.as_bytes(), true).is_none(), "{text}");
            assert!(worst_word(text.as_bytes(), false).is_some(), "{text}");
        }
    }

    #[test]
    fn the_list_for_the_kernel_is_flat_and_long_enough() {
        let list = destroying_words();
        assert!(list.len() >= 40, "{}", list.len());
        assert!(list.iter().all(|w| w.len() >= 4 && w.bytes().all(|b| b.is_ascii_lowercase())), "{list:?}");
        for word in ["delete", "destroy", "terminate", "remove", "purge", "drop", "truncate", "wipe", "kill"]
        {
            assert!(list.contains(&word), "{word}");
        }
    }

    /// What the kernel relies on: a word that counts for GET contains the first four letters of a listed one.
    #[test]
    fn a_compound_contains_a_listed_word() {
        for word in all().iter().filter(|w| w.compound) {
            assert!(word.any_method && destroying_words().contains(&word.text), "{}", word.text);
        }
    }

    #[test]
    fn no_word_is_longer_than_the_buffer() {
        assert!(all().iter().all(|w| w.text.len() < LONGEST));
    }
}

//! An operation as one sentence for people: `TerminateInstances on 847 instances (i-0a, i-0b, i-0c, …) in us-east-1`.
//!
//! Names, resources and hosts are the agent's words. They are escaped (see [`escape`]) and cut before they become
//! part of the sentence, so that nothing an agent chooses can leave its place; the only `…` in it are ours.

use agent_guard_api::Magnitude;
use agent_guard_decode::redact::escape;

use crate::operation::Operation;

/// What the request would do, in words. Printable, and bounded whatever the agent sends.
pub fn sentence(operation: &Operation) -> String {
    let mut sentence = name(&operation.name);
    match &operation.magnitude {
        Magnitude::Unbounded(_) => sentence.push_str(" on an unbounded number of resources"),
        Magnitude::Money { amount, currency } => {
            let (amount, currency) = (word(amount, WORD_CHARS), word(currency, WORD_CHARS));
            sentence.push_str(&format!(" of {amount} {currency}"));
            if operation.resources_total > 0 {
                sentence.push_str(&format!(" on {}", counted(operation, operation.resources_total)));
            }
        }
        Magnitude::Count(count) => {
            if operation.resources_total > 0 || *count > 1 {
                let count = (*count).max(operation.resources_total);
                sentence.push_str(&format!(" on {}", counted(operation, count)));
            }
        }
    }
    sentence.push_str(&examples(operation));
    if let Some(region) = &operation.region {
        sentence.push_str(&format!(" in {}", word(region, WORD_CHARS)));
    }
    if let Some(account) = &operation.account {
        sentence.push_str(&format!(" of account {}", word(account, WORD_CHARS)));
    }
    if operation.provider == "http" {
        sentence.push_str(&format!(" at {}", word(&operation.host, HOST_CHARS)));
    }
    sentence
}

/// The agent's words made printable; longer ones lose their middle, with a count of what is missing.
pub fn quote(words: &str, most: usize) -> String {
    let count = words.chars().count();
    if count <= most {
        return escape(words);
    }
    let half = most / 2;
    let cut = count.saturating_sub(half.saturating_mul(2));
    let head: String = words.chars().take(half).collect();
    let tail: String = words.chars().skip(half.saturating_add(cut)).collect();
    format!("{}…{cut} more…{}", escape(&head), escape(&tail))
}

/// `TerminateInstances`, `DELETE /v1/files/x`.
fn name(words: &str) -> String {
    match words.split_once(' ') {
        Some((method, path)) if method.bytes().all(|byte| byte.is_ascii_uppercase()) && is_plain(path) => {
            quote(words, NAME_CHARS)
        }
        Some(_) | None => word(words, NAME_CHARS),
    }
}

/// One of the agent's words inside our sentence: in quotation marks, unless it cannot be taken for anything else.
fn word(words: &str, most: usize) -> String {
    let shown = quote(words, most);
    if is_plain(words) { shown } else { format!("\"{}\"", shown.replace('"', "\\\"")) }
}

fn is_plain(words: &str) -> bool {
    !words.is_empty() && words.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"(),;\\".contains(&byte))
}

/// At most `most` bytes from the beginning, whole characters.
pub(crate) fn clip(text: &str, most: usize) -> String {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
}

/// `847 instances`: the noun is the operation's own last word if that can be one.
fn counted(operation: &Operation, count: u64) -> String {
    match (noun(&operation.name), count) {
        (Some(noun), 1) => format!("1 {}", singular(&noun)),
        (Some(noun), _) if noun.ends_with('s') => format!("{count} {noun}"),
        (_, 1) => "1 resource".to_owned(),
        (_, _) => format!("{count} resources"),
    }
}

/// `TerminateInstances` → `instances`; `None` for paths, single words and anything but ASCII letters.
fn noun(name: &str) -> Option<String> {
    let at = name.rfind(|letter: char| letter.is_ascii_uppercase()).filter(|at| *at > 0)?;
    let word = name.get(at..)?;
    let fits =
        (3..=WORD_CHARS).contains(&word.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then(|| word.to_ascii_lowercase())
}

fn singular(noun: &str) -> &str {
    match noun.strip_suffix('s') {
        Some(stem) if !stem.ends_with(['s', 'e', 'i', 'u']) => stem,
        Some(stem) if ["ce", "de", "ge", "le", "me", "ne", "re"].iter().any(|end| stem.ends_with(end)) => {
            stem
        }
        Some(_) if noun.ends_with("ss") || noun.ends_with("us") || noun.ends_with("is") => noun,
        Some(_) => "resource",
        None => noun,
    }
}

fn examples(operation: &Operation) -> String {
    if operation.resources.is_empty() {
        return String::new();
    }
    let mut shown: Vec<String> =
        operation.resources.iter().take(EXAMPLES).map(|name| word(name, RESOURCE_CHARS)).collect();
    if operation.resources_total > u64::try_from(shown.len()).unwrap_or(u64::MAX) {
        shown.push("…".to_owned());
    }
    format!(" ({})", shown.join(", "))
}

const EXAMPLES: usize = 3;
const NAME_CHARS: usize = 120;
const RESOURCE_CHARS: usize = 40;
const HOST_CHARS: usize = 80;
const WORD_CHARS: usize = 32;

#[cfg(test)]
mod tests {
    use agent_guard_api::{Harm, Magnitude};
    use proptest::prelude::*;

    use super::*;
    use crate::engine::fixtures::operation;

    fn on(name: &str, resources: &[&str], total: u64) -> Operation {
        let mut operation = operation(name, Harm::Irreversible);
        operation.resources = resources.iter().map(|&name| name.to_owned()).collect();
        operation.resources_total = total;
        operation.magnitude = Magnitude::Count(total);
        operation.region = Some("us-east-1".to_owned());
        operation
    }

    #[test]
    fn the_example_of_the_documentation() {
        let operation = on("TerminateInstances", &["i-0a", "i-0b", "i-0c", "i-0d"], 847);
        assert_eq!(
            sentence(&operation),
            "TerminateInstances on 847 instances (i-0a, i-0b, i-0c, …) in us-east-1"
        );
    }

    #[test]
    fn one_and_none_and_unknown_nouns() {
        assert_eq!(
            sentence(&on("TerminateInstances", &["i-0a"], 1)),
            "TerminateInstances on 1 instance (i-0a) in us-east-1"
        );
        assert_eq!(sentence(&on("DeleteBucket", &["b"], 1)), "DeleteBucket on 1 bucket (b) in us-east-1");
        assert_eq!(
            sentence(&on("DeleteItem", &["t/a", "t/b"], 2)),
            "DeleteItem on 2 resources (t/a, t/b) in us-east-1"
        );
        assert_eq!(sentence(&on("PurgeQueue", &[], 0)), "PurgeQueue in us-east-1");
    }

    #[test]
    fn money_and_unbounded() {
        let mut refund = on("CreateRefund", &["ch_1"], 1);
        refund.magnitude = Magnitude::Money { amount: "12.50".to_owned(), currency: "EUR".to_owned() };
        assert_eq!(sentence(&refund), "CreateRefund of 12.50 EUR on 1 refund (ch_1) in us-east-1");
        let mut all = on("DELETE /users", &[], 0);
        all.magnitude = Magnitude::UNBOUNDED;
        all.provider = "http".to_owned();
        all.host = "api.example.com".to_owned();
        assert_eq!(
            sentence(&all),
            "DELETE /users on an unbounded number of resources in us-east-1 at api.example.com"
        );
    }

    #[test]
    fn a_name_cannot_continue_our_sentence() {
        let operation = on("Delete on 0 things", &["x) in us-west-2 (", "a, b", "q\"q", ""], 4);
        assert_eq!(
            sentence(&operation),
            r#""Delete on 0 things" on 4 resources ("x) in us-west-2 (", "a, b", "q\"q", …) in us-east-1"#
        );
    }

    #[test]
    fn the_middle_is_cut_and_counted() {
        assert_eq!(quote("abcdefghij", 4), "ab…6 more…ij");
        assert_eq!(quote("abcd", 4), "abcd");
        assert_eq!(quote("…", 4), "\\u{2026}");
    }

    proptest! {
        #[test]
        fn nothing_the_agent_says_is_unprintable_or_long(name in ".{0,300}", resource in "(?s).{0,300}",
            host in "(?s).{0,300}", region in "(?s).{0,300}", total in any::<u64>()) {
            let mut operation = on(&name, &[&resource, &resource, &resource, &resource], total);
            operation.host = host;
            operation.region = Some(region);
            operation.provider = "http".to_owned();
            let sentence = sentence(&operation);
            prop_assert!(sentence.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric()), "{}", sentence);
            // Every character may become `\u{10ffff}`.
            prop_assert!(sentence.len() < 10 * 500);
        }

        #[test]
        fn clipping_keeps_whole_characters(text in ".{0,40}", most in 0usize..60) {
            let clipped = clip(&text, most);
            prop_assert!(clipped.len() <= most && text.starts_with(&clipped));
        }
    }
}

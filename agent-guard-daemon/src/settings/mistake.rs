//! A mistake in a settings file, said so that it can be corrected without looking anything up.

use std::{fmt, ops::Range, path::PathBuf};

/// One mistake. Prints as `FILE:LINE: TEXT: PROBLEM; SUGGESTION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// The line as written, trimmed, escaped, cut.
    pub text: String,
    pub problem: String,
    pub suggestion: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: `{}`: {}; {}",
            self.file.display(),
            self.line,
            self.text,
            self.problem,
            self.suggestion
        )
    }
}

/// A file that passed the ownership check, with its text.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl SourceFile {
    /// The mistake at byte range `span` of this file.
    pub(super) fn mistake(
        &self,
        span: Range<usize>,
        problem: impl Into<String>,
        suggestion: impl Into<String>,
    ) -> Mistake {
        let start = span.start.min(self.text.len());
        let before = self.text.as_bytes().get(..start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let text = self.text.lines().nth(line - 1).unwrap_or_default();
        Mistake {
            file: self.path.clone(),
            line,
            text: excerpt(text.trim()),
            problem: problem.into(),
            suggestion: suggestion.into(),
        }
    }
}

/// `text` without control characters, at most 80 characters of it.
pub(super) fn excerpt(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(MAX_EXCERPT)
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    if text.chars().nth(MAX_EXCERPT).is_some() {
        out.push('…');
    }
    out
}

/// The one of `known` that `word` was probably meant to be.
pub(super) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).clamp(1, 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// `did you mean X?`, or the list of what there is.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    match closest(word, known) {
        Some(candidate) => format!("did you mean \"{candidate}\"?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Edits between two words (insert, delete, replace, swap of neighbours), counted on their first 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replace = rows[i][j] + usize::from(from != to);
            let mut best = replace.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *to && *from == b[j - 1] {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

const MAX_EXCERPT: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        assert_eq!(closest("mdoe", &["mode", "match"]), Some("mode"));
        assert_eq!(closest("opaqe", &["mode", "opaque"]), Some("opaque"));
        assert_eq!(closest("colour", &["mode", "match"]), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_mistake_names_its_line_and_text() {
        let file = SourceFile { path: "/x.toml".into(), text: "a = 1\n  b = 2\n".into() };
        let mistake = file.mistake(8..9, "no", "yes");
        assert_eq!(mistake.to_string(), "/x.toml:2: `b = 2`: no; yes");
        assert_eq!(file.mistake(900..901, "no", "yes").line, 3);
    }
}

//! Text for people and records out of bytes that an agent wrote.
//!
//! Two dangers: the text may steer the terminal or the page that shows it (control characters, ANSI, bidi overrides,
//! invisible characters), so that a person approves what they did not read; and it may carry secrets into records.
//! Against the first, [`escape`] lets through only what it knows to be visible; a cut is marked with characters that
//! escaped text cannot contain (`…`, `·`). Against the second, values are removed by the name before them or by their own
//! shape, before anything is cut.
//!
//! Bias: rather remove too much. What is removed here is still in the bytes that were judged; a digest binds the
//! approval to them. Redaction is for honest agents: one that wants its secret shown can always spell it differently.

mod command;
mod escape;
mod excerpt;
mod names;
mod pairs;
mod shapes;

pub use command::command_line;
pub use escape::{escape, quote};
pub use excerpt::excerpt;

use std::ops::Range;

/// `text` with its secrets replaced by [`REDACTED`].
fn redact(text: &[u8]) -> Vec<u8> {
    let mut secrets = pairs::secrets(text);
    secrets.extend(shapes::secrets(text));
    replace(text, secrets)
}

/// `text` with each range (in any order, overlapping or not) replaced.
fn replace(text: &[u8], mut secrets: Vec<Range<usize>>) -> Vec<u8> {
    secrets.sort_by_key(|range| (range.start, range.end));
    let mut output = Vec::with_capacity(text.len());
    let mut done = 0;
    for secret in secrets {
        if secret.end <= done || secret.is_empty() {
            continue;
        }
        if secret.start >= done {
            output.extend_from_slice(text.get(done..secret.start).unwrap_or_default());
            output.extend_from_slice(REDACTED);
        }
        done = secret.end;
    }
    output.extend_from_slice(text.get(done..).unwrap_or_default());
    output
}

/// What stands in a secret's place.
const REDACTED: &[u8] = b"[redacted]";

#[cfg(test)]
mod tests;

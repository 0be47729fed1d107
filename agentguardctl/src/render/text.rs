//! Words made safe to print, and the small change of sentences: counts, times, levels.

use agent_guard_api::{Flag, Magnitude};
use agent_guard_decode::redact::{escape, quote};
use serde::Serialize;

use super::Millis;

/// The daemon's own words (names from its settings, ids): bare if they cannot be taken for anything else, else quoted.
pub(crate) fn name(words: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
    if !words.is_empty() && words.len() <= NAME_CHARS && words.bytes().all(plain) {
        words.to_owned()
    } else {
        says(words)
    }
}

/// Words that an agent may have chosen: escaped, in double quotes, the middle of long ones counted instead of shown.
///
/// A `"` of the agent's is written `\"` and a `\` is written `\\`, so nothing it says can end the quotation.
pub(crate) fn says(words: &str) -> String {
    join(&cut(words, SAID_CHARS), |part| quote(part))
}

/// An agent's words that were escaped once already (summaries, excerpts, redacted command lines): not escaped
/// twice where that is not needed to see where they end.
pub(crate) fn retold(words: &str) -> String {
    if words.contains('"') || words.ends_with('\\') || words.chars().count() > SAID_CHARS {
        return says(words);
    }
    format!("\"{}\"", printable(words))
}

/// A sentence of the daemon's: one line, no quotes around it, cut in the middle.
pub(crate) fn sentence(words: &str) -> String {
    join(&cut(words, SENTENCE_CHARS), printable)
}

/// `prefix` and an item a line, at most `most` of them; `total` says how many there are altogether.
pub(crate) fn list<T>(
    items: &[T],
    total: u64,
    most: usize,
    prefix: &str,
    item: impl Fn(&T) -> String,
) -> String {
    let shown = items.len().min(most) as u64;
    let mut lines: String = items.iter().take(most).map(|one| format!("{prefix}{}\n", item(one))).collect();
    if total > shown {
        lines.push_str(&format!("{prefix}... and {} more\n", total - shown));
    }
    lines
}

/// The name of a unit variant, as in JSON.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => name(&word),
        Ok(_) | Err(_) => "?".to_owned(),
    }
}

pub(crate) fn flags(flags: &[Flag]) -> String {
    let mut flags = flags.to_vec();
    flags.sort_unstable();
    flags.dedup();
    let words: Vec<String> = flags.iter().map(word).collect();
    words.join(", ")
}

pub(crate) fn magnitude(magnitude: &Magnitude) -> String {
    match magnitude {
        Magnitude::Count(count) => plural(*count, "resource", "resources"),
        Magnitude::Money { amount, currency } => format!("money: {} {}", says(amount), says(currency)),
        Magnitude::Unbounded(_) => "UNBOUNDED: the request names no limit".to_owned(),
    }
}

pub(crate) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `2026-01-02 03:04:05 UTC`.
pub(crate) fn utc(at: Millis) -> String {
    let (days, second) = (at / 1000 / DAY, at / 1000 % DAY);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// `3 min 5 s ago`, `in 2 h 0 min`.
pub(crate) fn relative(at: Millis, now: Millis) -> String {
    if at > now { format!("in {}", duration(at - now)) } else { format!("{} ago", duration(now - at)) }
}

/// The two largest units of a span in milliseconds.
pub(crate) fn duration(span: Millis) -> String {
    let seconds = span / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..DAY => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        DAY.. => format!("{} d {} h", seconds / DAY, seconds / 3600 % 24),
    }
}

enum Part<'words> {
    Words(&'words str),
    /// So many characters are not shown.
    Missing(usize),
}

/// `words` in one piece, or both its ends and how much is missing between them.
fn cut(words: &str, most: usize) -> Vec<Part<'_>> {
    let count = words.chars().count();
    if count <= most {
        return vec![Part::Words(words)];
    }
    let half = most / 2;
    let at = |index: usize| words.char_indices().nth(index).map_or(words.len(), |(at, _)| at);
    let (head, rest) = words.split_at(at(half));
    let tail = words.get(at(count - half)..).unwrap_or_default();
    let between = rest.chars().count() - half;
    vec![Part::Words(head), Part::Missing(between), Part::Words(tail)]
}

fn join(parts: &[Part<'_>], show: fn(&str) -> String) -> String {
    let parts = parts.iter().map(|part| match part {
        Part::Words(words) => show(words),
        Part::Missing(count) => {
            format!("... {} not shown ...", plural(*count as u64, "character", "characters"))
        }
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// Escaped, but for the marks that escaped text has already.
fn printable(words: &str) -> String {
    words
        .split_inclusive(MARKS)
        .map(|part| {
            let plain = part.trim_end_matches(MARKS);
            let mark = part.get(plain.len()..).unwrap_or_default();
            format!("{}{mark}", escape(plain))
        })
        .collect()
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar: years of 400 repeat,
/// and counted from March a leap day is a year's last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day - (153 * from_march + 2) / 5 + 1)
}

/// What an escape begins with, and what the daemon cuts with.
const MARKS: [char; 3] = ['\\', '…', '·'];
const NAME_CHARS: usize = 64;
/// More than a redacted command line, less than a screen.
const SAID_CHARS: usize = 400;
const SENTENCE_CHARS: usize = 1000;
/// In seconds.
const DAY: u64 = 86_400;

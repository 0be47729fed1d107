//! Text that shows what it is: nothing invisible, nothing that steers the reader's terminal or page.
//!
//! An allow-list, because Unicode grows: visible ASCII, and letters and digits of other scripts. Not let through are
//! controls (ANSI begins with one), spaces other than U+0020, format characters (bidi overrides, zero width, tags), private
//! and unassigned ones, symbols, letters that are drawn as nothing (Hangul fillers), and letters written from right to
//! left: those need no override to make what surrounds them appear in another order.

use std::fmt::Write as _;

/// `text` with everything but plainly visible characters written as `\n`, `\xNN`, `\u{N}` and `\\`.
///
/// The result is unambiguous and made of printable characters only; it is not quoted, see [`quote`].
pub fn escape(text: impl AsRef<[u8]>) -> String {
    let mut output = String::with_capacity(text.as_ref().len());
    for chunk in text.as_ref().utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(&mut output, c));
        chunk.invalid().iter().for_each(|byte| push_byte(&mut output, *byte));
    }
    output
}

/// [`escape`]d in double quotes, for places where the end of the text must be seen.
pub fn quote(text: impl AsRef<[u8]>) -> String {
    format!("\"{}\"", escape(text).replace('"', "\\\""))
}

/// At most `most` bytes of escaped text: both its ends, and between them how many bytes of it are not shown.
pub(super) fn cut_middle(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mark = |bytes: usize| format!("… {bytes} bytes …");
    let keep = most.saturating_sub(mark(text.len()).len());
    let head = last_boundary(text, keep.div_ceil(2));
    let tail = first_boundary(text, text.len().saturating_sub(keep / 2));
    let (front, back) = (text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default());
    format!("{front}{}{back}", mark(tail.saturating_sub(head)))
}

/// At most `most` bytes of escaped text: its beginning, and a mark if that is not all.
pub(super) fn cut_end(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = last_boundary(text, most.saturating_sub("…".len()));
    format!("{}…", text.get(..end).unwrap_or_default())
}

fn push(output: &mut String, c: char) {
    match c {
        '\n' => output.push_str("\\n"),
        '\r' => output.push_str("\\r"),
        '\t' => output.push_str("\\t"),
        '\\' => output.push_str("\\\\"),
        ' '..='~' => output.push(c),
        _ if c.is_ascii() => push_byte(output, u8::try_from(c).unwrap_or_default()),
        _ if is_visible(c) => output.push(c),
        _ => output.extend(c.escape_unicode()),
    }
}

fn push_byte(output: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    write!(output, "\\x{byte:02x}").unwrap_or_default();
}

/// For characters beyond ASCII.
fn is_visible(c: char) -> bool {
    c.is_alphanumeric()
        && !HIDDEN_LETTERS.contains(&c)
        && !RIGHT_TO_LEFT.iter().any(|range| range.contains(&c))
}

/// The ends of the text's units: a character, or an escape as a whole.
fn boundaries(text: &str) -> impl Iterator<Item = usize> {
    let mut rest = text.char_indices();
    std::iter::from_fn(move || {
        let (start, c) = rest.next()?;
        if c == '\\' {
            match rest.next()?.1 {
                'x' => rest.by_ref().take(2).for_each(drop),
                'u' => rest.by_ref().take_while(|(_, c)| *c != '}').for_each(drop),
                _ => {}
            }
        }
        Some(rest.offset().max(start))
    })
}

fn last_boundary(text: &str, most: usize) -> usize {
    boundaries(text).take_while(|end| *end <= most).last().unwrap_or(0)
}

fn first_boundary(text: &str, least: usize) -> usize {
    boundaries(text).find(|end| *end >= least).unwrap_or(text.len())
}

/// Letters by category, nothing by look.
const HIDDEN_LETTERS: &[char] = &['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

/// Blocks of Hebrew, Arabic, Syriac and their like (bidi classes R and AL).
const RIGHT_TO_LEFT: &[std::ops::RangeInclusive<char>] = &[
    '\u{590}'..='\u{8ff}',
    '\u{fb1d}'..='\u{fdff}',
    '\u{fe70}'..='\u{feff}',
    '\u{10800}'..='\u{10fff}',
    '\u{1e800}'..='\u{1efff}',
];

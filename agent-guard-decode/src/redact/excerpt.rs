//! A request in a few words, for people.

use super::escape::{cut_end, cut_middle, escape};
use super::redact;
use crate::message::RequestHead;

/// Request line, Host, Content-Type and the body's beginning, in one line of at most [`EXCERPT_BYTES`] bytes.
///
/// Secrets are removed, what cannot be seen is escaped. The parts are parted by ` · `, which none of them can contain.
pub fn excerpt(head: &RequestHead, body_prefix: &[u8]) -> String {
    let mut line = head.method.clone().into_bytes();
    line.push(b' ');
    line.extend_from_slice(&head.target);
    let mut text = cut_middle(&clean(&line), LINE_BYTES);
    for (name, most) in [("host", HOST_BYTES), ("content-type", TYPE_BYTES)] {
        if let Some(header) = head.headers.iter().find(|header| header.name == name) {
            text.push_str(&format!("{PARTING}{name}: {}", cut_middle(&clean(&header.value), most)));
        }
    }
    let room = EXCERPT_BYTES.saturating_sub(text.len()).saturating_sub(PARTING.len());
    if !body_prefix.is_empty() {
        text.push_str(PARTING);
        text.push_str(&cut_end(&clean(body_prefix.get(..BODY_WINDOW).unwrap_or(body_prefix)), room));
    }
    text
}

fn clean(text: &[u8]) -> String {
    escape(redact(text))
}

/// The most that [`excerpt`] returns.
pub(super) const EXCERPT_BYTES: usize = 512;
const LINE_BYTES: usize = 200;
const HOST_BYTES: usize = 80;
const TYPE_BYTES: usize = 60;
/// How much of a body is looked at; secrets that begin in it are removed whole.
const BODY_WINDOW: usize = 2048;
const PARTING: &str = " · ";

//! Standard output and standard error: text that was rendered, or JSON in ASCII.
//!
//! JSON is ASCII so that a terminal shows what is there: bidi overrides and C1 controls are legal inside JSON strings.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::{
    exit::Failure,
    render::{self, text},
};

/// Where answers go, and in which form.
#[derive(Debug)]
pub(crate) struct Output<W> {
    writer: W,
    pub(crate) json: bool,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(writer: W, json: bool) -> Self {
        Self { writer, json }
    }

    /// `value` as one line of JSON, or the text that `render` makes of it.
    pub(crate) fn answer<T: Serialize>(
        &mut self,
        value: &T,
        render: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let text = if self.json { json(value).map_err(Failure::Reader)? } else { render(value) };
        self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush()).map_err(Failure::Reader)
    }

    /// Says on standard error why a command was not carried out.
    pub(crate) fn failure(&self, failure: &Failure) {
        let message = failure.message();
        let line = if self.json {
            let value = serde_json::json!({ "error": message, "exit": failure.exit() as u8 });
            json(&value).unwrap_or_default()
        } else {
            format!("agentguardctl: {}\n", text::sentence(&message))
        };
        // Nobody is left to be told if standard error is gone.
        io::stderr().write_all(line.as_bytes()).unwrap_or_default();
    }
}

/// One line of ASCII JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> io::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Milliseconds since the Unix epoch, for `now` of [`render`].
pub(crate) fn now() -> render::Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Compact JSON with everything beyond visible ASCII as `\uXXXX`.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        fragment.chars().try_for_each(|character| match character {
            ' '..='~' => write!(writer, "{character}"),
            _ => character
                .encode_utf16(&mut [0; 2])
                .iter()
                .try_for_each(|unit| write!(writer, "\\u{unit:04x}")),
        })
    }
}

//! The line's JSON: which fields there are, and which belong together.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::{ExplainError, http::Parts};

/// A line that is a request.
pub(super) struct Line {
    pub id: String,
    pub protocol: Protocol,
}

pub(super) enum Protocol {
    Http(Parts),
    /// A protocol whose content is checked but not read.
    Other {
        protocol: &'static str,
        what: &'static str,
    },
}

impl Line {
    pub(super) fn parse(json: &str) -> Result<Line, ExplainError> {
        let raw: Raw = serde_json::from_str(json)
            .map_err(|error| ExplainError { id: id_of(json), error: format!("not a request: {error}") })?;
        let id = raw.id.clone();
        let protocol = raw.protocol().map_err(|error| ExplainError { id: Some(id.clone()), error })?;
        Ok(Line { id, protocol })
    }
}

/// The id of a line that is no request otherwise.
fn id_of(json: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    value.get("id")?.as_str().map(String::from)
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    #[serde(default, deserialize_with = "given")]
    method: Option<String>,
    #[serde(default, deserialize_with = "given")]
    host: Option<String>,
    #[serde(default, deserialize_with = "given")]
    path: Option<String>,
    #[serde(default, deserialize_with = "given")]
    headers: Option<Headers>,
    #[serde(default, deserialize_with = "given")]
    body: Option<String>,
    #[serde(default, deserialize_with = "given")]
    body_encoding: Option<String>,
    #[serde(default, deserialize_with = "given")]
    protocol: Option<String>,
    #[serde(default, deserialize_with = "given")]
    statement: Option<String>,
    #[serde(default, deserialize_with = "given")]
    command: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "given")]
    wire: Option<String>,
}

/// A field that is given has its type: `null` is not the same as leaving it out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Names and values in their order; a name may repeat, as it may on the wire.
struct Headers(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
        deserializer.deserialize_map(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry()? {
            all.push(entry);
        }
        Ok(Headers(all))
    }
}

impl Raw {
    fn protocol(self) -> Result<Protocol, String> {
        match self.protocol.as_deref() {
            None => self.http().map(Protocol::Http),
            Some("postgres") => self.other("postgres", "statement"),
            Some("mysql") => self.other("mysql", "statement"),
            Some("redis") => self.other("redis", "command"),
            Some("mongodb") => self.other("mongodb", "command"),
            Some(other) => Err(format!(
                "protocol {other:?} is none of postgres, mysql, redis, mongodb; leave it out for HTTP"
            )),
        }
    }

    fn http(self) -> Result<Parts, String> {
        let foreign = [
            ("statement", self.statement.is_some()),
            ("command", self.command.is_some()),
            ("wire", self.wire.is_some()),
        ];
        refuse(&foreign, "needs a protocol")?;
        let missing: Vec<&str> = [("method", &self.method), ("host", &self.host), ("path", &self.path)]
            .iter()
            .filter(|f| f.1.is_none())
            .map(|f| f.0)
            .collect();
        let (Some(method), Some(host), Some(path)) = (self.method, self.host, self.path) else {
            return Err(format!("a request without {}", missing.join(", ")));
        };
        let body = match (self.body, self.body_encoding.as_deref()) {
            (None, Some(_)) => return Err("body_encoding without body".into()),
            (None, None) => None,
            (Some(text), None | Some("utf8")) => Some(text.into_bytes()),
            (Some(text), Some("base64")) => {
                Some(STANDARD.decode(text).map_err(|error| format!("body is no base64: {error}"))?)
            }
            (Some(_), Some(other)) => {
                return Err(format!("body_encoding {other:?} is neither utf8 nor base64"));
            }
        };
        let headers = self.headers.map(|h| h.0).unwrap_or_default();
        Ok(Parts { method, host, path, headers, body })
    }

    /// A protocol with one telling field, or bytes of the wire instead.
    fn other(self, protocol: &'static str, field: &'static str) -> Result<Protocol, String> {
        let statement = field == "statement";
        let foreign = [
            ("method", self.method.is_some()),
            ("host", self.host.is_some()),
            ("path", self.path.is_some()),
            ("headers", self.headers.is_some()),
            ("body", self.body.is_some()),
            ("body_encoding", self.body_encoding.is_some()),
            ("statement", self.statement.is_some() && !statement),
            ("command", self.command.is_some() && statement),
        ];
        refuse(&foreign, &format!("does not belong to {protocol}"))?;
        let told = self.statement.is_some() || self.command.is_some();
        match (told, self.wire) {
            (true, Some(_)) => Err(format!("{field} and wire at the same time")),
            (false, None) => Err(format!("{protocol} without {field} or wire")),
            (false, Some(wire)) => {
                STANDARD.decode(wire).map_err(|error| format!("wire is no base64: {error}"))?;
                Ok(Protocol::Other { protocol, what: "wire" })
            }
            (true, None) => {
                check_command(protocol, self.command.as_ref())?;
                Ok(Protocol::Other { protocol, what: field })
            }
        }
    }
}

fn refuse(fields: &[(&str, bool)], why: &str) -> Result<(), String> {
    let present: Vec<&str> = fields.iter().filter(|f| f.1).map(|f| f.0).collect();
    if present.is_empty() { Ok(()) } else { Err(format!("{} {why}", present.join(", "))) }
}

fn check_command(protocol: &str, command: Option<&serde_json::Value>) -> Result<(), String> {
    let fits = match (protocol, command) {
        ("redis", Some(serde_json::Value::Array(words))) => {
            !words.is_empty() && words.iter().all(|w| w.is_string())
        }
        ("mongodb", Some(serde_json::Value::Object(fields))) => !fields.is_empty(),
        (_, None) => true,
        _ => false,
    };
    let wanted = if protocol == "redis" { "a list of strings" } else { "an object" };
    if fits { Ok(()) } else { Err(format!("command is not {wanted} with something in it")) }
}

//! What kind of body a request has, and the calls that a JSON body names.
//!
//! Bias: a body whose kind says that it names an operation, but which cannot be parsed, is undecidable; keys given
//! twice all count.

use std::fmt;

use agent_guard_decode::message::{Framing, RequestHead};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::request::{Body, HttpRequest};

/// What a body may say about the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Form,
    Json,
    GraphQl,
    /// One of the above, in a content coding that is not undone here.
    Encoded,
    /// Data: multipart, octets, XML, images.
    Other,
}

/// The values of one header.
pub(crate) fn header<'a>(head: &'a RequestHead, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    head.headers.iter().filter(move |h| h.name == name).map(|h| h.value.as_slice())
}

/// True if every byte of the body is there.
pub(crate) fn is_whole(request: &HttpRequest) -> bool {
    match request.body {
        Body::None => !has_body(&request.head),
        Body::Whole(_) => true,
        Body::Prefix(_) => false,
    }
}

/// True if the head announces a body.
pub(crate) fn has_body(head: &RequestHead) -> bool {
    !matches!(head.framing, Framing::None | Framing::Length(0))
}

/// By the content type; without one (or with `text/plain`, which browsers send without asking) by the first byte.
pub(crate) fn kind(head: &RequestHead, start: &[u8]) -> Kind {
    let mut kind = Kind::Other;
    let mut typed = false;
    for value in header(head, "content-type") {
        let media = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let of = media_kind(media);
        typed |= of.is_some();
        if kind == Kind::Other {
            kind = of.unwrap_or(Kind::Other);
        }
    }
    if !typed {
        kind = match start.trim_ascii_start().first() {
            Some(b'{' | b'[') => Kind::Json,
            _ => Kind::Form,
        };
    }
    let coded = |value: &[u8]| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
    if kind != Kind::Other && header(head, "content-encoding").any(coded) { Kind::Encoded } else { kind }
}

fn media_kind(media: &[u8]) -> Option<Kind> {
    let is = |name: &str| media.eq_ignore_ascii_case(name.as_bytes());
    let ends = |name: &str| {
        let at = media.len().checked_sub(name.len());
        at.and_then(|at| media.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()))
    };
    if media.is_empty() || is("text/plain") {
        return None;
    }
    if is("application/x-www-form-urlencoded") {
        return Some(Kind::Form);
    }
    if is("application/graphql") {
        return Some(Kind::GraphQl);
    }
    let json = ends("json") || ends("jsonrequest") || ends("json-1.0") || ends("json-1.1");
    Some(if json { Kind::Json } else { Kind::Other })
}

/// What the objects of a JSON body name: one for a plain body, several for a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls(pub Vec<Call>);

/// The telling keys of one object. Each may have been given more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    /// `method`, `action`, `cmd`.
    pub names: Vec<String>,
    /// `params.name` where a method is MCP's `tools/call`.
    pub tools: Vec<String>,
    /// `query`, of GraphQL.
    pub queries: Vec<String>,
    /// `_method`.
    pub overrides: Vec<String>,
}

impl Calls {
    /// Reads a body of one or more JSON values (lines of JSON are several).
    pub(crate) fn read(body: &[u8]) -> Result<Calls, serde_json::Error> {
        let mut all = Calls::default();
        for value in serde_json::Deserializer::from_slice(body).into_iter::<Calls>() {
            all.0.append(&mut value?.0);
            if all.0.len() > MOST_CALLS {
                return Err(serde_json::Error::custom("more calls in one body than this version reads"));
            }
        }
        Ok(all)
    }
}

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Calls, D::Error> {
        deserializer.deserialize_any(CallsVisitor)
    }
}

struct CallsVisitor;

impl<'de> Visitor<'de> for CallsVisitor {
    type Value = Calls;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Calls, A::Error> {
        let mut call = Call::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.to_ascii_lowercase().as_str() {
                "method" | "action" | "cmd" => call.names.extend(map.next_value::<Text>()?.0),
                "query" => call.queries.extend(map.next_value::<Text>()?.0),
                "_method" => call.overrides.extend(map.next_value::<Text>()?.0),
                "params" => call.tools.extend(map.next_value::<Named>()?.0),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if !call.names.iter().any(|name| name == "tools/call") {
            call.tools.clear();
        }
        Ok(Calls(vec![call]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Calls, A::Error> {
        let mut all = Calls::default();
        while let Some(mut calls) = seq.next_element::<Calls>()? {
            all.0.append(&mut calls.0);
            if all.0.len() > MOST_CALLS {
                return Err(A::Error::custom("more calls in one body than this version reads"));
            }
        }
        Ok(all)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Calls, E> {
        Ok(Calls::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Calls, E> {
        Ok(Calls::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Calls, E> {
        Ok(Calls::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Calls, E> {
        Ok(Calls::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Calls, E> {
        Ok(Calls::default())
    }

    fn visit_unit<E>(self) -> Result<Calls, E> {
        Ok(Calls::default())
    }
}

/// Bounds the memory that a body of empty objects takes.
const MOST_CALLS: usize = 50_000;

/// The strings in a value: itself, or those of a list.
struct Text(Vec<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        Ok(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Text(vec![text]),
            serde_json::Value::Array(list) => {
                Text(list.iter().filter_map(|v| v.as_str().map(String::from)).collect())
            }
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Object(_) => Text(Vec::new()),
        })
    }
}

/// The values of `name` in an object.
struct Named(Vec<String>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Named, D::Error> {
        deserializer.deserialize_any(NamedVisitor).map(Named)
    }
}

struct NamedVisitor;

impl<'de> Visitor<'de> for NamedVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut names = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "name" {
                names.extend(map.next_value::<Text>()?.0);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(names)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E>(self, _: &str) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telling_keys_are_found_and_duplicates_all_count() {
        let calls = Calls::read(br#"{"id":1,"method":"get","x":{"method":"no"},"method":"delete"}"#).unwrap();
        assert_eq!(calls.0.len(), 1);
        assert_eq!(calls.0[0].names, ["get", "delete"]);
        let calls = Calls::read(br#"[{"action":"a"},{"Method":"b"}, 1, null, "x"]"#).unwrap();
        assert_eq!(calls.0.iter().flat_map(|c| &c.names).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_tool_is_only_one_in_a_tool_call() {
        let calls = Calls::read(br#"{"params":{"name":"delete_file"},"method":"tools/call"}"#).unwrap();
        assert_eq!(calls.0[0].tools, ["delete_file"]);
        let calls = Calls::read(br#"{"params":{"name":"delete_file"},"method":"prompts/get"}"#).unwrap();
        assert!(calls.0[0].tools.is_empty());
        assert!(Calls::read(br#"{"params":[1,{"name":2}],"method":["x"]}"#).is_ok());
    }

    #[test]
    fn lines_of_json_are_several_values_and_broken_json_is_none() {
        assert_eq!(Calls::read(b"{\"a\":1}\n{\"method\":\"m\"}\n").unwrap().0.len(), 2);
        assert!(Calls::read(b"{\"method\":").is_err());
        assert!(Calls::read(b"{\"method\":\"x\"} trailing").is_err());
        assert!(Calls::read(b"").unwrap().0.is_empty());
    }
}

//! Hosts that nobody has curated (harm-levels 15): words and method decide.
//!
//! Bias: a destroying word makes a request irreversible whatever its method is, and only GET, HEAD and OPTIONS (and a
//! whole GraphQL query) count as reads. A body that could name an operation counts as the worst until it was seen.

use agent_guard_api::{Flag, Harm, Magnitude};
use agent_guard_decode::message::RequestHead;

use super::{
    Asked,
    body::{self, Call, Calls, Kind, header},
    graphql,
    judgement::Judgement,
    params::{self, Param},
    target::last_two_segments,
};
use crate::lexicon::{self, Word};

/// Which parts of the request to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// `action=` and the like; not where a provider's own reading covers them.
    pub parameters: bool,
    /// The words of the path; not where the path is the name of a stored object.
    pub path: bool,
}

impl Scope {
    pub(crate) const ALL: Scope = Scope { parameters: true, path: true };
}

/// Judges by method, path, parameters and body.
pub(crate) fn judge(asked: &Asked<'_>, scope: Scope) -> Judgement {
    let head = &asked.request.head;
    let overrides: Vec<&[u8]> = OVERRIDES.iter().flat_map(|name| header(head, name)).collect();
    let mut reads = is_read(head.method.as_bytes()) && overrides.iter().all(|m| is_read(m));
    let params: Vec<Param<'_>> = params::parse(asked.target.query).collect();
    reads &= params.iter().filter(|p| is_override(p)).all(|p| is_read(&p.value));
    let base = if reads { Harm::ReadOnly } else { Harm::Unknown };
    let why = format!("no word of the request decides; the method is {}", head.method);
    let mut judged = Judgement::new(name(asked), base, why);
    method(&mut judged, head.method.as_bytes());
    for method_override in overrides {
        method(&mut judged, method_override);
    }
    if scope.path {
        path_words(asked, reads, &mut judged);
    }
    for value in header(head, "soapaction") {
        word(&mut judged, value, reads, "the SOAP action");
    }
    if scope.parameters {
        parameters(params::parse(asked.target.query), reads, "the query", &mut judged);
        graphql_query(asked, &params, &mut judged);
        body_words(asked, &mut judged);
    }
    judged
}

/// True if the body of such a request could change what [`judge`] says.
pub(crate) fn body_counts(head: &RequestHead) -> bool {
    body::kind(head, &[]) != Kind::Other
}

const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

fn is_read(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS")
}

fn is_override(param: &Param<'_>) -> bool {
    param.name.eq_ignore_ascii_case(b"_method")
}

/// Method and path, cut to what a person can read.
fn name(asked: &Asked<'_>) -> String {
    let path = asked.target.path;
    let shown = path.get(..MAX_SHOWN_PATH).unwrap_or(path);
    format!("{} {}", asked.request.head.method, String::from_utf8_lossy(shown))
}

const MAX_SHOWN_PATH: usize = 512;

fn method(judged: &mut Judgement, method: &[u8]) {
    let found = lexicon::find(method).filter(|w| w.kind == lexicon::Kind::Destroys);
    if let Some(found) = found {
        judged.raise(Harm::Irreversible, || format!("the method says {:?}", found.text));
    }
}

fn path_words(asked: &Asked<'_>, reads: bool, judged: &mut Judgement) {
    for path in asked.target.paths() {
        word(judged, last_two_segments(&path), reads, "the path");
    }
}

fn word(judged: &mut Judgement, text: &[u8], reads: bool, place: &str) {
    if let Some(found) = lexicon::worst_word(text, reads) {
        destroys(judged, found, place);
    }
}

fn destroys(judged: &mut Judgement, found: &Word, place: &str) {
    if found.kind == lexicon::Kind::Spends {
        judged.flag(Flag::Money);
    }
    judged.raise(Harm::Irreversible, || format!("{place} says {:?}: {}", found.text, found.reason));
}

/// `action=`, `method=`, `cmd=` and `_method=`, wherever they stand. Here a short word counts for a read too.
fn parameters<'p>(params: impl Iterator<Item = Param<'p>>, reads: bool, place: &str, judged: &mut Judgement) {
    for param in params {
        let named = |name: &str| param.name.eq_ignore_ascii_case(name.as_bytes());
        if named("action") || named("method") || named("cmd") {
            word(judged, &param.value, false, place);
        }
        if is_override(&param) {
            method(judged, &param.value);
            if reads && !is_read(&param.value) {
                judged.raise(Harm::Unknown, || format!("{place} overrides the method"));
            }
        }
    }
}

/// GraphQL over GET.
fn graphql_query(asked: &Asked<'_>, params: &[Param<'_>], judged: &mut Judgement) {
    for param in params.iter().filter(|p| &*p.name == b"query") {
        match graphql::read(&String::from_utf8_lossy(&param.value)) {
            Ok(document) => drop(fields(judged, &document)),
            Err(what) if is_graphql(asked) => undecidable(judged, what),
            Err(_) => {}
        }
    }
}

fn is_graphql(asked: &Asked<'_>) -> bool {
    let last = asked.target.path.rsplit(|b| *b == b'/').find(|s| !s.is_empty()).unwrap_or_default();
    last.eq_ignore_ascii_case(b"gql") || last.to_ascii_lowercase().windows(7).any(|w| w == b"graphql")
}

fn undecidable(judged: &mut Judgement, what: &str) {
    judged.raise(Harm::Undecidable, || format!("the GraphQL document cannot be read: {what}"));
}

/// Raises by the document; true if all of it only reads.
fn fields(judged: &mut Judgement, document: &graphql::Document) -> bool {
    for field in &document.fields {
        word(judged, field.as_bytes(), !document.mutates, "a GraphQL field");
    }
    if document.mutates {
        judged.raise(Harm::Unknown, || "a GraphQL mutation; no word of its fields decides".into());
    }
    !document.mutates
}

fn body_words(asked: &Asked<'_>, judged: &mut Judgement) {
    let request = asked.request;
    let bytes = request.body.bytes();
    let whole = body::is_whole(request);
    if bytes.is_empty() && whole {
        return;
    }
    let kind = body::kind(&request.head, bytes);
    match kind {
        Kind::Form => {
            parameters(params::parse(bytes), judged.harm == Harm::ReadOnly, "the form", judged);
        }
        Kind::Json if whole => json(asked, bytes, judged),
        Kind::GraphQl if whole => {
            document(&String::from_utf8_lossy(bytes), judged);
        }
        Kind::Encoded if whole => {
            judged.raise(Harm::Undecidable, || {
                "the body may name an operation, in a content coding that this version does not undo".into()
            });
        }
        Kind::Json | Kind::GraphQl | Kind::Encoded | Kind::Other => {}
    }
    if !whole && kind != Kind::Other {
        judged.unseen_body(Harm::Irreversible);
    }
}

fn json(asked: &Asked<'_>, bytes: &[u8], judged: &mut Judgement) {
    let calls = match Calls::read(bytes) {
        Ok(calls) => calls,
        Err(error) => {
            judged.raise(Harm::Undecidable, || format!("the body is announced as JSON and is none: {error}"));
            return;
        }
    };
    let mut only_queries = is_graphql(asked) && !calls.0.is_empty();
    for call in &calls.0 {
        only_queries &= json_call(call, is_graphql(asked), judged);
    }
    if calls.0.len() > 1 {
        judged.magnitude = Magnitude::Count(u64::try_from(calls.0.len()).unwrap_or(u64::MAX));
    }
    if only_queries {
        lower_to_read(judged);
    }
}

/// True if the call is nothing but a GraphQL query.
fn json_call(call: &Call, graphql: bool, judged: &mut Judgement) -> bool {
    for name in &call.names {
        word(judged, name.as_bytes(), false, "the body");
    }
    for name in &call.tools {
        word(judged, name.as_bytes(), false, "the tool name");
    }
    for name in &call.overrides {
        method(judged, name.as_bytes());
    }
    let mut reads = !call.queries.is_empty();
    for query in &call.queries {
        reads &= match graphql::read(query) {
            Ok(document) => fields(judged, &document),
            Err(what) if graphql => {
                undecidable(judged, what);
                false
            }
            // Any API may call its search words `query`.
            Err(_) => false,
        };
    }
    reads
}

fn document(text: &str, judged: &mut Judgement) {
    match graphql::read(text) {
        Ok(document) if fields(judged, &document) => lower_to_read(judged),
        Ok(_) => {}
        Err(what) => undecidable(judged, what),
    }
}

/// A whole GraphQL query reads, though it is sent by POST. What a word has raised stays raised.
fn lower_to_read(judged: &mut Judgement) {
    if judged.harm == Harm::Unknown {
        judged.harm = Harm::ReadOnly;
        judged.why = "a GraphQL query".into();
    }
}

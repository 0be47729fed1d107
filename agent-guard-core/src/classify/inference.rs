//! Inference routes (harm-levels 22): model traffic, known by exact host, method and path.
//!
//! Bias: anything unusual about the request (another port, an escape in the path, a method override, names that do
//! not agree) makes it an ordinary request. The flag never outlives the request.

use agent_guard_api::{Flag, Harm};

use super::{Asked, body::header, evidence::Host, judgement::Judgement};
use crate::catalog::{self, PackedRoute};

/// The routes that count as model traffic: the built-in list, and what the operator added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    local: Vec<LocalRoute>,
}

/// A route of the operator: a model server of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LocalRoute {
    host: Host,
    method: String,
    path: String,
}

/// Why a route was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("inference route: {host:?} is no host name or address; write `name`, `name:port` or `[v6]:port`")]
    Host { host: String },
    #[error("inference route: {method:?} is no method; write it in capitals, e.g. `POST`")]
    Method { method: String },
    #[error("inference route: {path:?} is no path; write `/v1/chat/completions`, with `*` for one segment")]
    Path { path: String },
}

impl Routes {
    /// Adds a route of the operator. `*` in the path stands for one segment.
    pub fn add(&mut self, host: &str, method: &str, path: &str) -> Result<(), RouteError> {
        let parsed = Host::parse(host.as_bytes()).ok_or_else(|| RouteError::Host { host: host.into() })?;
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(RouteError::Method { method: method.into() });
        }
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'%');
        if !path.starts_with('/') || !path.bytes().all(plain) {
            return Err(RouteError::Path { path: path.into() });
        }
        self.local.push(LocalRoute { host: parsed, method: method.into(), path: path.into() });
        Ok(())
    }

    fn lists(&self, host: &Host, method: &str, path: &[u8]) -> bool {
        let packed = || {
            matches!(host.port, None | Some(443))
                && catalog::ROUTES.iter().any(|route| {
                    host_fits(route, &host.name) && route.method == method && path_fits(route.path, path)
                })
        };
        let local = || {
            self.local
                .iter()
                .any(|route| route.method == method && route.host == *host && path_fits(&route.path, path))
        };
        packed() || local()
    }
}

/// The judgement of a request to a listed route; `None`: it is none.
pub(crate) fn judge(asked: &Asked<'_>, routes: &Routes) -> Option<Judgement> {
    let head = &asked.request.head;
    let host = asked.evidence.host.as_ref()?;
    let usual = asked.evidence.mismatch.is_none()
        && routes.lists(host, &head.method, asked.target.path)
        && !asked.target.query.contains(&b'%')
        && head.headers.iter().all(|h| !OVERRIDES.contains(&h.name.as_str()))
        && asked.target.paths().iter().all(|path| routes.lists(host, &head.method, path));
    // A query such as `?alt=sse` or `?beta=true` is usual; one that names an operation is not.
    let named = || {
        super::params::parse(asked.target.query).any(|p| {
            ["action", "method", "cmd", "_method"].iter().any(|n| p.name.eq_ignore_ascii_case(n.as_bytes()))
        })
    };
    if !usual || named() {
        return None;
    }
    let name = format!("{} {}", head.method, String::from_utf8_lossy(asked.target.path));
    let mut judged = Judgement::new(name, Harm::ReadOnly, format!("an inference route of {}", host.name));
    judged.flag(Flag::Inference);
    if asks_for_remote_tools(asked.request.body.bytes()) && header(head, "content-encoding").next().is_none()
    {
        judged.flag(Flag::RemoteTools);
    }
    Some(judged)
}

const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

fn host_fits(route: &PackedRoute, name: &str) -> bool {
    let Some((before, after)) = route.any_label else {
        return route.host == name;
    };
    let middle = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    middle.is_some_and(|middle| !middle.is_empty() && !middle.contains('.'))
}

/// `*` stands for a part of one segment.
fn path_fits(pattern: &str, path: &[u8]) -> bool {
    let mut wanted = pattern.split('/');
    let fits = path.split(|b| *b == b'/').all(|segment| {
        wanted.next().is_some_and(|wanted| match wanted.split_once('*') {
            None => wanted.as_bytes() == segment,
            Some((before, after)) => {
                let middle = segment.strip_prefix(before.as_bytes());
                let middle = middle.and_then(|rest| rest.strip_suffix(after.as_bytes()));
                middle.is_some_and(|middle| !middle.is_empty() && !is_dots(middle))
            }
        })
    });
    fits && wanted.next().is_none()
}

fn is_dots(segment: &[u8]) -> bool {
    segment.iter().all(|b| *b == b'.')
}

/// Keys and values by which the common APIs are asked to call tools elsewhere. Inside a string of the conversation
/// their quotes are escaped, so they are not mistaken for it.
fn asks_for_remote_tools(body: &[u8]) -> bool {
    REMOTE_TOOLS.iter().any(|token| {
        let token = token.as_bytes();
        let found = |w: &[u8]| w.strip_suffix(token).is_some_and(|before| before != b"\\");
        body.starts_with(token) || body.windows(token.len().saturating_add(1)).any(found)
    })
}

const REMOTE_TOOLS: [&str; 5] =
    ["\"mcp_servers\"", "\"mcp\"", "\"server_url\"", "\"connector_id\"", "\"web_fetch"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label_or_segment() {
        let fits = |pattern: &'static str, name: &str| {
            let any_label = pattern.split_once('*');
            host_fits(&PackedRoute { host: pattern, any_label, method: "POST", path: "/" }, name)
        };
        assert!(fits("bedrock-runtime.*.amazonaws.com", "bedrock-runtime.eu-west-1.amazonaws.com"));
        assert!(!fits("bedrock-runtime.*.amazonaws.com", "bedrock-runtime.a.b.amazonaws.com"));
        assert!(!fits("*.openai.azure.com", ".openai.azure.com"));
        assert!(!fits("api.openai.com", "api.openai.co"));
        assert!(path_fits("/v1/models/*:generateContent", b"/v1/models/gemini-2.5-pro:generateContent"));
        assert!(!path_fits("/v1/models/*:generateContent", b"/v1/models/a/b:generateContent"));
        assert!(!path_fits("/v1/models/*:generateContent", b"/v1/models/:generateContent"));
        assert!(!path_fits("/model/*/invoke", b"/model/../invoke"));
        assert!(!path_fits("/v1/messages", b"/v1/messages/"));
    }

    #[test]
    fn routes_of_the_operator_are_checked() {
        let mut routes = Routes::default();
        assert!(routes.add("127.0.0.1:11434", "POST", "/api/chat").is_ok());
        assert!(matches!(routes.add("a b", "POST", "/"), Err(RouteError::Host { .. })));
        assert!(matches!(routes.add("h", "post", "/"), Err(RouteError::Method { .. })));
        assert!(matches!(routes.add("h", "POST", "x"), Err(RouteError::Path { .. })));
    }

    #[test]
    fn remote_tools_are_asked_for_by_keys_not_by_talk() {
        assert!(asks_for_remote_tools(br#"{"mcp_servers":[{"url":"https://x"}]}"#));
        assert!(asks_for_remote_tools(br#"{"tools":[{"type": "mcp"}]}"#));
        assert!(!asks_for_remote_tools(br#"{"messages":[{"content":"say \"mcp_servers\" twice"}]}"#));
    }
}

//! The numbered choices, one test each.

use agent_guard_api::{Flag, Harm};
use agent_guard_core::{
    classify::{Routes, classify},
    request::Body,
};
use proptest::prelude::*;

use crate::asked::{FORM, JSON, SIGNED, cut, judge, request, with_sni};

#[test]
fn choice_15_words_on_unknown_hosts() {
    let harm = |method: &str, target: &str, body: &str| {
        let kind = if body.starts_with(['{', '[']) { JSON } else { FORM };
        judge(&request(method, "api.example.com", target, &[kind], body)).harm
    };
    let irreversible = [
        ("GET", "/users/delete/7", ""),
        ("GET", "/?action=deleteUser", ""),
        ("GET", "/?cmd=rm", ""),
        ("POST", "/rpc?method=purge_all", ""),
        ("DELETE", "/users/7", ""),
        ("delete", "/users/7", ""),
        ("PURGE", "/cache", ""),
        ("POST", "/v1/jobs/7:terminate", ""),
        ("POST", "/pkg.Users/DeleteUser", ""),
        ("POST", "/api", "action=destroy"),
        ("POST", "/api", "x=1&_method=DELETE"),
        ("POST", "/api?_method=delete", ""),
        ("POST", "/rpc", r#"{"jsonrpc":"2.0","method":"wallet.drop","id":1}"#),
        ("POST", "/rpc", r#"[{"method":"a"},{"method":"removeAll"}]"#),
        (
            "POST",
            "/mcp",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_file","arguments":{}}}"#,
        ),
        ("POST", "/bot123/deleteMessage", ""),
        ("POST", "/v1/refunds", "amount=3"),
        ("POST", "/%64elete/x", ""),
        ("GET", "/%2564elete", ""),
        ("GET", "/delete/x/y/../..", ""),
        ("GET", "/a//delete;v=1/x", ""),
    ];
    for (method, target, body) in irreversible {
        assert_eq!(harm(method, target, body), Harm::Irreversible, "{method} {target} {body}");
    }
    let others = [
        ("GET", "/users/7", "", Harm::ReadOnly),
        ("HEAD", "/users/7", "", Harm::ReadOnly),
        ("OPTIONS", "*", "", Harm::ReadOnly),
        ("GET", "/delete/a/b", "", Harm::ReadOnly),
        ("GET", "/v1/refunds", "", Harm::ReadOnly),
        ("GET", "/users/deleted", "", Harm::ReadOnly),
        ("POST", "/v1/frobnicate", "", Harm::Unknown),
        ("PUT", "/x", "", Harm::Unknown),
        ("PATCH", "/x", "", Harm::Unknown),
        ("get", "/x", "", Harm::Unknown),
        ("POST", "/list", "", Harm::Unknown),
        ("GET", "/x?_method=PATCH", "", Harm::Unknown),
        ("CONNECT", "api.example.com:443", "", Harm::Unknown),
        ("POST", "/rpc", r#"{"method":"tools/call","params":{"name":"read_file"}}"#, Harm::Unknown),
        ("POST", "/search", r#"{"query":"delete everything"}"#, Harm::Unknown),
    ];
    for (method, target, body, expected) in others {
        assert_eq!(harm(method, target, body), expected, "{method} {target} {body}");
    }
}

#[test]
fn choice_15_method_overrides_count_and_lower_nothing() {
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let harm =
            |method: &str, value: &str| judge(&request(method, "h.example", "/x", &[(name, value)], "")).harm;
        assert_eq!(harm("POST", "DELETE"), Harm::Irreversible);
        assert_eq!(harm("GET", "DELETE"), Harm::Irreversible);
        assert_eq!(harm("GET", "PUT"), Harm::Unknown);
        assert_eq!(harm("DELETE", "GET"), Harm::Irreversible);
        assert_eq!(harm("POST", "GET"), Harm::Unknown);
    }
}

#[test]
fn choice_15_graphql() {
    let harm = |body: &str| judge(&request("POST", "api.example.com", "/graphql", &[JSON], body)).harm;
    assert_eq!(harm(r#"{"query":"query { users { id } }"}"#), Harm::ReadOnly);
    assert_eq!(harm(r#"{"query":"{ users { deletedAt } }"}"#), Harm::ReadOnly);
    assert_eq!(harm(r#"{"query":"mutation { addStar(id: 1) { id } }"}"#), Harm::Unknown);
    assert_eq!(harm(r#"{"query":"mutation { x: deleteIssue(id: 1) { id } }"}"#), Harm::Irreversible);
    assert_eq!(harm(r#"{"query":"{ a }","query":"mutation { deleteIssue }"}"#), Harm::Irreversible);
    assert_eq!(harm(r#"[{"query":"{ a }"},{"query":"mutation { deleteIssue }"}]"#), Harm::Irreversible);
    assert_eq!(harm(r#"{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}"#), Harm::Unknown);
    assert_eq!(harm(r#"{"query":"mutation {"}"#), Harm::Undecidable);
    assert_eq!(harm("{broken"), Harm::Undecidable);
    let get = |target: &str| judge(&request("GET", "api.example.com", target, &[], "")).harm;
    assert_eq!(get("/graphql?query=%7B%20a%20%7D"), Harm::ReadOnly);
    assert_eq!(get("/graphql?query=mutation%7BdeleteIssue%7D"), Harm::Irreversible);
    assert_eq!(get("/graphql?query=mutation%7Bstar%7D"), Harm::Unknown);
    assert_eq!(get("/search?query=delete"), Harm::ReadOnly);
    let cut = cut(request("POST", "api.example.com", "/graphql", &[JSON], r#"{"query":"{ users }"}"#), 12);
    let cut = judge(&cut);
    assert_eq!((cut.harm, cut.wants_body), (Harm::Irreversible, true));
}

#[test]
fn choice_16_every_name_counts() {
    let undecidable = [
        request("GET", "a.example", "/", &[("Host", "a.example")], ""),
        request("GET", "a b", "/", &[], ""),
        request("GET", "u@a.example", "/", &[], ""),
        request("GET", "a.example", "nonsense", &[], ""),
        request("GET", "a.example", "http://u@a.example/", &[], ""),
    ];
    for request in undecidable {
        assert_eq!(judge(&request).harm, Harm::Undecidable, "{request:?}");
    }
    let flagged = [
        request("POST", "", "/x", &[], ""),
        request("POST", "a.example", "http://b.example/x", &[], ""),
        with_sni(request("POST", "a.example", "/x", &[], ""), "b.example"),
        with_sni(request("POST", "10.0.0.1", "/x", &[], ""), "b.example"),
    ];
    for request in flagged {
        assert_eq!(judge(&request).flags, [Flag::HostMismatch], "{request:?}");
    }
    let fine = [
        request("GET", "", "/x", &[], ""),
        with_sni(request("GET", "a.example", "/x", &[], ""), "b.example"),
        with_sni(request("POST", "A.example.:443", "/x", &[], ""), "a.example"),
        request("CONNECT", "", "a.example:443", &[], ""),
        request("POST", "10.0.0.1", "/x", &[], ""),
    ];
    for request in fine {
        assert_eq!(judge(&request).flags, [], "{request:?}");
    }
}

#[test]
fn choice_22_inference_routes_are_exact() {
    let ask = |host: &str, target: &str, body: &str| judge(&request("POST", host, target, &[JSON], body));
    let fine = [
        ("api.anthropic.com", "/v1/messages"),
        ("api.anthropic.com", "/v1/messages?beta=true"),
        ("api.anthropic.com:443", "/v1/messages/count_tokens"),
        ("api.openai.com", "/v1/responses"),
        ("generativelanguage.googleapis.com", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"),
        ("bedrock-runtime.us-east-1.amazonaws.com", "/model/anthropic.claude-v2/invoke"),
    ];
    for (host, target) in fine {
        let operation = ask(host, target, "{}");
        assert_eq!(
            (operation.harm, operation.flags.as_slice()),
            (Harm::ReadOnly, &[Flag::Inference][..]),
            "{target}"
        );
    }
    let none = [
        ("api.anthropic.com", "/v1/files"),
        ("api.anthropic.com", "/v1/messages/"),
        ("api.anthropic.com", "/v1/messages/../files"),
        ("api.anthropic.com", "/v1/messages/batches"),
        ("api.anthropic.com:8443", "/v1/messages"),
        ("api.anthropic.com.evil.org", "/v1/messages"),
        ("api.anthropic.com", "/v1/messages?action=delete"),
    ];
    for (host, target) in none {
        assert!(!ask(host, target, "{}").flags.contains(&Flag::Inference), "{host} {target}");
    }
    assert_eq!(
        judge(&request("DELETE", "api.anthropic.com", "/v1/files/x", &[], "")).harm,
        Harm::Irreversible
    );
    let fronted =
        judge(&with_sni(request("POST", "api.anthropic.com", "/v1/messages", &[JSON], "{}"), "evil.org"));
    assert_eq!((fronted.harm, fronted.flags.as_slice()), (Harm::Unknown, &[Flag::HostMismatch][..]));
    let overridden =
        request("POST", "api.anthropic.com", "/v1/messages", &[("X-HTTP-Method-Override", "DELETE")], "");
    assert_eq!(judge(&overridden).harm, Harm::Irreversible);
    let remote = ask("api.anthropic.com", "/v1/messages", r#"{"mcp_servers":[{"url":"https://x"}]}"#);
    assert_eq!(remote.flags, [Flag::Inference, Flag::RemoteTools]);
    let unseen = cut(request("POST", "api.anthropic.com", "/v1/messages", &[JSON], "{\"a\":1}"), 0);
    assert_eq!((judge(&unseen).harm, judge(&unseen).wants_body), (Harm::ReadOnly, false));
}

#[test]
fn choice_22_local_servers_are_listed_by_the_operator() {
    let request = request("POST", "127.0.0.1:11434", "/api/chat", &[JSON], "{}");
    assert_eq!(judge(&request).harm, Harm::Unknown);
    let mut routes = Routes::default();
    routes.add("127.0.0.1:11434", "POST", "/api/chat").unwrap();
    assert_eq!(classify(&request, &routes).flags, [Flag::Inference]);
}

#[test]
fn a_coded_body_that_decides_is_not_guessed() {
    let coded = |kind| {
        judge(&request("POST", "a.example", "/x", &[kind, ("Content-Encoding", "gzip")], "\u{1f}x")).harm
    };
    assert_eq!(coded(JSON), Harm::Undecidable);
    assert_eq!(coded(("Content-Type", "application/octet-stream")), Harm::Unknown);
}

proptest! {
    /// Choice 14: what is not seen can only make it worse.
    #[test]
    fn less_of_a_body_is_never_milder(
        body in "(Action|action|DryRun|_method|InstanceId.1)=[A-Za-z]{0,12}(&(Action|DryRun|cmd)=(true|DescribeX|DeleteX|x)){0,3}|\\{\"(query|method)\":\"[a-z {}]{0,20}\"\\}",
        seen in any::<prop::sample::Index>(),
        host in prop::sample::select(vec!["ec2.us-east-1.amazonaws.com", "api.example.com", "127.0.0.1"]),
        path in prop::sample::select(vec!["/", "/graphql", "/x"]),
        kind in prop::sample::select(vec![FORM, JSON]),
        signed: bool,
    ) {
        let headers = if signed { vec![kind, SIGNED] } else { vec![kind] };
        let whole = request("POST", host, path, &headers, &body);
        let cut = cut(whole.clone(), seen.index(body.len()));
        let (whole, cut) = (judge(&whole), judge(&cut));
        prop_assert!(cut.harm >= whole.harm || cut.harm == Harm::Irreversible, "{whole:?} {cut:?}");
    }

    /// Whatever arrives is answered, and a DELETE is never called harmless.
    #[test]
    fn anything_is_answered(
        target in prop::collection::vec(any::<u8>(), 0..60),
        host in prop::collection::vec(any::<u8>(), 0..30),
        name in "[a-z-]{1,20}|content-type|authorization|x-amz-target|content-encoding",
        value in prop::collection::vec(any::<u8>(), 0..40),
        body in prop::collection::vec(any::<u8>(), 0..200),
        whole: bool,
    ) {
        let mut asked = request("DELETE", "h", "/", &[], "x");
        asked.head.target = target;
        asked.head.headers[0].value = host;
        asked.head.headers.push(agent_guard_decode::message::Header { name, value });
        asked.body = if whole { Body::Whole(body) } else { Body::Prefix(body) };
        prop_assert!(judge(&asked).harm >= Harm::Irreversible);
        prop_assert_eq!(agent_guard_core::digest::digest("a", &asked), agent_guard_core::digest::digest("a", &asked));
    }
}

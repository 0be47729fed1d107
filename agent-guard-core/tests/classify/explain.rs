//! `explain`: strict lines in, answers out.

use agent_guard_api::{Harm, Magnitude, explain::Explanation};
use agent_guard_core::{
    classify::Routes,
    explain::{ExplainError, line},
};
use proptest::prelude::*;

fn explain(json: &str) -> Result<Explanation, ExplainError> {
    line(json, &Routes::default(), |operation| ("verdict".into(), "rule".into(), operation.why.clone()))
}

#[test]
fn requests_are_answered() {
    let text = r#"{"id":"1","method":"POST","host":"ec2.us-east-1.amazonaws.com","path":"/","headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":"Action=TerminateInstances&InstanceId.1=i-1&InstanceId.2=i-2"}"#;
    let answer = explain(text).unwrap();
    assert_eq!((answer.id.as_str(), answer.provider.as_str(), answer.service.as_str()), ("1", "aws", "ec2"));
    assert_eq!((answer.operation.as_str(), answer.harm), ("TerminateInstances", Harm::Irreversible));
    assert_eq!((answer.magnitude, answer.resources), (Magnitude::Count(2), vec!["i-1".into(), "i-2".into()]));
    assert_eq!((answer.verdict.as_str(), answer.rule.as_str()), ("verdict", "rule"));
    let coded = r#"{"id":"1","method":"POST","host":"ec2.amazonaws.com","path":"/","body":"QWN0aW9uPURlbGV0ZVZwYw==","body_encoding":"base64"}"#;
    assert_eq!(explain(coded).unwrap().operation, "DeleteVpc");
    let get = r#"{"id":"","method":"GET","host":"h.example","path":"/x"}"#;
    assert_eq!(explain(get).unwrap().harm, Harm::ReadOnly);
}

#[test]
fn what_no_wire_carries_is_undecidable() {
    let with = |rest: &str| format!(r#"{{"id":"1","host":"h.example",{rest}}}"#);
    let undecidable = [
        r#""method":"GET /","path":"/""#,
        r#""method":"GET","path":"/a b""#,
        r#""method":"GET","path":"""#,
        r#""method":"GET","path":"nonsense""#,
        r#""method":"GET","path":"/","headers":{"Host":"other.example"}"#,
        r#""method":"GET","path":"/","headers":{"a ":"b"}"#,
        r#""method":"GET","path":"/","headers":{"a":"b\r\nHost: x"}"#,
        r#""method":"POST","path":"/","headers":{"Content-Length":"3","Transfer-Encoding":"chunked"},"body":"abc""#,
        r#""method":"POST","path":"/","headers":{"Content-Length":"3","content-length":"4"},"body":"abc""#,
        r#""method":"POST","path":"/","headers":{"Content-Length":"+3"},"body":"abc""#,
        r#""method":"POST","path":"/","headers":{"Content-Length":"2"},"body":"abc""#,
        r#""method":"POST","path":"/","headers":{"Transfer-Encoding":"gzip"},"body":"abc""#,
    ];
    for rest in undecidable {
        assert_eq!(explain(&with(rest)).unwrap().harm, Harm::Undecidable, "{rest}");
    }
    let cut = with(r#""method":"POST","path":"/","headers":{"Content-Length":"30"},"body":"a=b""#);
    assert_eq!(explain(&cut).unwrap().harm, Harm::Irreversible);
    let same = with(r#""method":"GET","path":"/","headers":{"Host":"H.example"}"#);
    assert_eq!(explain(&same).unwrap().harm, Harm::ReadOnly);
}

#[test]
fn other_protocols_are_undecidable_for_now() {
    let lines = [
        r#"{"id":"2","protocol":"postgres","statement":"DROP TABLE users"}"#,
        r#"{"id":"2","protocol":"mysql","statement":""}"#,
        r#"{"id":"2","protocol":"redis","command":["FLUSHALL"]}"#,
        r#"{"id":"2","protocol":"mongodb","command":{"drop":"users"}}"#,
        r#"{"id":"2","protocol":"redis","wire":"KjE="}"#,
    ];
    for line in lines {
        let answer = explain(line).unwrap();
        assert_eq!(answer.harm, Harm::Undecidable);
        assert!(answer.why.contains("does not decode"), "{}", answer.why);
    }
}

#[test]
fn what_is_no_request_is_an_error_with_the_id_it_has() {
    let lines = [
        ("", None),
        ("[]", None),
        ("{", None),
        (r#"{"id":7,"method":"GET","host":"h","path":"/"}"#, None),
        (r#"{"method":"GET","host":"h","path":"/"}"#, None),
        (r#"{"id":"3"}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h"}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h","path":"/","verb":1}"#, Some("3")),
        (r#"{"id":"3","method":"GET","method":"GET","host":"h","path":"/"}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h","path":"/","body":null}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h","path":"/","body":{}}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h","path":"/","headers":[]}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h","path":"/","headers":{"a":1}}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h","path":"/","body":"x","body_encoding":"hex"}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h","path":"/","body":"?","body_encoding":"base64"}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h","path":"/","body_encoding":"base64"}"#, Some("3")),
        (r#"{"id":"3","method":"GET","host":"h","path":"/","statement":"x"}"#, Some("3")),
        (r#"{"id":"3","protocol":"oracle","statement":"x"}"#, Some("3")),
        (r#"{"id":"3","protocol":"postgres"}"#, Some("3")),
        (r#"{"id":"3","protocol":"postgres","command":["x"]}"#, Some("3")),
        (r#"{"id":"3","protocol":"postgres","statement":"x","wire":"eA=="}"#, Some("3")),
        (r#"{"id":"3","protocol":"postgres","wire":"!"}"#, Some("3")),
        (r#"{"id":"3","protocol":"redis","command":[]}"#, Some("3")),
        (r#"{"id":"3","protocol":"redis","command":[1]}"#, Some("3")),
        (r#"{"id":"3","protocol":"mongodb","command":["x"]}"#, Some("3")),
        (r#"{"id":"3","protocol":"mongodb","command":{},"host":"h"}"#, Some("3")),
    ];
    for (line, id) in lines {
        let error = explain(line).unwrap_err();
        assert_eq!(error.id.as_deref(), id, "{line}");
        assert!(!error.error.is_empty());
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}|\\{\"id\":\"1\",(\"(method|host|path|body|protocol|command|wire)\":(\"\\PC{0,9}\"|\\[\\]|null),?){0,5}\\}") {
        drop(explain(&text));
    }

    #[test]
    fn any_parts_are_answered(method in "\\PC{0,8}", host in "\\PC{0,9}", path in "\\PC{0,20}", name in "\\PC{0,9}", value in "\\PC{0,9}", body in "\\PC{0,30}") {
        let line = serde_json::json!({"id": "1", "method": method, "host": host, "path": path, "headers": {name: value}, "body": body});
        prop_assert_eq!(explain(&line.to_string()).unwrap().id, "1");
    }
}

//! `explain` needs no daemon: the same lines in, the same answers out, in order.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::fake::{Finished, ctl, finish, finished};

const TERMINATE: &str = r#"{"id":"1","method":"POST","host":"ec2.us-east-1.amazonaws.com","path":"/","headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":"Action=TerminateInstances&InstanceId.1=i-1&InstanceId.2=i-2"}"#;
const READ: &str = r#"{"id":"5","method":"GET","host":"api.example.com","path":"/v1/things"}"#;

fn explain(args: &[&str], input: &[u8]) -> Finished {
    let mut command = ctl(&[&["explain"], args].concat());
    // Whatever is there is not asked.
    command.env("AGENT_GUARD_SOCKET", "/nonexistent").stdin(Stdio::piped());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("agentguardctl runs");
    let mut stdin = child.stdin.take().expect("its input");
    // The inputs here fit into the pipe or are refused as too long without answering before.
    stdin.write_all(input).expect("input");
    drop(stdin);
    finished(child.wait_with_output().expect("it ends"))
}

fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// An answer without its reasons, whose words may be improved.
fn without_why(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        let why = fields.remove("why");
        assert!(why.is_some_and(|why| why.as_str().is_some_and(|why| !why.is_empty())), "no reason");
    }
    value
}

#[test]
fn lines_are_answered_in_order_and_bad_ones_among_them() {
    let bad = r#"{"id":"3","method":"FOO"}"#;
    let input = format!("{TERMINATE}\nnonsense\n\n{bad}\n{READ}");
    for args in [&["--jsonl"][..], &["--jsonl", "-"], &["--json"]] {
        let finished = explain(args, input.as_bytes());
        assert_eq!(finished.status, Some(1), "{}", finished.stderr);
        let [first, second, third, fourth] = &values(&finished.stdout)[..] else {
            panic!("{}", finished.stdout)
        };
        assert_eq!(
            without_why(first.clone()),
            json!({
                "id": "1", "provider": "aws", "service": "ec2", "operation": "TerminateInstances",
                "harm": "irreversible", "magnitude": 2, "resources": ["i-1", "i-2"], "flags": [],
                "verdict": "hold", "rule": "builtin:irreversible",
            })
        );
        assert_eq!(second["id"], Value::Null);
        assert!(second["error"].is_string(), "{second}");
        assert_eq!(third["id"], "3");
        assert!(third["error"].as_str().is_some_and(|error| error.contains("host")), "{third}");
        assert_eq!(
            without_why(fourth.clone()),
            json!({
                "id": "5", "provider": "http", "service": "api.example.com", "operation": "GET /v1/things",
                "harm": "read_only", "magnitude": 1, "resources": [], "flags": [],
                "verdict": "allow", "rule": "builtin:read-only",
            })
        );
    }
}

#[test]
fn good_lines_from_a_file_end_with_0() {
    let dir = tempfile::tempdir().expect("a private folder");
    let path = dir.path().join("requests.jsonl");
    std::fs::write(&path, format!("{TERMINATE}\r\n{READ}\n")).expect("write");
    let finished = finish(ctl(&["explain", "--jsonl"]).arg(&path));
    assert_eq!((finished.status, finished.stdout.lines().count()), (Some(0), 2), "{}", finished.stderr);
    let finished = finish(ctl(&["explain"]).arg(dir.path().join("none")));
    assert_eq!(finished.status, Some(1));
    assert!(finished.stderr.contains("none cannot be read"), "{}", finished.stderr);
}

#[test]
fn each_line_is_answered_before_the_next_is_there() {
    let mut command = ctl(&["explain", "--jsonl"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("agentguardctl runs");
    let mut stdin = child.stdin.take().expect("its input");
    let mut answers = BufReader::new(child.stdout.take().expect("its output"));
    for _ in 0..2 {
        writeln!(stdin, "{READ}").expect("a line");
        let mut answer = String::new();
        // Would never come if answers were kept back.
        answers.read_line(&mut answer).expect("an answer");
        assert!(answer.contains("\"allow\""), "{answer}");
    }
    drop(stdin);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn lines_that_cannot_even_be_read_are_answered_too() {
    let huge = [&vec![b'x'; (32 << 20) + 5][..], b"\n\xff\xfe\n", READ.as_bytes()].concat();
    let finished = explain(&["--jsonl"], &huge);
    assert_eq!(finished.status, Some(1));
    let answers = values(&finished.stdout);
    let words: Vec<&str> = answers.iter().map(|one| one["error"].as_str().unwrap_or("none")).collect();
    assert_eq!(words, ["the line is longer than 33554432 bytes", "the line is not UTF-8", "none"]);
}

#[test]
fn one_request_on_the_command_line() {
    let finished =
        finish(&mut ctl(&["explain", "--method", "DELETE", "--url", "https://api.example.com/v1/users/7"]));
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    let first =
        "request: HOLD, irreversible: \"DELETE /v1/users/7\" of \"http\" \"api.example.com\", 1 resource\n";
    assert!(finished.stdout.starts_with(first), "{}", finished.stdout);
    assert!(finished.stdout.contains("\n    rule builtin:irreversible: \""), "{}", finished.stdout);

    let operation = |args: &[&str]| {
        let finished = finish(&mut ctl(&[&["explain", "--json"], args].concat()));
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        values(&finished.stdout)[0]["operation"].clone()
    };
    let form = "Content-Type: application/x-www-form-urlencoded";
    let url = "https://ec2.us-east-1.amazonaws.com";
    let body = "Action=TerminateInstances&InstanceId.1=i-1";
    assert_eq!(operation(&["--url", url, "-H", form, "-d", body]), "TerminateInstances");
    let query = "https://ec2.us-east-1.amazonaws.com?Action=TerminateInstances&InstanceId.1=i-1#fragment";
    assert_eq!(operation(&["--url", query]), "TerminateInstances");
}

#[test]
fn what_a_line_says_cannot_steer_the_terminal() {
    let line =
        json!({ "id": "\u{1b}[2J\u{202e}", "method": "GET", "host": "h.example", "path": "/\u{9b}31m" });
    for args in [&[][..], &["--jsonl"]] {
        let finished = explain(args, line.to_string().as_bytes());
        let bad = finished.stdout.chars().any(|one| (one.is_control() && one != '\n') || one == '\u{202e}');
        assert!(!bad && finished.stdout.contains("202e"), "{}", finished.stdout);
    }
}

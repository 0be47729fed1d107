//! Tables of what is removed and what must stay; the property tests are in `tests/redact_properties.rs`.

use super::command::COMMAND_BYTES;
use super::excerpt::EXCERPT_BYTES;
use super::*;
use crate::message::{Framing, Header, RequestHead};

fn clean(text: &str) -> String {
    String::from_utf8(redact(text.as_bytes())).unwrap()
}

#[test]
fn secrets_behind_names() {
    let table = [
        ("query", "/?a=b&token=xyz&c=d", "/?a=b&token=[redacted]&c=d"),
        ("sigv4 query", "/?X-Amz-Signature=0ab&X-Amz-Date=1", "/?X-Amz-Signature=[redacted]&X-Amz-Date=1"),
        ("sigv4 credential", "X-Amz-Credential=me%2F1&a=b", "X-Amz-Credential=[redacted]&a=b"),
        ("session token", "X-Amz-Security-Token=abc", "X-Amz-Security-Token=[redacted]"),
        ("encoded name", "%70assword=a", "%70assword=[redacted]"),
        ("encoded pair", "u=http%3A%2F%2Fx%3Ftoken%3Dabc%26b", "u=http%3A%2F%2Fx%3Ftoken%3D[redacted]%26b"),
        ("array name", "user[password]=a&b=c", "user[password]=[redacted]&b=c"),
        ("punctuation in the value", "password=a,b;c d", "password=[redacted] d"),
        ("JSON", r#"{"Password": "a\"b", "x": 1}"#, r#"{"Password": "[redacted]", "x": 1}"#),
        ("JSON number", r#"{"api_key":123,"x":1}"#, r#"{"api_key":[redacted],"x":1}"#),
        ("JSON array", r#"{"tokens":["a]","b"],"x":1}"#, r#"{"tokens":[redacted],"x":1}"#),
        ("JSON object", r#"{"secret":{"a":{"b":1}},"x":1}"#, r#"{"secret":[redacted],"x":1}"#),
        (
            "JSON in JSON",
            r#"{"a":"{\"secret\":\"x y\",\"b\":1}"}"#,
            r#"{"a":"{\"secret\":\"[redacted]\",\"b\":1}"}"#,
        ),
        ("JSON cut short", r#"{"client_secret":"abc"#, r#"{"client_secret":"[redacted]"#),
        ("Python dict", "{'passwd': 'a', 'b': 1}", "{'passwd': '[redacted]', 'b': 1}"),
        ("header", "Authorization: Digest a=b, response=c\r\nX: y", "Authorization: [redacted]\r\nX: y"),
        ("cookie", "cookie: a=b; c=d\r\nX: y", "cookie: [redacted]\r\nX: y"),
        ("XML", "<Password>a b</Password><B>c</B>", "<Password>[redacted]</Password><B>c</B>"),
        ("XML with attributes", "<n:Token t=\"s\">a</n:Token>", "<n:Token t=\"s\">[redacted]</n:Token>"),
        ("environment", "AWS_SECRET_ACCESS_KEY=abc x", "AWS_SECRET_ACCESS_KEY=[redacted] x"),
        (
            "multipart",
            "Content-Disposition: form-data; name=\"password\"\r\n\r\nhun\r\nter\r\n--x",
            "Content-Disposition: form-data; name=\"password\"\r\n\r\n[redacted]\r\n--x",
        ),
        ("object key stays", "<Key>photos/a</Key>?key=b", "<Key>photos/a</Key>?key=b"),
        ("resource name stays", "arn:aws:x:eu:1:secret:prod/db", "arn:aws:x:eu:1:secret:prod/db"),
        ("file stays", "--token-file=/run/t", "--token-file=/run/t"),
        (
            "operation stays",
            "Action=TerminateInstances&InstanceId.1=i-1",
            "Action=TerminateInstances&InstanceId.1=i-1",
        ),
        ("nothing to remove", "token=&a=b", "token=&a=b"),
    ];
    for (name, text, expected) in table {
        assert_eq!(clean(text), expected, "{name}");
    }
}

#[test]
fn secrets_by_their_shape() {
    let table = [
        ("access key id", "x AKIAIOSFODNN7EXAMPLE y", "x [redacted] y"),
        ("in percent-encoding", "a%22ASIAIOSFODNN7EXAMPLE%22", "a%22[redacted]%22"),
        ("model provider", "x sk-ant-api03-abcdef y", "x [redacted] y"),
        ("payment provider", "(sk_live_abcdefgh)", "([redacted])"),
        ("code host", "https://x/ghp_0123456789abcdef", "https://x/[redacted]"),
        ("JWT", "x eyJhbGciOiJIUzI1NiJ9.eyJ.a-b", "x [redacted]"),
        ("bearer", "BEARER abcdefgh.ij k", "BEARER [redacted] k"),
        ("basic", "Basic dXNlcjpwYXNz", "Basic [redacted]"),
        ("URL", "postgres://me:pa@ss@db/x?a@b", "postgres://[redacted]@db/x?a@b"),
        ("private key", "a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END", "a [redacted]-----END"),
        ("certificate stays", "-----BEGIN CERTIFICATE-----\nMII", "-----BEGIN CERTIFICATE-----\nMII"),
        ("inside a word stays", "task-force-one-two", "task-force-one-two"),
        ("too short stays", "sk-SK AKIA1", "sk-SK AKIA1"),
    ];
    for (name, text, expected) in table {
        assert_eq!(clean(text), expected, "{name}");
    }
}

#[test]
fn command_lines() {
    let table: &[(&str, &[&str], &str)] = &[
        ("option and value", &["x", "--password", "a", "b"], "x --password [redacted] b"),
        ("option=value", &["x", "--db-token=abc", "b"], "x --db-token=[redacted] b"),
        ("value like an option", &["x", "--token", "-abc"], "x --token [redacted]"),
        ("short option and value", &["sshpass", "-p", "hunter2", "ssh"], "sshpass -p [redacted] ssh"),
        ("short option with its value", &["mysql", "-phunter2", "db"], "mysql -p[redacted] db"),
        ("unknown program", &["x", "-phunter2"], "x -p[redacted]"),
        ("port", &["psql", "-p", "5432", "-p5433"], "psql -p 5432 -p5433"),
        ("port mapping", &["docker", "run", "-p", "127.0.0.1:80:80"], "docker run -p 127.0.0.1:80:80"),
        ("directory", &["/bin/mkdir", "-p", "a"], "/bin/mkdir -p a"),
        ("package", &["cargo", "test", "-p", "core"], "cargo test -p core"),
        ("behind another program", &["ssh", "h", "mysql", "-pa1"], "ssh h mysql -p[redacted]"),
        ("patch", &["kubectl", "patch", "-p", "{}"], "kubectl patch -p {}"),
        ("one dash, a word", &["x", "-profile=a", "-port", "1"], "x -profile=a -port 1"),
        ("user and password", &["sudo", "curl", "-u", "me:pw", "h"], "sudo curl -u [redacted] h"),
        ("password from standard input", &["x", "--password-stdin", "host"], "x --password-stdin host"),
        ("environment", &["env", "API_KEY=a", "x"], "env API_KEY=[redacted] x"),
        ("header", &["curl", "-H", "Authorization: Bearer a"], "curl -H \"Authorization: [redacted]\""),
        ("in a shell", &["sh", "-c", "x --token abc  y"], "sh -c \"x --token [redacted]  y\""),
        ("quoted in a shell", &["sh", "-c", "x --token 'a b' y"], "sh -c \"x --token [redacted]  y\""),
        ("mysql in a shell", &["sh", "-c", "mysql -pabc"], "sh -c \"mysql -p[redacted]\""),
        ("known shape", &["x", "ghp_0123456789abcdef"], "x [redacted]"),
        ("empty and odd", &["x", "", "a\"b", "\u{1b}[31m"], "x \"\" \"a\\\"b\" \\x1b[31m"),
        ("nothing", &[], ""),
    ];
    for (name, arguments, expected) in table {
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        assert_eq!(command_line(&arguments), *expected, "{name}");
    }
}

#[test]
fn long_command_lines_are_cut_in_the_middle() {
    let line = command_line(&[b"first", &[b'x'; 1000], b"last"]);
    assert!(line.starts_with("first xxx") && line.ends_with("xxx last"), "{line}");
    assert!(line.len() <= COMMAND_BYTES && line.len() > COMMAND_BYTES - 10, "{}", line.len());
    let shown = line.bytes().filter(|byte| *byte == b'x').count();
    assert!(line.contains(&format!("… {} bytes …", 1000 - shown)), "{line}");
    let exact = command_line(&[&[b'x'; COMMAND_BYTES]]);
    assert_eq!(exact.len(), COMMAND_BYTES);
    assert!(!exact.contains('…'));
}

#[test]
fn cuts_spare_escapes() {
    for most in 20..60 {
        let text = escape([0x1b; 40].as_slice());
        let line = escape::cut_middle(&text, most);
        let (front, back) = (line.split('…').next().unwrap(), line.rsplit('…').next().unwrap());
        assert!(front.len().is_multiple_of(4) && back.len().is_multiple_of(4), "{line}");
        assert!(line.len() <= most, "{line}");
    }
    assert_eq!(escape::cut_end("ab\\u{202e}cd", 11), "ab…");
}

#[test]
fn what_is_escaped() {
    let table: &[(&str, &[u8], &str)] = &[
        ("plain", b"a B~1 \"'", "a B~1 \"'"),
        ("controls", b"\0\n\r\t\x1b\x7f", "\\x00\\n\\r\\t\\x1b\\x7f"),
        ("backslash", b"\\n", "\\\\n"),
        ("not UTF-8", b"a\xff\xc3", "a\\xff\\xc3"),
        ("letters", "größe 東京 кот".as_bytes(), "größe 東京 кот"),
        ("bidi", "\u{202e}\u{2066}\u{200f}\u{61c}".as_bytes(), "\\u{202e}\\u{2066}\\u{200f}\\u{61c}"),
        ("zero width", "\u{200b}\u{200d}\u{feff}\u{ad}".as_bytes(), "\\u{200b}\\u{200d}\\u{feff}\\u{ad}"),
        ("drawn as nothing", "\u{3164}\u{e0041}".as_bytes(), "\\u{3164}\\u{e0041}"),
        ("right to left", "א".as_bytes(), "\\u{5d0}"),
        ("C1 controls", "\u{9b}".as_bytes(), "\\u{9b}"),
        ("spaces", "\u{a0}\u{2028}".as_bytes(), "\\u{a0}\\u{2028}"),
        ("our own marks", "…·".as_bytes(), "\\u{2026}\\u{b7}"),
    ];
    for (name, text, expected) in table {
        assert_eq!(escape(text), *expected, "{name}");
    }
    assert_eq!(quote("a\"\\"), "\"a\\\"\\\\\"");
}

fn request(target: &str, headers: &[(&str, &str)]) -> RequestHead {
    let header =
        |(name, value): &(&str, &str)| Header { name: (*name).into(), value: value.as_bytes().to_vec() };
    RequestHead {
        method: "POST".into(),
        target: target.as_bytes().to_vec(),
        minor_version: 1,
        headers: headers.iter().map(header).collect(),
        framing: Framing::None,
        expects_continue: false,
    }
}

#[test]
fn excerpts() {
    let head = request(
        "/?Action=X&X-Amz-Signature=abc",
        &[
            ("authorization", "Bearer abc"),
            ("host", "ec2"),
            ("cookie", "a=b"),
            ("content-type", "text/plain"),
        ],
    );
    assert_eq!(
        excerpt(&head, b"InstanceId.1=i-1&password=hunter2\n"),
        "POST /?Action=X&X-Amz-Signature=[redacted] · host: ec2 · content-type: text/plain · \
         InstanceId.1=i-1&password=[redacted]\\n"
    );
    assert_eq!(excerpt(&request("/", &[]), b""), "POST /");
}

#[test]
fn excerpts_are_bounded() {
    let long = "/".repeat(5000);
    let head = request(&long, &[("host", &long), ("content-type", &long)]);
    let text = excerpt(&head, &[0xff; 5000]);
    assert!(text.len() <= EXCERPT_BYTES && text.len() > EXCERPT_BYTES - 10, "{}: {text}", text.len());
    assert!(text.ends_with("\\xff…"), "{text}");
}

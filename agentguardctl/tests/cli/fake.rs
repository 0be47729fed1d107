//! A daemon that answers each connection with the next of its canned answers.

use std::{
    ffi::OsStr,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use tempfile::TempDir;

pub(crate) struct Daemon {
    dir: TempDir,
    requests: Receiver<String>,
}

/// What became of one call of agentguardctl.
pub(crate) struct Finished {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Daemon {
    pub(crate) fn answering(answers: Vec<String>) -> Self {
        let dir = tempfile::tempdir().expect("a private folder");
        let listener = UnixListener::bind(dir.path().join("sock")).expect("listen");
        let (sender, requests) = channel();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("accept");
                // Known before it is answered, so it is there when agentguardctl has ended.
                sender.send(read_request(&mut stream)).expect("the test waits");
                // A reader that has seen enough hangs up.
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        Self { dir, requests }
    }

    /// One answer of this status with `body` as JSON.
    pub(crate) fn with(status: u16, body: &str) -> Self {
        Self::answering(vec![answer(status, body)])
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    pub(crate) fn ctl(&self, args: &[&str]) -> Finished {
        finish(ctl(args).arg("--socket").arg(self.socket()))
    }

    /// For words behind which no option can stand (`run ... -- CMD`).
    pub(crate) fn ctl_by_env(&self, args: &[&str]) -> Finished {
        finish(ctl(args).env("AGENT_GUARD_SOCKET", self.socket()))
    }

    /// The requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

pub(crate) fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn ctl<A: AsRef<OsStr>>(args: &[A]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentguardctl"));
    command.args(args).env_remove("AGENT_GUARD_SOCKET").stdin(Stdio::null());
    command
}

pub(crate) fn finish(command: &mut Command) -> Finished {
    finished(command.output().expect("agentguardctl runs"))
}

pub(crate) fn finished(output: Output) -> Finished {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Finished { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn read_request(stream: &mut UnixStream) -> String {
    let mut request = Vec::new();
    let mut block = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a length")) {
                return text;
            }
        }
        let count = stream.read(&mut block).expect("a request");
        assert!(count > 0, "the request ended early: {text}");
        request.extend_from_slice(&block[..count]);
    }
}

/// A daemon whose one answer is written by the test, chunk by chunk.
pub(crate) struct Follow {
    dir: TempDir,
    listener: UnixListener,
}

impl Follow {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a private folder");
        let listener = UnixListener::bind(dir.path().join("sock")).expect("listen");
        Self { dir, listener }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    /// The connection of a request that starts with `line`, answered with the head of a chunked response.
    pub(crate) fn accept(&self, line: &str) -> UnixStream {
        let (mut stream, _) = self.listener.accept().expect("accept");
        let request = read_request(&mut stream);
        assert!(request.starts_with(line), "{request}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").expect("head");
        stream
    }
}

/// One chunk; an empty one ends the answer.
pub(crate) fn chunk(stream: &mut UnixStream, text: &str) {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).expect("chunk");
}

//! `explain`: what the built-in policy says to requests that nobody sent.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use agent_guard_core::{
    classify::Routes,
    explain::ExplainError,
    operation::Operation,
    policy::{Action, Policy, SenderContext},
};
use serde_json::{Value, json};

use crate::{
    args::Explain,
    exit::{Exit, Failure},
    output::Output,
    render,
};

pub(super) fn explain(args: Explain, output: &mut Output<impl Write>) -> Result<Exit, Failure> {
    output.json |= args.jsonl;
    let explainer = Explainer { policy: Policy::builtin(), routes: Routes::default(), failed: false };
    if let Some(url) = &args.url {
        let line = single(url, &args)?;
        return explainer.all(io::Cursor::new(line.to_string()), "the request", output);
    }
    let name = args.file.display().to_string();
    if args.file == Path::new("-") {
        return explainer.all(io::stdin().lock(), "standard input", output);
    }
    match File::open(&args.file) {
        Ok(file) => explainer.all(BufReader::new(file), &name, output),
        Err(source) => Err(Failure::Input { name, source }),
    }
}

struct Explainer {
    policy: Policy,
    routes: Routes,
    /// A line was no request.
    failed: bool,
}

impl Explainer {
    /// Answers each line when it is there, so that a program can ask one question at a time.
    fn all(
        mut self,
        mut input: impl BufRead,
        name: &str,
        output: &mut Output<impl Write>,
    ) -> Result<Exit, Failure> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let length = read.map_err(|source| Failure::Input { name: name.to_owned(), source })?;
            if length == 0 {
                return Ok(if self.failed { Exit::Failed } else { Exit::Ok });
            }
            if length as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
                skip_line(&mut input).map_err(|source| Failure::Input { name: name.to_owned(), source })?;
                self.refuse(format!("the line is longer than {LINE_BYTES_MAX} bytes"), output)?;
            } else if !line.trim_ascii().is_empty() {
                self.line(&line, output)?;
            }
        }
    }

    fn line(&mut self, line: &[u8], output: &mut Output<impl Write>) -> Result<(), Failure> {
        let Ok(text) = str::from_utf8(line) else {
            return self.refuse("the line is not UTF-8".to_owned(), output);
        };
        match agent_guard_core::explain::line(text, &self.routes, |operation| self.decide(operation)) {
            Ok(explanation) => output.answer(&explanation, render::explanation),
            Err(error) => {
                self.failed = true;
                output
                    .answer(&error, |ExplainError { id, error }| render::explain_error(id.as_deref(), error))
            }
        }
    }

    fn refuse(&mut self, error: String, output: &mut Output<impl Write>) -> Result<(), Failure> {
        self.failed = true;
        let error = ExplainError { id: None, error };
        output.answer(&error, |ExplainError { id, error }| render::explain_error(id.as_deref(), error))
    }

    fn decide(&self, operation: &Operation) -> (String, String, String) {
        let decision = self.policy.decide(operation, &SenderContext::default());
        let verdict = match decision.action {
            Action::Allow => "allow",
            Action::Hold(_) => "hold",
            Action::Deny => "deny",
        };
        (verdict.to_owned(), decision.because.rule, decision.because.why)
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    input.skip_until(b'\n').map(drop)
}

/// The line of the single request that the command line describes.
fn single(url: &str, args: &Explain) -> Result<Value, Failure> {
    let address = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(address) = address.filter(|address| !address.is_empty()) else {
        return Err(Failure::Usage(format!("--url {url}: write https://HOST/PATH")));
    };
    let end = address.find(['/', '?', '#']).unwrap_or(address.len());
    let (host, rest) = address.split_at(end);
    let sent = rest.split_once('#').map_or(rest, |(sent, _)| sent);
    let path = if sent.starts_with('/') { sent.to_owned() } else { format!("/{sent}") };
    let mut headers = serde_json::Map::new();
    for header in &args.header {
        let Some((name, value)) = header.split_once(':') else {
            return Err(Failure::Usage(format!("--header {header}: write NAME: VALUE")));
        };
        if headers.insert(name.to_owned(), json!(value.trim())).is_some() {
            return Err(Failure::Usage(format!(
                "--header {name} is given twice: use a line of JSON for that"
            )));
        }
    }
    let default = if args.data.is_some() { "POST" } else { "GET" };
    let method = args.method.as_deref().unwrap_or(default);
    let mut line =
        json!({ "id": "request", "method": method, "host": host, "path": path, "headers": headers });
    if let (Some(data), Some(fields)) = (&args.data, line.as_object_mut()) {
        fields.insert("body".to_owned(), json!(data));
    }
    Ok(line)
}

/// Room for a body as large as the daemon ever reassembles, in base64.
const LINE_BYTES_MAX: u64 = 32 << 20;

//! A command line for people: secrets among the arguments removed, one line, bounded.

use super::escape::{cut_middle, escape, quote};
use super::names::is_secret;
use super::{REDACTED, redact};

/// The arguments as one line of at most [`COMMAND_BYTES`] bytes, cut in the middle with a count.
///
/// Removed are the values of options with a secret's name (`--password x`, `--token=x`, `-p x`, `-px`), what the text rules
/// of this module find in any argument, and both in the words of an argument that is itself a command line (`sh -c`).
/// Arguments with spaces, quotes or nothing in them are quoted.
pub fn command_line(arguments: &[&[u8]]) -> String {
    let shown: Vec<String> = redact_arguments(arguments).iter().map(|argument| show(argument)).collect();
    cut_middle(&shown.join(" "), COMMAND_BYTES)
}

fn show(argument: &[u8]) -> String {
    let is_plain = !argument.is_empty() && !argument.iter().any(|byte| b" \"'\\".contains(byte));
    if is_plain { escape(argument) } else { quote(argument) }
}

fn redact_arguments(arguments: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut words = Words::default();
    arguments
        .iter()
        .map(|argument| match words.judge(argument) {
            Some(replaced) => replaced,
            None if argument.contains(&b' ') => redact(&redact_words(argument)),
            None => redact(argument),
        })
        .collect()
}

/// An argument that may be a command line itself.
fn redact_words(argument: &[u8]) -> Vec<u8> {
    let mut words = Words::default();
    let replaced: Vec<Vec<u8>> =
        argument
            .split(|byte| *byte == b' ')
            .map(|word| {
                if word.is_empty() { Vec::new() } else { words.judge(word).unwrap_or_else(|| word.to_vec()) }
            })
            .collect();
    replaced.join(&b' ')
}

/// What the words so far say about the next one.
#[derive(Debug, Default)]
struct Words<'a> {
    program: &'a [u8],
    next: Next,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Plain,
    Secret,
    /// Behind `-p`: a password for some programs, a port or a path for others.
    Perhaps,
    /// Within a secret that was opened by this quote.
    Quoted(u8),
}

impl<'a> Words<'a> {
    /// What to show instead of the word, if it needs more than the text rules.
    fn judge(&mut self, word: &'a [u8]) -> Option<Vec<u8>> {
        match std::mem::take(&mut self.next) {
            Next::Secret => return Some(self.hide(word)),
            Next::Perhaps if !self.is_harmless(word) => return Some(self.hide(word)),
            Next::Quoted(quote) => {
                if word.last() != Some(&quote) {
                    self.next = Next::Quoted(quote);
                }
                return Some(Vec::new());
            }
            Next::Perhaps | Next::Plain => {}
        }
        let Some(option) = word.strip_prefix(b"-").filter(|option| !option.is_empty()) else {
            self.program = known_program(word).unwrap_or(self.program);
            return None;
        };
        self.judge_option(word, option)
    }

    fn judge_option(&mut self, word: &[u8], option: &[u8]) -> Option<Vec<u8>> {
        let is_user = USER_OPTIONS.contains(&(self.program, word));
        if is_user || (!option.contains(&b'=') && !option.contains(&b':') && is_secret(option)) {
            self.next = Next::Secret;
            return None;
        }
        match option {
            b"p" => {
                self.next = Next::Perhaps;
                None
            }
            [b'p', value @ ..] if !self.is_harmless(value) && !is_long_option(option) => {
                Some([b"-p", REDACTED].concat())
            }
            _ => None,
        }
    }

    fn hide(&mut self, word: &[u8]) -> Vec<u8> {
        if let Some(quote @ (b'"' | b'\'')) = word.first()
            && (word.len() == 1 || word.last() != Some(quote))
        {
            self.next = Next::Quoted(*quote);
        }
        REDACTED.to_vec()
    }

    /// True for what follows `-p` where it is no password: a number, a port mapping, a path, JSON, an option.
    fn is_harmless(&self, value: &[u8]) -> bool {
        let numeric = value.iter().all(|byte| byte.is_ascii_digit() || b":./-".contains(byte));
        let marked = matches!(value.first(), Some(b'{' | b'[' | b'/' | b'.' | b'-'));
        numeric || marked || NO_PASSWORD.contains(&self.program)
    }
}

/// A program whose options are known here, by the last part of its path.
fn known_program(word: &[u8]) -> Option<&[u8]> {
    let name = word.rsplit(|byte| *byte == b'/').next()?;
    let known = NO_PASSWORD.contains(&name)
        || PASSWORD.contains(&name)
        || USER_OPTIONS.iter().any(|(program, _)| *program == name);
    known.then_some(name)
}

/// `-profile` and the like: one dash, a whole word.
fn is_long_option(option: &[u8]) -> bool {
    let name = option.split(|byte| *byte == b'=').next().unwrap_or_default();
    P_WORDS.contains(&name)
}

/// The most that [`command_line`] returns.
pub(super) const COMMAND_BYTES: usize = 400;

/// Programs whose `-p` takes no password.
const NO_PASSWORD: &[&[u8]] = &[
    b"cargo", b"cp", b"git", b"install", b"kubectl", b"lsof", b"mkdir", b"patch", b"pgrep", b"ps", b"rsync",
    b"ss", b"ssh", b"tar", b"unzip",
];

/// Programs whose `-p` takes one: they end the reach of a program named before them (`ssh host mysql -px`).
const PASSWORD: &[&[u8]] = &[
    b"docker",
    b"mariadb",
    b"mongo",
    b"mongosh",
    b"mysql",
    b"mysqladmin",
    b"mysqldump",
    b"podman",
    b"sshpass",
];

/// Options that take `user:password`, or a password without saying so.
const USER_OPTIONS: &[(&[u8], &[u8])] = &[
    (b"curl", b"-u"),
    (b"curl", b"-U"),
    (b"curl", b"--user"),
    (b"curl", b"--proxy-user"),
    (b"http", b"-a"),
    (b"https", b"-a"),
    (b"redis-cli", b"-a"),
    (b"xh", b"-a"),
];

/// Words that programs take behind a single dash.
const P_WORDS: &[&[u8]] = &[
    b"package",
    b"parallel",
    b"parallelism",
    b"path",
    b"pid",
    b"plan",
    b"port",
    b"prefix",
    b"print",
    b"profile",
    b"project",
];

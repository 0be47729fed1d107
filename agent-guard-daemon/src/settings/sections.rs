//! The sections of a file besides the agents, and how several files become one set of settings.
//!
//! What is defined in two files is a mistake in the second: no file overrides another, so that nobody has to know an
//! order to know what holds.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use toml::de::DeTable;

use super::{
    Settings,
    agents::{self, AgentRule, is_name},
    document::{Located, Section, integer, kind},
    glob::Glob,
    mistake::{Mistake, SourceFile, excerpt},
};
use crate::people::Accounts;

/// `[people.NAME]`: somebody who decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonEntry {
    /// At least one; ascending.
    pub uids: Vec<u32>,
}

/// `[holds]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldLimits {
    /// A hold that nobody decided in this time is denied.
    pub expires: Duration,
    /// More open holds than this stop the session.
    pub max_open_per_session: u32,
}

/// `[[inference_routes]]`: requests that feed a model, so that their bodies are no operations on resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferenceRoute {
    /// Lower case; `*.example.com` stands for every name below.
    pub host: String,
    /// Upper case.
    pub method: String,
    /// Matched against the path without its query.
    pub path: Glob,
}

/// `[audit]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Write to journald where it is there.
    pub journald: bool,
    /// Write JSON lines to this file as well. Where there is neither, they go to the state directory.
    pub file: Option<PathBuf>,
}

/// Reads all files into one value, or returns every mistake in all of them.
pub(super) fn assemble(files: &[SourceFile], accounts: &dyn Accounts) -> Result<Settings, Vec<Mistake>> {
    let mut draft = Draft { settings: Settings::builtin(), mistakes: Vec::new(), seen: BTreeMap::new() };
    draft.settings.agents.clear();
    for file in files {
        draft.settings.sources.push(file.path.clone());
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        for error in &errors {
            let span = error.span().unwrap_or_default();
            draft.mistakes.push(file.mistake(
                span,
                error.message(),
                "correct the TOML syntax (https://toml.io)",
            ));
        }
        let root = Section::new(file, "the file".to_owned(), 0..0, document.get_ref());
        if errors.is_empty() {
            draft.read(file, root, accounts);
        }
    }
    if draft.settings.agents.is_empty() {
        draft.settings.agents = agents::builtin();
    }
    if draft.mistakes.is_empty() { Ok(draft.settings) } else { Err(draft.mistakes) }
}

struct Draft {
    settings: Settings,
    mistakes: Vec<Mistake>,
    /// Where each thing that may be defined once was defined.
    seen: BTreeMap<String, String>,
}

impl Draft {
    fn read<'a>(&mut self, file: &'a SourceFile, mut root: Section<'a>, accounts: &dyn Accounts) {
        for (name, section) in root.named("agents", &mut self.mistakes) {
            self.named_once(file, "agents", &name);
            let rule = agents::read(section, accounts, &mut self.mistakes);
            self.agent(name.value, rule);
        }
        for (name, section) in root.named("people", &mut self.mistakes) {
            self.named_once(file, "people", &name);
            self.person(file, name.value, section);
        }
        self.holds(file, &mut root);
        self.inference_routes(file, &mut root);
        self.state(file, &mut root);
        self.audit(file, &mut root);
        root.finish(&mut self.mistakes);
    }

    fn agent(&mut self, name: String, rule: AgentRule) {
        self.settings.agents.entry(name).or_insert(rule);
    }

    /// Checks a name and that it was not defined before.
    fn named_once(&mut self, file: &SourceFile, kind: &str, name: &Located<String>) {
        if !is_name(&name.value) {
            self.mistakes.push(file.mistake(
                name.span.clone(),
                format!("\"{}\" cannot be a name", excerpt(&name.value)),
                "use up to 64 of a-z, 0-9, '.', '_', '-', starting with a letter or digit",
            ));
        }
        self.once(file, name.span.clone(), &format!("[{kind}.{}]", name.value));
    }

    /// Reports `what` if another file (or this one) has it already.
    fn once(&mut self, file: &SourceFile, span: std::ops::Range<usize>, what: &str) {
        let here = file.path.display().to_string();
        if let Some(first) = self.seen.insert(what.to_owned(), here) {
            let problem = format!("{what} is defined in {first} already");
            self.mistakes.push(file.mistake(span, problem, "keep one of the two"));
        }
    }

    fn person(&mut self, file: &SourceFile, name: String, mut section: Section<'_>) {
        let mut uids = Vec::new();
        for entry in section.array("uids", false, &mut self.mistakes) {
            match integer(entry.value) {
                Some(uid) if uid != u32::MAX => {
                    self.once(file, entry.span, &format!("uid {uid} of a person"));
                    uids.push(uid);
                }
                _ => self.mistakes.push(file.mistake(
                    entry.span,
                    format!("`uids` of {} holds {}", section.title, kind(entry.value)),
                    "write user ids as numbers (see: id -u NAME)",
                )),
            }
        }
        if section.entry("uids").is_none() {
            let problem = format!("{} has no `uids`, so nobody can be this person", section.title);
            self.mistakes.push(file.mistake(section.span.clone(), problem, "add uids = [1000]"));
        } else if uids.is_empty() {
            let problem = format!("`uids` of {} is empty, so nobody can be this person", section.title);
            self.mistakes.push(file.mistake(
                section.span.clone(),
                problem,
                "write at least one: uids = [1000]",
            ));
        }
        section.finish(&mut self.mistakes);
        uids.sort_unstable();
        self.settings.people.insert(name, PersonEntry { uids });
    }

    fn holds(&mut self, file: &SourceFile, root: &mut Section<'_>) {
        let Some(mut section) = root.table("holds", &mut self.mistakes) else { return };
        self.once(file, section.span.clone(), "[holds]");
        if let Some(text) = section.string("expires", &mut self.mistakes) {
            match duration(text.value) {
                Some(expires) => self.settings.holds.expires = expires,
                None => self.mistakes.push(file.mistake(
                    text.span,
                    format!("`expires` cannot be \"{}\"", excerpt(text.value)),
                    "write a number with s, m or h, from \"10s\" to \"24h\"",
                )),
            }
        }
        if let Some(limit) = section.integer("max_open_per_session", 1..=1000, &mut self.mistakes) {
            self.settings.holds.max_open_per_session = limit;
        }
        section.finish(&mut self.mistakes);
    }

    fn inference_routes<'a>(&mut self, file: &'a SourceFile, root: &mut Section<'a>) {
        for entry in root.array("inference_routes", false, &mut self.mistakes) {
            let toml::de::DeValue::Table(table) = entry.value else {
                let problem = format!("`inference_routes` holds {}", kind(entry.value));
                self.mistakes.push(file.mistake(
                    entry.span,
                    problem,
                    "write [[inference_routes]] and its keys",
                ));
                continue;
            };
            let section = Section::new(file, "[[inference_routes]]".to_owned(), entry.span, table);
            if let Some(route) = self.inference_route(file, section) {
                self.settings.inference_routes.push(route);
            }
        }
    }

    fn inference_route(&mut self, file: &SourceFile, mut section: Section<'_>) -> Option<InferenceRoute> {
        let host = section.required("host", &mut self.mistakes);
        let method = section.required("method", &mut self.mistakes);
        let path = section.required("path", &mut self.mistakes);
        section.finish(&mut self.mistakes);
        let (host, method, path) = (host?, method?, path?);
        let before = self.mistakes.len();
        if !is_host(host.value) {
            let problem = format!("\"{}\" is no host name", excerpt(host.value));
            self.mistakes.push(file.mistake(host.span, problem, "write api.example.com or *.example.com"));
        }
        if method.value.is_empty() || !method.value.chars().all(|c| c.is_ascii_uppercase()) {
            let problem = format!("\"{}\" is no HTTP method", excerpt(method.value));
            self.mistakes.push(file.mistake(
                method.span,
                problem,
                "write it in capitals, for example \"POST\"",
            ));
        }
        let glob = if path.value.starts_with('/') { Glob::parse(path.value).ok() } else { None };
        if glob.is_none() {
            let problem = format!("\"{}\" is no path pattern", excerpt(path.value));
            self.mistakes.push(file.mistake(
                path.span,
                problem,
                "start it with /, for example \"/v1/messages\"",
            ));
        }
        if self.mistakes.len() > before {
            return None;
        }
        Some(InferenceRoute { host: host.value.to_owned(), method: method.value.to_owned(), path: glob? })
    }

    fn state(&mut self, file: &SourceFile, root: &mut Section<'_>) {
        let Some(mut section) = root.table("state", &mut self.mistakes) else { return };
        self.once(file, section.span.clone(), "[state]");
        if let Some(dir) = section.string("dir", &mut self.mistakes)
            && let Some(dir) = self.absolute(file, "dir", &dir)
        {
            self.settings.state_dir = dir;
        }
        section.finish(&mut self.mistakes);
    }

    fn audit(&mut self, file: &SourceFile, root: &mut Section<'_>) {
        let Some(mut section) = root.table("audit", &mut self.mistakes) else { return };
        self.once(file, section.span.clone(), "[audit]");
        if let Some(journald) = section.boolean("journald", &mut self.mistakes) {
            self.settings.audit.journald = journald;
        }
        if let Some(path) = section.string("file", &mut self.mistakes) {
            self.settings.audit.file = self.absolute(file, "file", &path);
        }
        section.finish(&mut self.mistakes);
    }

    /// An absolute path without `..`, or a mistake.
    fn absolute(&mut self, file: &SourceFile, key: &str, text: &Located<&str>) -> Option<PathBuf> {
        let path = Path::new(text.value);
        let plain = path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
        if path.is_absolute() && plain && path.file_name().is_some() && !text.value.contains('\0') {
            return Some(path.components().collect());
        }
        self.mistakes.push(file.mistake(
            text.span.clone(),
            format!("`{key}` is \"{}\", which is not an absolute path", excerpt(text.value)),
            "start it with / and leave out \"..\"",
        ));
        None
    }
}

/// `10s`, `15m`, `2h`: from ten seconds to a day.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let scale = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    if !number.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<u64>().ok()?.checked_mul(scale)?;
    (10..=24 * 3600).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// A host name in lower case, or `*.` and one of at least two labels.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let labels_ok = name.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    });
    labels_ok && name.len() <= 253 && (name.len() == text.len() || name.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        assert_eq!(duration("15m"), Some(Duration::from_secs(900)));
        assert_eq!(duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(duration("24h"), Some(Duration::from_secs(86_400)));
        for bad in ["", "m", "15", "9s", "25h", "-1m", "+15m", "1.5h", "99999999999999999999h", "1ü"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts_are_names() {
        assert!(is_host("api.anthropic.com"));
        assert!(is_host("*.example.com"));
        for bad in ["", "*", "*.com", "API.example.com", "a..b", "http://x.y", "a/b"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}

//! `[agents.NAME]`: which processes are an agent, and what is done with what they send.
//!
//! A rule that would put root at large under guard (its shell, its services, everything) is refused: it would hold
//! the machine, and the people who could release it with it.

use std::{collections::BTreeMap, path::PathBuf};

use toml::de::DeValue;

use super::{
    document::{Entry, Section, kind},
    glob::Glob,
    mistake::{Mistake, SourceFile, excerpt},
};
use crate::people::Accounts;

/// One agent: a named subject of policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRule {
    /// A process that any of these matches is this agent. Empty: only processes that enrol.
    pub matchers: Vec<Matcher>,
    pub mode: Mode,
    pub hold: HoldStyle,
    pub opaque: Opaque,
}

/// How a process is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// A systemd unit: `claude.service`, or a template's `agent@.service` for all of its instances.
    Unit(String),
    /// A cgroup v2 directory, relative to the cgroup root, and everything below it: `/agents.slice`.
    Cgroup(PathBuf),
    /// The effective uid, and the name it was written as.
    User { name: String, uid: u32 },
    /// The absolute path of the executable.
    Exe(PathBuf),
    /// The command line, arguments joined by single spaces.
    Command(Glob),
}

/// Whether verdicts are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    /// Judge and record, hold nothing.
    Observe,
}

/// What waits during a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStyle {
    /// The connection only.
    Connection,
    /// The process as well; its clocks go on, so its timeouts fire when it is continued.
    Process,
}

/// What happens to an encrypted connection that no probe can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opaque {
    Refuse,
    Allow,
}

impl Default for AgentRule {
    fn default() -> Self {
        AgentRule {
            matchers: Vec::new(),
            mode: Mode::Enforce,
            hold: HoldStyle::Connection,
            opaque: Opaque::Refuse,
        }
    }
}

/// The agents of a host that names none: what `agentguardctl run` and `cargo xtask run` enrol by default.
pub(super) fn builtin() -> BTreeMap<String, AgentRule> {
    ["agent", "xtask"].into_iter().map(|name| (name.to_owned(), AgentRule::default())).collect()
}

/// Reads one `[agents.NAME]`.
pub(super) fn read(
    mut section: Section<'_>,
    accounts: &dyn Accounts,
    mistakes: &mut Vec<Mistake>,
) -> AgentRule {
    let mut rule = AgentRule::default();
    for entry in section.array("match", true, mistakes) {
        match matcher(section.file, &entry, accounts) {
            Ok(matcher) if rule.matchers.contains(&matcher) => {}
            Ok(matcher) => rule.matchers.push(matcher),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    if let Some(mode) =
        section.choice("mode", &[("enforce", Mode::Enforce), ("observe", Mode::Observe)], mistakes)
    {
        rule.mode = mode;
    }
    let styles = [("connection", HoldStyle::Connection), ("process", HoldStyle::Process)];
    if let Some(hold) = section.choice("hold", &styles, mistakes) {
        rule.hold = hold;
    }
    if let Some(opaque) =
        section.choice("opaque", &[("refuse", Opaque::Refuse), ("allow", Opaque::Allow)], mistakes)
    {
        rule.opaque = opaque;
    }
    section.finish(mistakes);
    rule
}

/// True for a name that is safe in unit names, file names and every renderer.
pub(super) fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c));
    first && rest && name.len() <= 64
}

/// Reads one `{ KIND = "VALUE" }`.
fn matcher(file: &SourceFile, entry: &Entry<'_>, accounts: &dyn Accounts) -> Result<Matcher, Box<Mistake>> {
    let wrong =
        |problem: String, suggestion: String| Box::new(file.mistake(entry.span.clone(), problem, suggestion));
    let DeValue::Table(table) = entry.value else {
        return Err(wrong(
            format!("`match` holds {}", kind(entry.value)),
            format!("write {{ unit = \"claude.service\" }}; the kinds are {}", KINDS.join(", ")),
        ));
    };
    let mut pairs = table.iter();
    let (Some((key, value)), None) = (pairs.next(), pairs.next()) else {
        return Err(wrong(
            format!("one entry of `match` has {} keys", table.len()),
            "give each its own braces: match = [{ unit = \"…\" }, { user = \"…\" }]; any of them matches"
                .to_owned(),
        ));
    };
    let DeValue::String(text) = value.get_ref() else {
        return Err(wrong(
            format!("`{}` is {}", key.get_ref(), kind(value.get_ref())),
            "write a string in quotes".into(),
        ));
    };
    let parsed = match key.get_ref().as_ref() {
        "unit" => unit(text),
        "cgroup" => cgroup(text),
        "user" => user(text, accounts),
        "exe" => exe(text),
        "command" => command(text),
        other => Err((
            format!("unknown kind of match \"{}\"", excerpt(other)),
            super::mistake::did_you_mean(other, &KINDS),
        )),
    };
    parsed.map_err(|(problem, suggestion)| wrong(problem, suggestion))
}

/// A problem and its suggestion.
type Refusal = (String, String);

fn unit(text: &str) -> Result<Matcher, Refusal> {
    let suffix = UNIT_KINDS.iter().any(|suffix| text.len() > suffix.len() && text.ends_with(suffix));
    let clean = text.chars().all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c));
    if !suffix || !clean {
        return Err((
            format!("\"{}\" is no unit that has processes", excerpt(text)),
            format!("write its full name, ending in {}", UNIT_KINDS.join(", ")),
        ));
    }
    if ROOT_UNITS.contains(&text) || text.starts_with("systemd-") || text.starts_with("agent-guard.") {
        return Err(at_large(&format!("unit {text}")));
    }
    Ok(Matcher::Unit(text.to_owned()))
}

fn cgroup(text: &str) -> Result<Matcher, Refusal> {
    let path = PathBuf::from(text);
    let plain = path.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
    if !path.is_absolute() || !plain || text.contains('\0') {
        return Err((
            format!("\"{}\" is no path below the cgroup root", excerpt(text)),
            "write it as in /proc/PID/cgroup after \"0::\", for example /agents.slice".to_owned(),
        ));
    }
    let path: PathBuf = path.components().collect();
    if path.starts_with("/sys/fs/cgroup") {
        return Err((
            format!("\"{}\" names the mount point", excerpt(text)),
            "leave /sys/fs/cgroup (and unified) out: the path starts at the cgroup root".to_owned(),
        ));
    }
    if ROOT_CGROUPS.iter().any(|root| path == PathBuf::from(root)) {
        return Err(at_large(&format!("cgroup {text}")));
    }
    Ok(Matcher::Cgroup(path))
}

fn user(text: &str, accounts: &dyn Accounts) -> Result<Matcher, Refusal> {
    let uid = match text.parse::<u32>() {
        Ok(uid) => Some(uid),
        Err(_) => accounts.user_id(text),
    };
    match uid {
        Some(0) => Err(at_large("user root")),
        Some(uid) => Ok(Matcher::User { name: text.to_owned(), uid }),
        None => Err((
            format!("this host has no user \"{}\"", excerpt(text)),
            "create it first (useradd --system), or correct the name".to_owned(),
        )),
    }
}

fn exe(text: &str) -> Result<Matcher, Refusal> {
    let path = PathBuf::from(text);
    let plain = path.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
    if !path.is_absolute() || !plain || path.file_name().is_none() || text.contains('\0') {
        return Err((
            format!("\"{}\" is not the absolute path of an executable", excerpt(text)),
            "write the path that `readlink /proc/PID/exe` shows".to_owned(),
        ));
    }
    let path: PathBuf = path.components().collect();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if ROOT_EXECUTABLES.contains(&name.as_str()) || name.starts_with("systemd-") {
        return Err(at_large(&format!("executable {text}")));
    }
    Ok(Matcher::Exe(path))
}

fn command(text: &str) -> Result<Matcher, Refusal> {
    let glob = Glob::parse(text).map_err(|problem| {
        (problem.to_owned(), "name the program: command = \"/usr/bin/claude *\"".to_owned())
    })?;
    match ROOT_COMMANDS.iter().find(|command| glob.matches(command)) {
        Some(command) => Err(at_large(&format!("command line \"{command}\""))),
        None => Ok(Matcher::Command(glob)),
    }
}

fn at_large(what: &str) -> Refusal {
    (
        format!("this would put {what} under guard, and the people who administer this host with it"),
        "give the agent a user or a slice of its own and match that".to_owned(),
    )
}

const KINDS: [&str; 5] = ["unit", "cgroup", "user", "exe", "command"];

const UNIT_KINDS: [&str; 3] = [".service", ".scope", ".slice"];

/// Units whose processes run the host, not an agent.
const ROOT_UNITS: [&str; 17] = [
    "-.slice",
    "init.scope",
    "system.slice",
    "user.slice",
    "machine.slice",
    "user-0.slice",
    "user@0.service",
    "user@.service",
    "ssh.service",
    "sshd.service",
    "ssh@.service",
    "sshd@.service",
    "dbus.service",
    "dbus-broker.service",
    "cron.service",
    "crond.service",
    "getty@.service",
];

const ROOT_CGROUPS: [&str; 7] = [
    "/",
    "/init.scope",
    "/system.slice",
    "/user.slice",
    "/user.slice/user-0.slice",
    "/system.slice/ssh.service",
    "/system.slice/sshd.service",
];

/// File names of what every administrator runs; matching one of them by path alone matches root's own.
const ROOT_EXECUTABLES: [&str; 29] = [
    "systemd",
    "init",
    "sshd",
    "sshd-session",
    "sshd-auth",
    "dbus-daemon",
    "dbus-broker",
    "dbus-broker-launch",
    "agent-guardd",
    "agentguardctl",
    "sudo",
    "su",
    "doas",
    "login",
    "agetty",
    "cron",
    "crond",
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "fish",
    "busybox",
    "env",
    "tmux",
    "screen",
    "runuser",
    "setpriv",
];

/// Command lines that no agent's pattern may match.
const ROOT_COMMANDS: [&str; 12] = [
    "/sbin/init",
    "/sbin/init splash",
    "/lib/systemd/systemd --switched-root --system --deserialize 31",
    "/usr/lib/systemd/systemd-journald",
    "/usr/sbin/sshd -D",
    "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
    "/usr/sbin/cron -f",
    "-bash",
    "bash",
    "/bin/bash",
    "sudo -i",
    "/usr/sbin/agent-guardd",
];

#[cfg(test)]
mod tests {
    use super::*;

    struct OneUser;

    impl Accounts for OneUser {
        fn user_name(&self, _: u32) -> Option<String> {
            None
        }
        fn user_id(&self, name: &str) -> Option<u32> {
            (name == "claude").then_some(990)
        }
        fn in_group(&self, _: u32, _: &str) -> Option<bool> {
            None
        }
    }

    #[test]
    fn names_are_plain() {
        for good in ["agent", "claude-code", "a.b_c", "7"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "Agent", "-a", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn each_kind_is_read() {
        assert_eq!(unit("agent@.service"), Ok(Matcher::Unit("agent@.service".into())));
        assert_eq!(cgroup("/agents.slice/"), Ok(Matcher::Cgroup("/agents.slice".into())));
        assert_eq!(user("claude", &OneUser), Ok(Matcher::User { name: "claude".into(), uid: 990 }));
        assert_eq!(user("1234", &OneUser), Ok(Matcher::User { name: "1234".into(), uid: 1234 }));
        assert_eq!(exe("/usr/bin//claude"), Ok(Matcher::Exe("/usr/bin/claude".into())));
        assert!(matches!(command("*claude*"), Ok(Matcher::Command(_))));
    }

    #[test]
    fn root_at_large_is_refused() {
        let refused = [
            unit("system.slice"),
            unit("systemd-logind.service"),
            cgroup("/"),
            cgroup("//"),
            cgroup("/user.slice"),
            user("0", &OneUser),
            exe("/usr/sbin/sshd"),
            exe("/bin/bash"),
            command("*s*"),
            command("*bash"),
        ];
        for refusal in refused {
            let (problem, suggestion) = refusal.unwrap_err();
            assert!(problem.contains("under guard"), "{problem}");
            assert!(suggestion.contains("slice"), "{suggestion}");
        }
    }

    #[test]
    fn unusable_values_are_refused() {
        for refusal in [
            unit("claude"),
            unit(".service"),
            cgroup("agents.slice"),
            cgroup("/a/../b"),
            cgroup("/sys/fs/cgroup/agents.slice"),
            user("nobody-here", &OneUser),
            exe("claude"),
            exe("/usr/bin/../bin/claude"),
            exe("/"),
            command("*"),
        ] {
            let (problem, suggestion) = refusal.unwrap_err();
            assert!(!problem.contains("under guard"), "{problem}");
            assert!(!suggestion.is_empty());
        }
    }
}

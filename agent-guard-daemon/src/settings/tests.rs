//! The ownership check is never skipped, so these tests work in a root-owned directory below `/run` and are
//! skipped, with a sentence, where they do not run as root.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

struct TestAccounts;

impl Accounts for TestAccounts {
    fn user_name(&self, _: u32) -> Option<String> {
        None
    }
    fn user_id(&self, name: &str) -> Option<u32> {
        match name {
            "root" => Some(0),
            "claude" => Some(990),
            _ => None,
        }
    }
    fn in_group(&self, _: u32, _: &str) -> Option<bool> {
        None
    }
}

/// A directory that the ownership check accepts, or `None` where the tests do not run as root.
fn trusted_dir() -> Option<tempfile::TempDir> {
    if nix::unistd::geteuid().is_root() {
        return Some(tempfile::Builder::new().prefix("agent-guard-settings-").tempdir_in("/run").unwrap());
    }
    assert!(
        std::env::var_os("AGENT_GUARD_REQUIRE_PRIVILEGED").is_none_or(|value| value != "1"),
        "AGENT_GUARD_REQUIRE_PRIVILEGED=1, but this test does not run as root"
    );
    eprintln!("skipped: settings are only read from files of root, so this test needs root");
    None
}

fn load(dir: &Path) -> Result<Settings, SettingsError> {
    Settings::load_with(&dir.join("agent-guard.toml"), true, &TestAccounts)
}

fn load_text(text: &str) -> Option<Result<Settings, SettingsError>> {
    let dir = trusted_dir()?;
    fs::write(dir.path().join("agent-guard.toml"), text).unwrap();
    Some(load(dir.path()))
}

fn mistakes(text: &str) -> Option<Vec<Mistake>> {
    match load_text(text)? {
        Err(SettingsError::Mistakes(mistakes)) => Some(mistakes),
        other => panic!("expected mistakes, got {other:?}"),
    }
}

#[test]
fn without_a_file_the_builtin_settings_hold() {
    let settings =
        Settings::load_with(Path::new("/run/agent-guard-no-such-directory/x.toml"), false, &TestAccounts)
            .unwrap();
    assert_eq!(settings, Settings::builtin());
    assert_eq!(settings.agents.keys().collect::<Vec<_>>(), ["agent", "xtask"]);
    assert_eq!(settings.agents["agent"], AgentRule::default());
    assert_eq!(settings.holds.expires, Duration::from_secs(900));
    let error =
        Settings::load_with(Path::new("/run/agent-guard-no-such-directory/x.toml"), true, &TestAccounts);
    assert!(error.unwrap_err().to_string().contains("create it"), "an explicit file must be there");
}

#[test]
fn a_full_file_is_read() {
    let text = r#"
[agents.claude]
match = [{ unit = "claude.service" }, { user = "claude" }, { command = "*/claude *" }]
mode = "observe"
hold = "process"
opaque = "allow"

[agents.one]
match = { exe = "/usr/bin/one" }

[people.alice]
uids = [1000, 2000]

[holds]
expires = "5m"
max_open_per_session = 7

[[inference_routes]]
host = "*.anthropic.com"
method = "POST"
path = "/v1/messages"

[state]
dir = "/srv/guard"

[audit]
journald = false
file = "/var/log/guard.jsonl"
"#;
    let Some(settings) = load_text(text) else { return };
    let settings = settings.unwrap();
    let claude = &settings.agents["claude"];
    assert_eq!(claude.matchers.len(), 3);
    assert_eq!(claude.matchers[1], Matcher::User { name: "claude".into(), uid: 990 });
    assert_eq!((claude.mode, claude.hold, claude.opaque), (Mode::Observe, HoldStyle::Process, Opaque::Allow));
    assert_eq!(settings.agents["one"].matchers, [Matcher::Exe("/usr/bin/one".into())]);
    assert!(!settings.agents.contains_key("agent"), "named agents replace the built-in ones");
    assert_eq!(settings.people["alice"].uids, [1000, 2000]);
    assert_eq!(settings.holds, HoldLimits { expires: Duration::from_secs(300), max_open_per_session: 7 });
    assert_eq!(settings.inference_routes[0].host, "*.anthropic.com");
    assert_eq!(settings.state_dir, Path::new("/srv/guard"));
    assert_eq!(settings.audit, AuditSettings { journald: false, file: Some("/var/log/guard.jsonl".into()) });
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    let text = r#"[agents.claude]
match = [{ user = "root" }, { unti = "x.service" }, { user = "claude", exe = "/x" }]
mdoe = "observe"
hold = "conection"
[agents.Bad]
[people.alice]
uids = [1000, "x"]
ssh_keys = []
[people.bob]
uids = [1000]
[people.carol]
[holds]
expires = "forever"
max_open_per_session = 0
[[inference_routes]]
host = "HTTP://x"
method = "post"
[state]
dir = "relative"
[audit]
journald = "yes"
[adit]
"#;
    let Some(mistakes) = mistakes(text) else { return };
    let found: Vec<(usize, String)> = mistakes.iter().map(|m| (m.line, m.to_string())).collect();
    let expect = |line: usize, words: &str| {
        assert!(
            found.iter().any(|(at, text)| *at == line && text.contains(words)),
            "no mistake on line {line} says {words:?}: {found:#?}"
        );
    };
    expect(2, "user root under guard");
    expect(2, "did you mean \"unit\"?");
    expect(2, "has 2 keys");
    expect(3, "did you mean \"mode\"?");
    expect(4, "did you mean \"connection\"?");
    expect(5, "\"Bad\" cannot be a name");
    expect(7, "the string \"x\"");
    expect(8, "unknown key \"ssh_keys\"");
    expect(10, "uid 1000 of a person is defined");
    expect(11, "has no `uids`");
    expect(13, "\"forever\"");
    expect(14, "from 1 to 1000");
    expect(15, "has no `path`");
    expect(19, "not an absolute path");
    expect(21, "true or false");
    expect(22, "did you mean \"audit\"?");
}

#[test]
fn syntax_errors_carry_their_line() {
    let Some(mistakes) = mistakes("[holds]\nexpires = \n[agents.x]\nmode = enforce\n") else { return };
    let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
    assert!(lines.contains(&2) && lines.contains(&4), "{mistakes:#?}");
}

#[test]
fn drop_ins_add_and_never_override() {
    let Some(dir) = trusted_dir() else { return };
    fs::write(dir.path().join("agent-guard.toml"), "[agents.a]\n").unwrap();
    fs::create_dir(dir.path().join("policy.d")).unwrap();
    fs::write(dir.path().join("policy.d/10-b.toml"), "[agents.b]\n[people.p]\nuids = [1]\n").unwrap();
    fs::write(dir.path().join("policy.d/readme.txt"), "not toml").unwrap();
    let settings = load(dir.path()).unwrap();
    assert_eq!(settings.agents.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(settings.sources.len(), 2);

    fs::write(dir.path().join("policy.d/20-a.toml"), "[agents.a]\nmode = \"observe\"\n").unwrap();
    let message = load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("20-a.toml:1") && message.contains("agent-guard.toml already"), "{message}");
}

#[test]
fn files_that_others_can_change_are_refused_by_name() {
    let Some(dir) = trusted_dir() else { return };
    let file = dir.path().join("agent-guard.toml");
    fs::write(&file, "").unwrap();
    load(dir.path()).unwrap();
    let refused = |path: &Path| match load(dir.path()).unwrap_err() {
        SettingsError::Untrusted(found) => assert!(found.iter().any(|one| one.path == path), "{found:?}"),
        other => panic!("{other}"),
    };

    fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    refused(&file);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::chown(&file, Some(1000), None).unwrap();
    refused(&file);
    std::os::unix::fs::chown(&file, Some(0), None).unwrap();
    load(dir.path()).unwrap();

    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    refused(dir.path());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    load(dir.path()).unwrap();
}

#[test]
fn a_link_is_as_good_as_every_directory_on_its_way() {
    let Some(dir) = trusted_dir() else { return };
    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(dir.path().join("real.toml"), "").unwrap();
    std::os::unix::fs::symlink("../real.toml", open.join("hop")).unwrap();
    std::os::unix::fs::symlink("open/hop", dir.path().join("agent-guard.toml")).unwrap();
    match load(dir.path()).unwrap_err() {
        SettingsError::Untrusted(found) => assert_eq!(found[0].path, open),
        other => panic!("{other}"),
    }
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    load(dir.path()).unwrap();
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
    let error = Settings::load_with(&dir.path().join("loop"), true, &TestAccounts).unwrap_err().to_string();
    assert!(error.contains("too many symbolic links"), "{error}");
}

#[test]
fn a_directory_or_device_in_place_of_the_file_is_refused() {
    let Some(dir) = trusted_dir() else { return };
    fs::create_dir(dir.path().join("agent-guard.toml")).unwrap();
    assert!(matches!(load(dir.path()), Err(SettingsError::Unreadable { .. })));
}

#[test]
fn an_unknown_agent_is_answered_with_the_known_ones() {
    let error = Settings::builtin().agent("cloud\n").unwrap_err();
    assert_eq!(error.kind, agent_guard_api::ErrorKind::NotFound);
    assert!(
        error.message.contains("\"cloud\\n\"") && error.message.contains("agent, xtask"),
        "{}",
        error.message
    );
    Settings::builtin().agent("agent").unwrap();
}

fn assemble(text: String) -> Settings {
    let file = mistake::SourceFile { path: "/etc/x.toml".into(), text };
    let mut settings = sections::assemble(&[file], &TestAccounts).unwrap();
    settings.sources.clear();
    settings
}

#[test]
fn the_example_is_the_defaults_and_its_examples_are_right() {
    assert_eq!(assemble(EXAMPLE.to_owned()), Settings::builtin());
    let is_example = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && *line != "#";
    assert!(EXAMPLE.lines().filter(is_example).count() > 10);
    let everything: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| if is_example(&line) { line.strip_prefix('#').unwrap_or(line) } else { line })
        .collect();
    let settings = assemble(everything.join("\n"));
    assert_eq!(settings.agents["claude"].matchers.len(), 4);
    let defaults = AgentRule { matchers: settings.agents["claude"].matchers.clone(), ..AgentRule::default() };
    assert_eq!(settings.agents["claude"], defaults, "the values shown are the defaults");
    assert_eq!((settings.people.len(), settings.inference_routes.len()), (2, 1));
    assert!(settings.audit.file.is_some());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(lines in proptest::collection::vec(LINES, 0..12), cut in 0..400usize) {
        let mut text = lines.join("\n");
        text.truncate(text.floor_char_boundary(cut));
        let file = mistake::SourceFile { path: "/etc/x.toml".into(), text };
        match sections::assemble(&[file.clone(), file], &TestAccounts) {
            Ok(settings) => proptest::prop_assert!(!settings.agents.is_empty()),
            Err(mistakes) => proptest::prop_assert!(!mistakes.is_empty()),
        }
    }
}

/// Lines that are nearly settings.
const LINES: &str = r#"(\[{1,2}(agents|people|holds|state|audit|inference_routes)(\.[a-zß"]{0,3})?\]{1,2}|(match|mode|uids|expires|dir|host|path|journald|max_open_per_session) = ([0-9_]{1,12}|-?1|"[a-z/*ü\\]{0,5}"|\[?\{ ?(user|unit|exe|command) = "[^"]{0,6}" ?\}\]?|true|1979-05-27|\[\]|inf)|.{0,10})"#;

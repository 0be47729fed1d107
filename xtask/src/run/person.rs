//! As whom the agent's command runs: the invoking user, or, where that is root itself, a system user made for it.
//!
//! Bias: never root. The invoking user's environment is read from our unprivileged half's `/proc` entry, so that
//! credentials in it are neither written to disk nor lost to sudo's cleaning.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::{Uid, User};

use crate::shell;

/// Somebody who is not root, with an environment.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
    environment: BTreeMap<OsString, OsString>,
    is_demo: bool,
}

/// Finds the invoking user, or makes the demo user and says so.
///
/// # Errors
/// When neither can be had.
pub(super) fn find(invoker: Option<u32>) -> Result<Person> {
    let uid = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    match uid.filter(|uid| *uid != 0) {
        Some(uid) => invoking_user(uid, invoker),
        None => demo_user(),
    }
}

impl Person {
    /// A command that gives up root for this person and then runs what is appended to it.
    pub(super) fn command(&self, cwd: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &self.uid.to_string(), "--regid", &self.gid.to_string(), "--init-groups", "--"])
            .env_clear()
            .envs(&self.environment)
            .current_dir(if self.may_enter(cwd) { cwd } else { &self.home });
        command
    }

    /// A path to the program that this person may run: a clone below root's home is closed to the demo user, who
    /// gets a copy that only root can write.
    pub(super) fn reachable(&self, program: &Path) -> Result<PathBuf> {
        if !self.is_demo {
            return Ok(program.to_path_buf());
        }
        let folder = Path::new(DEMO_FOLDER).join("bin");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let copy = folder.join(program.file_name().context("a program without a name")?);
        let partial = copy.with_extension("new");
        fs::copy(program, &partial).with_context(|| format!("cannot write {}", partial.display()))?;
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot set the mode of {}", partial.display()))?;
        fs::rename(&partial, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
        Ok(copy)
    }

    fn may_enter(&self, folder: &Path) -> bool {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &self.uid.to_string(), "--regid", &self.gid.to_string(), "--init-groups"]);
        shell::succeeds(command.args(["--", "test", "-x"]).arg(folder))
    }
}

fn invoking_user(uid: u32, invoker: Option<u32>) -> Result<Person> {
    let user = User::from_uid(Uid::from_raw(uid)).context("cannot read the user database")?;
    let user = user.with_context(|| format!("SUDO_UID is {uid}, which is no user here"))?;
    let environment = match invoker {
        Some(pid) => environment_of(pid, uid)?,
        None => std::env::vars_os().collect(),
    };
    Ok(person(user, environment, false))
}

fn demo_user() -> Result<Person> {
    let look = || User::from_name(DEMO_USER).context("cannot read the user database");
    if look()?.is_none() {
        shell::say(&format!(
            "making the system user {DEMO_USER} — for running the agent's command, never as root"
        ));
        fs::create_dir_all(DEMO_FOLDER).with_context(|| format!("cannot make {DEMO_FOLDER}"))?;
        let program = shell::which("useradd").context("no useradd: install the package passwd")?;
        let home = format!("{DEMO_FOLDER}/home");
        let options = ["--system", "--user-group", "--create-home", "--home-dir", &home];
        shell::run(Command::new(program).args(options).args(["--shell", "/usr/sbin/nologin", DEMO_USER]))?;
    }
    let user = look()?.with_context(|| format!("useradd made no {DEMO_USER}"))?;
    if user.uid.is_root() {
        bail!("the user {DEMO_USER} has uid 0: remove it, and it is made again as a system user");
    }
    Ok(person(user, std::env::vars_os().collect(), true))
}

fn person(user: User, environment: BTreeMap<OsString, OsString>, is_demo: bool) -> Person {
    let mut environment: BTreeMap<_, _> =
        environment.into_iter().filter(|(name, _)| !is_ours(name)).collect();
    for (name, value) in
        [("HOME", user.dir.as_os_str()), ("USER", user.name.as_ref()), ("LOGNAME", user.name.as_ref())]
    {
        environment.insert(name.into(), value.into());
    }
    if is_demo {
        environment.insert("SHELL".into(), "/bin/sh".into());
    }
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    Person { name: user.name, uid, gid, home: user.dir, environment, is_demo }
}

fn is_ours(name: &OsStr) -> bool {
    shell::is_cargo_mark(name) || name.as_bytes().starts_with(b"SUDO_")
}

/// The environment that a process of the user's was started with, see proc(5).
fn environment_of(pid: u32, uid: u32) -> Result<BTreeMap<OsString, OsString>> {
    let path = format!("/proc/{pid}/environ");
    let owner = fs::metadata(&path).with_context(|| format!("cannot read {path}"))?.uid();
    if owner != uid {
        bail!("process {pid} belongs to uid {owner}, not to the invoking user {uid}");
    }
    let bytes = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(parse_environment(&bytes))
}

fn parse_environment(bytes: &[u8]) -> BTreeMap<OsString, OsString> {
    let pairs = bytes.split(|byte| *byte == 0).filter_map(|entry| {
        let equals = entry.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        let (name, value) = entry.split_at(equals);
        Some((OsStr::from_bytes(name).into(), OsStr::from_bytes(value.get(1..)?).into()))
    });
    pairs.collect()
}

const DEMO_USER: &str = "agent-guard-demo";
const DEMO_FOLDER: &str = "/var/lib/agent-guard-demo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_read_as_the_kernel_writes_it() {
        let read = parse_environment(b"A=1\0B=x=y\0EMPTY=\0nonsense\0=bad\0\0");
        let expected = [("A", "1"), ("B", "x=y"), ("EMPTY", "")];
        assert_eq!(read, expected.map(|(name, value)| (name.into(), value.into())).into());
    }

    #[test]
    fn the_environment_of_another_users_process_is_refused() {
        let own = nix::unistd::geteuid().as_raw();
        assert!(environment_of(std::process::id(), own).is_ok());
        let error = environment_of(std::process::id(), own + 1).unwrap_err().to_string();
        assert!(error.contains("belongs to"), "{error}");
    }

    #[test]
    fn a_person_keeps_credentials_and_loses_what_cargo_and_sudo_left() {
        let user = User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        let home = user.dir.clone();
        let given = [("AWS_PROFILE", "x"), ("CARGO", "/c"), ("SUDO_UID", "7"), ("HOME", "/elsewhere")];
        let person = person(user, given.map(|(name, value)| (name.into(), value.into())).into(), false);
        assert_eq!(person.environment.get(OsStr::new("AWS_PROFILE")), Some(&"x".into()));
        assert_eq!(person.environment.get(OsStr::new("HOME")), Some(&home.into_os_string()));
        assert!(!person.environment.contains_key(OsStr::new("CARGO")));
        assert!(!person.environment.contains_key(OsStr::new("SUDO_UID")));
    }
}

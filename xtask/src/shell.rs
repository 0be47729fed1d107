//! Running other programs: as ourselves, or as root by sudo.
//!
//! `cargo xtask` itself runs under cargo, which leaves its mark on the environment (`RUSTC`, `RUSTUP_TOOLCHAIN`,
//! `CARGO_ENCODED_RUSTFLAGS`, `LD_LIBRARY_PATH` …). An inner cargo of another toolchain that inherits it builds with
//! half of each, so every inner cargo starts from [`without_cargo_marks`].

use std::{
    env,
    ffi::{OsStr, OsString},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::paths;

/// Says on standard error what is being done; standard output belongs to the programs that are run.
pub fn say(words: &str) {
    eprintln!("xtask: {words}");
}

/// Runs a command to its end and fails with its command line when it does.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command and returns what it printed on standard output.
///
/// # Errors
/// When it cannot be started, does not succeed or prints no UTF-8.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", shown(command), output.status, words.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", shown(command)))
}

/// Whether a command starts and succeeds; its output is dropped.
#[must_use]
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The full path of a program, sbin included, which unprivileged users lack in PATH.
#[must_use]
pub fn which(program: &str) -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(Into::into);
    env::split_paths(&path).chain(extra).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether we are root.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A command that runs as root: itself when we are root, by sudo otherwise. In CI sudo may not ask for a password.
///
/// # Errors
/// When we are not root and there is no sudo.
pub fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    let Some(sudo) = which("sudo") else {
        bail!(
            "root is needed for {} and there is no sudo: run the command as root",
            program.as_ref().display()
        );
    };
    let mut command = Command::new(sudo);
    if env::var_os("CI").is_some() {
        command.arg("-n");
    }
    command.arg("--").arg(program);
    Ok(command)
}

/// The toolchain's cargo that started us, building into the project's own `target/`.
#[must_use]
pub fn cargo() -> Command {
    cargo_like(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Another program that runs cargo, in the same environment.
#[must_use]
pub fn cargo_like(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let toolchain = env::var_os("RUSTUP_TOOLCHAIN");
    without_cargo_marks(&mut command);
    if let Some(toolchain) = toolchain {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command.env("CARGO_TARGET_DIR", paths::target()).current_dir(paths::root());
    command
}

/// Removes from a command's environment what an outer cargo or rustup left in ours.
pub fn without_cargo_marks(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if is_cargo_mark(&name) {
            command.env_remove(name);
        }
    }
}

/// Whether a variable is set by cargo or rustup for the process it runs, rather than by the person.
#[must_use]
pub fn is_cargo_mark(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let person = [
        "CARGO_HOME",
        "CARGO_INCREMENTAL",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    if person.iter().any(|prefix| name.starts_with(prefix)) {
        return false;
    }
    let exact =
        ["CARGO", "LD_LIBRARY_PATH", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT", "OUT_DIR"];
    exact.contains(&name)
        || name.starts_with("CARGO_")
        || name.starts_with("RUSTC")
        || name.starts_with("RUSTDOC")
        || name.starts_with("RUSTUP_FORCE_ARG0")
}

/// A command line as one would type it.
#[must_use]
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_os_string())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsString) -> String {
    let word = word.to_string_lossy();
    let plain =
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:+,@%".contains(c));
    if plain { word.into_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_cargo_keeps_the_persons_settings_and_loses_the_outer_cargos() {
        for kept in
            ["CARGO_HOME", "CARGO_INCREMENTAL", "CARGO_HTTP_CAINFO", "RUSTUP_HOME", "PATH", "RUST_BACKTRACE"]
        {
            assert!(!is_cargo_mark(OsStr::new(kept)), "{kept} was removed");
        }
        for lost in
            ["CARGO", "CARGO_TARGET_DIR", "CARGO_PKG_NAME", "RUSTC", "RUSTC_WRAPPER", "LD_LIBRARY_PATH"]
        {
            assert!(is_cargo_mark(OsStr::new(lost)), "{lost} was kept");
        }
    }

    #[test]
    fn shown_quotes_what_a_shell_would_split() {
        assert_eq!(shown(Command::new("a").args(["b c", "", "it's", "x=1"])), r"a 'b c' '' 'it'\''s' x=1");
    }
}

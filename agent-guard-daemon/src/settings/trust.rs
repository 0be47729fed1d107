//! Who may write the settings decides what is guarded: files and directories that others than root can write are
//! refused by name.
//!
//! The way to a file is walked one name at a time, symbolic links included, because a link in somebody's directory
//! is as good as the file itself.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt, fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use super::{SettingsError, mistake::SourceFile};

/// A file or directory that somebody else than root can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted {
    pub path: PathBuf,
    pub problem: String,
    pub remedy: String,
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, so it is not trusted; {}", self.path.display(), self.problem, self.remedy)
    }
}

/// The main file and `policy.d/*.toml` beside it in the order of their names; empty if there is no file at all.
pub(super) fn read_all(main: &Path, must_exist: bool) -> Result<Vec<SourceFile>, SettingsError> {
    let main = std::path::absolute(main).map_err(|source| unreadable(main, source))?;
    let mut paths = Vec::new();
    match fs::symlink_metadata(&main) {
        Ok(_) => paths.push(main.clone()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {}
        Err(error) => return Err(unreadable(&main, error)),
    }
    paths.extend(drop_ins(&main)?);
    let (mut files, mut untrusted) = (Vec::new(), Vec::new());
    for path in paths {
        match walk(&path).map_err(|source| unreadable(&path, source))? {
            Walk::Trusted(real) => {
                files.push(read(&path, &real).map_err(|source| unreadable(&path, source))?)
            }
            Walk::Untrusted(found) => untrusted.extend(found),
        }
    }
    untrusted.dedup();
    if untrusted.is_empty() { Ok(files) } else { Err(SettingsError::Untrusted(untrusted)) }
}

/// `policy.d/*.toml` in the directory of `main`, sorted; hidden files are not ours.
fn drop_ins(main: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    let Some(directory) = main.parent().map(|parent| parent.join("policy.d")) else { return Ok(Vec::new()) };
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&directory, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| unreadable(&directory, source))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

enum Walk {
    /// The real path, free of links.
    Trusted(PathBuf),
    Untrusted(Vec<Untrusted>),
}

/// Follows `path` from the root, checking every directory, link and the file at its end.
fn walk(path: &Path) -> io::Result<Walk> {
    let mut found = Vec::new();
    let mut real = PathBuf::from("/");
    check(&real, &fs::symlink_metadata(&real)?, &mut found);
    let mut rest = names(path);
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        let metadata = fs::symlink_metadata(&next)?;
        if metadata.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::other("too many symbolic links"));
            }
            check_owner(&next, &metadata, &mut found);
            let target = fs::read_link(&next)?;
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            let mut followed = names(&target);
            followed.append(&mut rest);
            rest = followed;
        } else {
            check(&next, &metadata, &mut found);
            real = next;
        }
    }
    Ok(if found.is_empty() { Walk::Trusted(real) } else { Walk::Untrusted(found) })
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

fn check(path: &Path, metadata: &fs::Metadata, found: &mut Vec<Untrusted>) {
    check_owner(path, metadata, found);
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        found.push(Untrusted {
            path: path.to_owned(),
            problem: format!("can be written by others than root (mode {mode:04o})"),
            remedy: format!("run: chmod go-w {}", path.display()),
        });
    }
}

fn check_owner(path: &Path, metadata: &fs::Metadata, found: &mut Vec<Untrusted>) {
    if metadata.uid() != 0 {
        found.push(Untrusted {
            path: path.to_owned(),
            problem: format!("belongs to uid {}", metadata.uid()),
            remedy: format!("run: chown -h root {}", path.display()),
        });
    }
}

/// Reads a file whose whole way was found to be root's, so that nobody else can exchange it meanwhile.
fn read(shown: &Path, real: &Path) -> io::Result<SourceFile> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(real)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(SourceFile { path: shown.to_owned(), text })
}

fn unreadable(path: &Path, source: io::Error) -> SettingsError {
    let remedy = match source.kind() {
        io::ErrorKind::NotFound => "create it, or start without --config for the built-in settings",
        io::ErrorKind::PermissionDenied => "start the daemon as root",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "make it a readable, regular file of at most 1 MiB",
    };
    SettingsError::Unreadable { path: path.to_owned(), source, remedy }
}

/// As the kernel's own limit on links in one path.
const MAX_LINKS: usize = 40;

const MAX_BYTES: u64 = 1 << 20;

//! The socket file: made anew at every start, unless another daemon answers on it.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::sys::socket::{setsockopt, sockopt};

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("another agent-guardd answers on {}; stop it first (systemctl stop agent-guard)", path.display())]
    InUse { path: PathBuf },
    #[error("{} is there and is no socket; move it away", path.display())]
    NotASocket { path: PathBuf },
    #[error("cannot listen on {}: {source}; start the daemon as root, with a writable /run", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Listens on `path`. The directory is made (0755) where it is not there; a dead daemon's socket is replaced.
pub fn bind(path: &Path) -> Result<UnixListener, ListenError> {
    let io = |source| ListenError::Io { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(io)?;
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket { path: path.to_owned() });
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(ListenError::InUse { path: path.to_owned() });
        }
        Ok(_) => fs::remove_file(path).map_err(io)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    let listener = UnixListener::bind(path).map_err(io)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(io)?;
    Ok(listener)
}

/// Every accepted connection shall tell who sends each of its bytes.
pub(super) fn prepare(listener: &UnixListener) -> io::Result<()> {
    setsockopt(listener, sockopt::PassCred, &true)?;
    listener.set_nonblocking(true)
}

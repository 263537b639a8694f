//! Unix sockets that services listen on.

use rustix::fs::{Mode, OFlags};
use std::{
    fs::{self, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, PermissionsExt},
    },
    path::Path,
    time::Duration,
};
use tokio::net::{UnixListener, UnixStream};

/// How long a running process with a full queue may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Binds a socket, with a mode that is computed from the one that the umask left. The
/// socket of a killed process is replaced, that of a running one is not.
///
/// # Errors
/// The system's, or a process listens there: `who`, in words.
pub async fn bind(
    path: &Path,
    who: &str,
    mode: impl FnOnce(u32) -> u32,
) -> io::Result<UnixListener> {
    match tokio::time::timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {}
        _ => {
            let words = format!("{who} listens there; stop it, or set another socket");
            return Err(io::Error::other(words));
        }
    }
    let make = || {
        if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        set_mode(path, mode)?;
        Ok(listener)
    };
    make().map_err(|error: io::Error| match next_step(path, &error) {
        Some(next) => io::Error::new(error.kind(), format!("{error}; {next}")),
        None => error,
    })
}

/// What to do about a socket that cannot be made.
fn next_step(path: &Path, error: &io::Error) -> Option<String> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            Some(format!("create the folder {folder}, or set another socket"))
        }
        io::ErrorKind::NotADirectory => Some(format!("{folder} is no folder: set another socket")),
        io::ErrorKind::PermissionDenied => {
            Some(format!("give this user the right to write to {folder}, or set another socket"))
        }
        io::ErrorKind::AddrInUse => {
            Some("a file that is no socket is there: remove it, or set another socket".to_owned())
        }
        // The system's address of a socket has room for no more.
        io::ErrorKind::InvalidInput => {
            Some("set a socket whose path has at most 107 bytes".to_owned())
        }
        _ => None,
    }
}

/// Changes the mode through a descriptor of the socket itself: the owner of its folder could
/// have put a link in its place meanwhile.
fn set_mode(path: &Path, mode: impl FnOnce(u32) -> u32) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let made = socket.metadata()?;
    if !made.file_type().is_socket() {
        return Err(io::Error::other("replaced while it was made"));
    }
    let itself = format!("/proc/self/fd/{}", socket.as_raw_fd());
    fs::set_permissions(itself, Permissions::from_mode(mode(made.permissions().mode())))
}

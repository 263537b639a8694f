//! Unix sockets that services listen on.

use rustix::fs::{Mode, OFlags};
use std::{
    fs::{self, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::{UnixListener, UnixStream};

/// How long a running process with a full queue may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// The file of a socket that was bound.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Open, so that no other file gets its number.
    itself: fs::File,
}

impl SocketFile {
    /// Removes the file, unless it is another one by now: a process that starts while this one
    /// stops replaces a socket on which no process listens any more.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self) -> io::Result<()> {
        let (there, itself) = (fs::symlink_metadata(&self.path)?, self.itself.metadata()?);
        if (there.dev(), there.ino()) == (itself.dev(), itself.ino()) {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }
}

/// Binds a socket, with a mode that is computed from the one that the umask left. The
/// socket of a killed process is replaced, that of a running one is not.
///
/// # Errors
/// The system's, or a process listens there: `who`, in words.
pub async fn bind(
    path: &Path,
    who: &str,
    mode: impl FnOnce(u32) -> u32,
) -> io::Result<(UnixListener, SocketFile)> {
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
        let itself = set_mode(path, mode)?;
        Ok((listener, SocketFile { path: path.to_owned(), itself }))
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
/// have put a link in its place meanwhile. Returns that.
fn set_mode(path: &Path, mode: impl FnOnce(u32) -> u32) -> io::Result<fs::File> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let made = socket.metadata()?;
    if !made.file_type().is_socket() {
        return Err(io::Error::other("replaced while it was made"));
    }
    let itself = format!("/proc/self/fd/{}", socket.as_raw_fd());
    fs::set_permissions(itself, Permissions::from_mode(mode(made.permissions().mode())))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_stops_leaves_the_socket_of_the_one_that_has_replaced_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("verify.sock");
        let (first, first_file) = bind(&path, "another process", |made| made).await.unwrap();
        drop(first);
        let (second, second_file) = bind(&path, "another process", |made| made).await.unwrap();
        first_file.remove().unwrap();
        assert!(UnixStream::connect(&path).await.is_ok(), "clients reach the second");
        drop(second);
        second_file.remove().unwrap();
        assert!(!path.exists());
    }
}

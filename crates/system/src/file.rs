//! Reads files that another user may own. Such a file cannot block the reader for ever,
//! fill its memory, or make it open a device.

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::retry_on_intr,
    process::geteuid,
};
use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File, FileType, Metadata},
    io::{self, Read},
    os::{
        fd::BorrowedFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::Path,
};

/// What to do if the last part of a path is a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Read the file that it points to: for paths that the operator names, such as those
    /// of a Kubernetes volume.
    Follow,
    /// Refuse it: for paths in a folder of another user.
    Refuse,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A symbolic link, with [`Links::Refuse`].
    #[error("it is a symbolic link, not a regular file")]
    Link,
    /// Not a regular file.
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    /// Longer than the limit.
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
    /// UTF-16, by its byte order mark.
    #[error("it is text in UTF-16; save it as UTF-8")]
    Utf16,
    /// Not UTF-8.
    #[error("it is not text in UTF-8")]
    NotText,
}

impl Error {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            error => Self::new(io::ErrorKind::InvalidData, error.to_string()),
        }
    }
}

/// Opens a regular file for reading. The type is checked on the open file, since the path
/// could be replaced meanwhile.
///
/// # Errors
/// [`Error`].
pub fn open(path: &Path, links: Links) -> Result<(File, Metadata), Error> {
    open_at(CWD, path, links)
}

fn open_at(folder: BorrowedFd<'_>, path: &Path, links: Links) -> Result<(File, Metadata), Error> {
    let refused = match links {
        Links::Follow => OFlags::empty(),
        Links::Refuse => OFlags::NOFOLLOW,
    };
    let file = without_blocking(folder, path, refused).map_err(|error| {
        let raw = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        match raw {
            Some(rustix::io::Errno::LOOP) if links == Links::Refuse => Error::Link,
            Some(rustix::io::Errno::NXIO) => Error::NotRegular("a socket or a device"),
            _ => Error::Io(error),
        }
    })?;
    let found = file.metadata()?;
    match kind(found.file_type()) {
        None => Ok((file, found)),
        Some(other) => Err(Error::NotRegular(other)),
    }
}

/// Reads the text of a regular file of at most `longest` bytes, and its metadata.
///
/// # Errors
/// [`Error`].
pub fn read(path: &Path, links: Links, longest: u64) -> Result<(String, Metadata), Error> {
    whole(open(path, links)?, longest)
}

/// The same with a name in an open folder, without following a link.
///
/// # Errors
/// [`Error`].
pub fn read_at(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    longest: u64,
) -> Result<(String, Metadata), Error> {
    whole(open_at(folder, name.as_ref(), Links::Refuse)?, longest)
}

fn whole((file, found): (File, Metadata), longest: u64) -> Result<(String, Metadata), Error> {
    // The buffer has room for all of it: growing would leave copies of a secret in memory.
    let room = usize::try_from(found.len().min(longest) + 1).unwrap_or_default();
    Ok((text(file, longest, room)?, found))
}

/// Reads a file that a user names on the command line, which may be a pipe that a shell
/// makes for `<(command)`. Waits for a pipe, so a running service must not use it.
///
/// # Errors
/// [`Error`].
pub fn read_argument(path: &Path, longest: u64) -> Result<String, Error> {
    let is_pipe = fs::metadata(path)?.file_type().is_fifo();
    let file = if is_pipe { File::open(path)? } else { open(path, Links::Follow)?.0 };
    text(file, longest, 0)
}

/// Who else can read or change a file that should be private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    mode: u32,
    is_roots: bool,
}

impl Exposure {
    /// Applies PostgreSQL's rule for private keys: a file has at most mode 0600, or 0640 if
    /// it is root's and this process is not. So a file that root provides for a group, as
    /// a volume of Kubernetes does with `fsGroup`, can be used; `None` if the file is private.
    #[must_use]
    pub fn of(found: &Metadata) -> Option<Self> {
        Self::with(found.mode() & 0o777, found.uid() == 0 && !geteuid().is_root())
    }

    fn with(mode: u32, is_roots: bool) -> Option<Self> {
        let others = if is_roots { 0o037 } else { 0o077 };
        (mode & others != 0).then_some(Self { mode, is_roots })
    }

    /// What to do about a file at `path`.
    #[must_use]
    pub fn advice(&self, path: &Path) -> String {
        let path = path.display();
        match self.is_roots {
            false => format!("run: chmod 600 {path}"),
            true => format!(
                "run as root: chmod 640 {path}; for a volume of Kubernetes, set `defaultMode: 0440` \
                 and the pod's `fsGroup`"
            ),
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.is_roots && self.mode & 0o007 == 0 {
            "changed by a group"
        } else {
            "read by others"
        };
        write!(f, "can be {who} (mode {:03o})", self.mode)
    }
}

fn without_blocking(folder: BorrowedFd<'_>, path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | more;
    let file = retry_on_intr(|| openat(folder, path, flags, Mode::empty()))?;
    Ok(file.into())
}

/// Reads a source of text to its end, in a buffer that has `room` at first.
pub(crate) fn text(source: impl Read, longest: u64, room: usize) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(room);
    source.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(Error::TooLong(longest));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(Error::Utf16);
    }
    String::from_utf8(bytes).map_err(|_| Error::NotText)
}

/// The name of a type that is not a regular file.
fn kind(found: FileType) -> Option<&'static str> {
    match found {
        it if it.is_file() => None,
        it if it.is_dir() => Some("a folder"),
        it if it.is_fifo() => Some("a FIFO"),
        it if it.is_char_device() || it.is_block_device() => Some("a device"),
        _ => Some("something else"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkfifoat;
    use std::{os::unix::fs::symlink, os::unix::net::UnixListener};

    fn said(path: &Path, links: Links) -> String {
        read(path, links, 8).unwrap_err().to_string()
    }

    #[test]
    fn only_regular_files_are_read_and_nothing_else_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").unwrap();
        assert_eq!(read(&at("file"), Links::Refuse, 8).unwrap().0, "text");
        mkfifoat(CWD, at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        assert!(said(&at("fifo"), Links::Refuse).contains("a FIFO"));
        let _listener = UnixListener::bind(at("socket")).unwrap();
        assert!(said(&at("socket"), Links::Refuse).contains("a socket"));
        assert!(said(folder.path(), Links::Follow).contains("a folder"));
        assert!(said("/dev/zero".as_ref(), Links::Refuse).contains("a device"));
        assert!(read(&at("none"), Links::Refuse, 8).unwrap_err().is_not_found());
    }

    #[test]
    fn a_link_is_followed_only_on_request_and_its_target_must_be_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // As Kubernetes lays out a volume.
        fs::create_dir(at("..2026")).unwrap();
        fs::write(at("..2026/secret"), "hush").unwrap();
        symlink("..2026", at("..data")).unwrap();
        symlink("..data/secret", at("secret")).unwrap();
        assert_eq!(read(&at("secret"), Links::Follow, 8).unwrap().0, "hush");
        assert!(matches!(read(&at("secret"), Links::Refuse, 8), Err(Error::Link)));
        symlink("/dev/zero", at("zero")).unwrap();
        assert!(said(&at("zero"), Links::Follow).contains("a device"));
    }

    #[test]
    fn no_more_is_read_than_the_limit_and_only_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        // A sparse file.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(said(&path, Links::Follow).contains("longer than 8 bytes"));
        fs::write(&path, [0xFF]).unwrap();
        assert!(said(&path, Links::Follow).contains("UTF-8"));
        fs::write(&path, "12345678").unwrap();
        assert_eq!(read(&path, Links::Follow, 8).unwrap().0, "12345678");
    }

    #[test]
    fn a_private_file_is_its_owners_or_roots_for_a_group() {
        let exposed = |mode, is_roots| Exposure::with(mode, is_roots).is_some();
        for mode in [0o600, 0o400, 0o200, 0o700] {
            assert!(!exposed(mode, false) && !exposed(mode, true), "{mode:o}");
        }
        // As a volume of Kubernetes with `fsGroup`.
        for mode in [0o640, 0o440] {
            assert!(exposed(mode, false) && !exposed(mode, true), "{mode:o}");
        }
        for mode in [0o660, 0o650, 0o644, 0o444, 0o604, 0o601, 0o777] {
            assert!(exposed(mode, false) && exposed(mode, true), "{mode:o}");
        }
        let advice = |is_roots| Exposure::with(0o644, is_roots).unwrap().advice("key".as_ref());
        assert_eq!(advice(false), "run: chmod 600 key");
        assert!(advice(true).contains("chmod 640 key"), "{}", advice(true));
    }

    #[test]
    fn an_argument_may_be_a_pipe_and_is_limited_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let write = |text: &'static str| {
            let path = path.clone();
            std::thread::spawn(move || fs::write(path, text))
        };
        let writing = write("text");
        assert_eq!(read_argument(&path, 8).unwrap(), "text");
        writing.join().unwrap().unwrap();
        let error = read_argument("/dev/zero".as_ref(), 8).unwrap_err().to_string();
        assert!(error.contains("a device"), "{error}");
    }
}

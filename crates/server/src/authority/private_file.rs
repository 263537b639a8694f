//! Small files that hold a secret: made readable by their owner alone, and not
//! read at all when others could read them too.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Why a secret file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Others than its owner may read or change it.
    #[error("{path} can be read by others (mode {mode:03o}); run: chmod 600 {path}", path = path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// The file's text without white space around it; `None` if there is no such file.
///
/// # Errors
/// [`Error`].
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    let io = |error| Error::Io { path: path.to_owned(), error };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    // Asked of the open file, so that it is the one that is read.
    let mode = file.metadata().map_err(io)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(io)?;
    Ok(Some(Zeroizing::new(text.trim().to_owned())))
}

/// Makes the file, which must not be there yet, and sees it onto the disk.
///
/// # Errors
/// [`Error::Io`].
pub fn create(path: &Path, text: &str) -> Result<(), Error> {
    let io = |error| Error::Io { path: path.to_owned(), error };
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(io)?;
    // The name in the folder must survive a crash as well.
    sync_folder(path).map_err(io)
}

/// Puts a new file of this text in the place of the one in `path`, at one instant.
///
/// # Errors
/// [`Error::Io`]; the file is as it was then.
pub fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let beside = beside(path);
    write_beside(path, text)?;
    rename(&beside, path)
}

/// Where a file waits to take the place of the one in `path`.
#[must_use]
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Makes the file that waits; one that a crash left waiting is gone then.
///
/// # Errors
/// [`Error::Io`].
pub fn write_beside(path: &Path, text: &str) -> Result<(), Error> {
    let path = beside(path);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Io { path, error }),
        _ => create(&path, text),
    }
}

/// Lets a file take the place of another, and sees the change onto the disk.
///
/// # Errors
/// [`Error::Io`].
pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let io = |error| Error::Io { path: to.to_owned(), error };
    std::fs::rename(from, to).and_then(|()| sync_folder(to)).map_err(io)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_new_file_is_its_owners_alone_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(read(&path).unwrap().is_none());
        create(&path, "hush").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().unwrap().as_str(), "hush");
        assert!(create(&path, "again").is_err(), "it must not be overwritten");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create(&path, "hush").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }
}

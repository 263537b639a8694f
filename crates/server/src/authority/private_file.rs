//! Small files that hold a secret: they are created readable by their owner alone, and
//! rejected when others can read them.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};
use tegata_store::file::{self, Owner};
use tegata_system::secret::{Form, UnusableSecret, in_private_file};
use zeroize::Zeroizing;

/// Why a secret file is rejected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read, or holds no secret.
    #[error(transparent)]
    Unusable(#[from] UnusableSecret),
    /// It cannot be written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// The secret in the file; `None` if there is no such file.
///
/// # Errors
/// [`Error`].
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    match in_private_file(path, Form::Line) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Creates the file, which must not exist, durably. It gets the owner of its folder, if
/// this process may change its owner.
///
/// # Errors
/// [`Error::Io`].
pub fn create(path: &Path, text: &str) -> Result<(), Error> {
    let made = Owner::of(path).and_then(|owner| file::create(path, owner)).and_then(|mut file| {
        writeln!(file, "{text}")?;
        file.sync_all()?;
        // The folder's entry must survive a crash as well.
        file::sync_folder(path)
    });
    made.map_err(|error| Error::Io { path: path.to_owned(), error })
}

/// Creates the file with this text, durably, unless there is one, and returns the text that it
/// then holds. A reader never sees a part of it.
///
/// # Errors
/// [`Error`].
pub fn create_first(path: &Path, text: &str) -> Result<Zeroizing<String>, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let whole = PathBuf::from(name);
    let io = |error| Error::Io { path: path.to_owned(), error };
    // Of an earlier process with this id, which was killed.
    let _ = std::fs::remove_file(&whole);
    create(&whole, text)?;
    let linked = std::fs::hard_link(&whole, path);
    let removed = std::fs::remove_file(&whole);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(error)),
        _ => removed.and_then(|()| file::sync_folder(path)).map_err(io)?,
    }
    let missing = || io(io::ErrorKind::NotFound.into());
    read(path)?.ok_or_else(missing)
}

/// Replaces the file at `path` atomically. It keeps its owner, group and mode; a new one
/// gets the owner of the file at `store`.
///
/// # Errors
/// [`Error::Io`]; the file is unchanged then.
pub fn replace(path: &Path, text: &str, store: &Path) -> Result<(), Error> {
    let text = Zeroizing::new(format!("{text}\n"));
    let replaced = Owner::of(store).and_then(|owner| file::replace(path, text.as_bytes(), owner));
    replaced.map_err(|error| Error::Io { path: path.to_owned(), error })
}

/// Copies the file at `path` to `to`, which is replaced atomically and readable by its
/// owner alone.
///
/// # Errors
/// [`Error`]; the file at `to` is unchanged then.
pub fn copy(path: &Path, to: &Path) -> Result<(), Error> {
    match read(path)? {
        Some(text) => replace(to, &text, path),
        None => Ok(()),
    }
}

/// The path of the file that waits to replace the one at `path`.
///
/// # Errors
/// [`Error::Io`].
pub fn beside(path: &Path) -> Result<PathBuf, Error> {
    file::staged(path).map_err(|error| Error::Io { path: path.to_owned(), error })
}

/// Writes the file that waits to replace the one at `path`.
///
/// # Errors
/// [`Error::Io`].
pub fn write_beside(path: &Path, text: &str) -> Result<(), Error> {
    let text = Zeroizing::new(format!("{text}\n"));
    let written = Owner::of(path).and_then(|owner| file::stage(path, text.as_bytes(), owner));
    written.map_err(|error| Error::Io { path: path.to_owned(), error })
}

/// Replaces the file at `path` by the one that waits.
///
/// # Errors
/// [`Error::Io`].
pub fn put_in_place(path: &Path) -> Result<(), Error> {
    file::commit(path).map_err(|error| Error::Io { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

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
    fn of_many_that_create_a_file_at_once_one_wins_and_all_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let first = create_first(&path, "first").unwrap();
        let second = create_first(&path, "second").unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("first", "first"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_path_that_is_not_a_file_is_rejected_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("secret: it is a device"), "{error}");
    }

    #[test]
    fn a_file_that_others_can_read_is_rejected_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create(&path, "hush").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }
}

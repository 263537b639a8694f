//! Files beside a store. A replaced file keeps its owner, group and mode; a new file
//! belongs to the owner of the store, whichever user runs the command. Otherwise a server
//! that runs as its own user could not read it.

use std::{
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

/// The user and group that own a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// The owner of the file at `path`, or of its folder if there is no such file.
    ///
    /// # Errors
    /// Neither can be examined.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder(path).metadata(),
            found => found,
        }?;
        Ok(Self { user: found.uid(), group: found.gid() })
    }

    /// Gives a new file to this owner, if this process may; otherwise the file stays with
    /// the user who runs the process.
    fn take(self, file: &File) -> io::Result<()> {
        let now = file.metadata()?;
        if (now.uid(), now.gid()) == (self.user, self.group) {
            return Ok(());
        }
        match fchown(file, Some(self.user), Some(self.group)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            done => done,
        }
    }
}

/// Creates a file (0600), which must not exist, and gives it to `owner`.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn create(path: &Path, owner: Owner) -> io::Result<File> {
    let mut open = OpenOptions::new();
    let file = open.read(true).write(true).create_new(true).mode(0o600).open(path)?;
    owner.take(&file)?;
    Ok(file)
}

/// Opens a file for reading and writing; one that does not exist is created as
/// [`create`] does.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_or_create(path: &Path, owner: Owner) -> io::Result<File> {
    match create(path, owner) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut open = OpenOptions::new();
            open.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
        }
        done => done,
    }
}

/// Replaces the file at `path` atomically and durably. It keeps its owner, group and
/// mode; a new file belongs to `owner`. A symbolic link is followed, not replaced.
///
/// # Errors
/// The system's; the file is unchanged then.
pub fn replace(path: &Path, text: &[u8], owner: Owner) -> io::Result<()> {
    stage(path, text, owner)?;
    commit(path)
}

/// The file beside `path` that is to replace it.
///
/// # Errors
/// `path` is a link that must not be followed.
pub fn staged(path: &Path) -> io::Result<PathBuf> {
    Ok(with(&target(path)?, ".new"))
}

/// Writes the file that [`commit`] puts in the place of `path`.
///
/// # Errors
/// The system's; no such file is left then.
pub fn stage(path: &Path, text: &[u8], owner: Owner) -> io::Result<()> {
    let old = target(path)?;
    let new = with(&old, ".new");
    remove(&new)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file
        .write_all(text)
        .and_then(|()| resemble(&file, &old, owner))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // On a full disk it would stand in the way of the next attempt.
        let _ = remove(&new);
    }
    written
}

/// Puts the file that [`stage`] wrote in the place of `path`.
///
/// # Errors
/// The system's.
pub fn commit(path: &Path) -> io::Result<()> {
    let path = target(path)?;
    fs::rename(with(&path, ".new"), &path)?;
    sync_folder(&path)
}

/// Gives `file` the owner, group and mode of the file at `old`, which it is to replace,
/// or `owner` if there is none.
///
/// # Errors
/// This user may not give it to that owner.
pub fn resemble(file: &File, old: &Path, owner: Owner) -> io::Result<()> {
    match old.metadata() {
        Ok(old) => keep(file, &old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => owner.take(file),
        Err(error) => Err(error),
    }
}

fn keep(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if new.uid() != old.uid() {
        fchown(file, Some(old.uid()), None).map_err(|error| {
            let why = format!(
                "it belongs to user {}, and user {} may not replace it: {error}; run this as its \
                 owner or as root",
                old.uid(),
                new.uid()
            );
            io::Error::new(error.kind(), why)
        })?;
    }
    if new.gid() != old.gid() {
        match fchown(file, None, Some(old.gid())) {
            // A group without rights to the file may be another one.
            Err(_) if old.mode() & 0o070 == 0 => {}
            done => done?,
        }
    }
    if new.mode() & 0o777 != old.mode() & 0o777 {
        file.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
    }
    Ok(())
}

/// The file that `path` leads to. A link is followed if root made it, or if it belongs
/// to the owner of what it leads to: a command that root runs in a user's folder must
/// not replace files that the user may not write.
fn target(path: &Path) -> io::Result<PathBuf> {
    let link = match path.symlink_metadata() {
        Ok(link) if link.is_symlink() => link,
        _ => return Ok(path.to_owned()),
    };
    let real = path.canonicalize()?;
    let owner = real.metadata()?.uid();
    if link.uid() != 0 && link.uid() != owner {
        let why = format!(
            "it is a symbolic link of user {} to {}, which belongs to user {owner}; name that file \
             instead of the link",
            link.uid(),
            real.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(real)
}

/// Makes the names in a file's folder durable.
///
/// # Errors
/// The system's.
pub fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(folder(file))?.sync_all()
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    /// A folder with a file in it that belongs to another user, if this one is root.
    fn of_another() -> (tempfile::TempDir, PathBuf, u32) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it");
        fs::write(&path, "old").unwrap();
        let _ = chown(&path, Some(65_534), Some(65_533));
        let user = path.metadata().unwrap().uid();
        (folder, path, user)
    }

    #[test]
    fn a_replaced_file_keeps_its_owner_group_and_mode() {
        let (folder, path, user) = of_another();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let before = path.metadata().unwrap();
        replace(&path, b"new", Owner { user: 0, group: 0 }).unwrap();
        let after = path.metadata().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!((after.uid(), after.gid()), (user, before.gid()));
        assert_eq!(after.mode(), before.mode());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_new_file_belongs_to_the_owner_of_the_store_alone() {
        let (folder, store, user) = of_another();
        let path = folder.path().join("new");
        replace(&path, b"new", Owner::of(&store).unwrap()).unwrap();
        let made = path.metadata().unwrap();
        assert_eq!((made.uid(), made.mode() & 0o777), (user, 0o600));
        let opened = open_or_create(&folder.path().join("lock"), Owner::of(&store).unwrap());
        assert_eq!(opened.unwrap().metadata().unwrap().uid(), user);
    }

    #[test]
    fn a_link_is_followed_and_stays_a_link() {
        let (folder, path, _) = of_another();
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        replace(&link, b"new", Owner::of(&link).unwrap()).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_link_of_a_user_to_a_file_of_root_is_not_followed() {
        let (folder, link, user) = of_another();
        if user == 0 || fs::remove_file(&link).is_err() {
            return;
        }
        let precious = folder.path().join("precious");
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, &link).unwrap();
        if std::os::unix::fs::lchown(&link, Some(65_534), None).is_err() {
            // Without the rights of root the link and the file have one owner.
            return;
        }
        let refused = replace(&link, b"new", Owner::of(&link).unwrap()).unwrap_err();
        assert!(refused.to_string().contains("symbolic link of user 65534"), "{refused}");
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
    }
}

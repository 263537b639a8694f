//! Replaces files as a whole: a reader gets the old content or the new, also if power fails
//! or this process is killed meanwhile.

use super::entry::FolderEntry;
use rustix::{
    fs::{
        Access, AtFlags, FileType, Mode, OFlags, StatxAttributes, StatxFlags, accessat, openat,
        renameat, statat, statx, unlinkat,
    },
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata, Permissions},
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{MetadataExt, PermissionsExt, fchown},
    },
    path::Path,
};
use tegata_policy::secret::PlainSecret;
use tegata_system::file;

/// A file's owner, as numbers; `None` leaves it unchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileOwner {
    user: Option<u32>,
    group: Option<u32>,
}

impl FileOwner {
    /// Parses `USER`, `USER:GROUP` or `:GROUP`, names of this machine or numbers.
    ///
    /// # Errors
    /// The name that is unknown.
    pub fn find(text: &str) -> Result<Self, String> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self { user: id(user, "/etc/passwd")?, group: id(group, "/etc/group")? })
    }
}

fn id(name: &str, file: &str) -> Result<Option<u32>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let table = fs::read_to_string(file).unwrap_or_default();
    let number = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        found.then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    let unknown = || format!("{name} is not in {file}; use its number");
    number.map(Some).ok_or_else(unknown)
}

/// Replaces the file at `path` by `text`, completely or not at all, and synchronises it to
/// the disk. A symbolic link is followed if [`FolderEntry::find`] trusts it.
///
/// # Errors
/// The system's error. The old file is then unchanged, unless the disk failed after the new one
/// had its name.
pub fn replace(path: &Path, text: &str, mode: u32, owner: FileOwner) -> io::Result<()> {
    let FolderEntry { folder, name } = FolderEntry::find(path)?;
    if let Ok(found) = statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
        let kind = FileType::from_raw_mode(found.st_mode);
        if !kind.is_file() && !kind.is_symlink() {
            return Err(io::Error::other("not a regular file"));
        }
    }
    let new = hidden(&name);
    // A file that a killed agent left. No other program uses this name.
    match unlinkat(&folder, &new, AtFlags::empty()) {
        Err(error) if error != Errno::NOENT => return Err(error.into()),
        _ => {}
    }
    let moved = || renameat(&folder, &new, &folder, &name).map_err(|error| busy(error, path));
    let written = write(&folder, &new, (text, mode, owner)).and_then(|()| moved());
    if written.is_err() {
        // On a full disk, the partial file would prevent the next attempt.
        let _ = unlinkat(&folder, &new, AtFlags::empty());
    }
    written?;
    sync(&folder)
}

/// Synchronises the name of the file at `path`, which may not survive a crash else.
///
/// # Errors
/// The system's error.
pub fn sync_name(path: &Path) -> io::Result<()> {
    sync(&FolderEntry::find(path)?.folder)
}

/// Synchronises the names in a folder, if the agent may read it: else that cannot be done. A name that a
/// crash loses is written again at the agent's next start.
fn sync(folder: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(folder, ".", flags, Mode::empty()) {
        Ok(opened) => File::from(opened).sync_all(),
        Err(Errno::ACCESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Does what [`replace`] does, up to the file's name: writes a file without one into the
/// folder, so that nothing is left of it.
///
/// # Errors
/// The error that [`replace`] would return.
pub fn rehearse(path: &Path, owner: FileOwner) -> io::Result<()> {
    let FolderEntry { folder, name } = FolderEntry::find(path)?;
    if is_mount_point(&folder, &name) {
        return Err(busy(Errno::BUSY, path));
    }
    accessat(&folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = match openat(&folder, ".", flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        // Not every file system has files without a name.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    finish(file, "a token", 0o600, owner)
}

/// Whether something is mounted at the path, such as a file of the host in a container. An
/// old kernel does not tell.
fn is_mount_point(folder: &OwnedFd, name: &OsStr) -> bool {
    let found = statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE);
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// A mount point cannot be replaced (rename(2)).
fn busy(error: Errno, path: &Path) -> io::Error {
    if error != Errno::BUSY {
        return error.into();
    }
    let advice = format!(
        "it is a mount point, which cannot be replaced; mount its folder {}, not the file",
        folder_of(path).display()
    );
    io::Error::new(io::ErrorKind::ResourceBusy, advice)
}

fn write(
    folder: &OwnedFd,
    new: &OsStr,
    (text, mode, owner): (&str, u32, FileOwner),
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(folder, new, flags, Mode::RUSR | Mode::WUSR)?;
    finish(file.into(), text, mode, owner)
}

fn finish(mut file: File, text: &str, mode: u32, owner: FileOwner) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    if owner != FileOwner::default() {
        fchown(&file, owner.user, owner.group)?;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// The longest sink file that is read: more than all tokens that fit on a channel.
const LONGEST: u64 = 4 << 20;

/// The present file at a path.
#[derive(Debug)]
pub struct Present {
    /// The file's content.
    pub text: PlainSecret,
    found: Metadata,
}

/// Reads the file at `path`. `None` if there is no file, a link that [`FolderEntry::find`] does not
/// trust, or a file that cannot be read; it is then replaced.
///
/// # Errors
/// The path is neither a file nor a link, and cannot be replaced.
pub fn present(path: &Path) -> Result<Option<Present>, String> {
    let entry = match FolderEntry::find(path) {
        Ok(entry) => entry,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    match read(&entry, LONGEST) {
        Ok((text, found)) => Ok(Some(Present { text: PlainSecret::from_caller(text), found })),
        Err(file::Error::NotRegular("a folder")) => {
            Err("it is a folder; name a file in it as the sink's `path`".to_owned())
        }
        Err(error @ file::Error::NotRegular(_)) => Err(format!("{error}; remove it")),
        Err(_) => Ok(None),
    }
}

/// Reads the file of an entry, which is no link.
///
/// # Errors
/// [`file::Error`].
pub fn read(entry: &FolderEntry, longest: u64) -> Result<(String, Metadata), file::Error> {
    file::read_at(entry.folder.as_fd(), &entry.name, longest)
}

impl Present {
    /// Whether the file holds exactly `text`, with these permission bits and this owner.
    #[must_use]
    pub fn is(&self, text: &str, mode: u32, owner: FileOwner) -> bool {
        let found = &self.found;
        self.text.reveal() == text
            && found.mode() & 0o777 == mode
            && owner.user.is_none_or(|it| it == found.uid())
            && owner.group.is_none_or(|it| it == found.gid())
    }
}

/// The folder of a file; the current one for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name of the new file until it is complete.
fn hidden(name: &OsStr) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".tegata-new");
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(path.with_file_name(hidden(OsStr::new("token"))), "left by a killed agent")
            .unwrap();
        for text in ["a long first one", "new"] {
            replace(&path, text, 0o640, FileOwner::default()).unwrap();
            assert!(present(&path).unwrap().unwrap().is(text, 0o640, FileOwner::default()));
        }
        let (file, any) = (present(&path).unwrap().unwrap(), FileOwner::default());
        assert!(!file.is("new", 0o600, any) && !file.is("old", 0o640, any));
        let other = FileOwner { user: None, group: Some(65_534) };
        assert!(!file.is("new", 0o640, other), "a file of another owner must be replaced");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_reader_that_is_open_while_a_file_is_replaced_gets_all_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        replace(&path, "the old one", 0o600, FileOwner::default()).unwrap();
        let mut reader = File::open(&path).unwrap();
        replace(&path, "new", 0o600, FileOwner::default()).unwrap();
        let mut read = String::new();
        io::Read::read_to_string(&mut reader, &mut read).unwrap();
        assert_eq!(read, "the old one");
    }

    #[test]
    fn a_link_in_place_of_the_temporary_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("token"), folder.path().join("other"));
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, path.with_file_name(hidden(OsStr::new("token"))))
            .unwrap();
        replace(&path, "new", 0o600, FileOwner::default()).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[test]
    fn a_path_that_is_not_a_file_is_an_error_and_an_unreadable_file_is_replaced() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        mkfifoat(CWD, at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        assert!(present(&at("fifo")).unwrap_err().contains("a FIFO"));
        assert!(present(folder.path()).unwrap_err().contains("a folder"));
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        File::create(at("long")).unwrap().set_len(1 << 40).unwrap();
        assert!(present(&at("zero")).unwrap_err().contains("a device"), "a link of this user");
        assert!(replace(&at("zero"), "new", 0o600, FileOwner::default()).is_err());
        for name in ["long", "none"] {
            assert!(present(&at(name)).unwrap().is_none(), "{name}");
            replace(&at(name), "new", 0o600, FileOwner::default()).unwrap();
            assert_eq!(present(&at(name)).unwrap().unwrap().text.reveal(), "new");
        }
    }

    #[test]
    fn a_trusted_link_is_followed_and_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        std::os::unix::fs::symlink("real/token", at("middle")).unwrap();
        std::os::unix::fs::symlink(at("middle"), at("link")).unwrap();
        let any = FileOwner::default();
        assert!(present(&at("link")).unwrap().is_none(), "its target does not exist yet");
        for text in ["one", "two"] {
            replace(&at("link"), text, 0o640, any).unwrap();
            assert_eq!(fs::read_to_string(at("real/token")).unwrap(), text);
            assert!(present(&at("link")).unwrap().unwrap().is(text, 0o640, any));
        }
        assert!(at("link").is_symlink() && at("middle").is_symlink());
        assert_eq!(fs::read_dir(at("real")).unwrap().count(), 1, "nothing is left beside it");
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        assert!(replace(&at("loop"), "text", 0o600, any).is_err());
    }

    #[test]
    fn a_link_in_a_folder_that_others_may_write_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "precious").unwrap();
        let shared = |mode| {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let _ = fs::remove_file(at("link"));
            std::os::unix::fs::symlink("precious", at("link")).unwrap();
            replace(&at("link"), "token", 0o600, FileOwner::default()).unwrap();
        };
        shared(0o777);
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "precious");
        assert_eq!(fs::read_to_string(at("link")).unwrap(), "token");
        shared(0o1777);
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "token", "like /tmp");
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
            fs::write(at("precious"), "precious").unwrap();
            std::os::unix::fs::lchown(at("link"), Some(65_534), None).unwrap();
            replace(&at("link"), "token", 0o600, FileOwner::default()).unwrap();
            assert_eq!(fs::read_to_string(at("precious")).unwrap(), "precious");
        }
    }

    #[test]
    fn a_folder_that_another_user_could_put_on_the_path_is_not_written() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir(at("precious")).unwrap();
        fs::create_dir(at("bot")).unwrap();
        std::os::unix::fs::symlink(at("precious"), at("bot/run")).unwrap();
        fs::write(at("precious/token"), "precious").unwrap();
        fs::set_permissions(at("bot"), Permissions::from_mode(0o777)).unwrap();
        let (path, any) = (at("bot/run/token"), FileOwner::default());
        for error in [replace(&path, "new", 0o600, any), rehearse(&path, any)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("run is a symbolic link"), "{error}");
        }
        assert!(present(&path).is_err(), "nor is it read");
        assert_eq!(fs::read_to_string(at("precious/token")).unwrap(), "precious");
        assert_eq!(fs::read_dir(at("precious")).unwrap().count(), 1);
    }

    #[test]
    fn a_rehearsal_meets_what_a_write_meets_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        rehearse(&at("token"), FileOwner::default()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let missing = at("none/token");
        let write = replace(&missing, "text", 0o600, FileOwner::default()).unwrap_err();
        let rehearsed = rehearse(&missing, FileOwner::default()).unwrap_err();
        assert_eq!(rehearsed.kind(), write.kind());
    }

    #[test]
    fn owners_are_found_by_name_and_number() {
        assert_eq!(FileOwner::find("root:root"), Ok(FileOwner { user: Some(0), group: Some(0) }));
        assert_eq!(FileOwner::find(":7"), Ok(FileOwner { user: None, group: Some(7) }));
        assert!(FileOwner::find("no-such-user").unwrap_err().contains("number"));
    }
}

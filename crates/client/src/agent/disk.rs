//! Replaces files as a whole: a reader gets the old content or the new, also if power fails
//! or this process is killed meanwhile.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};
use tegata_policy::secret::PlainSecret;
use tegata_system::file::{self, Links};

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
/// the disk.
///
/// # Errors
/// The system's error; the old file is then unchanged.
pub fn replace(path: &Path, text: &str, mode: u32, owner: FileOwner) -> io::Result<()> {
    let folder = folder_of(path);
    let new = beside(path)?;
    // A file that a killed agent left. No other program uses this name.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write(&new, text, mode, owner).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // On a full disk, the partial file would prevent the next attempt.
        let _ = fs::remove_file(&new);
    }
    written?;
    // The new name in the folder must survive a crash, too.
    file::open_folder(folder)?.sync_all()
}

fn write(new: &Path, text: &str, mode: u32, owner: FileOwner) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
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
    found: fs::Metadata,
}

/// Reads the file at `path`. `None` if there is no file, a link, or a file that cannot be
/// read; it is then replaced.
///
/// # Errors
/// The path is neither a file nor a link, and cannot be replaced.
pub fn present(path: &Path) -> Result<Option<Present>, String> {
    match file::read(path, Links::Refuse, LONGEST) {
        Ok((text, found)) => Ok(Some(Present { text: PlainSecret::from_caller(text), found })),
        Err(error @ file::Error::NotRegular(_)) => Err(format!("{error}; remove it")),
        Err(_) => Ok(None),
    }
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

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("not the name of a file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".tegata-new");
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_file_is_replaced_as_a_whole_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(beside(&path).unwrap(), "left by a killed agent").unwrap();
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
        std::os::unix::fs::symlink(&other, beside(&path).unwrap()).unwrap();
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
        for name in ["zero", "long", "none"] {
            assert!(present(&at(name)).unwrap().is_none(), "{name}");
            replace(&at(name), "new", 0o600, FileOwner::default()).unwrap();
            assert_eq!(present(&at(name)).unwrap().unwrap().text.reveal(), "new");
        }
    }

    #[test]
    fn owners_are_found_by_name_and_number() {
        assert_eq!(FileOwner::find("root:root"), Ok(FileOwner { user: Some(0), group: Some(0) }));
        assert_eq!(FileOwner::find(":7"), Ok(FileOwner { user: None, group: Some(7) }));
        assert!(FileOwner::find("no-such-user").unwrap_err().contains("number"));
    }
}

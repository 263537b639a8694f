//! Files that are replaced as a whole: whoever reads one sees the old content or
//! the new, also when power fails or this process is killed in between.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

/// A file's owner, as numbers; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

impl Owner {
    /// `USER`, `USER:GROUP` or `:GROUP`, as names of this machine or as numbers.
    ///
    /// # Errors
    /// Which name is not known.
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

/// Puts `text` in the place of the file at `path`, all of it or nothing, and sees it
/// onto the disk.
///
/// # Errors
/// What the system said; the old file is still there then.
pub fn replace(path: &Path, text: &str, mode: u32, owner: Owner) -> io::Result<()> {
    let folder = folder_of(path);
    let new = beside(path)?;
    // Left behind by one of us who was killed. Nobody else's: the name is ours.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write(&new, text, mode, owner).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // On a full disk what was written stands in the way of the next attempt.
        let _ = fs::remove_file(&new);
    }
    written?;
    // The name in the folder must survive a crash as well.
    File::open(folder)?.sync_all()
}

fn write(new: &Path, text: &str, mode: u32, owner: Owner) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(text.as_bytes())?;
    if owner != Owner::default() {
        fchown(&file, owner.user, owner.group)?;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Whether the file at `path` holds just `text` and has these permission bits and
/// this owner.
#[must_use]
pub fn holds(path: &Path, text: &str, mode: u32, owner: Owner) -> bool {
    let is_theirs = |meta: &fs::Metadata| {
        owner.user.is_none_or(|it| it == meta.uid())
            && owner.group.is_none_or(|it| it == meta.gid())
    };
    fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o777 == mode && is_theirs(&meta))
        && fs::read(path).is_ok_and(|found| found == text.as_bytes())
}

/// The folder of a file, which is the current one for a mere name.
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

    #[test]
    fn a_file_is_replaced_as_a_whole_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(beside(&path).unwrap(), "left by one who was killed").unwrap();
        for text in ["a long first one", "new"] {
            replace(&path, text, 0o640, Owner::default()).unwrap();
            assert!(holds(&path, text, 0o640, Owner::default()));
        }
        let anybody = Owner::default();
        assert!(!holds(&path, "new", 0o600, anybody) && !holds(&path, "old", 0o640, anybody));
        let nobody = Owner { user: None, group: Some(65_534) };
        assert!(
            !holds(&path, "new", 0o640, nobody),
            "as the owner of the file changes, so must it"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn whoever_reads_while_a_file_is_replaced_reads_the_old_one_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        replace(&path, "the old one", 0o600, Owner::default()).unwrap();
        let mut reader = File::open(&path).unwrap();
        replace(&path, "new", 0o600, Owner::default()).unwrap();
        let mut read = String::new();
        io::Read::read_to_string(&mut reader, &mut read).unwrap();
        assert_eq!(read, "the old one");
    }

    #[test]
    fn a_link_that_somebody_laid_in_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("token"), folder.path().join("other"));
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, beside(&path).unwrap()).unwrap();
        replace(&path, "new", 0o600, Owner::default()).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[test]
    fn owners_are_found_by_name_and_number() {
        assert_eq!(Owner::find("root:root"), Ok(Owner { user: Some(0), group: Some(0) }));
        assert_eq!(Owner::find(":7"), Ok(Owner { user: None, group: Some(7) }));
        assert!(Owner::find("no-such-user").unwrap_err().contains("number"));
    }
}

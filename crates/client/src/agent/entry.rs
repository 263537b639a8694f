//! Finds the folder and the name that a path leads to. The agent may be root, and a folder on the
//! path another user's: a link that this user can put there must not lead to other folders.

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat},
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Component, Path, PathBuf},
};

/// A name in an open folder. What is done to the name is done in that folder, also if the path to
/// it leads elsewhere by now.
#[derive(Debug)]
pub struct FolderEntry {
    /// The folder, opened as a place alone (`O_PATH`).
    pub folder: OwnedFd,
    /// The name in it.
    pub name: OsString,
}

/// As many links as the kernel follows (path_resolution(7)).
const LONGEST_CHAIN: usize = 40;

impl FolderEntry {
    /// Follows a path part by part. A symbolic link is followed if it and its folder belong to
    /// root or to the agent's user, and others cannot replace it. Another link is an error in the
    /// middle of the path, and as its last part it is the entry itself, which can be replaced.
    ///
    /// # Errors
    /// The system's error, or the link that is not followed.
    pub fn find(path: &Path) -> io::Result<Self> {
        let mut folder = open(CWD, OsStr::new("."))?;
        let (mut rest, mut links) = (path.to_owned(), 0);
        loop {
            let mut parts = rest.components();
            let part = parts.next();
            let after = parts.as_path().to_owned();
            match part {
                Some(Component::Normal(name)) => {
                    let link = link(&folder, name);
                    if let Some((link, found)) = &link
                        && is_trusted(found)
                        && is_trusted_folder(&fstat(&folder)?)
                    {
                        links += 1;
                        if links > LONGEST_CHAIN {
                            return Err(Errno::LOOP.into());
                        }
                        let target = readlinkat(link, "", Vec::new())?.into_bytes();
                        rest = PathBuf::from(OsString::from_vec(target)).join(after);
                        continue;
                    }
                    if after.as_os_str().is_empty() {
                        return Ok(Self { folder, name: name.to_owned() });
                    }
                    folder = open(&folder, name).map_err(|error| match link {
                        Some(_) => not_followed(name),
                        None if error.kind() == io::ErrorKind::NotFound => {
                            io::Error::new(error.kind(), "its folder is not there; create it")
                        }
                        None => error,
                    })?;
                }
                Some(Component::CurDir) => {}
                Some(Component::RootDir) => folder = open(CWD, OsStr::new("/"))?,
                Some(Component::ParentDir) => folder = open(&folder, OsStr::new(".."))?,
                Some(Component::Prefix(_)) | None => {
                    return Err(io::Error::other("not the name of a file"));
                }
            }
            rest = after;
        }
    }
}

fn open(at: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}

/// A symbolic link, opened itself, so that what is known of it and where it leads are of the same
/// one; `None`: there is no link of this name.
fn link(folder: &OwnedFd, name: &OsStr) -> Option<(OwnedFd, Stat)> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = openat(folder, name, flags, Mode::empty()).ok()?;
    let found = fstat(&link).ok()?;
    FileType::from_raw_mode(found.st_mode).is_symlink().then_some((link, found))
}

fn not_followed(name: &OsStr) -> io::Error {
    io::Error::other(format!(
        "{} is a symbolic link that another user made or could replace, and is not followed; name \
         the folder that it leads to",
        name.display()
    ))
}

fn is_trusted(found: &Stat) -> bool {
    found.st_uid == 0 || found.st_uid == rustix::process::geteuid().as_raw()
}

/// In a folder with the sticky bit, others cannot replace files that are not theirs.
fn is_trusted_folder(found: &Stat) -> bool {
    let mode = Mode::from_raw_mode(found.st_mode);
    is_trusted(found) && (!mode.contains(Mode::WOTH) || mode.contains(Mode::SVTX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    };

    /// Whether the path leads to the folder `wanted` and the name `token`.
    fn leads_to(path: &Path, wanted: &Path) -> bool {
        let found = FolderEntry::find(path).unwrap();
        let (folder, wanted) = (fstat(&found.folder).unwrap(), fs::metadata(wanted).unwrap());
        found.name == "token" && (folder.st_dev, folder.st_ino) == (wanted.dev(), wanted.ino())
    }

    #[test]
    fn a_path_is_followed_through_folders_and_trusted_links() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("real/inner")).unwrap();
        symlink("real", at("relative")).unwrap();
        symlink(at("relative/inner"), at("absolute")).unwrap();
        for path in ["real/inner/token", "relative/inner/token", "absolute/token"] {
            assert!(leads_to(&at(path), &at("real/inner")), "{path}");
        }
        assert!(
            leads_to(&at("absolute/../token"), &at("real")),
            "of the folder that a link leads to"
        );
        assert!(leads_to(&at("real/./inner//../token"), &at("real")));
        assert!(leads_to(Path::new("token"), Path::new(".")));
        symlink("loop", at("loop")).unwrap();
        let none = FolderEntry::find(&at("none/token")).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
        let turns = FolderEntry::find(&at("loop/token")).unwrap_err();
        assert_eq!(Errno::from_io_error(&turns), Some(Errno::LOOP));
        assert!(
            FolderEntry::find(Path::new("/")).is_err() && FolderEntry::find(&at("..")).is_err()
        );
    }

    #[test]
    fn a_link_that_another_user_could_put_there_leads_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("precious")).unwrap();
        fs::create_dir(at("bots")).unwrap();
        symlink(at("precious"), at("bots/run")).unwrap();
        fs::set_permissions(at("bots"), Permissions::from_mode(0o777)).unwrap();
        let refused = |path: &str| {
            let error = FolderEntry::find(&at(path)).unwrap_err().to_string();
            assert!(error.contains("run is a symbolic link"), "{error}");
        };
        refused("bots/run/token");
        fs::set_permissions(at("bots"), Permissions::from_mode(0o755)).unwrap();
        assert!(leads_to(&at("bots/run/token"), &at("precious")));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(at("bots"), Some(65_534), None).unwrap();
            refused("bots/run/token");
            std::os::unix::fs::lchown(at("bots/run"), Some(65_534), None).unwrap();
            refused("bots/run/token");
        }
    }
}

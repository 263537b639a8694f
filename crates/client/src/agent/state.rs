//! The state of a token that is kept over a restart: the token, its validity and its
//! generation, so that a request whose response was lost is repeated under the same number.
//! One file per token, which only its owner can read.

use super::{
    disk::{self, FileOwner},
    entry::FolderEntry,
};
use crate::{renewal::Validity, wanted::Wanted};
use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use tegata_policy::secret::PlainSecret;
use tegata_system::file::{self, Links};
use tegata_token::{
    id::{ChannelId, Group},
    kind::Kind,
    time::UnixTime,
};

/// A token with its validity.
#[derive(Debug, Clone)]
pub struct HeldToken {
    /// The token.
    pub token: PlainSecret,
    /// Its validity.
    pub life: Validity,
}

/// The kept state of one token.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// The token's generation, or the number where the count begins.
    pub generation: u64,
    /// Since when requests for its successor have had no response.
    pub asking_since: Option<UnixTime>,
    /// The token.
    pub held: Option<HeldToken>,
    /// Its predecessors that are still to be revoked.
    pub retiring: Vec<HeldToken>,
}

/// The folder of the kept state.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u8,
    channel: ChannelId,
    group: Option<Group>,
    kind: Kind,
    generation: u64,
    asking_since: Option<UnixTime>,
    token: Option<Written>,
    retiring: Vec<Written>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    access_token: String,
    from: UnixTime,
    until: UnixTime,
}

const VERSION: u8 = 1;

/// The longest file that is read: a token and its predecessors, each as long as a response.
const LONGEST: u64 = 4 << 20;

/// A save, which blocks on the disk.
#[derive(Debug)]
pub struct Saving {
    /// The folder.
    pub folder: Folder,
    /// The token's name.
    pub name: Group,
    /// The token that is requested.
    pub wanted: Wanted,
    /// The state to keep.
    pub kept: Kept,
}

impl Saving {
    /// The file's path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path(&self.name)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The file that could not be written, and why.
    pub fn save(&self) -> Result<(), String> {
        self.folder.save(&self.name, &self.wanted, &self.kept)
    }
}

impl Folder {
    /// The folder at `path`; the first save creates it (0700).
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Locks the folder against other agents, for as long as the returned file stays open.
    /// `None` if the folder is not writable: no agent keeps anything in it then.
    ///
    /// # Errors
    /// Another agent uses the folder, or its lock cannot be opened.
    pub fn lock(&self) -> Result<Option<fs::File>, String> {
        let path = self.0.join("lock");
        let made = || fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let _ = self.make().and_then(|()| made());
        // Open for reading only, so that the file system can be remounted read-only.
        let file = match file::open(&path, Links::Refuse) {
            Ok((file, _)) => file,
            Err(_) if access(&self.0, Access::WRITE_OK | Access::EXEC_OK).is_err() => {
                return Ok(None);
            }
            // No space for it.
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(format!("{}: {error}; remove it", path.display())),
        };
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => Err(format!(
                "{}: another agent keeps its tokens here; stop it, or set another `state`",
                self.0.display()
            )),
            _ => Ok(Some(file)),
        }
    }

    fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    /// The kept state of this token, if there is one. Of the state of another channel, group
    /// or kind, only the generation is used.
    ///
    /// # Errors
    /// Why the file cannot be used.
    pub fn load(&self, name: &Group, wanted: &Wanted) -> Result<Option<Kept>, String> {
        let path = self.path(name);
        let wrong = |what: String| format!("{}: {what}", path.display());
        let read = FolderEntry::find(&path).map_err(file::Error::from);
        let text = match read.and_then(|entry| disk::read(&entry, LONGEST)) {
            Ok((text, _)) => PlainSecret::from_caller(text),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let file: File = serde_json::from_str(text.reveal())
            .map_err(|_| wrong("not a state file that this version can read".to_owned()))?;
        if file.version != VERSION {
            return Err(wrong("written by another version".to_owned()));
        }
        let mut kept = Kept { generation: file.generation, ..Kept::default() };
        let found = (file.channel, &file.group, file.kind);
        if found == (wanted.channel, &wanted.group, wanted.kind) {
            kept.asking_since = file.asking_since;
            kept.held = file.token.map(HeldToken::from);
            kept.retiring = file.retiring.into_iter().map(HeldToken::from).collect();
        }
        Ok(Some(kept))
    }

    /// Renames a file that cannot be used, so that the next save does not overwrite it. Returns
    /// what became of it, for people.
    #[must_use]
    pub fn set_aside(&self, name: &Group) -> String {
        let aside = self.0.join(format!("{name}.json.unreadable"));
        match fs::rename(self.path(name), &aside) {
            Ok(()) => format!("it is kept as {}", aside.display()),
            Err(error) => format!("it could not be renamed to {}: {error}", aside.display()),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The file that could not be written, and why.
    pub fn save(&self, name: &Group, wanted: &Wanted, kept: &Kept) -> Result<(), String> {
        let path = self.path(name);
        let file = File {
            version: VERSION,
            channel: wanted.channel,
            group: wanted.group.clone(),
            kind: wanted.kind,
            generation: kept.generation,
            asking_since: kept.asking_since,
            token: kept.held.as_ref().map(Written::from),
            retiring: kept.retiring.iter().map(Written::from).collect(),
        };
        let text = serde_json::to_string(&file).map_err(|error| error.to_string())?;
        let text = PlainSecret::from_caller(text);
        self.make()
            .and_then(|()| disk::replace(&path, text.reveal(), 0o600, FileOwner::default()))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn path(&self, name: &Group) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }
}

impl From<Written> for HeldToken {
    fn from(mut it: Written) -> Self {
        let life = Validity { from: it.from, until: it.until };
        Self { token: PlainSecret::from_caller(std::mem::take(&mut it.access_token)), life }
    }
}

impl From<&HeldToken> for Written {
    fn from(it: &HeldToken) -> Self {
        let access_token = it.token.reveal().to_owned();
        Self { access_token, from: it.life.from, until: it.life.until }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.access_token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn wanted(kind: Kind) -> Wanted {
        let channel = "1234567890".parse().unwrap();
        Wanted { channel, group: None, kind, lifetime: 60 }
    }

    #[test]
    fn kept_state_is_loaded_for_the_same_token_only() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(&home.path().join("a/b"));
        let name = "t".parse().unwrap();
        assert!(folder.load(&name, &wanted(Kind::V21)).unwrap().is_none());
        let life = Validity { from: UnixTime(5), until: UnixTime(65) };
        let held = HeldToken { token: PlainSecret::from_caller("tok".to_owned()), life };
        let kept = Kept {
            generation: 9,
            asking_since: Some(UnixTime(7)),
            held: Some(held.clone()),
            retiring: vec![held],
        };
        folder.save(&name, &wanted(Kind::V21), &kept).unwrap();
        assert_eq!(fs::metadata(folder.path(&name)).unwrap().mode() & 0o777, 0o600);
        let back = folder.load(&name, &wanted(Kind::V21)).unwrap().unwrap();
        let held = back.held.unwrap();
        assert_eq!((back.generation, held.token.reveal(), held.life), (9, "tok", life));
        assert_eq!((back.retiring.len(), back.asking_since), (1, Some(UnixTime(7))));
        let other = folder.load(&name, &wanted(Kind::ShortLived)).unwrap().unwrap();
        assert!(other.generation == 9 && other.held.is_none() && other.retiring.is_empty());
    }

    #[test]
    fn a_file_that_is_not_a_state_is_an_error_that_names_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(home.path());
        fs::write(home.path().join("t.json"), "{\"access_token\": \"canary\"").unwrap();
        let error = folder.load(&"t".parse().unwrap(), &wanted(Kind::V21)).unwrap_err();
        assert!(error.contains("t.json") && !error.contains("canary"), "{error}");
        assert!(folder.set_aside(&"t".parse().unwrap()).contains("t.json.unreadable"));
        let aside = fs::read_to_string(home.path().join("t.json.unreadable")).unwrap();
        assert!(aside.contains("canary"), "nothing is lost");
        assert!(folder.load(&"t".parse().unwrap(), &wanted(Kind::V21)).unwrap().is_none());
    }

    #[test]
    fn two_agents_do_not_share_a_folder() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(home.path());
        let lock = folder.lock().unwrap();
        assert!(lock.is_some() && folder.lock().unwrap_err().contains("another agent"));
        drop(lock);
        assert!(folder.lock().unwrap().is_some());
        fs::remove_file(home.path().join("lock")).unwrap();
        std::os::unix::fs::symlink("elsewhere", home.path().join("lock")).unwrap();
        let error = folder.lock().unwrap_err();
        assert!(
            error.contains("lock: it is a symbolic link"),
            "no lock is no reason to go on: {error}"
        );
    }
}

//! The copy of the view on disk: a process that starts while the authority cannot be
//! reached verifies with what the last one knew.

use crate::{
    clocks::Steady,
    standing::{Facts, Standing, Use, Withdrawn},
};
use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tegata_token::feed::{OnStale, Snapshot};

/// A copy, locked for this process.
#[derive(Debug)]
pub(super) struct CopyFile {
    path: PathBuf,
    /// The authority's address: a copy of another authority is not used.
    authority: String,
    /// Stands for the verifier's token: the copy of another verifier may have the view of
    /// another provider.
    verifier: String,
    boot: String,
    /// Held as long as the process may use the copy.
    #[cfg_attr(not(feature = "blocking"), expect(dead_code, reason = "only held"))]
    lock: ArcSwapOption<File>,
}

#[derive(Serialize, Deserialize)]
struct Body {
    version: u32,
    authority: String,
    verifier: String,
    boot_id: String,
    as_of_ns: i64,
    sent_ns: i64,
    /// Wall clock minus steady clock.
    gap_ns: i64,
    clock_ms: u64,
    time_at_ns: i64,
    least_ms: u64,
    staleness_ms: u64,
    on_stale: OnStale,
    snapshot: Box<RawValue>,
}

const VERSION: u32 = 1;
/// Where Linux shows the id of the present boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How every copy begins.
const BEGINNING: &[u8] = br#"{"version":1,"authority":""#;

/// What stands for a verifier's token in a copy; the token cannot be learned from it.
fn stands_for(authorization: &[u8]) -> String {
    let mut hashed = digest::Context::new(&digest::SHA256);
    hashed.update(b"tegata: the verifier of a copy\n");
    hashed.update(authorization);
    hashed.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl CopyFile {
    /// Locks the copy at `path`.
    pub fn lock(path: &Path, authority: &str, authorization: &[u8]) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("the copy {}: {error}", path.display()))
        };
        is_ours(path).map_err(named)?;
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let options = OpenOptions::new().create(true).append(true).mode(0o600).clone();
        let lock = options.open(lock).map_err(named)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            let problem = format!("another process uses the copy {}: {error}", path.display());
            io::Error::new(io::ErrorKind::WouldBlock, problem)
        })?;
        // A copy counts until the machine is restarted: its times are those of a clock that begins anew.
        let boot = fs::read_to_string(BOOT_ID).map_err(|error| {
            io::Error::new(error.kind(), format!("{BOOT_ID}, which a copy needs: {error}"))
        })?;
        let (path, authority) = (path.to_owned(), authority.to_owned());
        let (verifier, boot) = (stands_for(authorization), boot.trim().to_owned());
        let lock = ArcSwapOption::from_pointee(lock);
        Ok(Self { path, authority, verifier, boot, lock })
    }

    /// Leaves the copy to the process that this one was forked from. The lock is that of an open
    /// file which both have: it would be held as long as either of them has the file open.
    #[cfg(feature = "blocking")]
    pub fn leave(&self) {
        // Closed, not unlocked, which would unlock it for both.
        drop(self.lock.swap(None));
    }

    /// What the last process of this boot knew, if it can be used.
    pub fn read(&self, now: Steady) -> Option<Standing> {
        let body: Body = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        let is_own = body.version == VERSION
            && body.boot_id == self.boot
            && body.authority == self.authority
            && body.verifier == self.verifier
            && body.as_of_ns <= now.0
            && body.time_at_ns <= now.0;
        if !is_own {
            return None;
        }
        let snapshot = Snapshot::parse(body.snapshot.get().as_bytes()).ok()?;
        let facts = Facts {
            provider: snapshot.provider,
            view: snapshot.view,
            issuer: snapshot.issuer,
            as_of: Steady(body.as_of_ns),
            sent: Steady(body.sent_ns),
            gap: body.gap_ns,
            clock_ms: body.clock_ms,
            time_at: Steady(body.time_at_ns),
            least_ms: body.least_ms,
        };
        let staleness = Duration::from_millis(body.staleness_ms);
        let granted = Some(Use { staleness, on_stale: body.on_stale });
        Some(Standing { facts: Some(facts), granted, withdrawn: None, shown: None })
    }

    /// Writes what is in force, durably.
    pub fn write(&self, standing: &Standing) -> io::Result<()> {
        let (Some(facts), Some(granted)) = (&standing.facts, standing.granted) else {
            return Ok(());
        };
        // The copy was deleted before the process said `bye`.
        if standing.withdrawn == Some(Withdrawn::Stopped) {
            return Ok(());
        }
        let provider = facts.provider;
        let snapshot = Snapshot::write(&facts.view, provider, &facts.issuer);
        let body = Body {
            version: VERSION,
            authority: self.authority.clone(),
            verifier: self.verifier.clone(),
            boot_id: self.boot.clone(),
            as_of_ns: facts.as_of.0,
            sent_ns: facts.sent.0,
            gap_ns: facts.gap,
            clock_ms: facts.clock_ms,
            time_at_ns: facts.time_at.0,
            least_ms: facts.least_ms,
            staleness_ms: granted.staleness.as_millis().try_into().unwrap_or(u64::MAX),
            on_stale: granted.on_stale,
            snapshot: RawValue::from_string(snapshot)?,
        };
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let options =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).clone();
        let mut file = options.open(&new)?;
        file.write_all(&serde_json::to_vec(&body)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(self.folder())?.sync_all()
    }

    /// Removes the copy, durably.
    pub fn delete(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        File::open(self.folder())?.sync_all()
    }

    fn folder(&self) -> &Path {
        let folder = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        folder.unwrap_or(Path::new("."))
    }
}

/// Returns an error unless there is no file, or a copy: it is replaced and deleted. A copy
/// that was cut off is of no use, and keeps no program from starting.
fn is_ours(path: &Path) -> io::Result<()> {
    let mut beginning = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?.take(BEGINNING.len() as u64).read_to_end(&mut beginning)?,
    };
    if BEGINNING.starts_with(&beginning) {
        return Ok(());
    }
    let problem = "the file is no copy of a view; choose another file, or remove it";
    Err(io::Error::new(io::ErrorKind::AlreadyExists, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_token::view::{Providers, View};

    #[test]
    fn a_file_that_is_no_copy_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        for text in ["my notes", "{}", r#"{"version":1,"author":"me"}"#] {
            fs::write(&notes, text).unwrap();
            let refused = CopyFile::lock(&notes, "http://a/", b"a").unwrap_err().to_string();
            assert!(refused.contains("no copy of a view"), "{refused}");
            assert!(refused.contains("notes"), "{refused}");
            assert_eq!(fs::read_to_string(&notes).unwrap(), text);
        }
        assert!(CopyFile::lock(folder.path(), "http://a/", b"a").is_err(), "a folder");
        assert!(CopyFile::lock(&folder.path().join("none/copy"), "http://a/", b"a").is_err());
    }

    #[test]
    fn a_copy_of_another_boot_authority_or_verifier_is_not_used_and_none_is_written_after_bye() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy");
        let mut copy = CopyFile::lock(&file, "http://a/", b"Bearer canary").unwrap();
        let at = Steady(5);
        let facts = Facts {
            view: View::new(Providers::All),
            provider: None,
            issuer: String::new(),
            as_of: at,
            sent: at,
            gap: 0,
            clock_ms: 7,
            time_at: at,
            least_ms: 9,
        };
        let granted = Some(Use { staleness: Duration::from_secs(1), on_stale: OnStale::Ask });
        let mut standing = Standing { facts: Some(facts), granted, ..Standing::default() };
        copy.write(&standing).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.as_bytes().starts_with(BEGINNING) && !text.contains("canary"), "{text}");
        assert_eq!(copy.read(at).unwrap().granted, granted);
        assert_eq!(copy.read(at).unwrap().time_ms(at), Some(9), "no token is active again");
        assert!(copy.read(Steady(4)).is_none(), "of a later moment: another boot");
        let boot = std::mem::replace(&mut copy.boot, "another boot".to_owned());
        assert!(copy.read(at).is_none());
        copy.boot = boot;
        let authority = std::mem::replace(&mut copy.authority, "http://b/".to_owned());
        assert!(copy.read(at).is_none());
        copy.authority = authority;
        let verifier = std::mem::replace(&mut copy.verifier, stands_for(b"Bearer other"));
        assert!(copy.read(at).is_none());
        copy.verifier = verifier;
        let member = format!(r#""verifier":"{}","#, copy.verifier);
        fs::write(&file, text.replace(&member, "")).unwrap();
        assert!(copy.read(at).is_none(), "of a program that did not name the verifier");
        fs::write(&file, &text).unwrap();
        assert!(copy.read(at).is_some());
        copy.delete().unwrap();
        standing.withdrawn = Some(Withdrawn::Stopped);
        copy.write(&standing).unwrap();
        assert!(copy.read(at).is_none());
    }
}

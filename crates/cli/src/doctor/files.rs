//! The files and folders: whether they are there, whose they are, and who may read
//! them.

use super::Findings;
use rustix::fs::{Access, access};
use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tegata_server::{TlsFiles, authority::record, config::Settings};
use tegata_token::time::{DAY, UnixTime};

const CHECK: &str = "files";

pub fn look(found: &mut Findings, settings: &Settings) {
    let place = &settings.place;
    let mut files = vec![place.store.clone(), place.master_key(), place.guard()];
    files.extend([place.audit_anchor(), record::path(&place.store)]);
    if settings.admin_token.is_none() && settings.admin_token_file.is_none() {
        files.push(place.admin_token());
    }
    files.extend(settings.revocation_journal.clone());
    files.extend(["-wal", "-shm", ".lock"].map(|end| beside(&place.store, end)));
    files.extend(settings.tls.as_ref().map(|tls| tls.key.clone()));

    let mut folders: Vec<PathBuf> = files.iter().map(|file| folder_of(file)).collect();
    folders.sort();
    folders.dedup();
    for folder in folders {
        look_at_folder(found, &folder);
    }
    let owner = place.store.metadata().ok().map(|store| store.uid());
    owner_of_folder(found, &place.store);
    for file in &files {
        look_at_file(found, file, owner);
    }
    pair(found, &place.store, &place.master_key());
    if let Some(tls) = &settings.tls {
        certificate(found, tls, UnixTime(jiff::Timestamp::now().as_second()));
    }
}

/// The server that the folder was made for must be able to use the store.
fn owner_of_folder(found: &mut Findings, store: &Path) {
    let folder = folder_of(store);
    let (Ok(it), Ok(folder_is)) = (store.metadata(), folder.metadata()) else { return };
    let owner = folder_is.uid();
    // A folder of root's may hold the store of a server's own user.
    if it.uid() != owner && owner != 0 {
        let name = store.display();
        let what = format!(
            "{name} belongs to user {}, its folder {} to user {owner}",
            it.uid(),
            folder.display()
        );
        found.wrong(CHECK, what, format!("run, for each file beside it too: chown {owner} {name}"));
    }
}

/// A certificate that ends in fewer days is warned of: renewal is well before that.
const SOON: i64 = 14;

/// Whether the certificate goes with its key, and until when it is good.
fn certificate(found: &mut Findings, files: &TlsFiles, now: UnixTime) {
    let name = files.certificate.display();
    let good = match files.good() {
        Ok(good) => good,
        Err(error) => {
            let mend = "bring a certificate and its own key there, in PEM, or correct --tls-cert \
                        and --tls-key";
            found.wrong(CHECK, error.to_string(), mend);
            return;
        }
    };
    let day = |time: UnixTime| match jiff::Timestamp::from_second(time.0) {
        Ok(time) => time.to_string(),
        Err(_) => "a year beyond 9999".to_owned(),
    };
    let renew = "renew it and write both files; a running server takes them by itself";
    if now > good.until {
        found.wrong(CHECK, format!("{name}: the certificate ended at {}", day(good.until)), renew);
    } else if now < good.from {
        let what = format!("{name}: the certificate is not good before {}", day(good.from));
        found.wrong(CHECK, what, "correct this machine's clock, or wait until then");
    } else if good.until.0 - now.0 < SOON * DAY {
        let what = format!("{name}: the certificate ends at {}", day(good.until));
        found.warning(CHECK, what, renew);
    } else {
        found.ok(CHECK, format!("{name}: goes with its key, good until {}", day(good.until)));
    }
}

/// A file whose name begins like this one's.
pub fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The folder that a file is in.
pub fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

fn look_at_folder(found: &mut Findings, folder: &Path) {
    let name = folder.display();
    match folder.metadata() {
        Err(error) => {
            let what = format!("the folder {name}: {error}");
            found.wrong(CHECK, what, format!("make it: mkdir -m 700 {name}"));
        }
        Ok(it) if !it.is_dir() => {
            found.wrong(CHECK, format!("{name} is no folder"), "give a file in a folder");
        }
        Ok(it) => {
            if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
                let what = format!("the folder {name} may not be written to by this user");
                found.wrong(CHECK, what, format!("run as its owner, or: chown USER {name}"));
            }
            // With the sticky bit, as /tmp has it, only owners take files away.
            if it.mode() & 0o022 != 0 && it.mode() & 0o1000 == 0 {
                let what = format!("others may put files into the folder {name}");
                found.warning(CHECK, what, format!("run: chmod go-w {name}"));
            }
        }
    }
}

fn look_at_file(found: &mut Findings, file: &Path, store_owner: Option<u32>) {
    let name = file.display();
    let Ok(link) = file.symlink_metadata() else { return };
    if link.is_symlink() && file.metadata().is_err() {
        let what = format!("{name} is a link that leads nowhere");
        found.wrong(CHECK, what, format!("bring back what it leads to, or remove it: rm {name}"));
        return;
    }
    let Ok(it) = file.metadata() else { return };
    if let Some((what, mend)) = wrong_with(file, &it, store_owner) {
        found.wrong(CHECK, what, mend);
        return;
    }
    let by_link = if link.is_symlink() { ", by a link" } else { "" };
    found.ok(CHECK, format!("{name}: its owner's alone{by_link}"));
}

fn wrong_with(file: &Path, it: &Metadata, store_owner: Option<u32>) -> Option<(String, String)> {
    let name = file.display();
    if !it.is_file() {
        return Some((format!("{name} is no file"), "give the path of a file".to_owned()));
    }
    let mode = it.mode() & 0o777;
    if mode & 0o077 != 0 {
        let what = format!("{name} can be read or changed by others (mode {mode:03o})");
        return Some((what, format!("run: chmod 600 {name}")));
    }
    if let Some(owner) = store_owner.filter(|owner| *owner != it.uid()) {
        let what = format!("{name} belongs to user {}, the store to user {owner}", it.uid());
        return Some((what, format!("run: chown {owner} {name}")));
    }
    if access(file, Access::READ_OK).is_err() {
        let what = format!("{name} may not be read by this user");
        return Some((what, format!("run as user {}, who owns it", it.uid())));
    }
    if it.nlink() > 1 {
        let what = format!("{name} has several names (hard links)");
        return Some((what, "keep one of them and remove the others".to_owned()));
    }
    None
}

/// The store and the key that opens what is in it belong together.
fn pair(found: &mut Findings, store: &Path, key: &Path) {
    match (store.exists(), key.exists()) {
        (true, true) => {}
        (false, false) => found.ok(CHECK, "no store and no keys yet; the first start makes them"),
        (true, false) => {
            let what = format!("there is a store, but no master key at {}", key.display());
            let mend = "bring the master key's file back, or name it with --master-key-file; \
                        without it no signing key can be opened";
            found.wrong(CHECK, what, mend);
        }
        (false, true) => {
            let what = format!("there is a master key, but no store at {}", store.display());
            let mend = "if there was one, bring it back before you start; the next start makes \
                        a new, empty one";
            found.warning(CHECK, what, mend);
        }
    }
}

//! Checks the files and folders: whether they exist, their owners and their modes.

use super::{Finding, Findings, State};
use rustix::fs::{Access, access};
use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tegata_server::{
    SELF_SIGNED_CA, TlsFiles,
    authority::{admin_token, record},
    config::Settings,
};
use tegata_system::file::Exposure;
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
    admin_token(found, settings);
    if let Some(journal) = &settings.revocation_journal {
        disks(found, &place.store, journal);
    }
    if place.database.is_none() {
        pair(found, &place.store, &place.master_key());
    }
    if let Some(tls) = &settings.tls {
        certificate(found, tls, UnixTime(jiff::Timestamp::now().as_second()));
    }
}

/// Checks that the file of the administrator's token, if there is one, holds a token.
fn admin_token(found: &mut Findings, settings: &Settings) {
    let (file, named) = match &settings.admin_token_file {
        _ if settings.admin_token.is_some() => return,
        Some(file) => (file.clone(), true),
        None => (settings.place.admin_token(), false),
    };
    let name = file.display().to_string();
    // Its owner and its mode were checked before.
    let is_reported = |it: &Finding| it.state == State::Wrong && it.what.starts_with(&name);
    if let Err(error) = admin_token::check(&file, named)
        && !found.0.iter().any(is_reported)
    {
        let next_step = "write a new token with `tegata admin reset`, or correct the file";
        found.wrong(CHECK, format!("{:#}", anyhow::Error::from(error)), next_step);
    }
}

/// A journal on the store's disk is lost with the store that it should restore.
fn disks(found: &mut Findings, store: &Path, journal: &Path) {
    // A file that does not exist yet will be on its folder's disk.
    let disk = |file: &Path| {
        let of = file.metadata().or_else(|_| folder_of(file).metadata());
        of.map(|it| it.dev()).ok()
    };
    if let (Some(store_disk), Some(journal_disk)) = (disk(store), disk(journal))
        && store_disk == journal_disk
    {
        let (store, journal) = (store.display(), journal.display());
        let what = format!("the revocation journal {journal} is on the disk of the store {store}");
        let next_step = "move it to another disk, and name it there with --revocation-journal: if this \
                    disk is lost, a restored backup has to revoke all tokens";
        found.warning(CHECK, what, next_step);
    }
}

/// The store must belong to the folder's owner, the user that the server runs as.
fn owner_of_folder(found: &mut Findings, store: &Path) {
    let folder = folder_of(store);
    let (Ok(it), Ok(folder_is)) = (store.metadata(), folder.metadata()) else { return };
    let owner = folder_is.uid();
    // A folder that root owns may hold the store of another user.
    if it.uid() != owner && owner != 0 {
        let name = store.display();
        let what = format!(
            "{name} belongs to user {}, but its folder {} to user {owner}",
            it.uid(),
            folder.display()
        );
        found.wrong(
            CHECK,
            what,
            format!("run this for it and for each file beside it: chown {owner} {name}"),
        );
    }
}

/// A certificate that expires in fewer days gets a warning: renewal happens well before.
const SOON: i64 = 14;

/// Checks that the certificate matches its key, and when it is valid.
fn certificate(found: &mut Findings, files: &TlsFiles, now: UnixTime) {
    let name = files.certificate.display();
    let good = match files.good() {
        Ok(good) => good,
        Err(error) => {
            let next_step = "put a certificate and its own key there, in PEM, or correct --tls-cert and \
                        --tls-key";
            found.wrong(CHECK, error.to_string(), next_step);
            return;
        }
    };
    let day = |time: UnixTime| match jiff::Timestamp::from_second(time.0) {
        Ok(time) => time.to_string(),
        Err(_) => "a year after 9999".to_owned(),
    };
    if good.is_self_signed_ca {
        let (what, next_step) = SELF_SIGNED_CA.split_once("; ").unwrap_or((SELF_SIGNED_CA, ""));
        found.warning(CHECK, format!("{name}: {what}"), next_step);
    }
    let renew = "renew it and write both files; a running server reloads them by itself";
    if now > good.until {
        found.wrong(
            CHECK,
            format!("{name}: the certificate expired at {}", day(good.until)),
            renew,
        );
    } else if now < good.from {
        let what = format!("{name}: the certificate is not valid before {}", day(good.from));
        found.wrong(CHECK, what, "correct this machine's clock, or wait until then");
    } else if good.until.0 - now.0 < SOON * DAY {
        let what = format!("{name}: the certificate expires at {}", day(good.until));
        found.warning(CHECK, what, renew);
    } else {
        found.ok(CHECK, format!("{name}: matches its key, valid until {}", day(good.until)));
    }
}

/// The file whose name is this one's with `end` appended.
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
            found.wrong(CHECK, format!("{name} is not a folder"), "name a file in a folder");
        }
        Ok(it) => {
            if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
                let what = format!("this user cannot write to the folder {name}");
                found.wrong(CHECK, what, format!("run as its owner, or: chown USER {name}"));
            }
            // With the sticky bit, as on /tmp, only a file's owner can remove it.
            if it.mode() & 0o022 != 0 && it.mode() & 0o1000 == 0 {
                let what = format!("other users can put files into the folder {name}");
                found.warning(CHECK, what, format!("run: chmod go-w {name}"));
            }
        }
    }
}

fn look_at_file(found: &mut Findings, file: &Path, store_owner: Option<u32>) {
    let name = file.display();
    let Ok(link) = file.symlink_metadata() else { return };
    if link.is_symlink() && file.metadata().is_err() {
        let what = format!("{name} is a symbolic link to a missing file");
        found.wrong(
            CHECK,
            what,
            format!("restore the file that it points to, or remove the link: rm {name}"),
        );
        return;
    }
    let Ok(it) = file.metadata() else { return };
    if let Some((what, next_step)) = wrong_with(file, &it, store_owner) {
        found.wrong(CHECK, what, next_step);
        return;
    }
    let by_link = if link.is_symlink() { " (symbolic link)" } else { "" };
    found.ok(CHECK, format!("{name}: accessible to its owner only{by_link}"));
}

fn wrong_with(file: &Path, it: &Metadata, store_owner: Option<u32>) -> Option<(String, String)> {
    let name = file.display();
    if !it.is_file() {
        return Some((format!("{name} is not a file"), "give the path of a file".to_owned()));
    }
    if let Some(exposure) = Exposure::of(it) {
        return Some((format!("{name} {exposure}"), exposure.advice(file)));
    }
    // Root may provide a file that this user reads as a member of its group.
    let is_provided = it.uid() == 0 && it.mode() & 0o040 != 0;
    if let Some(owner) = store_owner.filter(|owner| *owner != it.uid() && !is_provided) {
        let what = format!("{name} belongs to user {}, but the store to user {owner}", it.uid());
        return Some((what, format!("run: chown {owner} {name}")));
    }
    if access(file, Access::READ_OK).is_err() {
        let what = format!("this user cannot read {name}");
        return Some((what, format!("run as user {}, the file's owner", it.uid())));
    }
    if it.nlink() > 1 {
        let what = format!("{name} has several names (hard links)");
        return Some((what, "keep one of them and remove the others".to_owned()));
    }
    None
}

/// Checks that a store and its master key are both there, or neither.
fn pair(found: &mut Findings, store: &Path, key: &Path) {
    match (store.exists(), key.exists()) {
        (true, true) => {}
        (false, false) => found.ok(CHECK, "no store and no keys yet; the first start creates them"),
        (true, false) => {
            let what = format!("there is a store, but no master key at {}", key.display());
            let next_step = "restore the master key's file, or name it with --master-key-file; without it \
                        no signing key can be decrypted";
            found.wrong(CHECK, what, next_step);
        }
        (false, true) => {
            let what = format!("there is a master key, but no store at {}", store.display());
            let next_step = "if there was one, restore it before you start; the next start creates a new, \
                        empty one";
            found.warning(CHECK, what, next_step);
        }
    }
}

//! The address of a store: a SQLite file, or a PostgreSQL database.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};
use tegata_policy::secret::PlainSecret;

/// The SQLite file of a server without `--store`.
pub const USUAL_STORE: &str = "tegata.db";

/// Where a store is, parsed from its URL.
#[derive(Clone)]
pub enum StoreAddress {
    /// The SQLite file.
    File(PathBuf),
    /// The address of a PostgreSQL database, which may hold a password.
    Database(PlainSecret),
    /// It is neither; an error of the arguments' parser would repeat a password in it.
    Neither,
}

/// What to write.
pub const WRITE: &str = "write it as sqlite:FILE, such as sqlite:tegata.db, or as \
                     postgres://USER@HOST/DATABASE";

impl FromStr for StoreAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", file)) => match wrong_with(file) {
                None => Ok(Self::File(file.into())),
                Some(wrong) => Err(wrong),
            },
            Some(("postgres" | "postgresql", behind)) if behind.starts_with("//") => {
                Ok(Self::Database(PlainSecret::from_caller(text.to_owned())))
            }
            Some(_) if text.contains('@') => Ok(Self::Neither),
            _ => Err(WRITE.to_owned()),
        }
    }
}

/// The address with this password, in place of its own.
pub fn with_password(address: PlainSecret, password: Option<&PlainSecret>) -> PlainSecret {
    let Some(password) = password else { return address };
    let text = address.reveal();
    let Some((scheme, behind)) = text.split_once("://") else { return address };
    let end = behind.find(['/', '?']).unwrap_or(behind.len());
    let (place, rest) = behind.split_at(end);
    let (user, hosts) = place.rsplit_once('@').unwrap_or(("", place));
    let user = user.split(':').next().unwrap_or_default();
    let password: String = password.reveal().bytes().map(|byte| format!("%{byte:02X}")).collect();
    PlainSecret::from_caller(format!("{scheme}://{user}:{password}@{hosts}{rest}"))
}

/// Says what is wrong with the file of a store, and what to write. Other programs read a
/// URL, parameters and special names where this one reads a path: the store must not be a
/// file of that name in another place than the operator expects.
fn wrong_with(file: &str) -> Option<String> {
    let write = |file: &str| format!("write sqlite:{file}");
    if let Some(behind) = file.strip_prefix("//") {
        let path = behind.split('?').next().unwrap_or_default();
        let path = path.strip_prefix("localhost").filter(|it| it.starts_with('/')).unwrap_or(path);
        let path = if path.is_empty() { USUAL_STORE } else { path };
        return Some(format!("it is a path, without `//` before it: {}", write(path)));
    }
    if let Some(behind) = file.strip_prefix("file:") {
        let path = behind.split('?').next().unwrap_or_default();
        return Some(format!("it is a path, without `file:` before it: {}", write(path)));
    }
    if file.is_empty() || file.starts_with(":memory:") || file.contains("mode=memory") {
        return Some(format!(
            "a store is a file, not in memory: {}; for a store that is removed afterwards, use \
             `serve --dev` without --store",
            write(USUAL_STORE)
        ));
    }
    if let Some((path, _)) = file.split_once('?') {
        return Some(format!("it takes no parameters: {}", write(path)));
    }
    if file.starts_with('~') {
        return Some("the shell does not replace `~` here: write sqlite:\"$HOME\"/…".to_owned());
    }
    if file.trim() != file {
        return Some(format!("it has white space around it: {}", write(file.trim())));
    }
    if file.ends_with('/') || Path::new(file).is_dir() {
        let folder = file.trim_end_matches('/');
        return Some(format!("it is a folder: {}", write(&format!("{folder}/{USUAL_STORE}"))));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_other_programs_read_differently_is_refused_with_what_to_write() {
        let wrong = |text: &str| text.parse::<StoreAddress>().err().unwrap_or_default();
        for (text, advice) in [
            ("sqlite://tegata.db", "write sqlite:tegata.db"),
            ("sqlite:///var/lib/tegata.db", "write sqlite:/var/lib/tegata.db"),
            ("sqlite://localhost/var/t.db?mode=rwc", "write sqlite:/var/t.db"),
            ("sqlite://", "write sqlite:tegata.db"),
            ("sqlite:tegata.db?mode=rwc", "write sqlite:tegata.db"),
            ("sqlite:file:t.db?cache=shared", "write sqlite:t.db"),
            ("sqlite::memory:", "serve --dev"),
            ("sqlite:", "serve --dev"),
            ("sqlite:~/t.db", "$HOME"),
            ("sqlite: t.db", "write sqlite:t.db"),
            ("sqlite:t.db\n", "write sqlite:t.db"),
            ("sqlite:/tmp", "write sqlite:/tmp/tegata.db"),
            ("sqlite:new/", "write sqlite:new/tegata.db"),
            ("sqlite:.", "write sqlite:./tegata.db"),
            ("tegata.db", "write it as sqlite:FILE"),
            ("SQLITE:tegata.db", "write it as sqlite:FILE"),
            ("postgres:t", "postgres://USER@HOST/DATABASE"),
        ] {
            assert!(wrong(text).contains(advice), "{text}: {}", wrong(text));
        }
        for text in ["sqlite:tegata.db", "sqlite:/var/lib/tegata.db", "sqlite:../t e.db"] {
            assert_eq!(wrong(text), "", "{text}");
        }
    }

    #[test]
    fn a_password_of_a_file_replaces_that_of_the_address() {
        let with = |address: &str| {
            let address = PlainSecret::from_caller(address.to_owned());
            let password = PlainSecret::from_caller("a/@".to_owned());
            with_password(address, Some(&password)).reveal().to_owned()
        };
        for (address, full) in [
            ("postgres://me@db/t", "postgres://me:%61%2F%40@db/t"),
            ("postgres://me:old@a:1,b:2/t?x=@", "postgres://me:%61%2F%40@a:1,b:2/t?x=@"),
            ("postgresql://db", "postgresql://:%61%2F%40@db"),
        ] {
            assert_eq!(with(address), full);
        }
    }
}

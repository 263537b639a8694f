//! The files of an authority, and its database if it has one.

use std::path::{Path, PathBuf};
use tegata_policy::secret::PlainSecret;

/// The files of an authority.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The SQLite file. With a database: a path that the files of this server are named
    /// after, which does not exist itself.
    pub store: PathBuf,
    /// The PostgreSQL database, instead of the SQLite file.
    pub database: Option<Database>,
    /// The master key's file; `master.key` beside the store unless set.
    pub master_key_file: Option<PathBuf>,
    /// The rollback guard's file, which detects an older copy of the store; beside the
    /// master key, with the store's name and `.guard`, unless set.
    pub rollback_guard_file: Option<PathBuf>,
}

/// Where a PostgreSQL database is. The addresses may hold its password, so none is shown.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its address, perhaps that of a pool of connections.
    pub address: PlainSecret,
    /// The address of the database itself, for `LISTEN`, which a pool may not pass on.
    pub direct: Option<PlainSecret>,
}

impl Files {
    /// The files of a server on a database: the server's own ones are in its working folder.
    #[must_use]
    pub fn on_database(database: Database) -> Self {
        Self { store: "tegata".into(), database: Some(database), ..Self::default() }
    }

    /// The master key's file.
    #[must_use]
    pub fn master_key(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.store.with_file_name("master.key"))
    }

    /// What this server's own files are beside: with a database, the master key's folder may
    /// be shared with other servers, or be read-only.
    fn own(&self) -> PathBuf {
        match self.database {
            Some(_) => self.store.clone(),
            None => self.master_key(),
        }
    }

    /// The rollback guard's file.
    #[must_use]
    pub fn guard(&self) -> PathBuf {
        let beside = || {
            let mut name = self.store.file_name().unwrap_or_default().to_owned();
            name.push(".guard");
            self.own().with_file_name(name)
        };
        self.rollback_guard_file.clone().unwrap_or_else(beside)
    }

    /// The audit's anchor, which records the newest checkpoint, beside the rollback
    /// guard.
    #[must_use]
    pub fn audit_anchor(&self) -> PathBuf {
        let mut name = self.guard().into_os_string();
        name.push(".audit");
        name.into()
    }

    /// The file of the administrator's token, unless a token is set.
    #[must_use]
    pub fn admin_token(&self) -> PathBuf {
        self.own().with_file_name("admin.token")
    }

    /// A path on the disk that the server writes to.
    #[must_use]
    pub fn on_disk(&self) -> &Path {
        let folder = self.store.parent().filter(|it| !it.as_os_str().is_empty());
        match self.database {
            Some(_) => folder.unwrap_or(Path::new(".")),
            None => &self.store,
        }
    }
}

//! The files of an authority.

use std::path::PathBuf;

/// The files of an authority.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The SQLite file.
    pub store: PathBuf,
    /// The master key's file; `master.key` beside the store unless set.
    pub master_key_file: Option<PathBuf>,
    /// The rollback guard's file, which detects an older copy of the store; beside the
    /// master key, with the store's name and `.guard`, unless set.
    pub rollback_guard_file: Option<PathBuf>,
}

impl Files {
    /// The master key's file.
    #[must_use]
    pub fn master_key(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.store.with_file_name("master.key"))
    }

    /// The rollback guard's file.
    #[must_use]
    pub fn guard(&self) -> PathBuf {
        let beside = || {
            let mut name = self.store.file_name().unwrap_or_default().to_owned();
            name.push(".guard");
            self.master_key().with_file_name(name)
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
        self.master_key().with_file_name("admin.token")
    }
}

//! Where an authority keeps its files.

use std::path::PathBuf;

/// Where an authority keeps its files.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The SQLite file.
    pub store: PathBuf,
    /// The master key's file; `master.key` beside the store unless set.
    pub master_key_file: Option<PathBuf>,
    /// The file of the mark that tells whether the store went backwards; beside the
    /// master key, with the store's name and `.mark`, unless set.
    pub rollback_guard_file: Option<PathBuf>,
}

impl Files {
    /// The master key's file.
    #[must_use]
    pub fn master_key(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.store.with_file_name("master.key"))
    }

    /// The mark's file.
    #[must_use]
    pub fn guard(&self) -> PathBuf {
        let beside = || {
            let mut name = self.store.file_name().unwrap_or_default().to_owned();
            name.push(".mark");
            self.master_key().with_file_name(name)
        };
        self.rollback_guard_file.clone().unwrap_or_else(beside)
    }

    /// The file that keeps the newest seal of the audit, beside the mark.
    #[must_use]
    pub fn audit_anchor(&self) -> PathBuf {
        let mut name = self.guard().into_os_string();
        name.push(".audit");
        name.into()
    }

    /// The file of the administrator's token, where none was set.
    #[must_use]
    pub fn admin_token(&self) -> PathBuf {
        self.master_key().with_file_name("admin.token")
    }
}

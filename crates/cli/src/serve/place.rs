//! Where an authority is, by its settings.

use super::{
    address::{StoreAddress, USUAL_STORE, WRITE, with_password},
    settings::StoreSettings,
};
use crate::{failure::BadUsage, files::read_secret};
use std::path::PathBuf;
use tegata_policy::secret::PlainSecret;
use tegata_server::authority::place::{Database, Files};

impl StoreAddress {
    /// The SQLite file.
    ///
    /// # Errors
    /// [`BadUsage`]: it is a database.
    pub fn file(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::File(file) => Ok(file),
            Self::Database(_) => {
                let wrong = "store: this works on a SQLite file; write it as sqlite:FILE";
                Err(BadUsage(wrong.to_owned()).into())
            }
            Self::Neither => Err(BadUsage(format!("store: {WRITE}")).into()),
        }
    }

    /// The address of the database; `what` is the setting.
    pub fn database(self, what: &str) -> anyhow::Result<PlainSecret> {
        match self {
            Self::Database(address) => Ok(address),
            Self::File(_) | Self::Neither => {
                let wrong = "write it as postgres://USER@HOST/DATABASE";
                Err(BadUsage(format!("{what}: {wrong}")).into())
            }
        }
    }
}

impl StoreSettings {
    /// The files of the authority.
    ///
    /// # Errors
    /// [`BadUsage`]: the settings do not fit together.
    pub fn place(self) -> anyhow::Result<Files> {
        let password = self.store_password_file.as_deref().map(read_secret).transpose()?;
        let (direct, key) = (self.store_direct, self.master_key_file);
        let place = match self.store {
            Some(StoreAddress::Database(address)) => {
                if key.is_none() {
                    let wrong = "master_key_file: required with PostgreSQL, since every server \
                                 needs the same key; the first one creates the file";
                    return Err(BadUsage(wrong.to_owned()).into());
                }
                let direct = direct.map(|it| it.database("store_direct")).transpose()?;
                let with = |it| with_password(it, password.as_ref());
                Files::on_database(Database { address: with(address), direct: direct.map(with) })
            }
            other if direct.is_some() || password.is_some() => {
                other.map(|it| it.file()).transpose()?;
                let wrong = "store_direct and store_password_file are for a PostgreSQL database";
                return Err(BadUsage(wrong.to_owned()).into());
            }
            other => {
                let store = other.map(|it| it.file()).transpose()?;
                let store = store.unwrap_or_else(|| USUAL_STORE.into());
                Files { store, ..Files::default() }
            }
        };
        let rollback_guard_file = self.rollback_guard_file;
        Ok(Files { master_key_file: key, rollback_guard_file, ..place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_mistyped_address_does_not_repeat_its_password() {
        // The parser of the arguments would print the address.
        let mistyped = "postgress://me:hush@localhost/t".parse::<StoreAddress>();
        let error = mistyped.ok().unwrap().file().unwrap_err().to_string();
        assert!(error.contains("write it as") && !error.contains("hush"), "{error}");
    }
}

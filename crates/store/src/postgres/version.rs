//! What one version of this program knows, where servers of two versions share a database for
//! as long as they are replaced one after the other.
//!
//! A version changes tables only so that the one before can go on. A kind of change that the
//! one before cannot read is written only once all servers read it.

use super::plant::Plant;
use crate::ReplicaRow;
use tegata_policy::acts::Change;

/// A version.
pub(super) struct Version {
    /// The version of the log's vocabulary that it reads and writes.
    pub speaks: u32,
    /// Its schema's migrations, oldest first: number, name and text.
    pub migrations: &'static [(i64, &'static str, &'static str)],
    /// The version of the vocabulary in which a kind of change came.
    pub since: fn(&Change) -> u32,
}

/// This program. A test builds a second one, of the version after it.
pub(super) const THIS: Version = if cfg!(feature = "next-version") { NEXT } else { PRESENT };

/// The version of these sources.
const PRESENT: Version = Version {
    speaks: Change::VOCABULARY,
    migrations: &[(1, "initial", include_str!("../../migrations/postgres/V1__initial.sql"))],
    since: Change::since,
};

/// The version after it, as tests have it: with one more migration, and one kind of change that
/// this one cannot read.
const NEXT: Version = Version {
    speaks: PRESENT.speaks + 1,
    migrations: &[
        (1, "initial", include_str!("../../migrations/postgres/V1__initial.sql")),
        (2, "next", "ALTER TABLE verifier ADD COLUMN next BIGINT"),
    ],
    since: |change| match change {
        Change::Verifier { .. } => PRESENT.speaks + 1,
        other => other.since(),
    },
};

impl Version {
    /// This program's, unless a test plants another one.
    pub fn of(plant: Option<Plant>) -> &'static Self {
        if plant == Some(Plant::NextVersion) { &NEXT } else { &THIS }
    }

    /// The newest schema that it knows.
    pub fn newest_schema(&self) -> i64 {
        self.migrations.iter().map(|it| it.0).max().unwrap_or_default()
    }
}

/// Why a change of a kind that came in the version `since` of the vocabulary cannot be written
/// while these servers run; `None`: all of them read it.
pub(super) fn too_new(since: u32, servers: &[ReplicaRow]) -> Option<String> {
    let old: Vec<_> = servers.iter().filter(|it| it.speaks < since).collect();
    let first = old.first()?;
    let address = first.address.as_deref().unwrap_or("a command");
    let more = match old.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "servers of an older version run, which cannot read this kind of change: {address}{more}. \
         Nothing was changed. Replace them, and repeat the request"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_token::{id::Position, time::UnixTime};

    fn server(speaks: u32, address: &str) -> ReplicaRow {
        ReplicaRow {
            id: [0; 16],
            own: false,
            registered_at: UnixTime(0),
            beat: 1,
            position: Position::default(),
            speaks,
            address: Some(address.to_owned()),
        }
    }

    #[test]
    fn a_kind_of_change_is_written_only_if_every_server_reads_it() {
        let all = [server(3, "a:1"), server(2, "b:1"), server(1, "c:1")];
        assert_eq!(too_new(1, &all), None);
        assert_eq!(too_new(2, &all[..2]), None);
        let why = too_new(2, &all).unwrap();
        assert!(why.contains("c:1. Nothing was changed. Replace them"), "{why}");
        let why = too_new(3, &all).unwrap();
        assert!(why.contains("b:1 and 1 more"), "{why}");
        assert_eq!(too_new(9, &[]), None);
    }

    #[test]
    fn the_versions_have_one_beginning() {
        assert_eq!(NEXT.migrations[..PRESENT.migrations.len()], *PRESENT.migrations);
        assert_eq!(NEXT.newest_schema(), PRESENT.newest_schema() + 1);
    }
}

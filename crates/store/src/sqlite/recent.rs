//! Rows of channels that acts have used lately: counters, tokens and revocations, as
//! [`Locked`](tegata_policy::acts::Locked) has them, so that an act on a busy channel
//! reads nothing.
//!
//! They are what the database has as long as every changed row was changed by effects
//! that were noted here. Any other change shows in the connection's own count of changed
//! rows, and then all are dropped; a rollback drops them with the writer's memory.

use quick_cache::{Weighter, unsync::Cache};
use rusqlite::Connection;
use std::sync::Arc;
use tegata_policy::acts::{Count, NewToken, StoredKey, StoredToken, Times, Write};
use tegata_token::{
    id::ChannelId,
    view::{ChannelRevocations, ChannelState},
};

/// The bound of what is kept, in rows: about 16 MiB at 128 bytes each. This holds 4,096
/// channels that are at the cap of 30 tokens.
const BOUND: u64 = 4096 * 36;
/// What a channel counts beside its tokens and revocations: its counters, and the map's
/// own entry.
const OVERHEAD: usize = 4;

/// The rows of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChannelRows {
    pub count: Count,
    /// Those that an issue counts, oldest first.
    pub tokens: Arc<Vec<StoredToken>>,
    pub revocations: Arc<ChannelRevocations>,
}

struct Weight;

impl Weighter<ChannelId, ChannelRows> for Weight {
    fn weight(&self, _: &ChannelId, rows: &ChannelRows) -> u64 {
        (OVERHEAD + rows.tokens.capacity() + rows.revocations.count()) as u64
    }
}

/// The rows that are kept.
pub(super) struct Recent {
    channels: Cache<ChannelId, ChannelRows, Weight>,
    /// How many rows the connection had changed when the last change was noted.
    changes: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self { channels: Cache::with_weighter(4096, BOUND, Weight), changes: 0 }
    }
}

impl Recent {
    /// The rows of a channel, if they are kept.
    pub fn get(&mut self, conn: &Connection, id: ChannelId) -> Option<&ChannelRows> {
        self.check(conn);
        self.channels.get(&id)
    }

    /// Keeps rows that were just read.
    pub fn keep(&mut self, id: ChannelId, rows: ChannelRows) {
        self.channels.insert(id, rows);
    }

    /// Drops all if rows were changed by anything else than noted effects.
    pub fn check(&mut self, conn: &Connection) {
        if !self.is_valid(conn) {
            self.clear();
            self.follow(conn);
        }
    }

    /// Whether every changed row was noted.
    pub fn is_valid(&self, conn: &Connection) -> bool {
        self.changes == conn.total_changes()
    }

    /// Declares that all changes up to now were noted, or concern no row that is kept.
    pub fn follow(&mut self, conn: &Connection) {
        self.changes = conn.total_changes();
    }

    /// Drops all.
    pub fn clear(&mut self) {
        if !self.channels.is_empty() {
            self.channels.clear();
        }
    }

    /// Notes an effect on the rows of `channel`, which the act is about, that was just
    /// written with `conn`.
    pub fn note(
        &mut self,
        conn: &Connection,
        keys: &[StoredKey],
        channel: Option<ChannelId>,
        write: Write,
    ) {
        match write {
            Write::Token(token) => {
                let new = stored(&token, conn.last_insert_rowid(), keys);
                self.change(Some(token.claims.channel), |rows| tokens(rows).push(new));
            }
            Write::TokenDropped { channel, row } => {
                self.change(Some(channel), |rows| tokens(rows).retain(|it| it.row != row));
            }
            Write::TokenRevoked { row, .. } | Write::TokenPast { row, .. } => {
                self.change(channel, |rows| tokens(rows).retain(|it| it.row != row));
            }
            Write::TokenRevokedFrom { row, at, .. } => self.change(channel, |rows| {
                let token = tokens(rows).iter_mut().find(|it| it.row == row);
                token.into_iter().for_each(|it| it.times.ends_at = Some(at));
            }),
            Write::Serial(id, serial) => self.change(Some(id), |rows| rows.count.serial = serial),
            Write::Revised(id) => self.change(Some(id), |rows| rows.count.revision += 1),
            Write::Revocations(id, it) => self.change(Some(id), |rows| {
                // As they are read, which is without the channel's state.
                let state = ChannelState::Active;
                rows.revocations = Arc::new(ChannelRevocations { state, ..it });
            }),
            // A channel's first rows, or those of all channels: read again.
            Write::NewChannel(channel) => drop(self.channels.remove(&channel.id)),
            Write::SigningKey(_)
            | Write::SigningKeyState(_)
            | Write::SigningKeyWrapped(..)
            | Write::EverySerialRaised { .. } => {
                self.clear();
            }
            // Rows that are not kept.
            Write::BulkSerial(..)
            | Write::AssertionUsed { .. }
            | Write::Provider(_)
            | Write::ProviderName(..)
            | Write::ProviderDeleted(_)
            | Write::Settings(_)
            | Write::StateChangedBy(_)
            | Write::Secret { .. }
            | Write::AssertionKey(..)
            | Write::AssertionKeyGone { .. }
            | Write::Group(..)
            | Write::GroupUsed { .. }
            | Write::GroupDeleted { .. }
            | Write::ScopesForgotten(_)
            | Write::AuditKeyWrapped(_)
            | Write::ClockOffset(_)
            | Write::ProviderJob(_)
            | Write::ProviderJobAt { .. }
            | Write::ProviderJobDone(_)
            | Write::Warning { .. }
            | Write::WarningTried { .. }
            | Write::WarningDropped(_)
            | Write::Used(..)
            | Write::Uses { .. }
            | Write::UsesDropped { .. }
            | Write::LogDropped { .. }
            | Write::AssertionsDropped(_)
            | Write::AuditDropped { .. }
            | Write::AuditKey(..)
            | Write::Checkpoint(_)
            | Write::AuditBegunAnew
            | Write::NewVerifier(_)
            | Write::VerifierSettings(_)
            | Write::VerifierDeleted(..)
            | Write::Instance(_)
            | Write::InstancesRenewed { .. }
            | Write::InstanceDropped { .. }
            | Write::Receipt(_)
            | Write::NewPerson(_)
            | Write::Person(_)
            | Write::PersonDeleted(..)
            | Write::Session(_)
            | Write::SessionEnded(_)
            | Write::AdminToken(_)
            | Write::AdminTokenDeleted(_)
            | Write::RootToken { .. }
            | Write::PreviousSecretsDropped { .. }
            | Write::Request(_)
            | Write::RequestAnswered(..)
            | Write::RequestForgotten(_) => {}
        }
    }

    /// Changes the rows of a channel, if they are kept. Of an effect on a token whose
    /// channel is not known nothing can be kept.
    fn change(&mut self, channel: Option<ChannelId>, change: impl FnOnce(&mut ChannelRows)) {
        match channel {
            Some(id) => {
                if let Some(mut rows) = self.channels.peek_mut(&id) {
                    change(&mut rows);
                }
            }
            None => self.clear(),
        }
    }
}

fn tokens(rows: &mut ChannelRows) -> &mut Vec<StoredToken> {
    Arc::make_mut(&mut rows.tokens)
}

/// A new token as its row has it.
fn stored(token: &NewToken, row: i64, keys: &[StoredKey]) -> StoredToken {
    let claims = &token.claims;
    let (key, key_since) = StoredKey::state_of(keys, token.key);
    StoredToken {
        row,
        serial: claims.serial,
        kind: claims.kind,
        group: claims.group.clone(),
        assertion_key: None,
        times: Times {
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            ends_at: None,
            revocation: None,
            key,
            key_since,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_policy::acts::StampPlace;
    use tegata_token::{id::Serial, key::KeyState, kind::Kind, time::UnixTime};

    fn database() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (n)").unwrap();
        conn
    }

    fn id(n: u64) -> ChannelId {
        ChannelId::from_number(1_000_000_000 + n).unwrap()
    }

    fn rows(tokens: usize) -> ChannelRows {
        let times = Times {
            issued_at: UnixTime(0),
            expires_at: UnixTime(9),
            ends_at: None,
            revocation: None,
            key: KeyState::Active,
            key_since: UnixTime(0),
        };
        let token = |n: usize| StoredToken {
            row: n as i64,
            serial: Serial(n as u64),
            kind: Kind::V21,
            group: None,
            assertion_key: None,
            times,
        };
        ChannelRows {
            count: Count { serial: Serial(tokens as u64), revision: 1 },
            tokens: Arc::new((0..tokens).map(token).collect()),
            revocations: Arc::default(),
        }
    }

    #[test]
    fn rows_are_kept_through_noted_changes_and_dropped_by_any_other() {
        let conn = database();
        let mut recent = Recent::default();
        recent.keep(id(1), rows(3));
        conn.execute("INSERT INTO t VALUES (1)", []).unwrap();
        recent.note(&conn, &[], Some(id(1)), Write::Serial(id(1), Serial(4)));
        recent.note(&conn, &[], Some(id(1)), Write::TokenPast { row: 0, revoked: None });
        recent.follow(&conn);
        let kept = recent.get(&conn, id(1)).unwrap();
        assert_eq!((kept.count.serial, kept.tokens.len()), (Serial(4), 2));
        conn.execute("INSERT INTO t VALUES (2)", []).unwrap();
        assert_eq!(recent.get(&conn, id(1)), None);
    }

    #[test]
    fn a_time_of_last_use_keeps_the_rows_and_a_swept_token_leaves_them() {
        let conn = database();
        let mut recent = Recent::default();
        recent.keep(id(1), rows(3));
        conn.execute("INSERT INTO t VALUES (1)", []).unwrap();
        recent.note(&conn, &[], None, Write::Used(StampPlace::Token(1), UnixTime(5)));
        recent.note(&conn, &[], None, Write::TokenDropped { channel: id(1), row: 2 });
        recent.follow(&conn);
        assert_eq!(recent.get(&conn, id(1)).unwrap().tokens.len(), 2);
    }

    #[test]
    fn an_effect_on_a_token_of_an_unknown_channel_drops_all() {
        let conn = database();
        let mut recent = Recent::default();
        recent.keep(id(1), rows(3));
        recent.note(&conn, &[], None, Write::TokenPast { row: 0, revoked: None });
        assert_eq!(recent.get(&conn, id(1)), None);
    }

    #[test]
    fn rows_of_busy_channels_stay_within_the_bound() {
        let conn = database();
        let mut recent = Recent::default();
        for n in 0..10_000 {
            recent.keep(id(n), rows(30));
        }
        assert!(recent.channels.weight() <= BOUND);
        let kept = (0..10_000).filter(|&n| recent.get(&conn, id(n)).is_some()).count();
        assert!((3_500..=4_400).contains(&kept), "{kept} channels are kept");
        // What the bound is computed with.
        assert!(size_of::<StoredToken>() <= 128);
    }
}

//! The tables that an authority is moved with, and their rows in a form that every database
//! has. The one table that is not among them is `authority`, whose row is made anew.

use tegata_policy::secret::sha256;
use tegata_token::{id::Position, time::UnixTime};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Numbers.
    Integer,
    /// Text.
    Text,
    /// Bytes.
    Blob,
    /// Yes and no.
    Flag,
}
use Form::{Blob, Flag, Integer, Text};

/// A table. No column is called otherwise in any database.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name.
    pub name: &'static str,
    /// The places of the columns of its primary key, which order its rows.
    pub key: &'static [usize],
    /// Its columns.
    pub columns: &'static [(&'static str, Form)],
}

impl Table {
    /// The names of these columns.
    pub fn names(&self, places: impl IntoIterator<Item = usize>) -> String {
        let names: Vec<_> = places.into_iter().map(|it| self.columns[it].0).collect();
        names.join(", ")
    }

    /// The names of all columns.
    pub fn all_names(&self) -> String {
        self.names(0..self.columns.len())
    }

    /// The primary key of a row.
    pub fn key_of(&self, row: &[Cell]) -> Vec<Cell> {
        self.key.iter().filter_map(|place| row.get(*place).cloned()).collect()
    }
}

/// What a store records about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Own {
    /// The end of its log.
    pub position: Position,
    /// The highest time that it has written.
    pub written_at: UnixTime,
    /// How many commits it has made.
    pub commits: u64,
    /// Whether it was created with `--dev`.
    pub dev: bool,
    /// How far the development clock was moved, in seconds.
    pub clock_offset: i64,
    /// What its copies share; empty if it never had a server.
    pub identity: Vec<u8>,
    /// The id of the last audit event.
    pub audit: i64,
    /// Changes up to this number are not kept.
    pub log_from: u64,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Cell {
    /// NULL.
    Null,
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// Yes or no.
    Flag(bool),
}

/// The number and the digest of rows. The order of rows does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    /// How many rows.
    pub rows: u64,
    sum: [u64; 4],
}

impl Digest {
    /// Adds a row.
    pub fn add(&mut self, row: &[Cell]) {
        let mut text = Vec::new();
        for cell in row {
            let (tag, bytes) = match cell {
                Cell::Null => (b'n', Vec::new()),
                Cell::Integer(it) => (b'i', it.to_be_bytes().to_vec()),
                Cell::Text(it) => (b't', it.as_bytes().to_vec()),
                Cell::Blob(it) => (b'b', it.clone()),
                Cell::Flag(it) => (b'f', vec![u8::from(*it)]),
            };
            text.push(tag);
            text.extend(bytes.len().to_be_bytes());
            text.extend(bytes);
        }
        self.rows += 1;
        for (sum, part) in self.sum.iter_mut().zip(sha256(&[&text]).as_chunks().0) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*part));
        }
    }
}

/// All tables, in an order in which rows may refer to rows of earlier ones.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "provider",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("id", Integer),
            ("name", Text),
            ("created_at", Integer),
            ("deleted", Flag),
            ("revocations", Integer),
        ],
    },
    Table {
        name: "channel",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("id", Integer),
            ("provider", Integer),
            ("name", Text),
            ("type", Text),
            ("created_at", Integer),
            ("state", Text),
            ("rules", Text),
            ("group_cap", Integer),
            ("group_when_full", Text),
            ("own_audience_only", Flag),
            ("single_use", Flag),
            ("on_leak", Text),
            ("secret", Blob),
            ("previous_secret", Blob),
            ("previous_until", Integer),
            ("limits", Text),
            ("state_act", Integer),
            ("secret_used_at", Integer),
            ("previous_secret_used_at", Integer),
            ("revocations_before", Integer),
        ],
    },
    Table {
        name: "channel_count",
        key: &[0],
        columns: &[
            ("channel", Integer),
            ("serial", Integer),
            ("bulk_serial", Integer),
            ("revision", Integer),
        ],
    },
    Table {
        name: "assertion_key",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("id", Blob),
            ("channel", Integer),
            ("grp", Text),
            ("modulus", Blob),
            ("created_at", Integer),
            ("last_used_at", Integer),
        ],
    },
    Table {
        name: "channel_group",
        key: &[0, 1],
        columns: &[("channel", Integer), ("name", Text), ("settings", Text)],
    },
    Table {
        name: "group_use",
        key: &[0, 1],
        columns: &[("channel", Integer), ("name", Text), ("until", Integer), ("deleted", Flag)],
    },
    Table {
        name: "deleted_key",
        key: &[0, 1],
        columns: &[("channel", Integer), ("id", Blob), ("until", Integer)],
    },
    Table {
        name: "signing_key",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("id", Blob),
            ("public", Blob),
            ("wrapped", Blob),
            ("state", Text),
            ("issued_before", Integer),
            ("created_at", Integer),
            ("changed_at", Integer),
            ("key_revoked_act", Integer),
            ("key_revoked_by", Text),
            ("key_reason", Text),
        ],
    },
    Table {
        name: "form",
        key: &[0],
        columns: &[("number", Integer), ("version", Integer), ("issuer", Text)],
    },
    Table {
        name: "token",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("channel", Integer),
            ("serial", Integer),
            ("id", Blob),
            ("kind", Text),
            ("grp", Text),
            ("assertion_key", Blob),
            ("signing_key", Integer),
            ("form", Integer),
            ("issued_at", Integer),
            ("expires_at", Integer),
            ("idempotency", Blob),
            ("parameters", Text),
            ("ends_at", Integer),
            ("revoked_at", Integer),
            ("cause", Text),
            ("replaced_by", Integer),
            ("past", Flag),
            ("last_used_at", Integer),
            ("revoked_act", Integer),
            ("revoked_by", Text),
            ("reason", Text),
        ],
    },
    Table {
        name: "token_use",
        key: &[0],
        columns: &[("token", Integer), ("newest_day", Integer), ("uses", Text)],
    },
    Table {
        name: "channel_revocations",
        key: &[0],
        columns: &[("channel", Integer), ("revocations", Text), ("first_until", Integer)],
    },
    Table {
        name: "change_log",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("at", Integer),
            ("provider", Integer),
            ("channel", Integer),
            ("change", Text),
        ],
    },
    Table {
        name: "assertion_used",
        key: &[0, 1],
        columns: &[("channel", Integer), ("fingerprint", Blob), ("expires_at", Integer)],
    },
    Table {
        name: "audit",
        key: &[0],
        columns: &[
            ("id", Integer),
            ("at", Integer),
            ("actor", Text),
            ("source", Text),
            ("act", Text),
            ("provider", Integer),
            ("channel", Integer),
            ("detail", Text),
            ("epoch", Integer),
            ("position", Integer),
        ],
    },
    Table {
        name: "audit_checkpoint",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("epoch", Integer),
            ("first", Integer),
            ("last", Integer),
            ("events", Integer),
            ("kept_from", Integer),
            ("at", Integer),
            ("chain", Blob),
            ("signature", Blob),
        ],
    },
    Table {
        name: "audit_key",
        key: &[0],
        columns: &[("id", Integer), ("public", Blob), ("wrapped", Blob)],
    },
    Table {
        name: "warning",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("name", Text),
            ("body", Text),
            ("keep_until", Integer),
            ("attempts", Integer),
            ("next_at", Integer),
        ],
    },
    Table {
        name: "provider_revocation",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("provider", Integer),
            ("through", Integer),
            ("done_to", Integer),
            ("revoked", Integer),
            ("position", Integer),
            ("actor", Text),
            ("source", Text),
            ("reason", Text),
        ],
    },
    Table {
        name: "request",
        key: &[0],
        columns: &[("key", Blob), ("parameters", Blob), ("until", Integer), ("response", Blob)],
    },
    Table {
        name: "verifier",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("id", Integer),
            ("name", Text),
            ("provider", Integer),
            ("max_staleness", Integer),
            ("allow", Flag),
            ("token", Blob),
            ("created_at", Integer),
            ("deleted_at", Integer),
        ],
    },
    Table {
        name: "instance",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("verifier", Integer),
            ("instance", Text),
            ("staleness", Integer),
            ("on_stale", Text),
            ("registered_at", Integer),
            ("renewed_at", Integer),
            ("stopped", Flag),
            ("address", Text),
        ],
    },
    Table {
        name: "receipt",
        key: &[0, 1],
        columns: &[
            ("epoch", Integer),
            ("position", Integer),
            ("at", Integer),
            ("provider", Integer),
            ("effective_at", Integer),
            ("complete", Flag),
            ("list", Text),
        ],
    },
    Table {
        name: "person",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("id", Integer),
            ("login", Text),
            ("name", Text),
            ("operator", Text),
            ("providers", Text),
            ("channels", Text),
            ("disabled", Flag),
            ("created_at", Integer),
            ("password", Text),
            ("totp", Blob),
            ("totp_step", Integer),
            ("recovery", Text),
            ("invitation", Blob),
            ("invitation_until", Integer),
            ("identity_issuer", Text),
            ("identity_subject", Text),
            ("identity_at", Integer),
            ("deleted_at", Integer),
        ],
    },
    Table {
        name: "person_session",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("token", Blob),
            ("person", Integer),
            ("created_at", Integer),
            ("expires_at", Integer),
        ],
    },
    Table {
        name: "admin_token",
        key: &[0],
        columns: &[
            ("number", Integer),
            ("id", Integer),
            ("person", Integer),
            ("name", Text),
            ("rights", Text),
            ("token", Blob),
            ("created_at", Integer),
            ("expires_at", Integer),
        ],
    },
];

//! The contents of a store's file, read by SQLite alone, and whether they are
//! consistent.

use crate::{agree, place::Sqlite, world::NOW};
use rusqlite::Connection;
use std::{collections::BTreeMap, path::Path};
use tegata_store::{Store, TokenName, TokenState, sqlite::SqliteStore};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, ProviderId, Serial, SigningKeyId, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// Opens a copy of a store as a crash leaves it, and checks it completely. Panics where
/// it is inconsistent.
pub async fn whole(copy: &Sqlite) -> Whole {
    let store = SqliteStore::open(&copy.path(), copy.options(false), Box::new(|_| {})).unwrap();
    let conn = Connection::open(copy.path()).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    assert!(!conn.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap());

    // What no foreign key checks: every row names an existing key and form; and revoked
    // tokens are in the index of past ones.
    let tokens = tokens(&conn).unwrap();
    let sql = "SELECT count(*) FROM token t WHERE EXISTS
                  (SELECT 1 FROM form WHERE number = t.form)";
    let rows: usize = conn.query_row("SELECT count(*) FROM token", [], |row| row.get(0)).unwrap();
    let formed: usize = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!((tokens.len(), formed), (rows, rows));
    let sql = "SELECT 1 FROM token WHERE revoked_at IS NOT NULL AND past = 0";
    assert!(!conn.prepare(sql).unwrap().exists([]).unwrap());

    let state = store.state().await.unwrap();
    let grown = agree::log(&store).await;
    agree::views(&state.view, &grown, tokens.iter().map(|token| token.channel));
    let sql = "SELECT 1 FROM channel_count n WHERE serial <> max(bulk_serial,
                  coalesce((SELECT max(serial) FROM token t WHERE t.channel = n.channel), 0))";
    assert!(!conn.prepare(sql).unwrap().exists([]).unwrap(), "serials without a token");
    assert!(tokens.iter().all(|token| token.issued_at <= state.written_at));

    let mut living: BTreeMap<(ChannelId, Kind), usize> = BTreeMap::new();
    for token in &tokens {
        let name = TokenName::Serial(token.serial);
        let row = store.token(token.channel, name, NOW).await.unwrap().unwrap();
        agree::row_and_view(&row, token, &state.view, NOW);
        if row.state == TokenState::Active {
            *living.entry((token.channel, token.kind)).or_default() += 1;
        }
    }
    Whole { store, tokens, living }
}

/// A consistent store.
pub struct Whole {
    pub store: SqliteStore,
    /// The claims of all of its tokens.
    pub tokens: Vec<Claims>,
    /// How many of them are active.
    pub living: BTreeMap<(ChannelId, Kind), usize>,
}

/// The claims of all stored tokens.
pub fn tokens(conn: &Connection) -> rusqlite::Result<Vec<Claims>> {
    let sql = "SELECT t.channel, c.provider, t.serial, t.id, t.kind, t.grp, t.assertion_key,
                   k.id, t.issued_at, t.expires_at
               FROM token t JOIN channel c ON c.id = t.channel
                   JOIN signing_key k ON k.number = t.signing_key ORDER BY t.number";
    conn.prepare(sql)?
        .query_map([], |row| {
            let group: Option<String> = row.get(5)?;
            Ok(Claims {
                channel: ChannelId::from_number(row.get(0)?).unwrap(),
                provider: ProviderId::from_number(row.get(1)?).unwrap(),
                serial: Serial(row.get(2)?),
                id: TokenId(row.get(3)?),
                kind: row.get::<_, String>(4)?.parse().unwrap(),
                group: group.map(|group| group.parse().unwrap()),
                assertion_key: row.get::<_, Option<_>>(6)?.map(AssertionKeyId),
                key: SigningKeyId(row.get(7)?),
                issued_at: UnixTime(row.get(8)?),
                expires_at: UnixTime(row.get(9)?),
            })
        })?
        .collect()
}

/// Copies a closed store's file.
pub fn copy(from: &Path) -> Sqlite {
    let to = <Sqlite as crate::place::Place>::new();
    for suffix in ["", "-wal"] {
        let name = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            std::path::PathBuf::from(name)
        };
        if name(from).exists() {
            std::fs::copy(name(from), name(&to.path())).unwrap();
        }
    }
    to
}

//! What is stored of the uses of tokens, assertion keys and secrets, for many uses at once.

use crate::{
    columns::{Columns, tokens::read_uses},
    postgres::{
        failed::Failed,
        rows::{int, list},
        sql::values,
    },
};
use futures_util::future::{try_join, try_join3};
use std::collections::BTreeMap;
use tegata_policy::{
    acts::{NotedUse, RecentUse, Stamp, StampPlace, Stamped, UsesOfRow},
    secret::HashedSecret,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Serial},
    time::UnixTime,
};
use tokio_postgres::{Client, Row};

/// Reads the times of last use that are stored of what these uses name.
pub(super) async fn stamped(db: &Client, stamps: &[Stamp]) -> Result<Vec<Stamped>, Failed> {
    let (mut tokens, mut keys, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
    for stamp in stamps {
        match stamp {
            Stamp::Token(channel, serial, at) => tokens.push((*channel, *serial, *at)),
            Stamp::AssertionKey(id, at) => keys.push((*id, *at)),
            Stamp::Secret(channel, hash, at) => secrets.push((*channel, *hash, *at)),
        }
    }
    let (mut found, keys, secrets) =
        try_join3(of_tokens(db, &tokens), of_keys(db, &keys), of_secrets(db, &secrets)).await?;
    found.extend(keys.into_iter().chain(secrets));
    Ok(found)
}

async fn of_tokens(
    db: &Client,
    uses: &[(ChannelId, Serial, UnixTime)],
) -> Result<Vec<Stamped>, Failed> {
    if uses.is_empty() {
        return Ok(Vec::new());
    }
    // A row of a token is in one of two indexes, and each half names its own.
    let sql = "SELECT t.number, t.last_used_at, u.at
               FROM unnest($1, $2, $3) AS u (channel, serial, at)
               JOIN token t ON t.channel = u.channel AND t.serial = u.serial AND NOT t.past
               UNION ALL
               SELECT t.number, t.last_used_at, u.at
               FROM unnest($1, $2, $3) AS u (channel, serial, at)
               JOIN token t ON t.channel = u.channel AND t.serial = u.serial AND t.past";
    let channels: Vec<i64> = uses.iter().map(|it| int(it.0.number())).collect();
    let serials: Vec<i64> = uses.iter().map(|it| int(it.1.0)).collect();
    let times: Vec<i64> = uses.iter().map(|it| it.2.0).collect();
    let read = |row: &Row| {
        let (place, before) =
            (StampPlace::Token(row.value("number")?), row.optional("last_used_at")?);
        Ok(Stamped { place, before, at: row.value("at")? })
    };
    list(db, sql, values![channels, serials, times], read).await
}

async fn of_keys(db: &Client, uses: &[(AssertionKeyId, UnixTime)]) -> Result<Vec<Stamped>, Failed> {
    if uses.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT k.id, k.last_used_at, u.at FROM unnest($1, $2) AS u (id, at)
               JOIN assertion_key k ON k.id = u.id";
    let ids: Vec<&[u8]> = uses.iter().map(|it| &it.0.0[..]).collect();
    let times: Vec<i64> = uses.iter().map(|it| it.1.0).collect();
    let read = |row: &Row| {
        let (place, before) =
            (StampPlace::AssertionKey(row.value("id")?), row.optional("last_used_at")?);
        Ok(Stamped { place, before, at: row.value("at")? })
    };
    list(db, sql, values![ids, times], read).await
}

async fn of_secrets(
    db: &Client,
    uses: &[(ChannelId, HashedSecret, UnixTime)],
) -> Result<Vec<Stamped>, Failed> {
    if uses.is_empty() {
        return Ok(Vec::new());
    }
    let present = "SELECT c.id, c.secret_used_at AS before, u.at
                   FROM unnest($1, $2, $3) AS u (id, secret, at)
                   JOIN channel c ON c.id = u.id AND c.secret = u.secret";
    let previous = "SELECT c.id, c.previous_secret_used_at AS before, u.at
                    FROM unnest($1, $2, $3) AS u (id, secret, at)
                    JOIN channel c ON c.id = u.id AND c.previous_secret = u.secret";
    let ids: Vec<i64> = uses.iter().map(|it| int(it.0.number())).collect();
    let hashes: Vec<Vec<u8>> = uses.iter().map(|it| it.1.to_stored().to_vec()).collect();
    let times: Vec<i64> = uses.iter().map(|it| it.2.0).collect();
    let read = |place: fn(ChannelId) -> StampPlace| {
        move |row: &Row| {
            let (place, before) = (place(row.value("id")?), row.optional("before")?);
            Ok(Stamped { place, before, at: row.value("at")? })
        }
    };
    let (mut found, previous) = try_join(
        list(db, present, values![ids, hashes, times], read(StampPlace::Secret)),
        list(db, previous, values![ids, hashes, times], read(StampPlace::PreviousSecret)),
    )
    .await?;
    found.extend(previous);
    Ok(found)
}

/// Reads the uses that are stored of the tokens that were used.
pub(super) async fn of_used(db: &Client, uses: &[NotedUse]) -> Result<Vec<UsesOfRow>, Failed> {
    let mut tokens = BTreeMap::<(ChannelId, Serial), Vec<RecentUse>>::new();
    for it in uses {
        tokens.entry((it.channel, it.serial)).or_default().push(it.used);
    }
    let channels: Vec<i64> = tokens.keys().map(|(id, _)| int(id.number())).collect();
    let serials: Vec<i64> = tokens.keys().map(|(_, serial)| int(serial.0)).collect();
    // A row of a token is in one of two indexes, and each half names its own.
    let sql = "SELECT t.channel, t.serial, t.number, w.uses FROM (
                   SELECT t.channel, t.serial, t.number FROM unnest($1, $2) AS u (channel, serial)
                   JOIN token t ON t.channel = u.channel AND t.serial = u.serial AND NOT t.past
                   UNION ALL
                   SELECT t.channel, t.serial, t.number FROM unnest($1, $2) AS u (channel, serial)
                   JOIN token t ON t.channel = u.channel AND t.serial = u.serial AND t.past) t
               LEFT JOIN token_use w ON w.token = t.number
               ORDER BY t.channel, t.serial";
    let mut found = Vec::with_capacity(tokens.len());
    for row in db.query_typed(sql, values![channels, serials]).await? {
        let token = (row.value("channel")?, row.value("serial")?);
        let Some(noted) = tokens.remove(&token) else { continue };
        let before = read_uses(row.optional("uses")?)?;
        found.push(UsesOfRow { row: row.value("number")?, before, noted });
    }
    Ok(found)
}

//! Everything that a server holds in memory, read at its start.

use super::{
    people,
    rows::{self, unavailable},
    verifiers,
};
use crate::{Result, State, answers, columns::Columns};
use rusqlite::Connection;
use std::num::NonZeroU32;
use tegata_policy::channel::ChannelLimits;
use tegata_token::{
    id::{ChannelId, Position, ProviderId},
    time::UnixTime,
    view::ChannelRevocations,
};

/// Everything at one position: the reads are in one transaction.
pub(super) fn state(conn: &mut Connection) -> Result<State> {
    let tx = conn.transaction().map_err(unavailable)?;
    let (position, written_at, clock_offset) = tx
        .query_row("SELECT epoch, position, written_at, clock_offset FROM authority", [], |row| {
            let position = Position { epoch: row.get(0)?, number: row.get(1)? };
            Ok((position, UnixTime(row.get(2)?), row.get(3)?))
        })
        .map_err(unavailable)?;
    let keys = rows::signing_keys(&tx).map_err(unavailable)?;
    let signing_keys: Vec<_> = keys.into_iter().map(|it| it.key).collect();
    let revocations = all_facts(&tx).map_err(unavailable)?;
    let view = answers::view(position, &signing_keys, revocations)?;
    let channels = all_ids(&tx).map_err(unavailable)?;
    let verify_rates = verify_rates(&tx).map_err(unavailable)?;
    let verifiers = verifiers::all(&tx).map_err(unavailable)?;
    let people = people::state(&tx).map_err(unavailable)?;
    Ok(State {
        view,
        signing_keys,
        channels,
        verify_rates,
        verifiers,
        people,
        written_at,
        clock_offset,
    })
}

fn verify_rates(conn: &Connection) -> rusqlite::Result<Vec<(ChannelId, NonZeroU32)>> {
    let mut query = conn.prepare("SELECT id, limits FROM channel WHERE limits <> '{}'")?;
    let all = query.query_map([], |row| {
        let limits: ChannelLimits = rows::from_json(&row.get::<_, String>(1)?)?;
        Ok(limits.verify_rate.map(|rate| Ok((rows::channel_id(row.get(0)?)?, rate))))
    })?;
    all.filter_map(|row| row.and_then(Option::transpose).transpose()).collect()
}

fn all_ids(conn: &Connection) -> rusqlite::Result<Vec<ChannelId>> {
    let mut query = conn.prepare("SELECT id FROM channel")?;
    query.query_map([], |row| Ok(rows::channel_id(row.get(0)?)?))?.collect()
}

fn all_facts(
    conn: &Connection,
) -> rusqlite::Result<Vec<(ProviderId, ChannelId, ChannelRevocations)>> {
    let sql = "SELECT c.id, c.provider, c.state, f.revocations FROM channel c
               LEFT JOIN channel_revocations f ON f.channel = c.id
               WHERE f.channel IS NOT NULL OR c.state <> 'active'";
    let mut query = conn.prepare(sql)?;
    let found = query.query_map([], |row| {
        let id = rows::channel_id(row.get("id")?)?;
        let revocations: Option<String> = row.get("revocations")?;
        let revocations = revocations.map_or_else(
            || Ok(ChannelRevocations::default()),
            |it| rows::read_revocations(id, &it),
        )?;
        let state = row.word("state")?;
        let provider = rows::provider_id(row.get("provider")?)?;
        Ok((provider, id, ChannelRevocations { state, ..revocations }))
    })?;
    found.collect()
}

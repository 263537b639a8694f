//! Rows of tokens.

use super::{Columns, from_json, json, key_state};
use crate::{RecentUse, TokenRow};
use std::net::IpAddr;
use tegata_policy::{
    acts::{Before, StoredKey, SweptToken, Times},
    idle::Idle,
};
use tegata_token::{key::KeyState, time::UnixTime};

/// A token's own expiry and revocation do not depend on its signing key.
pub(crate) const ANY_KEY: (KeyState, UnixTime) = (KeyState::Active, UnixTime(0));

/// The times of a row of `token`, which was signed by a key in that state: they decide
/// whether the token is active.
pub(crate) fn times<R: Columns>(
    row: &R,
    (key, key_since): (KeyState, UnixTime),
) -> Result<Times, R::Error> {
    let revoked_at = row.optional("revoked_at")?;
    Ok(Times {
        issued_at: row.value("issued_at")?,
        expires_at: row.value("expires_at")?,
        ends_at: row.optional("ends_at")?,
        revocation: row.optional_word("cause")?.zip(revoked_at),
        key,
        key_since,
    })
}

/// A token in a list, from a row with the columns `key_state`, `issued_before` and
/// `key_since` of the key that signed it.
pub(crate) fn listed<R: Columns>(row: &R, now: UnixTime) -> Result<TokenRow, R::Error> {
    let key = key_state(&row.value::<String>("key_state")?, row.optional("issued_before")?)?;
    let times = times(row, (key, row.value("key_since")?))?;
    let revocation = times.revocation(now);
    let act = match revocation {
        None => (None, None, None),
        Some(it) if it.by_key => (
            row.optional("key_revoked_act")?,
            row.optional("key_revoked_by")?,
            row.optional("key_reason")?,
        ),
        Some(_) => {
            (row.optional("revoked_act")?, row.optional("revoked_by")?, row.optional("reason")?)
        }
    };
    let (revoked_act, revoked_by, reason) = act;
    Ok(TokenRow {
        id: row.value("id")?,
        serial: row.value("serial")?,
        kind: row.value("kind")?,
        group: row.optional("grp")?,
        assertion_key: row.optional("assertion_key")?,
        state: times.state(now),
        issued_at: times.issued_at,
        expires_at: times.ends_at.map_or(times.expires_at, |at| at.min(times.expires_at)),
        last_used_at: row.optional("last_used_at")?,
        idle: Idle::No,
        revocation: revocation.map(|it| (it.by, it.at)),
        replaced_by: row.optional("replaced_by")?,
        revoked_act,
        revoked_by,
        reason,
    })
}

/// The token that was issued under an idempotency key, from a row with the columns `key`
/// (the signing key's id), `issuer` and `previous_until`.
pub(crate) fn before<R: Columns>(row: &R, keys: &[StoredKey]) -> Result<Before, R::Error> {
    let issuer: String = row.value("issuer")?;
    Ok(Before {
        parameters: row.value("parameters")?,
        times: times(row, StoredKey::state_of(keys, row.value("signing_key")?))?,
        id: row.value("id")?,
        serial: row.value("serial")?,
        key: row.value("key")?,
        issuer: issuer.into(),
        previous_until: row.optional("previous_until")?,
    })
}

/// A token that may be swept.
pub(crate) fn swept<R: Columns>(row: &R) -> Result<SweptToken, R::Error> {
    let (number, channel) = (row.value("number")?, row.value("channel")?);
    Ok(SweptToken { row: number, channel, times: times(row, ANY_KEY)? })
}

/// A use as it is stored: source, start of the minute, count.
type Stored = (Option<IpAddr>, i64, u32);

/// Recent uses as they are stored, newest first.
pub(crate) fn uses_text(uses: &[RecentUse]) -> String {
    let stored: Vec<Stored> = uses.iter().map(|it| (it.source, it.minute.0, it.count)).collect();
    json(&stored)
}

/// Parses stored uses; none if there is no row.
pub(crate) fn read_uses(text: Option<String>) -> Result<Vec<RecentUse>, super::Damaged> {
    let stored: Vec<Stored> = text.map_or(Ok(Vec::new()), |it| from_json(&it))?;
    let used = |(source, minute, count)| RecentUse { source, minute: UnixTime(minute), count };
    Ok(stored.into_iter().map(used).collect())
}

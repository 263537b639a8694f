//! What an act needs beyond the rows of its channel.

use super::upkeep;
use crate::{
    columns::{Columns, tokens},
    postgres::{
        failed::Failed,
        rows::{int, one},
        sql::values,
    },
};
use futures_util::future::{try_join, try_join4};
use tegata_policy::acts::{Before, LockedProvider, Needs, Remembered, StoredKey, UpkeepRows};
use tegata_token::{
    id::{ChannelId, ProviderId, Serial, TokenId},
    view::Scope,
};
use tokio_postgres::{Client, Row};

/// What was read. What an act did not need is empty.
#[derive(Debug, Default)]
pub(super) struct Single {
    pub before: Option<Before>,
    pub assertion_used: bool,
    pub named: Option<TokenId>,
    pub remembered: Remembered,
    pub provider: Option<LockedProvider>,
    pub audit_key: Option<[u8; 32]>,
    pub clock_offset: i64,
    pub upkeep: UpkeepRows,
}

pub(super) async fn read(db: &Client, keys: &[StoredKey], needs: &Needs) -> Result<Single, Failed> {
    let of_channel = try_join4(
        before(db, keys, needs),
        used(db, needs),
        named(db, needs.channel.zip(needs.named)),
        remembered(db, needs.channel.zip(needs.scope.as_ref())),
    );
    let of_others = try_join4(
        provider(db, needs),
        audit_key(db, needs.audit_key),
        clock_offset(db, needs.clock),
        Box::pin(upkeep::read(db, &needs.upkeep)),
    );
    let ((before, assertion_used, named, remembered), (provider, audit_key, clock_offset, upkeep)) =
        try_join(of_channel, of_others).await?;
    Ok(Single {
        before,
        assertion_used,
        named,
        remembered,
        provider,
        audit_key,
        clock_offset,
        upkeep,
    })
}

/// The token that was issued under an idempotency key.
async fn before(db: &Client, keys: &[StoredKey], needs: &Needs) -> Result<Option<Before>, Failed> {
    let Some((id, key)) = needs.channel.zip(needs.issued_under) else { return Ok(None) };
    let sql = "SELECT t.id, t.serial, t.issued_at, t.expires_at, t.ends_at, t.revoked_at, t.cause,
                      t.parameters, k.id AS key, t.signing_key, f.issuer,
                      (SELECT p.ends_at FROM token p WHERE p.channel = t.channel AND NOT p.past
                           AND p.replaced_by = t.serial ORDER BY p.serial LIMIT 1)
                          AS previous_until
               FROM token t JOIN signing_key k ON k.number = t.signing_key
                            JOIN form f ON f.number = t.form
               WHERE t.channel = $1 AND t.idempotency = $2";
    let (id, key) = (int(id.number()), &key[..]);
    one(db, sql, values![id, key], |row| tokens::before(row, keys)).await
}

/// Whether it is certain, before the channel's settings are read, that the assertion must
/// be looked up.
pub(super) fn reads_assertion(needs: &Needs) -> bool {
    needs.assertion.is_some() && (needs.single_use || needs.unless_revision.is_none())
}

async fn used(db: &Client, needs: &Needs) -> Result<bool, Failed> {
    if reads_assertion(needs) { assertion_used(db, needs).await } else { Ok(false) }
}

/// Whether the assertion was used.
pub(super) async fn assertion_used(db: &Client, needs: &Needs) -> Result<bool, Failed> {
    let Some((id, fingerprint)) = needs.channel.zip(needs.assertion) else { return Ok(false) };
    let sql = "SELECT 1 FROM assertion_used WHERE channel = $1 AND fingerprint = $2";
    let (id, fingerprint) = (int(id.number()), &fingerprint[..]);
    Ok(one(db, sql, values![id, fingerprint], |_| Ok(())).await?.is_some())
}

/// The id of the stored token with that serial.
async fn named(db: &Client, name: Option<(ChannelId, Serial)>) -> Result<Option<TokenId>, Failed> {
    let Some((id, serial)) = name else { return Ok(None) };
    // A row is in one of two indexes, and each half names its own.
    let sql = "SELECT id FROM token WHERE channel = $1 AND serial = $2 AND NOT past
               UNION ALL SELECT id FROM token WHERE channel = $1 AND serial = $2 AND past";
    let (id, serial) = (int(id.number()), int(serial.0));
    one(db, sql, values![id, serial], |row| row.value("id")).await
}

/// What is remembered of the group or the assertion key of a scope.
async fn remembered(db: &Client, scope: Option<(ChannelId, &Scope)>) -> Result<Remembered, Failed> {
    let Some((id, scope)) = scope else { return Ok(Remembered::default()) };
    let id = int(id.number());
    let read = |row: &Row| {
        Ok(Remembered { by_tokens: row.value("by_tokens")?, until: row.optional("until")? })
    };
    let found = match scope {
        Scope::Group { group } => {
            let sql = "SELECT EXISTS (SELECT 1 FROM token
                                      WHERE channel = $1 AND NOT past AND grp = $2)
                           OR EXISTS (SELECT 1 FROM token
                                      WHERE channel = $1 AND past AND grp = $2) AS by_tokens,
                       (SELECT until FROM group_use WHERE channel = $1 AND name = $2) AS until";
            one(db, sql, values![id, group.as_str()], read).await?
        }
        Scope::AssertionKey { key } => {
            let sql = "SELECT EXISTS (SELECT 1 FROM token
                                      WHERE channel = $1 AND NOT past AND assertion_key = $2)
                           OR EXISTS (SELECT 1 FROM token
                                      WHERE channel = $1 AND past AND assertion_key = $2)
                           AS by_tokens,
                       (SELECT until FROM deleted_key WHERE channel = $1 AND id = $2) AS until";
            one(db, sql, values![id, &key.0[..]], read).await?
        }
        Scope::Kind { .. } | Scope::KindGroup { .. } | Scope::Channel | Scope::Secret => None,
    };
    Ok(found.unwrap_or_default())
}

/// Reads a provider, and counts its channels.
async fn provider(db: &Client, needs: &Needs) -> Result<Option<LockedProvider>, Failed> {
    let Some(id) = needs.provider.map(ProviderId::number) else { return Ok(None) };
    let channels = match needs.count_channels {
        true => "(SELECT count(*) FROM channel WHERE provider = $1 AND state <> 'deleted')",
        false => "0::bigint",
    };
    let sql = format!(
        "SELECT name, revocations, {channels} AS channels FROM provider
         WHERE id = $1 AND NOT deleted"
    );
    let read = |row: &Row| {
        let (name, revocations) = (row.value("name")?, row.value("revocations")?);
        Ok(LockedProvider { name, revocations, channels: row.value("channels")? })
    };
    one(db, &sql, values![int(id)], read).await
}

async fn audit_key(db: &Client, is_needed: bool) -> Result<Option<[u8; 32]>, Failed> {
    if !is_needed {
        return Ok(None);
    }
    one(db, "SELECT public FROM audit_key", values![], |row| row.value("public")).await
}

async fn clock_offset(db: &Client, is_needed: bool) -> Result<i64, Failed> {
    if !is_needed {
        return Ok(0);
    }
    let sql = "SELECT clock_offset FROM authority";
    let found = one(db, sql, values![], |row| row.value("clock_offset")).await?;
    Ok(found.unwrap_or_default())
}

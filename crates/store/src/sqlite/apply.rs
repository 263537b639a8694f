//! Writes an act's effects. One match and no rule: an act has decided before what is
//! written.

use super::{
    admin,
    audit::{self, NEXT_ACT},
    issue::{mark_past, mark_revoked, set_serial},
    known, load, people, provider_revocation,
    recent::ChannelRows,
    requests,
    rows::{self, unavailable},
    stamps, sweep, uses, verifiers, warnings,
    writer::{Tx, insert, write},
};
use crate::Result;
use rusqlite::params;
use tegata_policy::acts::{
    Act, Author, Effects, Locked, Needs, NewToken, ReceiptFor, ReceiptRow, Tokens, Write,
    receipt_of,
};
use tegata_token::{
    id::{ChannelId, Group},
    view::ChannelRevocations,
};

/// Runs an act: reads what it needs, decides, writes the effects.
pub(super) fn run<A: Act>(tx: &mut Tx<'_>, act: &A) -> Result<A::Output> {
    let needs = act.needs();
    let locked = lock(tx, &needs).map_err(unavailable)?;
    let (output, effects) = act.decide(&locked, tx.now)?;
    // Kept rows are changed in place where nothing else refers to them.
    drop(locked);
    let about = receipt_of(A::NAME, &effects, tx.now);
    let done = apply(tx, needs.channel, effects).and_then(|()| receipt(tx, about));
    if done.is_err() {
        tx.memory.recent.clear();
    }
    done.map(|()| output)
}

/// Writes the receipt of the act whose changes were logged last, if it has one.
fn receipt(tx: &mut Tx<'_>, about: Option<ReceiptFor>) -> Result<()> {
    match (about, tx.position()) {
        (Some(about), Some(position)) => {
            let row = ReceiptRow { position, about, complete: false, list: None };
            verifiers::begin_receipt(tx, row)
        }
        _ => Ok(()),
    }
}

/// Reads what an act needs, apart from rows that the writer keeps in memory. Keeps the
/// rows of a channel that a token is issued for.
fn lock(tx: &mut Tx<'_>, needs: &Needs) -> rusqlite::Result<Locked> {
    let conn = tx.conn;
    let kept = match needs.channel {
        Some(id) => tx.memory.recent.get(conn, id).cloned(),
        None => None,
    };
    if let (true, Some(id), Some(kept)) = (cfg!(debug_assertions), needs.channel, &kept) {
        let rows = load::channel_rows(conn, tx.keys(), id)?;
        assert_eq!(Some(kept), rows.as_ref(), "the rows in memory of {id} are stale");
    }
    let locked = load::load(conn, tx.keys(), needs, kept.as_ref())?;
    let whole = needs.revocations && needs.tokens == Tokens::Counted;
    if let (true, None, Some(id), Some(count)) = (whole, kept, needs.channel, locked.count) {
        let (tokens, revocations) = (locked.tokens.clone(), locked.revocations.clone());
        tx.memory.recent.keep(id, ChannelRows { count, tokens, revocations });
    }
    Ok(locked)
}

/// Writes all effects of an act on `channel`. The audit event comes last, since it names
/// the position of the act's last change.
fn apply(tx: &mut Tx<'_>, channel: Option<ChannelId>, effects: Effects) -> Result<()> {
    tx.memory.recent.check(tx.conn);
    let author = effects.author.as_ref();
    for it in effects.writes {
        write_one(tx, (effects.changes.len(), author), &it)?;
        let keys = tx.memory.keys.clone();
        tx.memory.recent.note(tx.conn, &keys, channel, it);
    }
    tx.log(effects.changes, author, effects.journal);
    if let Some(it) = effects.audit {
        audit::write(tx, &it)?;
    }
    tx.memory.recent.follow(tx.conn);
    Ok(())
}

/// Writes one effect of an act of `author` with `changes` changes.
fn write_one(
    tx: &mut Tx<'_>,
    (changes, author): (usize, Option<&Author>),
    it: &Write,
) -> Result<()> {
    match it {
        Write::Token(token) => insert_token(tx, token).map_err(unavailable),
        Write::TokenRevoked { row, by, replaced_by } => {
            mark_revoked(tx, *row, (*by, author), *replaced_by).map_err(unavailable)
        }
        Write::TokenRevokedFrom { row, at, replaced_by } => {
            let sql = "UPDATE token SET ends_at = ?2, replaced_by = coalesce(?3, replaced_by),
                           revoked_by = ?4, reason = ?5
                       WHERE number = ?1";
            let (actor, reason) = author.map(|it| (&it.actor, it.reason.as_ref())).unzip();
            write(tx, sql, (row, at.0, replaced_by.map(|it| it.0), actor, reason.flatten()))
                .map(drop)
        }
        Write::TokenPast { row, revoked } => mark_past(tx, *row, *revoked).map_err(unavailable),
        Write::Serial(id, serial) => set_serial(tx, *id, *serial).map_err(unavailable),
        Write::BulkSerial(id, serial) => {
            let sql = "UPDATE channel_count SET bulk_serial = ?2 WHERE channel = ?1";
            write(tx, sql, (id.number(), serial.0)).map(drop)
        }
        Write::Revised(id) => {
            let sql = "UPDATE channel_count SET revision = revision + 1 WHERE channel = ?1";
            write(tx, sql, [id.number()]).map(drop)
        }
        Write::Revocations(id, revocations) => {
            write_facts(tx, *id, revocations).map_err(unavailable)
        }
        Write::AssertionUsed { channel, fingerprint, expires_at } => {
            let sql = "INSERT INTO assertion_used VALUES (?1, ?2, ?3)";
            write(tx, sql, (channel.number(), fingerprint, expires_at.0)).map(drop)
        }
        Write::Provider(new) => {
            let sql = "INSERT INTO provider (id, name, created_at) VALUES (?1, ?2, ?3)";
            insert(tx, sql, (new.id.number(), &new.name, new.created_at.0))
        }
        Write::ProviderName(id, name) => {
            write(tx, "UPDATE provider SET name = ?2 WHERE id = ?1", (id.number(), name)).map(drop)
        }
        Write::ProviderDeleted(id) => {
            write(tx, "UPDATE provider SET deleted = 1 WHERE id = ?1", [id.number()]).map(drop)
        }
        Write::NewChannel(channel) => admin::insert_channel(tx, channel),
        Write::Settings(channel) => admin::write_settings(tx, channel),
        Write::StateChangedBy(id) => {
            let sql = format!("UPDATE channel SET state_act = {NEXT_ACT} WHERE id = ?1");
            write(tx, &sql, [id.number()]).map(drop)
        }
        Write::Secret { channel, hash, kept } => admin::write_secret(tx, *channel, *hash, *kept),
        Write::AssertionKey(id, key) => {
            let sql = "INSERT INTO assertion_key (id, channel, grp, modulus, created_at)
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let group = key.group.as_ref().map(Group::as_str);
            let modulus = key.key.modulus();
            insert(tx, sql, params![key.id.0, id.number(), group, modulus, key.created_at.0])
        }
        Write::AssertionKeyGone { channel, key, until } => {
            known::delete_key(tx, *channel, *key, *until).map(drop)
        }
        Write::GroupUsed { channel, group, until } => {
            known::remember_group(tx, *channel, group, *until, false)
        }
        Write::GroupDeleted { channel, group, until } => {
            known::remember_group(tx, *channel, group, *until, true)
        }
        Write::ScopesForgotten(id) => known::forget(tx, *id),
        Write::Group(id, group, settings) => admin::write_group(tx, *id, group, settings),
        Write::SigningKey(key) => admin::insert_key(tx, key),
        Write::SigningKeyState(key) => admin::write_key_state(tx, key, author),
        Write::SigningKeyWrapped(id, wrapped) => {
            let sql = "UPDATE signing_key SET wrapped = ?2 WHERE id = ?1";
            write(tx, sql, params![id.0, wrapped.0])?;
            tx.reread_keys()
        }
        Write::AuditKeyWrapped(wrapped) => {
            write(tx, "UPDATE audit_key SET wrapped = ?1", [&wrapped.0]).map(drop)
        }
        // A server of a file has its token in a file.
        Write::RootToken { .. } => Ok(()),
        Write::ClockOffset(offset) => {
            write(tx, "UPDATE authority SET clock_offset = ?1", [offset]).map(drop)
        }
        Write::ProviderJobDone(job) => {
            verifiers::receipt_of_job(tx, *job)?;
            provider_revocation::apply(tx, changes, it)
        }
        Write::ProviderJob(_) | Write::ProviderJobAt { .. } => {
            provider_revocation::apply(tx, changes, it)
        }
        Write::Warning { .. } | Write::WarningTried { .. } | Write::WarningDropped(_) => {
            warnings::apply(tx, it)
        }
        Write::LogDropped { .. }
        | Write::AssertionsDropped(_)
        | Write::TokenDropped { .. }
        | Write::AuditDropped { .. } => sweep::apply(tx, it),
        Write::AuditKey(public, wrapped) => audit::set_key(tx, *public, wrapped),
        Write::Checkpoint(row) => audit::insert_checkpoint(tx, row),
        Write::AuditBegunAnew => audit::begin_anew(tx),
        Write::EverySerialRaised { by } => {
            // Stateless tokens carry `bulk_serial`: it must not be below a cutoff, either.
            let sql = "UPDATE channel_count SET serial = serial + ?1, bulk_serial = serial + ?1";
            write(tx, sql, [by]).map(drop)
        }
        Write::PreviousSecretsDropped { after } => {
            let sql = "UPDATE channel SET previous_secret = NULL, previous_until = NULL
                       WHERE previous_until > ?1";
            write(tx, sql, [after.0]).map(drop)
        }
        Write::NewVerifier(_)
        | Write::VerifierSettings(_)
        | Write::VerifierDeleted(..)
        | Write::Instance(_)
        | Write::InstancesRenewed { .. }
        | Write::InstanceDropped { .. }
        | Write::Receipt(_) => verifiers::apply(tx, it),
        Write::NewPerson(_)
        | Write::Person(_)
        | Write::PersonDeleted(..)
        | Write::Session(_)
        | Write::SessionEnded(_)
        | Write::AdminToken(_)
        | Write::AdminTokenDeleted(_) => people::apply(tx, it),
        Write::Request(_) | Write::RequestAnswered(..) | Write::RequestForgotten(_) => {
            requests::apply(tx, it)
        }
        Write::Used(place, at) => stamps::apply(tx, *place, *at),
        Write::Uses { row, uses: kept } => uses::apply(tx, *row, kept),
        Write::UsesDropped { row } => uses::delete(tx, *row),
    }
}

fn insert_token(tx: &Tx<'_>, token: &NewToken) -> rusqlite::Result<()> {
    let sql = "INSERT INTO token (channel, serial, id, kind, grp, assertion_key, signing_key,
                   form, issued_at, expires_at, idempotency, parameters)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let claims = &token.claims;
    tx.conn
        .prepare_cached(sql)?
        .execute(params![
            claims.channel.number(),
            claims.serial.0,
            claims.id.0,
            claims.kind.name(),
            claims.group.as_ref().map(|group| group.as_str()),
            claims.assertion_key.map(|key| key.0),
            token.key,
            token.form,
            claims.issued_at.0,
            claims.expires_at.0,
            token.idempotency,
            token.parameters,
        ])
        .map(drop)
}

fn write_facts(
    tx: &Tx<'_>,
    channel: ChannelId,
    revocations: &ChannelRevocations,
) -> rusqlite::Result<()> {
    let id = channel.number();
    match revocations.first_until() {
        None => tx
            .conn
            .prepare_cached("DELETE FROM channel_revocations WHERE channel = ?1")?
            .execute([id])
            .map(drop),
        Some(first) => tx
            .conn
            .prepare_cached("INSERT OR REPLACE INTO channel_revocations VALUES (?1, ?2, ?3)")?
            .execute((id, rows::revocations_text(channel, revocations), first.0))
            .map(drop),
    }
}

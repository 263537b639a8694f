//! Recovers an old state of a database without reviving revoked tokens, as
//! `sqlite::Recovering` does a file: a restored backup, or what a failover has left.
//!
//! Everything happens in one transaction, which holds every lock that an act takes. A server
//! that was not stopped sees another epoch in its next transaction and in its next round of
//! the log, and gives up.

mod act;

use super::{
    connect::{Address, Conn},
    facts,
    failed::{Failed, within},
    load::load,
    migrations::{self, failed},
    open_error::PostgresOpenError,
    questions::{audit, tokens},
    rows::{int, list, signing_keys},
    sql::values,
    version::THIS,
};
use crate::{
    By, Error, Recovered, Recovery, ReplaceRootToken, RootTokenHash, RootTokens, SigningKeyRow,
    WrappedKey,
    columns::{Columns, word},
    journal::{self, Commit, JournalLine, JournalState, Reading},
    recovery::{asked, epoch_after},
};
use act::Tx;
use data_encoding::HEXLOWER;
use std::time::Duration;
use tegata_policy::acts::{
    ContinueProviderRevocation, DeleteAdminToken, LOST_INSTANCES, LostInstances, Needs,
    RaiseSerials, Recover, Replay, ResetPerson, Upkeep,
};
use tegata_token::{
    id::{Position, SigningKeyId},
    time::UnixTime,
};
use tokio_postgres::Client;

/// Maximum time until the database has answered a question.
const STEP: Duration = Duration::from_secs(10);
/// How long the rows of servers are watched: a server that runs renews its own more often.
const WATCHED: Duration = Duration::from_secs(3);

/// Tokens must be issued so many seconds before the last time that the database has, to stay valid:
/// so the database has every one that does.
///
/// A database that went back lacks the last commits, so what it lacks was committed after all that
/// it has. But a token's time is the one of its request, and a commit with a later time may come
/// first: a request may read for up to 8 s, its act waits up to 8 s in a queue and has up to 5 s
/// until its COMMIT is sent, which a silent connection delays by less than 1 s
/// (`idle_in_transaction_session_timeout`), and its last statements may wait for a lock, 5 s at most
/// (`statement_timeout`). 45 s are more than all that. Issues that evict no token count as well:
/// the last change may be hours older.
///
/// All servers go by the database's clock, and none lets it go back. If that clock is set back, by
/// five minutes at most, a server that starts then issues behind the others until the clock has
/// caught up; such a token may stay valid although the database lacks it.
const LATE: i64 = 45;

/// A database that is open for recovery only: no server of it runs.
pub struct RecoveringPostgres {
    conn: Conn,
    standing: Standing,
    read: Option<Reading>,
    /// The store's new time, if it changes.
    clock: Option<UnixTime>,
    dry_run: bool,
}

/// What a recovery must know before it makes a new signing key.
#[derive(Debug, Clone)]
pub struct BeforeRecovery {
    /// The highest time that the store has written.
    pub written_at: UnixTime,
    /// How far the development clock was moved, in seconds.
    pub clock_offset: i64,
    /// The database's clock.
    pub clock: UnixTime,
    /// All signing keys.
    pub signing_keys: Vec<SigningKeyRow>,
    /// The key that signs checkpoints: its public half and its wrapped private half.
    pub audit_key: Option<([u8; 32], WrappedKey)>,
    /// The root administrator's tokens that the store knows.
    pub root_tokens: RootTokens,
}

struct Standing {
    identity: Vec<u8>,
    head: Position,
    audit: i64,
    written_at: UnixTime,
    clock_offset: i64,
    /// The database's clock.
    clock: UnixTime,
}

impl RecoveringPostgres {
    /// Opens the database, in which there must be a store, and reads what it lacks.
    ///
    /// # Errors
    /// [`PostgresOpenError`]; [`PostgresOpenError::InUse`] if a server runs.
    pub async fn open(
        url: &str,
        how: Recovery<'_>,
        dry_run: bool,
    ) -> Result<Self, PostgresOpenError> {
        let conn = Address::parse(url)?.connect_first().await.map_err(failed)?;
        let exists = async {
            let sql = "SELECT to_regclass('authority') IS NOT NULL";
            Ok::<bool, Failed>(conn.query_typed_one(sql, values![]).await?.try_get(0)?)
        };
        if !within(STEP, exists).await.map_err(failed)? {
            return Err(PostgresOpenError::NoStore);
        }
        migrations::migrate(&conn, &THIS).await?;
        let standing = within(STEP, standing(&conn)).await.map_err(failed)?;
        let standing = standing.ok_or(PostgresOpenError::NoStore)?;
        let running = running(&conn).await.map_err(failed)?;
        if running > 0 {
            return Err(PostgresOpenError::InUse(running));
        }
        let (read, clock) = match how {
            Recovery::Replay(log) => (Some(journal::read(log, &standing.of_journal())?), None),
            // All servers go by the database's clock, not by this machine's.
            Recovery::RevokeEverything { clock, .. } => (None, clock.map(|_| standing.clock)),
        };
        Ok(Self { conn, standing, read, clock, dry_run })
    }

    /// What is known of the store.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn before(&self) -> Result<BeforeRecovery, Error> {
        let keys = within(STEP, signing_keys(&self.conn)).await?;
        Ok(BeforeRecovery {
            written_at: self.standing.written_at,
            clock_offset: self.standing.clock_offset,
            clock: self.standing.clock,
            signing_keys: keys.into_iter().map(|it| it.key).collect(),
            audit_key: within(STEP, audit::key(&self.conn)).await?,
            root_tokens: within(STEP, facts::root_tokens(&self.conn)).await?,
        })
    }

    /// Recovers the store. `successor` is the new active key; `lost` names keys whose private
    /// half cannot be decrypted any more; `audit_key_lost` is the same for the audit's key. If
    /// everything is revoked, `root_token` is the root administrator's token in force from then
    /// on.
    ///
    /// # Errors
    /// [`Error`]. If the outcome is unknown, run it again.
    pub async fn recover(
        self,
        successor: SigningKeyRow,
        lost: Vec<SigningKeyId>,
        audit_key_lost: bool,
        root_token: Option<RootTokenHash>,
        by: By,
    ) -> Result<Recovered, Error> {
        let how = asked(self.clock, successor, lost, audit_key_lost, by);
        let done = self.transact(&how, root_token).await?;
        if self.dry_run {
            self.conn.batch_execute("ROLLBACK").await.map_err(Failed::from)?;
            return Ok(done);
        }
        let warned = self.conn.warnings();
        self.conn.batch_execute("COMMIT").await.map_err(Failed::from)?;
        if self.conn.warnings() != warned {
            let why = "the database warns that this commit may be lost; run it again";
            return Err(Error::Unavailable(why.into()));
        }
        Ok(done)
    }

    /// Everything up to the COMMIT.
    async fn transact(
        &self,
        how: &Recover,
        root_token: Option<RootTokenHash>,
    ) -> Result<Recovered, Failed> {
        self.conn.batch_execute(BEGIN).await?;
        let lines = self.read.as_ref().map(|it| &it.lines[..]);
        let seen = lines.unwrap_or_default().iter().map(|it| it.commit.epoch).max();
        let epoch = epoch_after(self.standing.head.epoch, seen.unwrap_or(0), how.by.at);
        let mut tx = Tx {
            db: &self.conn,
            head: Position { epoch, number: 0 },
            audit: self.standing.audit,
            now: self.clock.unwrap_or(how.by.at.max(self.standing.written_at)),
            keys: signing_keys(&self.conn).await?.into(),
        };
        tx.write_head(self.standing.written_at).await?;
        let mut done = Recovered::nothing(epoch, self.standing.written_at);
        done.torn = self.read.as_ref().and_then(|it| it.torn);
        let all = lines.unwrap_or_default().iter().map(|line| &line.what);
        note_lost_instances(tx.db, &LostInstances::of(all), tx.now).await?;
        if let Some(lines) = lines {
            replay(&mut tx, lines, &mut done).await?;
            finish_jobs(&mut tx).await?;
            done.issued_before = Some(done.written_at.plus(-LATE));
        } else {
            done.people = end_sign_ins(&mut tx, &how.by).await?;
            if let Some(new) = root_token {
                let instead_of = facts::root_tokens(tx.db).await?.in_force;
                tx.run(&ReplaceRootToken { new, instead_of, by: how.by.clone() }).await?;
            }
            let keys: Vec<_> = tx.keys.iter().map(|it| it.key.id).collect();
            done.tokens = tokens::signed_by(tx.db, &keys, 0, tx.now).await?.tokens;
        }
        done.audit_begins_anew = how.audit_key_lost;
        done.old_keys = tx.run(&done.act(how, lines.map(<[_]>::len))).await?;
        tx.write_head(self.clock.unwrap_or(self.standing.written_at.max(tx.now))).await?;
        if self.clock.is_some() {
            tx.db.batch_execute("UPDATE channel_count SET written_at = 0").await?;
        }
        Ok(done)
    }
}

/// Opens the transaction and takes all locks that acts take, in their order. The old log,
/// the rows of servers and positions mean nothing in the new epoch.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL lock_timeout = 10000;
    SELECT 1 FROM lock_row ORDER BY name FOR UPDATE;
    SELECT 1 FROM provider ORDER BY id FOR UPDATE;
    SELECT 1 FROM channel_count ORDER BY channel FOR UPDATE;
    SELECT 1 FROM authority FOR UPDATE;
    DELETE FROM change_log; DELETE FROM journal; DELETE FROM replica; DELETE FROM job_lease;
    UPDATE provider_revocation SET position = 0;
    UPDATE authority SET log_from = 0, journal_from = 0, went_back = false";

impl Standing {
    fn of_journal(&self) -> JournalState {
        let Position { epoch, number } = self.head;
        let last = Commit { epoch, commit: number };
        JournalState {
            store: journal::postgres_store(&HEXLOWER.encode(&self.identity)),
            last,
            last_revocation: last,
            at: self.written_at,
            owner: None,
        }
    }
}

async fn standing(db: &Client) -> Result<Option<Standing>, Failed> {
    // An act without a change keeps its time with its channel.
    let sql = "SELECT identity, epoch, position, audit, clock_offset, greatest(written_at,
                   (SELECT max(written_at) FROM channel_count)) AS written_at,
                   extract(epoch FROM clock_timestamp())::bigint AS clock FROM authority";
    super::rows::one(db, sql, values![], |row| {
        Ok(Standing {
            identity: row.value("identity")?,
            head: Position { epoch: row.value("epoch")?, number: row.value("position")? },
            audit: row.value("audit")?,
            written_at: row.value("written_at")?,
            clock_offset: row.value("clock_offset")?,
            clock: row.value("clock")?,
        })
    })
    .await
}

/// How many servers run: they renew their rows. A server that was killed leaves its row.
async fn running(db: &Client) -> Result<usize, Failed> {
    let beats = || {
        list(db, "SELECT id, beat FROM replica", values![], |row| {
            Ok((row.value::<Vec<u8>>("id")?, row.value::<i64>("beat")?))
        })
    };
    let before = within(STEP, beats()).await?;
    if before.is_empty() {
        return Ok(0);
    }
    tokio::time::sleep(WATCHED).await;
    let after = within(STEP, beats()).await?;
    Ok(after.iter().filter(|it| !before.contains(it)).count())
}

/// Notes that each verifier may have had instances that an old state of the store does not
/// know: receipts list them, under one name, until their longest staleness has passed, or an
/// operator removes them where stale views may be used. `lost` is what the journal holds about
/// verifiers; those that the store lacks stay deleted.
async fn note_lost_instances(
    db: &Client,
    lost: &[LostInstances],
    now: UnixTime,
) -> Result<(), Failed> {
    // What the store knows of them is as of the copy: the journal is applied afterwards.
    let each = "SELECT id, $1, max_staleness, CASE WHEN allow THEN 'allow' ELSE 'deny' END, $2, $2,
                    false FROM verifier";
    let values = values![LOST_INSTANCES, now.0];
    db.execute_typed(&format!("{LOSE} {each} {MORE_LENIENT}"), values).await?;
    for it in lost {
        let row = it.row(now);
        let sql = "INSERT INTO verifier (id, name, provider, max_staleness, allow, token,
                       created_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
                   ON CONFLICT (id) DO NOTHING";
        let (id, staleness) = (int(row.id.number()), int(row.max_staleness));
        let provider = row.provider.map(|it| int(it.number()));
        let (name, token) = (row.name.as_str(), &row.token.0[..]);
        let values = values![id, name, provider, staleness, row.allow, token, row.created_at.0];
        db.execute_typed(sql, values).await?;
        let on_stale = word(it.on_stale());
        let one = "VALUES ($1, $2, $3, $4, $5, $5, false)";
        let values = values![id, LOST_INSTANCES, staleness, on_stale, now.0];
        db.execute_typed(&format!("{LOSE} {one} {MORE_LENIENT}"), values).await?;
    }
    Ok(())
}

const LOSE: &str = "INSERT INTO instance (verifier, instance, staleness, on_stale, registered_at,
    renewed_at, stopped)";
/// Those of an earlier recovery may still be counted.
const MORE_LENIENT: &str = "ON CONFLICT (verifier, instance) DO UPDATE SET
    staleness = greatest(instance.staleness, excluded.staleness),
    on_stale = CASE WHEN excluded.on_stale = 'allow' THEN 'allow' ELSE instance.on_stale END,
    renewed_at = excluded.renewed_at, stopped = false";

/// Lets no person sign in, and no session and personal token authenticate: it is not known
/// from whom they were taken since the copy was made.
async fn end_sign_ins(tx: &mut Tx<'_>, by: &By) -> Result<usize, Failed> {
    let people = "SELECT id FROM person WHERE deleted_at IS NULL ORDER BY number";
    let people = list(tx.db, people, values![], |row| row.value("id")).await?;
    for id in people.iter().copied() {
        tx.run(&ResetPerson { id, invitation: None, by: by.clone() }).await?;
    }
    let tokens = "SELECT id FROM admin_token ORDER BY number";
    for id in list(tx.db, tokens, values![], |row| row.value("id")).await? {
        tx.run(&DeleteAdminToken { id, by: by.clone() }).await?;
    }
    Ok(people.len())
}

/// Goes through with the revocations of providers' tokens that the journal has begun. It
/// does not say which of them had ended: a server that went on with them would revoke new
/// tokens, too.
async fn finish_jobs(tx: &mut Tx<'_>) -> Result<(), Failed> {
    let jobs = "SELECT number FROM provider_revocation ORDER BY number";
    for job in list(tx.db, jobs, values![], |row| row.value("number")).await? {
        loop {
            let needs = Needs { upkeep: Upkeep::ProviderJob(job), ..Needs::default() };
            let found = load(tx.db, &tx.keys, &needs).await?.upkeep.job;
            let channel = found.and_then(|it| it.next);
            if tx.run(&ContinueProviderRevocation { job, channel }).await?.done {
                break;
            }
        }
    }
    Ok(())
}

/// Applies the lines, each at its time unless the clock was ahead then, and raises the serials
/// that they name.
async fn replay(
    tx: &mut Tx<'_>,
    lines: &[JournalLine],
    done: &mut Recovered,
) -> Result<(), Failed> {
    let now = tx.now;
    for raise in RaiseSerials::of(lines.iter().map(|line| &line.what)) {
        tx.run(&raise).await?;
    }
    for line in lines {
        tx.now = line.at.min(now);
        let act = Replay { line: line.what.clone(), author: line.by.clone(), at: line.at };
        let replayed = tx.run(&act).await?;
        done.count(&line.what, &replayed);
    }
    tx.now = now;
    Ok(())
}

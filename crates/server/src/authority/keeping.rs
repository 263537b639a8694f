//! Operations on an authority's files without a server: recovering a store after a
//! rollback, replacing the master key, and inviting an administrator.

use crate::authority::{
    actor::Actor,
    admin_token, audit,
    clock::Clock,
    keyring::Keyring,
    master_key::{self, MasterKey},
    people,
    place::{Database, Files},
    random,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tegata_policy::{
    acts::InvitePerson,
    permission::{OperatorRole, RoleChange},
    secret::PlainSecret,
    text::{LOGIN_RULE, is_login},
    text::{REASON_RULE, is_reason},
};
use tegata_store::{
    By, Event, ExpectedSettings, Recovered, Recovery, ReplaceRootToken, RootTokenHash, RootTokens,
    SigningKeyRow, State, Store,
    audit_event::{AuditEvent, NoDetail},
    postgres::{PostgresOpenError, PostgresOptions, PostgresStore, RecoveringPostgres},
    sqlite::{OpenError, Recovering, RollbackGuardFile, SqliteStore},
};
use tegata_token::{
    id::{PersonId, SigningKeyId},
    time::{DAY, UnixTime},
};

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The master key.
    #[error(transparent)]
    MasterKey(#[from] master_key::Error),
    /// There is no master key to encrypt the new signing key with.
    #[error(
        "there is no master key at {file}; bring the file back. If it is lost for good, make a new \
         one and run this again:\n  (umask 077; openssl rand -hex 32 > {file})\nTokens stay \
         valid; only requests that are retried with an Idempotency-Key from before will be \
         denied", file = .0.display()
    )]
    NoMasterKey(PathBuf),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] PostgresOpenError),
    /// The name cannot be one to sign in with.
    #[error("a sign-in name is {LOGIN_RULE}")]
    NotALogin,
    /// The reason cannot be recorded.
    #[error("a reason is {REASON_RULE}")]
    NotAReason,
    /// An error of the store.
    #[error(transparent)]
    Store(#[from] tegata_store::Error),
}

/// A recovery, and what remains to be done.
#[derive(Debug)]
pub struct StoreRecovery {
    /// What was done.
    pub done: Recovered,
    /// How many signing keys the master key does not decrypt.
    pub unopened: usize,
    /// Why the audit's end was not accepted for all servers, if it was not.
    pub audit_not_accepted: Option<Error>,
    /// What became of the root administrator's token of the servers that share the store; one
    /// of a file has its token in a file.
    pub root_token: Option<RootTokenAfter>,
}

/// The root administrator's token after a recovery of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootTokenAfter {
    /// The one that was in force last, by the revocation journal.
    Replayed,
    /// That of the server whose settings the recovery used.
    Own,
    /// None that is known: no server has it.
    Unknown,
}

/// Recovers the store: see [`Recovering`]. `token_file` is the file with the root
/// administrator's token, if the settings name one.
///
/// # Errors
/// [`Error`].
pub async fn recover(
    place: &Files,
    token_file: Option<&Path>,
    how: Recovery<'_>,
    dry_run: bool,
) -> Result<StoreRecovery, Error> {
    if let Some(database) = &place.database {
        return recover_database((place, token_file), database, how, dry_run).await;
    }
    let open = Recovering::open(&place.store, how, dry_run)?;
    let state = open.store.state().await?;
    let now = time_of(how, None, state.written_at, state.clock_offset);
    let (master, lost) = master_and_lost(place, &state.signing_keys)?;
    let unopened = lost.len();
    let audit_key_lost = audit::is_lost(open.store.audit_key().await?.as_ref(), &master);
    let successor = Keyring::empty(master).make(now)?;
    let (guard, by) = (guard(place)?, operator(now));
    let done = open.recover(successor, lost, audit_key_lost, guard, by).await?;
    if !dry_run {
        audit::anchor_present_end(place, false)?;
    }
    Ok(StoreRecovery { done, unopened, audit_not_accepted: None, root_token: None })
}

/// The same for a database, of which no server runs.
async fn recover_database(
    (place, token_file): (&Files, Option<&Path>),
    database: &Database,
    how: Recovery<'_>,
    dry_run: bool,
) -> Result<StoreRecovery, Error> {
    let address = database.direct.as_ref().unwrap_or(&database.address);
    let open = RecoveringPostgres::open(address.reveal(), how, dry_run).await?;
    let before = open.before().await?;
    let now = time_of(how, Some(before.clock), before.written_at, before.clock_offset);
    let (master, lost) = master_and_lost(place, &before.signing_keys)?;
    let unopened = lost.len();
    let audit_key_lost = audit::is_lost(before.audit_key.as_ref(), &master);
    let successor = Keyring::empty(master).make(now)?;
    let (after, token) = root_token_after(place, token_file, how, &before.root_tokens)?;
    let done = open.recover(successor, lost, audit_key_lost, token, operator(now)).await?;
    let mut recovery =
        StoreRecovery { done, unopened, audit_not_accepted: None, root_token: after };
    if !dry_run {
        // The next start writes it by what it finds.
        let _ = std::fs::remove_file(place.guard());
        recovery.audit_not_accepted = accept_recovered(place, now).await.err();
    }
    Ok(recovery)
}

/// The root administrator's token that a recovery puts in force. Without a journal it is not
/// known whether the one of the old copy was replaced since. Rather than none, which would let
/// each server go by its own one, a token is then in force that no server has.
fn root_token_after(
    place: &Files,
    token_file: Option<&Path>,
    how: Recovery<'_>,
    known: &RootTokens,
) -> Result<(Option<RootTokenAfter>, Option<RootTokenHash>), tegata_store::Error> {
    if let Recovery::Replay(_) = how {
        return Ok((Some(RootTokenAfter::Replayed), None));
    }
    let own = match token_file {
        Some(file) => admin_token::hash_in(file, true),
        None => admin_token::hash_in(&place.admin_token(), false),
    };
    match own.filter(|it| !known.has_ended(*it)) {
        Some(own) => Ok((Some(RootTokenAfter::Own), Some(own))),
        // That of the first server that starts will be.
        None if known.in_force.is_none() => Ok((None, None)),
        None => Ok((Some(RootTokenAfter::Unknown), Some(RootTokenHash(random::bytes()?)))),
    }
}

/// Accepts the audit of a database that was recovered: servers have anchors of what it lost.
async fn accept_recovered(place: &Files, at: UnixTime) -> Result<(), Error> {
    let store = open(place).await?;
    let accepted = accept_shared(&*store, place, at).await;
    close(store).await;
    accepted.map(drop)
}

/// The time of a recovery.
fn time_of(
    how: Recovery<'_>,
    common: Option<UnixTime>,
    written_at: UnixTime,
    clock_offset: i64,
) -> UnixTime {
    match how {
        // What the servers of a store have in common comes before this machine's clock.
        Recovery::RevokeEverything { clock: Some(clock), .. } => common.unwrap_or(clock),
        _ => now(common, written_at, clock_offset),
    }
}

/// The master key of a recovery, and the keys that it does not decrypt.
fn master_and_lost(
    place: &Files,
    keys: &[SigningKeyRow],
) -> Result<(MasterKey, Vec<SigningKeyId>), Error> {
    let path = place.master_key();
    let master = match MasterKey::load_for(&path, keys) {
        Err(master_key::Error::Lost(path)) => return Err(Error::NoMasterKey(path)),
        // The master key was replaced since the backup. Old keys sign no more, so they
        // need not be decrypted.
        Err(master_key::Error::Wrong(path)) => MasterKey::load(&path, false)?,
        loaded => loaded?,
    };
    let lost = |row: &&SigningKeyRow| {
        !row.wrapped.0.is_empty() && master.open(row.id, &row.wrapped).is_none()
    };
    let lost = keys.iter().filter(lost).map(|row| row.id).collect();
    Ok((master, lost))
}

/// Opens a store for an act that needs no server. Servers may use a database meanwhile.
async fn open(place: &Files) -> Result<Box<dyn Store>, Error> {
    let Some(database) = &place.database else {
        return Ok(Box::new(SqliteStore::open_for_upkeep(&place.store, guard(place)?)?));
    };
    let open = async |dev| {
        let options = PostgresOptions {
            url: database.address.reveal().to_owned(),
            direct: database.direct.as_ref().map(|it| it.reveal().to_owned()),
            dev,
            guard: Some(place.guard()),
            ..PostgresOptions::default()
        };
        PostgresStore::open(options, Box::new(|_| {})).await
    };
    let store = match open(false).await {
        Err(PostgresOpenError::MadeForDevelopment) => open(true).await?,
        opened => opened?,
    };
    // Reads the clock that the servers have in common.
    store.catch_up().await?;
    Ok(Box::new(store))
}

/// Closes a store. A server of a database tells the others that it is gone.
async fn close(store: Box<dyn Store>) {
    let is_shared = store.is_shared();
    drop(store);
    if is_shared {
        tokio::time::sleep(SIGNING_OFF).await;
    }
}

/// How long a store may take to tell the other servers that it is gone; else they wait for its
/// lease to run out.
const SIGNING_OFF: Duration = Duration::from_millis(300);

/// Accepts the audit's end as it is, for a store without a server: nothing confirms that
/// no newer events were cut off, and the operator continues regardless. Returns the
/// number of the newest checkpoint.
///
/// # Errors
/// [`Error`].
pub async fn accept_audit(place: &Files, reason: Option<String>) -> Result<Option<u64>, Error> {
    if reason.as_ref().is_some_and(|it| !is_reason(it)) {
        return Err(Error::NotAReason);
    }
    let store = open(place).await?;
    let state = store.state().await?;
    let at = now_of(&*store, &state);
    let by = operator(at);
    let event = Event::of(AuditEvent::AuditAccept(NoDetail {}));
    store.record(event, By { reason, ..by }).await?;
    // The store is still open, so no server of a SQLite file starts meanwhile.
    let newest = match place.database {
        Some(_) => accept_shared(&*store, place, at).await?,
        None => audit::anchor_present_end(place, true)?,
    };
    close(store).await;
    Ok(newest)
}

/// How often a token is put in force that another one overtakes.
const OVERTAKEN: usize = 5;

/// Puts a root administrator's token in force for all servers that share a store, with an
/// audit event.
///
/// # Errors
/// [`Error`].
pub async fn put_root_token(
    place: &Files,
    new: RootTokenHash,
    reason: Option<String>,
) -> Result<(), Error> {
    let store = open(place).await?;
    let put = put_in_force(&*store, new, reason).await;
    close(store).await;
    Ok(put?)
}

async fn put_in_force(
    store: &dyn Store,
    new: RootTokenHash,
    reason: Option<String>,
) -> Result<(), tegata_store::Error> {
    let state = store.state().await?;
    let at = now_of(store, &state);
    for _ in 0..OVERTAKEN {
        let known = store.root_tokens().await?;
        if known.in_force == Some(new) {
            // A server has read the file meanwhile, and recorded it.
            return Ok(());
        }
        let by = By { reason: reason.clone(), ..operator(at) };
        let act = ReplaceRootToken { new, instead_of: known.in_force, by };
        if store.replace_root_token(act).await? {
            return Ok(());
        }
    }
    Err(tegata_store::Error::Conflict("others replace the token at the same time"))
}

/// Accepts the audit's end for all servers that share a store, without an event.
async fn accept_shared(
    store: &dyn Store,
    place: &Files,
    at: UnixTime,
) -> Result<Option<u64>, Error> {
    let file = place.master_key();
    let master = MasterKey::load(&file, false)?;
    let audit = audit::Audit::open(store, &master).await?;
    let audit = audit.ok_or(master_key::Error::Wrong(file))?;
    Ok(audit::accept_end(&audit, store, place, at).await?)
}

/// Replaces the master key of a store without a server. Returns the number of signing
/// keys that the new one encrypts.
///
/// # Errors
/// [`Error`]. If it is killed at any point, the next start completes or undoes it.
pub async fn rotate_master_key(place: &Files) -> Result<usize, Error> {
    let store = open(place).await?;
    let state = store.state().await?;
    let path = place.master_key();
    let keyring = Keyring::load(&path, &state.signing_keys)?;
    let by = operator(now_of(&*store, &state));
    let rotated = keyring.rotate_master_key(&path, &*store, by).await;
    close(store).await;
    Ok(rotated?)
}

/// Invites an administrator to the authority of a store without a server. Returns the
/// person's id, the invitation, and when it expires.
///
/// # Errors
/// [`Error`]; [`Conflict`](tegata_store::Error::Conflict) if the sign-in name is taken.
pub async fn invite_administrator(
    place: &Files,
    login: &str,
    name: &str,
) -> Result<(PersonId, PlainSecret, UnixTime), Error> {
    if !is_login(login) {
        return Err(Error::NotALogin);
    }
    let store = open(place).await?;
    let state = store.state().await?;
    let now = now_of(&*store, &state);
    let invitation = people::invitation(random::bytes()?);
    let expires_at = now.plus(DAY);
    let id = 1_000_000_000 + random::below(9_000_000_000)?;
    let id = PersonId::from_number(id).ok_or(tegata_store::Error::Taken)?;
    let act = InvitePerson {
        id,
        login: login.to_owned(),
        name: name.to_owned(),
        role: Some(RoleChange::Operator { role: Some(OperatorRole::Administrator) }),
        invitation: people::hash(&invitation),
        expires_at,
        by: operator(now),
    };
    let invited = store.invite_person(act).await;
    close(store).await;
    invited?;
    Ok((id, invitation, expires_at))
}

/// The machine's time, regardless of what a store has written.
#[must_use]
pub fn wall_clock() -> UnixTime {
    Clock::new().now()
}

fn guard(place: &Files) -> Result<RollbackGuardFile, tegata_store::Error> {
    Ok(RollbackGuardFile { path: place.guard(), fresh: random::bytes()? })
}

/// The time of an act without a server: by the clock that the servers of a store have in
/// common, if they have one.
fn now_of(store: &dyn Store, state: &State) -> UnixTime {
    now(store.store_time(), state.written_at, state.clock_offset)
}

fn now(common: Option<UnixTime>, written_at: UnixTime, clock_offset: i64) -> UnixTime {
    let clock = Clock::new();
    common.iter().for_each(|time| clock.follow(*time));
    clock.set_offset(clock_offset);
    clock.not_before(written_at);
    clock.now()
}

fn operator(at: UnixTime) -> By {
    By {
        actor: Actor::Operator.to_string(),
        source: None,
        reason: None,
        at,
        expected: ExpectedSettings::default(),
        request_id: None,
    }
}

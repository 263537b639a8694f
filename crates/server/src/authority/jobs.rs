//! What the server does by itself from time to time: it takes stamps of use to
//! the store, forgets what can no longer matter, and lets a new signing key sign
//! once it has been published long enough.

use crate::authority::{
    Authority, actor::Actor, admin, admin_token::TokenSource, health::Health,
    warnings::job::Warnings,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};
use tegata_store::{
    Event,
    audit_event::{AuditEvent, NoDetail},
};
use tegata_token::{key::KeyState, time::DAY};
use tokio_util::sync::CancellationToken;

/// How often.
const PERIOD: Duration = Duration::from_secs(60);

/// So many channels are tidied up in one transaction.
const BATCH: usize = 100;

/// So many rows of the log are deleted in one transaction.
const TRIMMED: usize = 1_000;

/// The periodic jobs, and what they need.
pub struct Jobs {
    /// The authority that they work for.
    pub authority: Arc<Authority>,
    /// Learns that they run, and how old the signing key is.
    pub health: Arc<Health>,
    /// The root administrator's token, which can be replaced in its file.
    pub admin_token: Arc<TokenSource>,
    /// What tells people before something ends.
    pub warnings: Warnings,
    /// How long a new signing key is published before it signs.
    pub key_promotion_delay: Duration,
    /// For how many days the row of a token is kept after its end.
    pub token_retention_days: u32,
    /// How far the sweep has come among the rows of tokens.
    pub swept_to: AtomicI64,
}

/// Runs the jobs every minute until `stop`, and the stamps a last time then.
pub async fn run_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    let checkpointing = tokio::spawn(seal_until(jobs.clone(), stop.clone()));
    let warning = tokio::spawn(warn_until(jobs.clone(), stop.clone()));
    // What a crash broke off, first of all.
    finish(&jobs).await;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => keep_up(&jobs).await,
            () = stop.cancelled() => break,
        }
    }
    flush(&jobs).await;
    let _ = tokio::join!(checkpointing, warning);
}

/// By itself, since it waits for somebody else's server: that may be slow, and may
/// hold up neither the other jobs nor the end.
async fn warn_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            ticks.tick().await;
            warn(&jobs).await;
        }
    };
    tokio::select! {
        () = rounds => {}
        () = stop.cancelled() => {}
    }
}

/// How often the audit is sealed.
const SEALING: Duration = Duration::from_secs(2);

async fn seal_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SEALING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        let stopping = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.cancelled() => true,
        };
        see_reset(&jobs).await;
        match checkpoint(&jobs).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                tracing::error!(%error, "the audit is not sealed");
                failing = true;
            }
            Err(_) => {}
        }
        if stopping {
            return;
        }
    }
}

async fn checkpoint(jobs: &Jobs) -> tegata_store::Result<()> {
    let authority = &jobs.authority;
    authority.audit().checkpoint(authority.store(), authority.clock()).await
}

/// Tells the audit of a reset of the administrator's token, which is done to the file
/// and not to the server.
async fn see_reset(jobs: &Jobs) {
    if jobs.admin_token.was_replaced() {
        let event = Event::of(AuditEvent::AdminReset(NoDetail {}));
        let by = jobs.authority.by(Actor::Operator, None, None);
        if let Err(error) = jobs.authority.store().record(event, by).await {
            tracing::warn!(%error, "the audit could not be told of a new administrator's token");
        }
    }
}

/// Brings to its end what was begun and broken off.
async fn finish(jobs: &Jobs) {
    if let Err(error) = jobs.authority.finish_provider_revocations().await {
        tracing::warn!(%error, "a provider's tokens are not all ended yet");
    }
}

/// Runs all that is due.
pub async fn run(jobs: &Jobs) {
    keep_up(jobs).await;
    warn(jobs).await;
}

async fn warn(jobs: &Jobs) {
    if let Err(error) = jobs.warnings.run(&jobs.authority).await {
        tracing::warn!(%error, "warnings wait");
    }
}

/// Runs what is due here. A job that fails is tried again a minute later.
async fn keep_up(jobs: &Jobs) {
    jobs.health.jobs_are_at(jobs.authority.clock().steady());
    see_reset(jobs).await;
    // A clock that was moved on makes what waits look old; the loop says why it fails.
    let wrapped = checkpoint(jobs).await.is_ok();
    flush(jobs).await;
    jobs.authority.limits().tidy(jobs.authority.clock().steady());
    if let Err(error) = jobs.authority.settle_master_key().await {
        tracing::warn!(%error, "how the last rotation of the master key ended is not known yet");
    }
    if let Err(error) = promote(jobs).await {
        tracing::warn!(%error, "the pending signing key was not promoted");
    }
    finish(jobs).await;
    if let Err(error) = sweep(jobs).await {
        tracing::warn!(%error, "no rows of ended tokens were deleted");
    }
    if let Err(error) = forget(jobs).await {
        tracing::warn!(%error, "nothing was forgotten");
    }
    let audit = jobs.authority.audit();
    // Only what was compared with the file outside before: a store that was brought back
    // says so in its audit first.
    if wrapped && let Err(error) = audit.look(jobs.authority.store(), jobs.authority.now()).await {
        tracing::warn!(%error, "the audit was not checked");
    }
    if let Err(error) = see_key_age(jobs).await {
        tracing::warn!(%error, "the signing key's age was not read");
    }
    jobs.health.jobs_are_at(jobs.authority.clock().steady());
}

async fn flush(jobs: &Jobs) {
    if let Err(error) = jobs.authority.flush_last_used().await {
        tracing::warn!(%error, "stamps of use were lost");
    }
}

async fn promote(jobs: &Jobs) -> admin::Result<()> {
    let view = jobs.authority.view();
    if !view.keys().iter().any(|it| it.state == KeyState::Pending) {
        return Ok(());
    }
    let now = jobs.authority.now();
    let published = i64::try_from(jobs.key_promotion_delay.as_secs()).unwrap_or(i64::MAX);
    let rows = jobs.authority.signing_keys().await?;
    let due = |row: &&tegata_store::SigningKeyRow| {
        row.state == KeyState::Pending && now.since(row.changed_at) >= published
    };
    if let Some(row) = rows.iter().find(due) {
        jobs.authority.admin(Actor::System, None).promote_signing_key(row.id).await?;
        tracing::info!(key = %row.id, "a new signing key signs");
    }
    Ok(())
}

/// Since when the active key has been signing: what says when it is due.
async fn see_key_age(jobs: &Jobs) -> tegata_store::Result<()> {
    let rows = jobs.authority.signing_keys().await?;
    if let Some(active) = rows.iter().find(|row| row.state == KeyState::Active) {
        jobs.health.key_signs_since(active.changed_at);
        let overdue = -jobs.health.rotation_due(jobs.authority.now());
        // Once a day, give or take a minute.
        if overdue > 0 && overdue % DAY < PERIOD.as_secs().cast_signed() {
            let days = overdue / DAY;
            tracing::warn!(days, key = %active.id,
                "the signing key is overdue for replacement; run: tegata signing-key rotate");
        }
    }
    Ok(())
}

/// Rows looked at in one go, and so deleted in one transaction at the most.
const LOOKED_AT: usize = 500;
/// And so many times in one round: ten million rows are gone through in three hours,
/// and nobody else waits for it.
const LOOKS: usize = 100;

/// Deletes the rows of tokens whose life was over long ago, and goes on next time
/// where it stopped.
async fn sweep(jobs: &Jobs) -> tegata_store::Result<()> {
    if jobs.authority.clock().jumped_recently() {
        return Ok(());
    }
    let before = jobs.authority.now().plus(-i64::from(jobs.token_retention_days) * DAY);
    let store = jobs.authority.store();
    for _ in 0..LOOKS {
        let after = jobs.swept_to.load(Relaxed);
        let (over, next) = store.inactive_before(after, before, LOOKED_AT).await?;
        if !over.is_empty() {
            store.sweep(over, before).await?;
        }
        // Behind the last row begins a new walk, at the first.
        jobs.swept_to.store(next.unwrap_or(0), Relaxed);
        if next.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn forget(jobs: &Jobs) -> tegata_store::Result<()> {
    // A clock that jumped may be wrong now, and what is forgotten stays forgotten.
    if jobs.authority.clock().jumped_recently() {
        return Ok(());
    }
    let store = jobs.authority.store();
    while store.forget(BATCH, jobs.authority.now()).await? > 0 {
        tokio::task::yield_now().await;
    }
    // As long as there is any: a busy hour writes more than one go takes away.
    while store.trim(TRIMMED, jobs.authority.now()).await? > 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

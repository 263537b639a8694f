//! The periodic jobs: they write last-used times to the store, delete expired data, and
//! promote a new signing key once it has been published long enough. Of servers that share a
//! store, one does those that are about the authority; what is in the memory of a server,
//! each of them writes.

use crate::{
    authority::{
        Authority, actor::Actor, admin, admin_token::TokenSource, health::Health,
        warnings::job::Warnings,
    },
    metrics::SearchCounts,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};
use tegata_store::{
    Event, Old, USES_KEPT,
    audit_event::{AuditEvent, NoDetail},
};
use tegata_token::{
    key::KeyState,
    time::{DAY, UnixTime},
};
use tokio_util::sync::CancellationToken;

/// The period of the jobs.
const PERIOD: Duration = Duration::from_secs(60);

/// Maximum number of channels that are cleaned up in one transaction.
const BATCH: usize = 100;

/// Maximum number of rows of the change log that are deleted in one transaction.
const TRIMMED: usize = 1_000;

/// The periodic jobs, and what they need.
pub struct Jobs {
    /// The authority.
    pub authority: Arc<Authority>,
    /// Receives the times of the runs, and the signing key's age.
    pub health: Arc<Health>,
    /// The root administrator's token, which can be replaced in its file.
    pub admin_token: Arc<TokenSource>,
    /// Finds and delivers warnings.
    pub warnings: Warnings,
    /// How long a new signing key is published before it signs.
    pub key_promotion_delay: Duration,
    /// Days that the row of a token is kept after its expiry or revocation.
    pub token_retention_days: u32,
    /// The last row of a token that the sweep has looked at.
    pub swept_to: AtomicI64,
}

/// Runs the jobs every minute until `stop`, and then writes the last-used times once
/// more.
pub async fn run_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    let checkpointing = tokio::spawn(checkpoint_until(jobs.clone(), stop.clone()));
    let warning = tokio::spawn(warn_until(jobs.clone(), stop.clone()));
    let settling = tokio::spawn(settle_until(jobs.clone(), stop.clone()));
    let exchanging = tokio::spawn(exchange_until(jobs.clone(), stop.clone()));
    let finishing = tokio::spawn(finish_until(jobs.clone(), stop.clone()));
    let verifying = tokio::spawn(verify_until(jobs.clone(), stop.clone()));
    let mut ticks = ticks();
    loop {
        tokio::select! {
            _ = ticks.tick() => run_all(&jobs).await,
            () = stop.cancelled() => break,
        }
    }
    flush(&jobs).await;
    let _ = tokio::join!(checkpointing, warning, settling, exchanging, finishing, verifying);
}

/// A task of its own, since it waits for the operator's webhook: a slow receiver must
/// delay neither the other jobs nor the shutdown.
async fn warn_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    let mut ticks = ticks();
    let rounds = async {
        loop {
            let wanted = tokio::select! {
                _ = ticks.tick() => false,
                () = jobs.authority.walk_wanted() => true,
            };
            if leads(&jobs).await {
                warn(&jobs).await;
                continue;
            }
            // Another server counts now; what this one counted last would be shown for ever.
            jobs.authority.metrics().searched(&SearchCounts::default());
            if wanted && let Err(error) = jobs.warnings.look(&jobs.authority).await {
                tracing::warn!(%error, "warnings were not searched; the next page tries again");
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(rounds).await;
}

/// A task of its own, since a provider can have very many channels: their revocation must not
/// delay the other jobs. At first it resumes what a crash interrupted.
async fn finish_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    let rounds = async {
        let mut ticks = ticks();
        loop {
            ticks.tick().await;
            if leads(&jobs).await {
                finish(&jobs).await;
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(rounds).await;
}

/// A task of its own, since the audit can be very long. One server verifies it for all, and each
/// after its own anchor has honoured an acceptance.
async fn verify_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    let audit = jobs.authority.audit();
    let rounds = async {
        loop {
            if audit.wants_verification() || leads(&jobs).await {
                verify(&jobs).await;
            }
            let _ = tokio::time::timeout(PERIOD, audit.verification_wanted()).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(rounds).await;
}

/// The times of the jobs' runs.
fn ticks() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

async fn exchange_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    jobs.authority.exchange_until(stop).await;
}

/// The period in which complete receipts are written.
const SETTLE_PERIOD: Duration = Duration::from_secs(1);

async fn settle_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SETTLE_PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let stopping = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.cancelled() => true,
        };
        jobs.authority.follow_clock();
        jobs.authority.share_limits().await;
        let leads = leads(&jobs).await;
        if let Err(error) = jobs.authority.settle_feed(leads).await {
            tracing::warn!(%error, "receipts, or rows of verifiers' instances, were not written; the next run tries again");
        }
        if stopping {
            return;
        }
    }
}

/// The period of audit checkpoints.
const CHECKPOINT_PERIOD: Duration = Duration::from_secs(2);

/// Seconds without a checkpoint, mostly because of its own disk, after which a server leaves the jobs.
const LEAVES_JOBS: i64 = 30;

async fn checkpoint_until(jobs: Arc<Jobs>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(CHECKPOINT_PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = None;
    loop {
        let stopping = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.cancelled() => true,
        };
        record_reset(&jobs.authority, &jobs.admin_token).await;
        follow_token(&jobs).await;
        match checkpoint(&jobs).await {
            Ok(()) => failing = None,
            Err(error) => leave_if_stuck(&jobs, &mut failing, &error).await,
        }
        if stopping {
            return;
        }
    }
}

/// Reports that no checkpoint can be made, which fails since `failing`; after a while this server
/// leaves the jobs to another one, if there is one.
async fn leave_if_stuck(jobs: &Jobs, failing: &mut Option<UnixTime>, error: &tegata_store::Error) {
    let now = jobs.authority.now();
    let Some(since) = *failing else {
        tracing::error!(%error, "no audit checkpoint can be made");
        *failing = Some(now);
        return;
    };
    if now.since(since) >= LEAVES_JOBS && leads(jobs).await {
        tracing::warn!(%error, "no audit checkpoint can be made; another server does the jobs, if there is one");
        jobs.authority.store().leave_jobs();
        *failing = Some(now);
    }
}

/// Whether this server does the jobs of the authority.
async fn leads(jobs: &Jobs) -> bool {
    jobs.authority.store().may_run_jobs().await
}

/// Makes a checkpoint, or follows those of the server that makes them.
async fn checkpoint(jobs: &Jobs) -> tegata_store::Result<()> {
    let authority = &jobs.authority;
    // Else a database that went back would look like an audit that was cut off.
    let since = authority.mark();
    let makes = authority.current(since, leads(jobs).await)?;
    authority.audit().checkpoint(authority.store(), authority.clock(), makes).await
}

/// Records a reset of the administrator's token in the audit; the reset changes the file,
/// without a request to the server.
pub async fn record_reset(authority: &Authority, token: &TokenSource) {
    let store = authority.store();
    let write = async |reason| {
        // Where servers share the store, the one that puts the token in force records it.
        match store.is_shared() {
            true => agree(authority, token, reason).await,
            false => write_reset(authority, reason).await,
        }
    };
    let recorded = token.record_reset(write).await;
    if let Err(error) = recorded {
        tracing::warn!(%error, "the audit event for the new administrator's token could not be written");
    }
}

async fn write_reset(authority: &Authority, reason: Option<String>) -> tegata_store::Result<()> {
    let event = Event::of(AuditEvent::AdminReset(NoDetail {}));
    authority.store().record(event, authority.by(Actor::Operator, None, reason)).await
}

/// Compares this server's administrator's token with the one that is in force for all servers
/// of the store, and replaces that one where this is meant; the audit then has the event.
///
/// # Errors
/// [`Error::Unavailable`](tegata_store::Error::Unavailable).
pub async fn agree(
    authority: &Authority,
    token: &TokenSource,
    reason: Option<String>,
) -> tegata_store::Result<()> {
    token.agree(authority.store(), &authority.by(Actor::Operator, None, reason)).await
}

/// The same at a start, if servers share the store.
///
/// # Errors
/// As [`agree`].
pub async fn agree_if_shared(
    authority: &Authority,
    token: &TokenSource,
) -> tegata_store::Result<()> {
    match authority.store().is_shared() {
        true => agree(authority, token, None).await,
        false => Ok(()),
    }
}

/// Compares the administrator's token again if another server has replaced the one in force.
async fn follow_token(jobs: &Jobs) {
    let (authority, token) = (&jobs.authority, &jobs.admin_token);
    if let Some(in_force) = authority.root_token()
        && token.is_to_compare(in_force)
        && let Err(error) = agree(authority, token, None).await
    {
        tracing::debug!(%error, "the administrator's token was not compared");
    }
    jobs.health.token_differs(token.difference());
}

/// Resumes the revocations that were interrupted.
async fn finish(jobs: &Jobs) {
    if let Err(error) = jobs.authority.finish_provider_revocations().await {
        tracing::warn!(%error, "a provider's tokens are not all revoked yet; the next run continues");
    }
}

/// Runs all jobs that are due.
pub async fn run(jobs: &Jobs) {
    finish(jobs).await;
    run_all(jobs).await;
    verify(jobs).await;
    warn(jobs).await;
}

async fn warn(jobs: &Jobs) {
    if let Err(error) = jobs.warnings.run(&jobs.authority).await {
        tracing::warn!(%error, "warnings were not delivered; the next run tries again");
    }
}

/// Runs the jobs that have no task of their own. A job that fails is tried again a minute later.
async fn run_all(jobs: &Jobs) {
    jobs.health.jobs_are_at(jobs.authority.clock().steady());
    jobs.authority.note_activity();
    record_reset(&jobs.authority, &jobs.admin_token).await;
    // After the clock was moved forward, waiting events would look overdue; the
    // checkpoint task logs the error.
    let _ = checkpoint(jobs).await;
    flush(jobs).await;
    jobs.authority.limits().tidy(jobs.authority.clock().steady());
    if let Err(error) = jobs.authority.resolve_master_key_rotation().await {
        tracing::warn!(%error, "the outcome of the last master-key rotation is not known yet");
    }
    if leads(jobs).await {
        run_alone(jobs).await;
    }
    if let Err(error) = report_key_age(jobs).await {
        tracing::warn!(%error, "the signing key's age was not read");
    }
    jobs.health.jobs_are_at(jobs.authority.clock().steady());
}

/// Runs the jobs that one server does for all.
async fn run_alone(jobs: &Jobs) {
    if let Err(error) = promote(jobs).await {
        tracing::warn!(%error, "the pending signing key was not promoted");
    }
    if let Err(error) = sweep(jobs).await {
        tracing::warn!(%error, "the rows of expired and revoked tokens were not deleted");
    }
    if let Err(error) = forget(jobs).await {
        tracing::warn!(%error, "expired data was not deleted");
    }
}

/// Verifies the audit, if that is due. Only after the comparison with the anchor, so that a
/// restored store first records its mismatch in the audit.
async fn verify(jobs: &Jobs) {
    let (authority, audit) = (&jobs.authority, jobs.authority.audit());
    // The checkpoint task logs the error.
    if checkpoint(jobs).await.is_ok()
        && let Err(error) = audit.verify_when_due(authority.store(), authority.now()).await
    {
        tracing::warn!(%error, "the audit was not verified");
    }
}

async fn flush(jobs: &Jobs) {
    if let Err(error) = jobs.authority.flush_last_used().await {
        tracing::warn!(%error, "last-used times were lost");
    }
}

async fn promote(jobs: &Jobs) -> admin::Result<()> {
    let view = jobs.authority.view();
    let Some(pending) = view.keys().iter().find(|it| it.state == KeyState::Pending) else {
        return Ok(());
    };
    // Asked at once, since the leases run from the first call.
    let Some(without) = jobs.authority.instances_without(pending.key.id()).await? else {
        return Ok(());
    };
    let now = jobs.authority.now();
    let published = i64::try_from(jobs.key_promotion_delay.as_secs()).unwrap_or(i64::MAX);
    let rows = jobs.authority.signing_keys().await?;
    let due = |row: &&tegata_store::SigningKeyRow| {
        row.state == KeyState::Pending && now.since(row.changed_at) >= published
    };
    if let Some(row) = rows.iter().find(due) {
        if let Some(first) = without.first() {
            // They would answer 503 for each new token.
            tracing::info!(key = %row.id, instances = without.len(), verifier = first.name,
                instance = first.instance,
                "the new signing key waits for verifiers that have not learned of it");
            return Ok(());
        }
        jobs.authority.admin(Actor::System, None).promote_signing_key(row.id).await?;
        tracing::info!(key = %row.id, "the new signing key is active");
    }
    Ok(())
}

/// Reports to readiness since when the active key has been signing.
async fn report_key_age(jobs: &Jobs) -> tegata_store::Result<()> {
    let rows = jobs.authority.signing_keys().await?;
    if let Some(active) = rows.iter().find(|row| row.state == KeyState::Active) {
        jobs.health.key_signs_since(active.changed_at);
        let overdue = -jobs.health.rotation_due(jobs.authority.now());
        // Once a day, to within a minute.
        if overdue > 0 && overdue % DAY < PERIOD.as_secs().cast_signed() {
            tracing::warn!(days = overdue / DAY, key = %active.id,
                "the signing key is overdue for replacement; run: tegata signing-key rotate");
        }
    }
    Ok(())
}

/// Maximum number of rows that are read, and so deleted, in one transaction.
const ROWS: usize = 500;
/// Maximum number of such transactions per run: ten million rows take three hours,
/// without delaying other acts.
const ROUNDS: usize = 100;

/// Deletes the rows of tokens that expired or were revoked long ago; the next run
/// continues where this one stopped.
async fn sweep(jobs: &Jobs) -> tegata_store::Result<()> {
    if jobs.authority.clock().jumped_recently() {
        return Ok(());
    }
    let before = jobs.authority.now().plus(-i64::from(jobs.token_retention_days) * DAY);
    let store = jobs.authority.store();
    for _ in 0..ROUNDS {
        let after = jobs.swept_to.load(Relaxed);
        let (over, next) = store.inactive_before(after, before, ROWS).await?;
        if !over.is_empty() {
            store.trim(Old::Tokens { rows: over, before }, UnixTime(0)).await?;
        }
        // After the last row, the next walk begins at the first.
        jobs.swept_to.store(next.unwrap_or(0), Relaxed);
        if next.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn forget(jobs: &Jobs) -> tegata_store::Result<()> {
    // After a jump the clock may be wrong, and deleted data cannot be restored.
    if jobs.authority.clock().jumped_recently() {
        return Ok(());
    }
    let store = jobs.authority.store();
    while store.forget(BATCH, jobs.authority.now()).await? > 0 {
        tokio::task::yield_now().await;
    }
    // Until none is left: a busy hour writes more than one transaction deletes.
    while store.trim(Old::LogAndAssertions { most: TRIMMED }, jobs.authority.now()).await? > 0 {
        tokio::task::yield_now().await;
    }
    let uses = Old::Uses { before: jobs.authority.now().plus(-USES_KEPT), most: TRIMMED };
    while store.trim(uses.clone(), UnixTime(0)).await? > 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

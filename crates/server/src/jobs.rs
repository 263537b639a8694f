//! What the server does by itself from time to time: it takes stamps of use to
//! the store, forgets what can no longer matter, and lets a new signing key sign
//! once it has been published long enough.

use crate::face::App;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tegata_store::Event;
use tegata_token::{key::KeyState, time::DAY};
use tokio_util::sync::CancellationToken;

/// How often.
const PERIOD: Duration = Duration::from_secs(60);

/// So many channels are tidied up in one transaction.
const BATCH: usize = 100;

/// So many rows of the log are deleted in one transaction.
const TRIMMED: usize = 1_000;

/// Runs the jobs every minute until `stop`, and the stamps a last time then.
pub async fn run_until(app: Arc<App>, stop: CancellationToken) {
    let sealing = tokio::spawn(seal_until(app.clone(), stop.clone()));
    let warning = tokio::spawn(warn_until(app.clone(), stop.clone()));
    // What a crash broke off, first of all.
    finish(&app).await;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => keep_up(&app).await,
            () = stop.cancelled() => break,
        }
    }
    flush(&app).await;
    let _ = tokio::join!(sealing, warning);
}

/// By itself, since it waits for somebody else's server: that may be slow, and may
/// hold up neither the other jobs nor the end.
async fn warn_until(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            ticks.tick().await;
            warn(&app).await;
        }
    };
    tokio::select! {
        () = rounds => {}
        () = stop.cancelled() => {}
    }
}

/// How often the audit is sealed.
const SEALING: Duration = Duration::from_secs(2);

async fn seal_until(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SEALING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        let stopping = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.cancelled() => true,
        };
        see_reset(&app).await;
        match app.authority.audit().seal(&app.authority).await {
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

/// Tells the audit of a reset of the administrator's token, which is done to the file
/// and not to the server.
async fn see_reset(app: &App) {
    if app.admin_token.was_replaced() {
        let detail = serde_json::json!({});
        let event = Event { act: "admin.reset", provider: None, channel: None, detail };
        let by = app.authority.by("operator", None, None);
        if let Err(error) = app.authority.store().record(event, by).await {
            tracing::warn!(%error, "the audit could not be told of a new administrator's token");
        }
    }
}

/// Brings to its end what was begun and broken off.
async fn finish(app: &App) {
    if let Err(error) = app.authority.finish_provider_ends().await {
        tracing::warn!(%error, "a provider's tokens are not all ended yet");
    }
}

/// Runs all that is due.
pub async fn run(app: &App) {
    keep_up(app).await;
    warn(app).await;
}

async fn warn(app: &App) {
    if let Err(error) = app.warnings.run(&app.authority).await {
        tracing::warn!(%error, "warnings wait");
    }
}

/// Runs what is due here. A job that fails is tried again a minute later.
async fn keep_up(app: &App) {
    app.health.jobs_are_at(app.authority.clock().steady());
    see_reset(app).await;
    // A clock that was moved on makes what waits look old; the loop says why it fails.
    let sealed = app.authority.audit().seal(&app.authority).await.is_ok();
    flush(app).await;
    app.authority.limits().tidy(app.authority.clock().steady());
    if let Err(error) = app.authority.settle_master_key().await {
        tracing::warn!(%error, "how the last rotation of the master key ended is not known yet");
    }
    if let Err(error) = promote(app).await {
        tracing::warn!(%error, "the coming signing key was not promoted");
    }
    finish(app).await;
    if let Err(error) = sweep(app).await {
        tracing::warn!(%error, "no rows of ended tokens were deleted");
    }
    if let Err(error) = forget(app).await {
        tracing::warn!(%error, "nothing was forgotten");
    }
    let audit = app.authority.audit();
    // Only what was compared with the file outside before: a store that was brought back
    // says so in its audit first.
    if sealed && let Err(error) = audit.look(app.authority.store(), app.authority.now()).await {
        tracing::warn!(%error, "the audit was not checked");
    }
    if let Err(error) = see_key_age(app).await {
        tracing::warn!(%error, "the signing key's age was not read");
    }
    app.health.jobs_are_at(app.authority.clock().steady());
}

async fn flush(app: &App) {
    if let Err(error) = app.authority.flush_last_used().await {
        tracing::warn!(%error, "stamps of use were lost");
    }
}

async fn promote(app: &App) -> tegata_store::Result<()> {
    let view = app.authority.view();
    if !view.keys().iter().any(|it| it.state == KeyState::Coming) {
        return Ok(());
    }
    let now = app.authority.now();
    let published = i64::try_from(app.key_promotion_delay.as_secs()).unwrap_or(i64::MAX);
    let rows = app.authority.signing_keys().await?;
    let due = |row: &&tegata_store::SigningKeyRow| {
        row.state == KeyState::Coming && now.since(row.changed_at) >= published
    };
    if let Some(row) = rows.iter().find(due) {
        let by = app.authority.by("tegata", None, None);
        app.authority.promote_signing_key(row.id, by).await?;
        tracing::info!(key = %row.id, "a new signing key signs");
    }
    Ok(())
}

/// Since when the active key has been signing: what says when it is due.
async fn see_key_age(app: &App) -> tegata_store::Result<()> {
    let rows = app.authority.signing_keys().await?;
    if let Some(active) = rows.iter().find(|row| row.state == KeyState::Active) {
        app.health.key_signs_since(active.changed_at);
        let overdue = -app.health.rotation_due(app.authority.now());
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
async fn sweep(app: &App) -> tegata_store::Result<()> {
    if app.authority.clock().jumped_recently() {
        return Ok(());
    }
    let before = app.authority.now().plus(-i64::from(app.keep_ended_days) * DAY);
    let store = app.authority.store();
    for _ in 0..LOOKS {
        let after = app.swept_to.load(Relaxed);
        let (over, next) = store.ended_before(after, before, LOOKED_AT).await?;
        if !over.is_empty() {
            store.sweep(over, before).await?;
        }
        // Behind the last row begins a new walk, at the first.
        app.swept_to.store(next.unwrap_or(0), Relaxed);
        if next.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn forget(app: &App) -> tegata_store::Result<()> {
    // A clock that jumped may be wrong now, and what is forgotten stays forgotten.
    if app.authority.clock().jumped_recently() {
        return Ok(());
    }
    let store = app.authority.store();
    while store.forget(BATCH, app.authority.now()).await? > 0 {
        tokio::task::yield_now().await;
    }
    // As long as there is any: a busy hour writes more than one go takes away.
    while store.trim(TRIMMED, app.authority.now()).await? > 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

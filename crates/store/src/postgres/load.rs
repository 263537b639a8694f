//! Reads what acts are decided on, after their locks were taken. Nothing is decided here: an
//! index may narrow what is read, but `tegata_policy::acts` decides whether a token is
//! active.
//!
//! The rows of all channels come from one statement for each table, and every statement is
//! sent before the first is answered: one round trip, whatever the number of acts. Only a
//! channel that changed since its act was authorized costs another one.

mod channels;
mod people;
mod single;
mod stamps;
mod upkeep;

pub(super) use channels::OfEach;

use super::failed::Failed;
use channels::OfChannels;
use futures_util::future::{try_join, try_join_all};
use single::Single;
use std::{slice, sync::Arc};
use tegata_policy::acts::{Count, Locked, Needs, StoredKey};
use tokio_postgres::Client;

/// Reads all that an act needs.
pub(super) async fn load(
    db: &Client,
    keys: &Arc<[StoredKey]>,
    needs: &Needs,
) -> Result<Locked, Failed> {
    let mut locked = load_all(db, keys, slice::from_ref(needs)).await?;
    Ok(locked.pop().unwrap_or_default())
}

/// Reads all that several acts need, in their order.
pub(super) async fn load_all(
    db: &Client,
    keys: &Arc<[StoredKey]>,
    needs: &[Needs],
) -> Result<Vec<Locked>, Failed> {
    load_with(db, keys, needs, channels::counts(db, needs)).await
}

/// Reads all that several acts need, in their order, but the counters of their channels.
pub(super) async fn load_with(
    db: &Client,
    keys: &Arc<[StoredKey]>,
    needs: &[Needs],
    counts: impl Future<Output = Result<OfEach<Count>, Failed>>,
) -> Result<Vec<Locked>, Failed> {
    // Boxed, here and there: with all that it may read it is too large to be moved on a
    // thread's stack.
    let singles = try_join_all(needs.iter().map(|it| Box::pin(single::read(db, keys, it))));
    let (channels, singles) = try_join(channels::read(db, keys, needs, counts), singles).await?;
    let mut locked: Vec<Locked> = needs
        .iter()
        .zip(singles)
        .map(|(needs, single)| locked(keys, needs, &channels, single))
        .collect();
    // The channel accepts each assertion once, and did not when the act was authorized.
    let late = needs.iter().zip(&mut locked).filter_map(|(needs, locked)| {
        let single_use = locked.channel.as_ref()?.single_use_assertions;
        let is_late = single_use && !single::reads_assertion(needs);
        Some((needs, locked)).filter(|_| is_late)
    });
    try_join_all(late.map(async |(needs, locked)| {
        locked.assertion_used = single::assertion_used(db, needs).await?;
        Ok::<_, Failed>(())
    }))
    .await?;
    Ok(locked)
}

fn locked(keys: &Arc<[StoredKey]>, needs: &Needs, channels: &OfChannels, single: Single) -> Locked {
    let Single { provider, audit_key, clock_offset, upkeep, .. } = single;
    let others =
        Locked { keys: keys.clone(), provider, audit_key, clock_offset, upkeep, ..<_>::default() };
    let Some((id, count)) = needs.channel.and_then(|id| Some((id, *channels.counts.get(&id)?)))
    else {
        return others;
    };
    Locked {
        count: Some(count),
        channel: channels.snapshots.get(&id).cloned(),
        tokens: channels.tokens_of(id, needs.tokens),
        revocations: match needs.revocations {
            true => channels.revocations.get(&id).cloned().unwrap_or_default(),
            false => Arc::default(),
        },
        before: single.before,
        assertion_used: single.assertion_used,
        named: single.named,
        remembered: single.remembered,
        ..others
    }
}

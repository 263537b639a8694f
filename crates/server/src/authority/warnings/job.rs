//! Searches the channels for warnings and for channels that are nearly full, and delivers
//! the warnings that are due. Without a webhook, warnings are only counted and listed. What a
//! walk through all channels found stays in memory for the pages that show it.

use super::{
    Warning, find, of_pool, pools,
    walk::Walk,
    webhook::{Delivery, Webhook},
};
use crate::{authority::Authority, metrics::SearchCounts};
use std::sync::Arc;
use tegata_store::{Holding, Result};
use tegata_token::id::ChannelId;
use tokio::sync::Mutex;

/// The state of the search and the delivery.
pub struct Warnings {
    render: Render,
    round: Mutex<Round>,
}

/// A walk through all channels.
#[derive(Default)]
struct Round {
    /// The last channel that was read.
    through: Option<ChannelId>,
    /// What was counted since the beginning.
    counts: SearchCounts,
    /// What was found since the beginning.
    walk: Option<Walk>,
}

/// Renders a warning about a channel as the JSON that a webhook receives.
pub type Render = fn(&Warning, &Holding) -> String;

/// Maximum number of channels that are read in one transaction.
const SLICE: usize = 200;
/// Maximum number of such transactions per run: a store of a hundred thousand channels is
/// searched in ten minutes, without delaying other acts.
const SLICES: usize = 50;
/// Maximum number of warnings that are delivered per run.
const DELIVERIES: usize = 100;

impl Warnings {
    /// A job that has not begun its search.
    #[must_use]
    pub fn new(render: Render) -> Self {
        Self { render, round: Mutex::default() }
    }

    /// Continues the search, and delivers due warnings.
    ///
    /// # Errors
    /// [`tegata_store::Error::Unavailable`]; the next run continues.
    pub async fn run(&self, authority: &Authority) -> Result<()> {
        if let Some(counts) = self.search(authority, authority.webhook().is_some()).await? {
            authority.metrics().searched(&counts);
        }
        match authority.webhook() {
            Some(webhook) => deliver(webhook, authority).await,
            None => Ok(()),
        }
    }

    /// Continues the search for the pages of this server alone: another server delivers the
    /// warnings, and counts them.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn look(&self, authority: &Authority) -> Result<()> {
        self.search(authority, false).await.map(drop)
    }

    /// Continues the search, and queues what is due if it is to be sent; the counts of the walk
    /// that this has completed.
    async fn search(&self, authority: &Authority, sends: bool) -> Result<Option<SearchCounts>> {
        let mut round = self.round.lock().await;
        for _ in 0..SLICES {
            self.search_slice(authority, sends, &mut round).await?;
            if round.through.is_none() {
                let Round { counts, walk, .. } = std::mem::take(&mut *round);
                authority.memory.channels.changes().end_walk();
                authority.walk.store(walk.map(|it| Arc::new(it.complete())));
                return Ok(Some(counts));
            }
        }
        Ok(None)
    }

    /// Searches the next channels.
    async fn search_slice(
        &self,
        authority: &Authority,
        sends: bool,
        round: &mut Round,
    ) -> Result<()> {
        let now = authority.now();
        if round.through.is_none() {
            // What changes from here on may be read too early.
            authority.memory.channels.changes().begin_walk();
            *round = Round { walk: Some(Walk::begin(now)), ..Round::default() };
        }
        let slice = authority.store().holdings(round.through, SLICE, now).await?;
        let found = |it| (it, find(it, authority.warning_policy(), now));
        let found: Vec<(&Holding, Vec<Warning>)> = slice.iter().map(found).collect();
        if sends {
            let of = |it: &Warning, of| it.to_send(of, (self.render)(it, of), now);
            let each = found.iter().flat_map(|(held, all)| all.iter().map(|it| of(it, held)));
            let to_send: Vec<_> = each.collect();
            if !to_send.is_empty() {
                authority.store().queue_warnings(to_send, now).await?;
            }
        }
        for (holding, warnings) in found {
            count_room(holding, &mut round.counts);
            warnings.iter().for_each(|it| round.counts.warning(it.kind()));
            if let Some(walk) = &mut round.walk {
                walk.add(holding, warnings.into_iter());
            }
        }
        let last = slice.last().map(|holding| holding.channel.id);
        round.through = last.filter(|_| slice.len() == SLICE);
        Ok(())
    }
}

async fn deliver(webhook: &Webhook, authority: &Authority) -> Result<()> {
    let now = authority.now();
    let deliveries = &authority.metrics().deliveries;
    for warning in authority.store().due_warnings(DELIVERIES, now).await? {
        let done = webhook.deliver(&warning, now).await;
        let (next, counter) = match done {
            Delivery::Taken => (None, &deliveries.accepted),
            Delivery::TryAgain(next) => (Some(next), &deliveries.failed),
            Delivery::GivenUp => (None, &deliveries.given_up),
        };
        counter.inc();
        authority.store().warning_tried(warning.number, next).await?;
        // A receiver that is down is not tried with all other warnings as well.
        if done != Delivery::Taken {
            break;
        }
    }
    Ok(())
}

/// Counts whether the channel is full, or nearly, for each kind that several tokens can be
/// active of.
fn count_room(holding: &Holding, counts: &mut SearchCounts) {
    for (kind, pool) in pools(holding) {
        counts.room(kind, of_pool(holding, pool).count(), pool.cap);
    }
}

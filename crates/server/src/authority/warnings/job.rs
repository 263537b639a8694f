//! Looks through the channels for what deserves a warning, and delivers what is
//! due. Only with a webhook: without one, warnings are what a list shows.

use super::{
    Warning, find,
    webhook::{Delivery, Webhook},
};
use crate::authority::Authority;
use tegata_store::{Holding, Result};
use tegata_token::id::ChannelId;
use tokio::sync::Mutex;

/// What warns: when, whom, and how far the round through the channels has come.
pub struct Warnings {
    webhook: Option<Webhook>,
    render: Render,
    round: Mutex<Option<ChannelId>>,
}

/// Writes a warning about a channel's holding as the JSON that a webhook is sent.
pub type Render = fn(&Warning, &Holding) -> String;

/// So many channels are read in one transaction.
const SLICE: usize = 200;
/// And so many times in one run: a store of a hundred thousand channels is gone
/// through in ten minutes, and nobody else waits for it.
const SLICES: usize = 50;
/// So many warnings are delivered in one run.
const DELIVERIES: usize = 100;

impl Warnings {
    /// Nothing is on its way yet.
    #[must_use]
    pub fn new(webhook: Option<Webhook>, render: Render) -> Self {
        Self { webhook, render, round: Mutex::new(None) }
    }

    /// Goes on with the round, and delivers what is due.
    ///
    /// # Errors
    /// [`tegata_store::Error::Unavailable`]; what was not reached comes next time.
    pub async fn run(&self, authority: &Authority) -> Result<()> {
        let Some(webhook) = &self.webhook else { return Ok(()) };
        let mut round = self.round.lock().await;
        for _ in 0..SLICES {
            let now = authority.now();
            let slice = authority.store().holdings(*round, SLICE, now).await?;
            let warnings = slice.iter().flat_map(|holding| {
                let found = find(holding, authority.warning_policy(), now);
                found.into_iter().map(move |warning| {
                    let body = (self.render)(&warning, holding);
                    warning.to_send(holding, body, now)
                })
            });
            let warnings: Vec<_> = warnings.collect();
            if !warnings.is_empty() {
                authority.store().queue_warnings(warnings, now).await?;
            }
            *round =
                slice.last().map(|holding| holding.channel.id).filter(|_| slice.len() == SLICE);
            if round.is_none() {
                break;
            }
        }
        self.deliver(webhook, authority).await
    }

    async fn deliver(&self, webhook: &Webhook, authority: &Authority) -> Result<()> {
        let now = authority.now();
        for warning in authority.store().due_warnings(DELIVERIES, now).await? {
            let done = webhook.deliver(&warning, now).await;
            let next = match done {
                Delivery::TryAgain(next) => Some(next),
                Delivery::Taken | Delivery::GivenUp => None,
            };
            authority.store().warning_tried(warning.number, next).await?;
            // A receiver that is away is not asked a hundred times over.
            if done != Delivery::Taken {
                break;
            }
        }
        Ok(())
    }
}

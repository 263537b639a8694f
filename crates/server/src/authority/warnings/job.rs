//! Searches the channels for warnings, and delivers the due ones. It runs only with a
//! webhook; without one, warnings are only listed.

use super::{
    Warning, find,
    webhook::{Delivery, Webhook},
};
use crate::authority::Authority;
use tegata_store::{Holding, Result};
use tegata_token::id::ChannelId;
use tokio::sync::Mutex;

/// The state of the search and the delivery.
pub struct Warnings {
    webhook: Option<Webhook>,
    render: Render,
    round: Mutex<Option<ChannelId>>,
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
    pub fn new(webhook: Option<Webhook>, render: Render) -> Self {
        Self { webhook, render, round: Mutex::new(None) }
    }

    /// Continues the search, and delivers due warnings.
    ///
    /// # Errors
    /// [`tegata_store::Error::Unavailable`]; the next run continues.
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
            // A receiver that is down is not tried with all other warnings as well.
            if done != Delivery::Taken {
                break;
            }
        }
        Ok(())
    }
}

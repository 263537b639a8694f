//! Parts of the overview that show the present: expiries and activity.

use super::{failure::Failure, shown, visit::SignedIn};
use crate::authority::activity::ActiveMinute;
use tegata_console::{
    html::Html,
    pages::{Expiring, ShownMinute, activity, calendar},
};
use tegata_store::ExpiryFilter;
use tegata_token::time::DAY;

/// Maximum number of tokens in the calendar.
const EXPIRIES: usize = 500;

/// Tokens of which the calendar names the channel.
const NAMED: usize = 5;

/// The parts that the person may see.
pub async fn parts(who: &SignedIn) -> Result<Vec<Html>, Failure> {
    let frame = who.frame();
    let filter = ExpiryFilter { before: frame.now.plus(30 * DAY), after: None, seen: None };
    let rows = who.admin.expiring_tokens(filter, EXPIRIES).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (number, (_, channel, row)) in rows.iter().enumerate() {
        let name = match number < NAMED {
            true => who.admin.channel(*channel).await?.holding.channel.name,
            false => String::new(),
        };
        all.push(Expiring { token: shown::token(*channel, row), channel: name });
    }
    let mut parts = vec![calendar(&frame, &all, rows.len() == EXPIRIES)];
    // Only those who may see the authority's own state.
    if let Ok(minutes) = who.admin.activity() {
        let minutes: Vec<_> = minutes.iter().map(minute).collect();
        parts.push(activity(&frame, &minutes));
    }
    Ok(parts)
}

fn minute(it: &ActiveMinute) -> ShownMinute {
    let ActiveMinute { minute, verified, rejected, issued } = *it;
    ShownMinute { minute, verified, rejected, issued }
}

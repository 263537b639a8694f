//! Parts of the overview that show the present: expiries and activity.

use super::{failure::Failure, shown, visit::SignedIn};
use crate::authority::activity::ActiveMinute;
use tegata_console::{
    html::Html,
    pages::{Expiring, NEXT, ShownExpiries, ShownMinute, activity, calendar},
};

/// The parts that the person may see.
pub async fn parts(who: &SignedIn) -> Result<Vec<Html>, Failure> {
    let frame = who.frame();
    let found = who.admin.expiries(NEXT).await?;
    let next = found.first.iter().map(|(channel, row)| Expiring {
        token: shown::token(channel.id, row),
        channel: channel.name.clone(),
    });
    let expiries = ShownExpiries { days: found.days, next: next.collect(), at_least: found.more };
    let mut parts = vec![calendar(&frame, &expiries)];
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

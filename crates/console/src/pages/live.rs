//! Parts of the overview that show the present: a calendar of expiries, and activity.

use super::shown_token::ShownToken;
use crate::{
    draw::{Amount, SOON, bars},
    frame::Frame,
    html::{Bdi, Html, Id},
    pieces::{HtmlTable, Row, column, link, narrow},
};
use tegata_token::time::{DAY, UnixTime};

/// A token that expires soon.
#[derive(Debug, Clone)]
pub struct Expiring {
    /// The token.
    pub token: ShownToken,
    /// The name of its channel.
    pub channel: String,
}

/// What happened in a minute.
#[derive(Debug, Clone, Copy)]
pub struct ShownMinute {
    /// Its start.
    pub minute: UnixTime,
    /// Verifications of active tokens.
    pub verified: u64,
    /// Verifications of other tokens.
    pub rejected: u64,
    /// Tokens that were issued.
    pub issued: u64,
}

/// Days of the calendar.
const DAYS: usize = 30;

/// Rows below it.
pub const NEXT: usize = 5;

/// How many tokens expire when.
#[derive(Debug, Clone)]
pub struct ShownExpiries {
    /// How many expire in each of the next days.
    pub days: [usize; DAYS],
    /// Those that expire first.
    pub next: Vec<Expiring>,
    /// Whether there may be more.
    pub at_least: bool,
}

/// The calendar of expiries.
#[must_use]
pub fn calendar(frame: &Frame, it: &ShownExpiries) -> Html {
    let t = &frame.t().live;
    let head = Html::text(t.expiries);
    let total: usize = it.days.iter().sum();
    let next: Vec<_> =
        it.next.iter().filter(|it| it.token.expires.since(frame.now) < 30 * DAY).collect();
    let Some(first) = next.first() else {
        let none = Html::text(t.expiries_none);
        return crate::html!(
            "<section class=\"sheet stack\" aria-labelledby=\"h-expiries\"><h2 id=\"h-expiries\">{}</h2><p>{}</p></section>",
            head,
            none
        );
    };
    let soon = usize::try_from(SOON / DAY).unwrap_or(0);
    let amounts: Vec<_> = it
        .days
        .iter()
        .enumerate()
        .map(|(day, &count)| Amount { count: count as u64, warn: day < soon })
        .collect();
    let mut words =
        (t.expiries_words)(total.max(next.len()), &frame.times().relative(first.token.expires));
    if it.at_least {
        words = format!("{words} {}", (t.at_least)(total));
    }
    let drawing = bars(&amounts, &words);
    crate::html!(
        "<section class=\"sheet stack\" aria-labelledby=\"h-expiries\"><h2 id=\"h-expiries\">{}</h2><p>{}</p>{}{}</section>",
        head,
        Html::text(&words),
        drawing,
        next_table(frame, &next)
    )
}

fn next_table(frame: &Frame, all: &[&Expiring]) -> Html {
    let t = &frame.t().token;
    let row = |it: &&Expiring| Row {
        past: false,
        cells: vec![
            link(&it.token.href(), &crate::html!("{}", Id(it.token.id))),
            crate::html!("{}", Bdi(&it.channel)),
            it.token.group_html(frame),
            frame.times().cell(it.token.expires),
            it.token.used_html(frame),
        ],
    };
    let table = HtmlTable {
        caption: Html::text(frame.t().live.next),
        columns: vec![
            column(t.token_id),
            column(t.channel),
            column(t.group),
            narrow(t.expires),
            narrow(t.last_used),
        ],
        rows: all.iter().map(row).collect(),
    };
    table.html()
}

/// The verifications and issues of the last hour; the minutes are in order.
#[must_use]
pub fn activity(frame: &Frame, minutes: &[ShownMinute]) -> Html {
    let t = &frame.t().live;
    let lately: Vec<_> = minutes.iter().filter(|it| frame.now.since(it.minute) <= 3_600).collect();
    let sum = |of: fn(&ShownMinute) -> u64| lately.iter().map(|it| of(it)).sum::<u64>();
    let words =
        (t.activity_words)(sum(|it| it.verified), sum(|it| it.rejected), sum(|it| it.issued));
    let drawing = |of: fn(&ShownMinute) -> u64, name: &str| {
        let mut hour = [Amount { count: 0, warn: false }; 60];
        for it in &lately {
            let ago = usize::try_from(frame.now.since(it.minute) / 60).unwrap_or(usize::MAX);
            if let Some(place) = 59_usize.checked_sub(ago) {
                hour[place].count += of(it);
            }
        }
        let name = (frame.t().token.described)(name, &words);
        bars(&hour, &name)
    };
    crate::html!(
        "<section class=\"sheet stack\" aria-labelledby=\"h-activity\"><h2 id=\"h-activity\">{}</h2><p>{}</p>\
         <h3 class=\"small\">{}</h3>{}<h3 class=\"small\">{}</h3>{}<p class=\"small quiet\">{}</p></section>",
        Html::text(t.activity),
        Html::text(&words),
        Html::text(t.verified),
        drawing(|it| it.verified + it.rejected, t.verified),
        Html::text(t.issued),
        drawing(|it| it.issued, t.issued),
        Html::text(t.here_only)
    )
}

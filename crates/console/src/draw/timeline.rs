//! The tokens of a group over time: a bar for each, from its issue to its expiry.

use crate::html::Html;
use std::fmt::Write;
use tegata_token::time::{DAY, UnixTime};

/// The time that a timeline shows: two weeks back, and as far ahead as the longest lifetime
/// of a token that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    now: UnixTime,
}

/// A token in a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// When it was issued.
    pub issued: UnixTime,
    /// When it expires; `None`: it does not.
    pub expires: Option<UnixTime>,
    /// When it was last used.
    pub used: Option<UnixTime>,
    /// When it was revoked.
    pub revoked: Option<UnixTime>,
}

/// Seconds before and after the present.
const BEFORE: i64 = 14 * DAY;
const AFTER: i64 = 30 * DAY;

/// A token that expires within this time needs attention.
pub const SOON: i64 = 3 * DAY;

/// The height of a bar's line, and of the space above and below all bars.
const LINE: usize = 14;
const MARGIN: usize = 6;

impl Axis {
    /// The axis around the present.
    #[must_use]
    pub fn around(now: UnixTime) -> Self {
        Self { now }
    }

    /// The position of a moment, in per cent; moments outside are at the nearest end.
    fn at(self, moment: UnixTime) -> Percent {
        let seconds = moment.since(self.now).clamp(-BEFORE, AFTER) + BEFORE;
        // Hundredths of a per cent, rounded.
        let whole = BEFORE + AFTER;
        Percent((seconds * 10_000 + whole / 2) / whole)
    }

    /// Whether a token still shows: its end is not before the axis.
    #[must_use]
    pub fn shows(self, bar: &Bar) -> bool {
        let end = bar.revoked.or(bar.expires);
        end.is_none_or(|end| end.since(self.now) > -BEFORE)
    }

    /// The weeks of the axis, the present excepted.
    fn weeks(self) -> impl Iterator<Item = (i64, UnixTime)> {
        (-2..=4).filter(|week| *week != 0).map(move |week| (week, self.now.plus(week * 7 * DAY)))
    }

    /// The dates above the timelines; `today` is the word for the present.
    #[must_use]
    pub fn dates(self, today: &str, date: impl Fn(UnixTime) -> String) -> Html {
        let mut svg = r#"<svg height="18" aria-hidden="true" focusable="false">"#.to_owned();
        let mut put = |at: Percent, anchor: &str, class: &str, text: &str| {
            let text = Html::text(text);
            let _ =
                write!(svg, r#"<text x="{at}" y="13" text-anchor="{anchor}"{class}>{text}</text>"#);
        };
        for (week, moment) in self.weeks() {
            let anchor = if week == -2 { "start" } else { "middle" };
            let class = if week % 2 == 0 { "" } else { r#" class="odd""# };
            put(self.at(moment), anchor, class, &date(moment));
        }
        put(self.at(self.now), "middle", r#" class="now""#, today);
        svg.push_str("</svg>");
        Html::trusted(svg)
    }
}

/// Hundredths of a per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Percent(i64);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}%", self.0 / 100, self.0 % 100)
    }
}

/// Draws the bars of a group, the first one on top; `sentence` says the same.
#[must_use]
pub fn timeline(axis: Axis, bars: &[Bar], sentence: &str) -> Html {
    let height = LINE * bars.len() + MARGIN;
    let mut svg =
        format!(r#"<svg height="{height}" role="img" aria-label="{}">"#, Html::text(sentence));
    // Lines are longer than the drawing, so that those of neighbours meet.
    let (top, bottom) = (-99, height + 99);
    for (_, moment) in axis.weeks() {
        let x = axis.at(moment);
        let _ =
            write!(svg, r#"<line class="grid-line" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>"#);
    }
    for (number, bar) in bars.iter().enumerate() {
        draw(&mut svg, axis, bar, number * LINE + MARGIN - 1);
    }
    let x = axis.at(axis.now);
    let _ =
        write!(svg, r#"<line class="now-line" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/></svg>"#);
    Html::trusted(svg)
}

fn draw(svg: &mut String, axis: Axis, bar: &Bar, y: usize) {
    let now = axis.now;
    let mut rect = |class: &str, from: UnixTime, to: UnixTime, inset: bool| {
        let (from, to) = (axis.at(from), axis.at(to));
        let width = Percent((to.0 - from.0).max(0));
        let (y, height) = if inset { (format!("{y}.5"), 9) } else { (y.to_string(), 10) };
        let _ = write!(
            svg,
            r#"<rect class="{class}" x="{from}" width="{width}" y="{y}" height="{height}"/>"#
        );
    };
    let end = bar.revoked.or(bar.expires);
    let warn = match bar.expires {
        Some(at) if bar.revoked.is_none() && at.since(now) < SOON => " warn",
        _ => "",
    };
    if let Some(at) = bar.revoked {
        rect("cut", bar.issued, at, false);
    } else {
        rect(&format!("remaining{warn}"), now, end.unwrap_or(now.plus(AFTER)), true);
        rect(&format!("elapsed{warn}"), bar.issued, end.map_or(now, |end| end.min(now)), false);
    }
    mark_end(svg, axis, bar, y, warn);
    if let Some(at) = bar.used {
        let (x, y) = (axis.at(at), y + 5);
        let _ = write!(svg, r#"<circle class="used" cx="{x}" cy="{y}" r="3.5"/>"#);
    }
}

/// A cross at a revocation, a line at an expiry, an arrow if there is none in the drawing.
fn mark_end(svg: &mut String, axis: Axis, bar: &Bar, y: usize, warn: &str) {
    let _ = match (bar.revoked, bar.expires) {
        (Some(at), _) => write!(
            svg,
            r#"<svg x="{}" y="{y}" width="1" height="10" overflow="visible"><path class="cross" d="M-4 1 4 9M4 1-4 9"/></svg>"#,
            axis.at(at)
        ),
        (None, Some(at)) if at.since(axis.now) <= AFTER => {
            let (x, from, to) = (axis.at(at), y - 2, y + 12);
            write!(svg, r#"<line class="expiry{warn}" x1="{x}" x2="{x}" y1="{from}" y2="{to}"/>"#)
        }
        (None, _) => write!(
            svg,
            r#"<svg x="100%" y="{y}" width="1" height="10" overflow="visible"><path class="expiry" fill="none" d="M-2 0 4 5-2 10"/></svg>"#
        ),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_773_496_951);

    fn days(days: i64) -> UnixTime {
        NOW.plus(days * DAY)
    }

    fn bar(issued: i64, expires: i64) -> Bar {
        Bar { issued: days(issued), expires: Some(days(expires)), used: None, revoked: None }
    }

    fn drawn(bar: Bar) -> String {
        timeline(Axis::around(NOW), &[bar], "").as_str().to_owned()
    }

    #[test]
    fn a_bar_reaches_from_issue_over_now_to_expiry() {
        let svg = drawn(bar(-8, 24));
        assert!(svg.contains(r#"class="elapsed" x="13.64%" width="18.18%""#), "{svg}");
        assert!(svg.contains(r#"class="remaining" x="31.82%" width="54.54%""#), "{svg}");
        assert!(svg.contains(r#"class="expiry" x1="86.36%""#), "{svg}");
    }

    #[test]
    fn a_bar_that_began_earlier_begins_at_the_left() {
        assert!(drawn(bar(-200, 24)).contains(r#"class="elapsed" x="0.00%" width="31.82%""#));
    }

    #[test]
    fn an_expiry_within_three_days_is_marked() {
        assert!(drawn(bar(-8, 2)).contains(r#"class="expiry warn""#));
        assert!(!drawn(bar(-8, 3)).contains("warn"));
    }

    #[test]
    fn a_revoked_token_is_cut_off_and_has_nothing_remaining() {
        let svg = drawn(Bar { revoked: Some(days(-9)), ..bar(-12, 2) });
        assert!(svg.contains(r#"class="cut" x="4.55%" width="6.81%""#), "{svg}");
        assert!(svg.contains(r#"class="cross""#) && !svg.contains("remaining"), "{svg}");
        assert!(!svg.contains("warn"), "it does not expire any more: {svg}");
    }

    #[test]
    fn a_token_without_expiry_has_an_arrow() {
        let svg = drawn(Bar { expires: None, ..bar(-1, 0) });
        assert!(svg.contains(r#"<svg x="100%""#) && !svg.contains("<line class=\"expiry"), "{svg}");
    }

    #[test]
    fn an_expired_token_ends_at_its_expiry() {
        let svg = drawn(bar(-10, -3));
        assert!(svg.contains(r#"class="elapsed warn" x="9.09%" width="15.91%""#), "{svg}");
    }

    #[test]
    fn the_last_use_is_a_circle_in_the_middle_of_the_bar() {
        let svg = drawn(Bar { used: Some(NOW), ..bar(-8, 24) });
        assert!(svg.contains(r#"<circle class="used" cx="31.82%" cy="10""#), "{svg}");
    }

    #[test]
    fn each_further_bar_is_a_line_lower() {
        for (count, height) in [(1, 20), (2, 34), (3, 48)] {
            let svg = timeline(Axis::around(NOW), &vec![bar(-8, 24); count], "");
            assert!(svg.as_str().starts_with(&format!("<svg height=\"{height}\"")), "{svg}");
        }
    }

    #[test]
    fn a_token_whose_end_is_longer_ago_does_not_show() {
        let axis = Axis::around(NOW);
        let revoked = |at| Bar { revoked: Some(days(at)), ..bar(-40, 2) };
        assert_eq!([-15, -13].map(|at| axis.shows(&revoked(at))), [false, true]);
        assert!(axis.shows(&Bar { expires: None, ..bar(-40, 0) }));
    }

    #[test]
    fn the_axis_has_a_date_for_each_week_and_the_word_for_today() {
        let svg =
            Axis::around(NOW).dates("today", |at| at.since(NOW).to_string()).as_str().to_owned();
        assert_eq!(svg.matches("<text").count(), 7);
        assert!(svg.contains(r#"<text x="31.82%" y="13" text-anchor="middle" class="now">today<"#));
        assert!(svg.contains(r#"<text x="95.45%" y="13" text-anchor="middle">2419200<"#), "{svg}");
    }

    #[test]
    fn markup_in_sentence_and_dates_stays_text() {
        let axis = Axis::around(NOW);
        assert!(timeline(axis, &[], "a\"<b>").as_str().contains("aria-label=\"a&quot;&lt;b&gt;\""));
        assert!(axis.dates("<i>", |_| "<b>".to_owned()).as_str().contains(">&lt;i&gt;</text>"));
    }
}

//! Times, as pages show them: relative first, then exact; in English in UTC, in Japanese in
//! Japan's time.

use crate::{html::Html, named::Language};
use jiff::{Timestamp, civil::DateTime, tz::Offset};
use tegata_token::time::{DAY, UnixTime};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

/// Shows times of one page.
#[derive(Debug, Clone, Copy)]
pub struct PageTimes {
    /// When the page is made.
    pub now: UnixTime,
    /// Its language.
    pub language: Language,
}

impl PageTimes {
    /// How far from now: "in 2 days", "3 minutes ago", "just now".
    #[must_use]
    pub fn relative(&self, at: UnixTime) -> String {
        let seconds = at.0.saturating_sub(self.now.0).max(-i64::MAX);
        if seconds.abs() < MINUTE {
            return match (self.language, seconds > 0) {
                (Language::En, true) => "in less than a minute",
                (Language::En, false) => "just now",
                (Language::Ja, true) => "1分以内",
                (Language::Ja, false) => "たった今",
            }
            .to_owned();
        }
        let length = self.length(seconds.abs());
        match (self.language, seconds > 0) {
            (Language::En, true) => format!("in {length}"),
            (Language::En, false) => format!("{length} ago"),
            (Language::Ja, true) => format!("{length}後"),
            (Language::Ja, false) => format!("{length}前"),
        }
    }

    /// A length of time in its largest unit, rounded down: "2 days".
    #[must_use]
    pub fn length(&self, seconds: i64) -> String {
        let (count, english, japanese) = match seconds {
            ..MINUTE => (seconds, "second", "秒"),
            MINUTE..HOUR => (seconds / MINUTE, "minute", "分"),
            HOUR..DAY => (seconds / HOUR, "hour", "時間"),
            _ => (seconds / DAY, "day", "日"),
        };
        match self.language {
            Language::En if count == 1 => format!("1 {english}"),
            Language::En => format!("{count} {english}s"),
            Language::Ja => format!("{count}{japanese}"),
        }
    }

    /// Date and time of day, without the zone: "16 Mar 21:14".
    #[must_use]
    pub fn plain(&self, at: UnixTime) -> String {
        let Some(it) = self.civil(at) else { return "–".to_owned() };
        let (hour, minute) = (it.hour(), it.minute());
        match self.language {
            Language::En => format!("{} {hour:02}:{minute:02}", self.date(at)),
            Language::Ja => format!("{} {hour:02}:{minute:02}", self.date(at)),
        }
    }

    /// The date: "16 Mar", with the year if it is another one.
    #[must_use]
    pub fn date(&self, at: UnixTime) -> String {
        let Some(it) = self.civil(at) else { return "–".to_owned() };
        match self.language {
            Language::En => {
                let same = self.civil(self.now).is_some_and(|now| now.year() == it.year());
                let year = if same { String::new() } else { format!(" {}", it.year()) };
                format!("{} {}{year}", it.day(), MONTHS[usize::from(it.month().unsigned_abs()) - 1])
            }
            Language::Ja => format!("{}/{:02}/{:02}", it.year(), it.month(), it.day()),
        }
    }

    /// The time of day with seconds: "14:02:31".
    #[must_use]
    pub fn clock(&self, at: UnixTime) -> Html {
        let text = self.civil(at).map_or_else(
            || "–".to_owned(),
            |it| format!("{:02}:{:02}:{:02}", it.hour(), it.minute(), it.second()),
        );
        self.tagged(at, &text)
    }

    /// Relative, then exact with the zone: "in 2 days (16 Mar 21:14 UTC)".
    #[must_use]
    pub fn both(&self, at: UnixTime) -> Html {
        let (relative, plain) = (self.relative(at), self.plain(at));
        Html::trusted(match self.language {
            Language::En => format!("{relative} ({})", self.tagged(at, &format!("{plain} UTC"))),
            Language::Ja => format!("{relative}（{}）", self.tagged(at, &plain)),
        })
    }

    /// Exact with the zone: "16 Mar 21:14 UTC".
    #[must_use]
    pub fn exact(&self, at: UnixTime) -> Html {
        let plain = self.plain(at);
        match self.language {
            Language::En => self.tagged(at, &format!("{plain} UTC")),
            Language::Ja => self.tagged(at, &plain),
        }
    }

    /// Exact without the zone, as tables show what is past.
    #[must_use]
    pub fn without_zone(&self, at: UnixTime) -> Html {
        self.tagged(at, &self.plain(at))
    }

    /// As tables show it: exact without the zone, and relative below.
    #[must_use]
    pub fn cell(&self, at: UnixTime) -> Html {
        let exact = self.tagged(at, &self.plain(at));
        Html::trusted(format!("{exact}<span class=\"sub\">{}</span>", self.relative(at)))
    }

    /// When something was last used: relative, or "never".
    #[must_use]
    pub fn used(&self, at: Option<UnixTime>) -> Html {
        match at {
            Some(at) => self.tagged(at, &self.relative(at)),
            None => crate::html!(
                "<span class=\"quiet\">{}</span>",
                Html::from(self.language.texts().common.never)
            ),
        }
    }

    /// The date, as a `time` element.
    #[must_use]
    pub fn day(&self, at: UnixTime) -> Html {
        self.tagged(at, &self.date(at))
    }

    fn tagged(&self, at: UnixTime, text: &str) -> Html {
        let exact = Timestamp::from_second(at.0).map(|it| it.to_string()).unwrap_or_default();
        Html::trusted(format!("<time datetime=\"{exact}\">{text}</time>"))
    }

    fn civil(&self, at: UnixTime) -> Option<DateTime> {
        let offset = match self.language {
            Language::En => Offset::UTC,
            Language::Ja => Offset::constant(9),
        };
        Some(offset.to_datetime(Timestamp::from_second(at.0).ok()?))
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    /// 14 March 2026, 14:02:31 UTC.
    const NOW: UnixTime = UnixTime(1_773_496_951);

    fn times(language: Language) -> PageTimes {
        PageTimes { now: NOW, language }
    }

    #[test]
    fn a_time_is_relative_first_and_then_exact() {
        let at = UnixTime(NOW.0 + 2 * DAY + 7 * HOUR + 12 * MINUTE);
        let tag = "<time datetime=\"2026-03-16T21:14:31Z\">";
        let en = format!("in 2 days ({tag}16 Mar 21:14 UTC</time>)");
        assert_eq!(times(Language::En).both(at).as_str(), en);
        let ja = format!("2日後（{tag}2026/03/17 06:14</time>）");
        assert_eq!(times(Language::Ja).both(at).as_str(), ja);
    }

    #[test]
    fn a_length_is_in_its_largest_unit() {
        let en = times(Language::En);
        for (ahead, text) in [
            (0, "just now"),
            (-59, "just now"),
            (1, "in less than a minute"),
            (60, "in 1 minute"),
            (-61, "1 minute ago"),
            (-3_600, "1 hour ago"),
            (19 * HOUR + 59, "in 19 hours"),
            (-8 * DAY, "8 days ago"),
        ] {
            assert_eq!(en.relative(UnixTime(NOW.0 + ahead)), text);
        }
        assert_eq!(times(Language::Ja).relative(UnixTime(NOW.0 - 180)), "3分前");
    }

    #[test]
    fn the_year_is_shown_in_english_if_it_is_another_one() {
        let last_year = UnixTime(NOW.0 - 200 * DAY);
        assert_eq!(times(Language::En).date(last_year), "26 Aug 2025");
        assert_eq!(times(Language::Ja).date(last_year), "2025/08/26");
        assert_eq!(times(Language::En).date(NOW), "14 Mar");
    }

    #[test]
    fn a_time_that_no_calendar_has_is_a_dash() {
        assert_eq!(times(Language::En).plain(UnixTime(i64::MAX)), "–");
        assert!(times(Language::En).both(UnixTime(i64::MIN)).as_str().contains('–'));
    }
}

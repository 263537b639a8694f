//! Numbers over time, as bars.

use crate::html::Html;
use std::fmt::Write;

/// A bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// What it counts.
    pub count: u64,
    /// Whether it needs attention.
    pub warn: bool,
}

/// The height of the highest bar.
const HEIGHT: u64 = 48;

/// Draws a bar for each amount, the first one on the left; `sentence` says what matters.
#[must_use]
pub fn bars(amounts: &[Amount], sentence: &str) -> Html {
    let most = amounts.iter().map(|it| it.count).max().unwrap_or(0).max(1);
    let mut svg = format!(
        r#"<svg width="100%" height="{}" role="img" aria-label="{}">"#,
        HEIGHT + 2,
        Html::text(sentence)
    );
    for (place, amount) in amounts.iter().enumerate() {
        // Hundredths of a per cent; a fifth of each place is free.
        let width = 10_000 / amounts.len();
        let (x, width) = (place * width, width * 4 / 5);
        // What is not nothing is visible.
        let height = (amount.count * HEIGHT / most).max(u64::from(amount.count > 0) * 2);
        let class = if amount.warn { "elapsed warn" } else { "elapsed" };
        if height > 0 {
            // Writing to a string cannot fail.
            let _ = write!(
                svg,
                r#"<rect class="{class}" x="{}.{:02}%" width="{}.{:02}%" y="{}" height="{height}"/>"#,
                x / 100,
                x % 100,
                width / 100,
                width % 100,
                HEIGHT - height
            );
        }
    }
    let _ = write!(
        svg,
        r#"<line class="grid-line" x1="0" x2="100%" y1="{0}" y2="{0}"/></svg>"#,
        HEIGHT + 1
    );
    Html::trusted(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(counts: &[u64]) -> String {
        let all: Vec<_> = counts.iter().map(|&count| Amount { count, warn: false }).collect();
        bars(&all, "a<b").to_string()
    }

    #[test]
    fn the_highest_bar_is_full_and_the_others_in_proportion() {
        let svg = drawn(&[4, 2]);
        assert!(svg.contains(r#"x="0.00%" width="40.00%" y="0" height="48""#), "{svg}");
        assert!(svg.contains(r#"x="50.00%" width="40.00%" y="24" height="24""#), "{svg}");
    }

    #[test]
    fn one_of_many_is_visible_and_nothing_is_not() {
        let svg = drawn(&[1, 0, 100_000]);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains(r#"height="2""#), "{svg}");
        assert_eq!(drawn(&[]).matches("<rect").count() + drawn(&[0]).matches("<rect").count(), 0);
    }

    #[test]
    fn the_sentence_stays_text() {
        assert!(drawn(&[1]).contains(r#"aria-label="a&lt;b""#));
    }
}

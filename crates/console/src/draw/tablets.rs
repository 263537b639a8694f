//! The places under a cap: a tablet for each active token, an outline for each free place.

use crate::html::Html;
use std::fmt::Write;

/// Tablets in one line.
const COLUMNS: usize = 15;

/// The width and height that one tablet takes, in units of the drawing.
const WIDTH: usize = 8;
const HEIGHT: usize = 14;

/// Draws `active` tablets of `cap`; `sentence` says the same.
///
/// More tokens than the cap are drawn, too: the previous long-lived token stays active
/// during its delay.
#[must_use]
pub fn tablets(active: usize, cap: usize, sentence: &str) -> Html {
    let all = active.max(cap);
    let height = all.div_ceil(COLUMNS).max(1) * HEIGHT;
    let mut svg = format!(
        "<svg class=\"pips\" viewBox=\"0 0 {} {height}\" role=\"img\" aria-label=\"{}\">",
        COLUMNS * WIDTH - 2,
        Html::text(sentence),
    );
    for place in 0..all {
        let (x, y) = (place % COLUMNS * WIDTH, place / COLUMNS * HEIGHT + 3);
        // Writing to a string cannot fail.
        let _ = match (place < active, place < cap) {
            (true, true) => {
                write!(svg, r#"<path class="pip" d="M{x} {y}.2l3-2.6 3 2.6v8.8h-6z"/>"#)
            }
            (true, false) => {
                write!(svg, r#"<path class="pip pred" d="M{x} {y}.2l3-2.6 3 2.6v8.8h-6z"/>"#)
            }
            (false, _) => write!(
                svg,
                r#"<path class="pip free" d="M{x}.5 {y}.2l2.5-2.35 2.5 2.35v8.3h-5z"/>"#
            ),
        };
    }
    svg.push_str("</svg>");
    Html::trusted(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(svg: &Html, class: &str) -> usize {
        svg.as_str().matches(&format!("class=\"{class}\"")).count()
    }

    #[test]
    fn there_is_a_tablet_for_each_token_and_an_outline_for_each_free_place() {
        for (active, cap) in [(0, 30), (27, 30), (30, 30), (1, 1)] {
            let svg = tablets(active, cap, "");
            assert_eq!((count(&svg, "pip"), count(&svg, "pip free")), (active, cap - active));
        }
    }

    #[test]
    fn a_previous_token_beyond_the_cap_is_drawn_as_such() {
        let svg = tablets(2, 1, "");
        assert_eq!(
            (count(&svg, "pip"), count(&svg, "pip pred"), count(&svg, "pip free")),
            (1, 1, 0)
        );
    }

    #[test]
    fn the_drawing_is_as_high_as_its_lines() {
        for (cap, height) in [(1, 14), (15, 14), (16, 28), (30, 28)] {
            assert!(
                tablets(0, cap, "").as_str().contains(&format!("viewBox=\"0 0 118 {height}\""))
            );
        }
    }

    #[test]
    fn markup_in_the_sentence_stays_text() {
        let svg = tablets(0, 1, "a\"><script>");
        assert!(svg.as_str().contains("aria-label=\"a&quot;&gt;&lt;script&gt;\""), "{svg}");
    }
}

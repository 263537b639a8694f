//! How strong a password is: as the server found, or while it is typed.

use crate::{frame::Frame, html::Html};
use askama::Template;

#[derive(Template)]
#[template(path = "strength.html")]
struct Strength<'a> {
    field: &'a str,
    label: &'static str,
    /// The words for each score, for the script.
    words: String,
    strength: Option<u8>,
    score: u8,
    word: &'static str,
}

/// The line below the field of a password. Without a script it is shown once the server has
/// found the strength.
pub(super) fn strength(frame: &Frame, field: &str, strength: Option<u8>) -> Html {
    let t = &frame.t().invitation;
    let score = strength.unwrap_or_default();
    let it = Strength {
        field,
        label: t.strength_label,
        words: [0, 1, 2, 3, 4].map(t.strength).join("|"),
        strength,
        score,
        word: strength.map_or("", t.strength),
    };
    Html::trusted(it.render().unwrap_or_default())
}

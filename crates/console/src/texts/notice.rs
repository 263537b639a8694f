//! What a request has done.

use crate::{created::Created, html::Html};

#[derive(Debug)]
pub struct NoticeTexts {
    pub saved: &'static str,
    /// What, its id, and for how long the token before it stays active.
    pub created: fn(&Created, Html, &str) -> Html,
    /// With so many tokens.
    pub deleted: fn(usize) -> String,
    pub revoked: fn(usize) -> String,
}

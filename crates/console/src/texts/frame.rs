//! The bar, the notices and the footer.

use crate::html::{Bdi, Html};
use tegata_policy::permission::OperatorRole;

#[derive(Debug)]
pub struct FrameTexts {
    pub skip: &'static str,
    pub menu: &'static str,
    pub main: &'static str,
    pub overview: &'static str,
    pub leak_desk: &'static str,
    pub verifiers: &'static str,
    pub signing_keys: &'static str,
    pub audit: &'static str,
    pub people: &'static str,
    pub account: &'static str,
    pub role: fn(OperatorRole) -> &'static str,
    pub comma: &'static str,
    pub sign_out: &'static str,
    pub you_are_here: &'static str,
    pub dev: &'static str,
    /// How far the development clock is ahead.
    pub ahead: fn(&str) -> String,
    /// The program and the host.
    pub server: fn(&str, Bdi<'_>) -> Html,
    pub zone: &'static str,
    pub updated: fn(Html) -> Html,
    pub refresh: &'static str,
    pub theme: &'static str,
    pub theme_name: fn(crate::named::Theme) -> &'static str,
    pub language: &'static str,
}

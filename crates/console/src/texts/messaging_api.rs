//! The long-lived token.

use crate::html::{Bdi, Html};

#[derive(Debug)]
pub struct MessagingApiTexts {
    pub title: &'static str,
    pub no_token: &'static str,
    pub current: &'static str,
    pub previous: &'static str,
    pub revoke: &'static str,
    pub previous_in_use: fn(Html) -> Html,
    pub issue: &'static str,
    pub issue_under: &'static str,
    pub issue_button: &'static str,
    pub reissue: &'static str,
    pub reissue_under: &'static str,
    pub reissue_button: &'static str,
    pub replace_question: fn(Bdi<'_>, usize) -> Html,
    pub replace_lead: &'static str,
    pub replace_previous_question: fn(Bdi<'_>, usize) -> Html,
    pub replace_previous_lead: fn(&str) -> String,
    pub replace_keep: &'static str,
    pub delay: &'static str,
    pub delay_none: &'static str,
    pub other: &'static str,
    pub hours: &'static str,
    pub hours_wrong: &'static str,
    pub once: &'static str,
    pub once_lead: &'static str,
    pub about: &'static str,
    pub about_text: &'static str,
}

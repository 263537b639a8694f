//! Signing in by an identity provider.

use crate::html::{Bdi, Html};

#[derive(Debug)]
pub struct IdentityTexts {
    pub or: &'static str,
    pub sign_in: &'static str,
    pub continue_title: &'static str,
    pub continue_link: &'static str,
    pub code_title: &'static str,
    pub code_lead: fn(Bdi<'_>) -> Html,
    pub another_way: &'static str,
    pub not_begun: &'static str,
    pub declined: &'static str,
    pub unavailable: &'static str,
    pub invalid: &'static str,
    pub unlinked: &'static str,
    pub taken: &'static str,
    pub title: &'static str,
    pub under: &'static str,
    pub provider: &'static str,
    pub account: &'static str,
    pub linked_at: &'static str,
    pub link: &'static str,
    pub link_question: fn(Bdi<'_>) -> Html,
    pub link_lead: &'static str,
    pub link_keep: &'static str,
    pub confirm_question: fn(Bdi<'_>) -> Html,
    pub confirm_lead: fn(Bdi<'_>, Bdi<'_>) -> Html,
    pub unlink: &'static str,
    pub unlink_question: fn(Bdi<'_>) -> Html,
    pub unlink_others: fn(Bdi<'_>) -> Html,
    pub unlink_why: &'static str,
    pub unlink_keep: &'static str,
}

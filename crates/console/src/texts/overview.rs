//! What needs attention; providers and channels.

use crate::html::{Bdi, Html};
use tegata_token::kind::Kind;

#[derive(Debug)]
pub struct OverviewTexts {
    pub title: &'static str,
    pub alerts_lead: fn(usize, bool) -> String,
    pub searched: fn(&str) -> String,
    pub leaked: &'static str,
    pub create_provider: &'static str,
    pub warnings: &'static str,
    pub view: &'static str,
    pub providers: &'static str,
    pub search: &'static str,
    pub name_or_id: &'static str,
    pub nothing_found: &'static str,
    pub no_providers: &'static str,
    pub first_steps: &'static str,
    pub revoking: fn(usize) -> String,
    pub token_expires: fn(Kind, Option<Bdi<'_>>, Bdi<'_>) -> Html,
    pub token_expires_why: fn(Html, Html) -> Html,
    pub token_unused: fn(Kind, Option<Bdi<'_>>, Bdi<'_>) -> Html,
    pub unused_why: fn(Html) -> Html,
    pub token_replaced: fn(Kind, Option<Bdi<'_>>, Bdi<'_>) -> Html,
    pub token_replaced_why: fn(Html, Html) -> Html,
    pub secret_expires: fn(Bdi<'_>) -> Html,
    pub secret_expires_why: fn(Html) -> Html,
    pub key_unused: fn(Bdi<'_>) -> Html,
    pub key_unused_why: fn(Html) -> Html,
    pub nearly_full: fn(Kind, Bdi<'_>) -> Html,
    pub nearly_full_why: fn(usize, usize) -> String,
    pub signing_key_overdue: &'static str,
    pub signing_key_overdue_why: fn(Html) -> Html,
    pub certificate_expires: &'static str,
    pub certificate_expires_why: fn(Html) -> Html,
    pub backup_old: &'static str,
    pub backup_old_why: fn(Html) -> Html,
    pub went_backwards: &'static str,
    pub went_backwards_why: fn(Html) -> Html,
    pub contact: fn(Bdi<'_>) -> Html,
}

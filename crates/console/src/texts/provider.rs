//! Providers and their channels.

use crate::html::{Bdi, Html, Id};
use tegata_policy::rules::ChannelType;
use tegata_token::id::ProviderId;

#[derive(Debug)]
pub struct ProviderTexts {
    pub tabs: &'static str,
    pub channels: &'static str,
    pub id: fn(Id<ProviderId>) -> Html,
    pub created: fn(Html) -> Html,
    pub create_channel: &'static str,
    pub no_channels: &'static str,
    pub no_channels_why: &'static str,
    pub no_channels_create: &'static str,
    pub settings: &'static str,
    pub deletion: &'static str,
    pub deletion_why: &'static str,
    pub delete: &'static str,
    pub delete_question: fn(Bdi<'_>) -> Html,
    pub keep: &'static str,
    pub cannot_undo: &'static str,
    pub type_hint: fn(ChannelType) -> &'static str,
}

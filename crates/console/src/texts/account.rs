//! The own account.

use tegata_policy::permission::{ChannelRole, ProviderRole, Rights};

#[derive(Debug)]
pub struct AccountTexts {
    pub you: &'static str,
    pub id: &'static str,
    pub sessions: &'static str,
    pub session: &'static str,
    pub present: &'static str,
    pub end_others: &'static str,
    pub password: &'static str,
    pub password_under: &'static str,
    pub old_password: &'static str,
    pub old_wrong: &'static str,
    pub new_password: &'static str,
    pub change_password: &'static str,
    pub tokens: &'static str,
    pub tokens_under: &'static str,
    pub rights: &'static str,
    pub rights_name: fn(Rights) -> &'static str,
    pub valid_for: &'static str,
    pub new_token: &'static str,
    pub create_token: &'static str,
    pub once: &'static str,
    pub once_lead: &'static str,
    pub delete_token: fn(crate::html::Bdi<'_>) -> crate::html::Html,
    pub delete_token_name: &'static str,
    pub delete_token_button: &'static str,
    pub delete_token_keep: &'static str,
    pub provider_role: fn(ProviderRole) -> &'static str,
    pub channel_role: fn(ChannelRole) -> &'static str,
}

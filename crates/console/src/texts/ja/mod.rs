//! Japanese.

mod account;
mod audit;
mod basic;
mod channel;
mod common;
mod confirm;
mod error;
mod frame;
mod invitation;
mod messaging_api;
mod notice;
mod overview;
mod provider;
mod roles;
mod security;
mod sign_in;

use super::Texts;

/// All texts in Japanese.
pub const TEXTS: Texts = Texts {
    account: account::TEXTS,
    audit: audit::TEXTS,
    basic: basic::TEXTS,
    channel: channel::TEXTS,
    confirm: confirm::TEXTS,
    common: common::TEXTS,
    error: error::TEXTS,
    frame: frame::TEXTS,
    invitation: invitation::TEXTS,
    messaging_api: messaging_api::TEXTS,
    notice: notice::TEXTS,
    overview: overview::TEXTS,
    provider: provider::TEXTS,
    roles: roles::TEXTS,
    security: security::TEXTS,
    sign_in: sign_in::TEXTS,
};

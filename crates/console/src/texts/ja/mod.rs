//! Japanese.

mod account;
mod audit;
mod basic;
mod channel;
mod common;
mod confirm;
mod error;
mod frame;
mod groups;
mod identity;
mod invitation;
mod leak_desk;
mod live;
mod messaging_api;
mod notice;
mod overview;
mod provider;
mod receipt;
mod review;
mod roles;
mod security;
mod sign_in;
mod signing_keys;
mod token;
mod tokens;
mod verifiers;

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
    groups: groups::TEXTS,
    identity: identity::TEXTS,
    invitation: invitation::TEXTS,
    live: live::TEXTS,
    leak_desk: leak_desk::TEXTS,
    messaging_api: messaging_api::TEXTS,
    notice: notice::TEXTS,
    overview: overview::TEXTS,
    receipt: receipt::TEXTS,
    review: review::TEXTS,
    provider: provider::TEXTS,
    roles: roles::TEXTS,
    security: security::TEXTS,
    sign_in: sign_in::TEXTS,
    verifiers: verifiers::TEXTS,
    signing_keys: signing_keys::TEXTS,
    tokens: tokens::TEXTS,
    token: token::TEXTS,
};

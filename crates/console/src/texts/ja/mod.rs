//! Japanese.

mod channel;
mod common;
mod confirm;
mod error;
mod frame;
mod groups;
mod leak_desk;
mod notice;
mod overview;
mod receipt;
mod review;
mod sign_in;
mod tokens;
mod token;

use super::Texts;

/// All texts in Japanese.
pub const TEXTS: Texts = Texts {
    channel: channel::TEXTS,
    confirm: confirm::TEXTS,
    common: common::TEXTS,
    error: error::TEXTS,
    frame: frame::TEXTS,
    groups: groups::TEXTS,
    leak_desk: leak_desk::TEXTS,
    notice: notice::TEXTS,
    overview: overview::TEXTS,
    receipt: receipt::TEXTS,
    review: review::TEXTS,
    sign_in: sign_in::TEXTS,
    tokens: tokens::TEXTS,
    token: token::TEXTS,
};

//! English.

mod channel;
mod common;
mod confirm;
mod error;
mod frame;
mod notice;
mod overview;
mod sign_in;

use super::Texts;

/// All texts in English.
pub const TEXTS: Texts = Texts {
    channel: channel::TEXTS,
    confirm: confirm::TEXTS,
    common: common::TEXTS,
    error: error::TEXTS,
    frame: frame::TEXTS,
    notice: notice::TEXTS,
    overview: overview::TEXTS,
    sign_in: sign_in::TEXTS,
};

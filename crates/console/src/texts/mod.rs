//! All texts of the pages, one value per language. A text is a field: one that is missing in
//! a language does not compile. A text with values in it is a function; what it returns as
//! [`Html`](crate::html::Html) was made of values that escape themselves.
//!
//! Each page has its section: `texts/<page>.rs` lists the texts, `texts/en/<page>.rs` and
//! `texts/ja/<page>.rs` hold them.

#![expect(missing_docs, reason = "the name of a text describes it, and en/ shows it")]

pub mod en;
pub mod ja;

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

pub use account::AccountTexts;
pub use audit::AuditTexts;
pub use basic::BasicTexts;
pub use channel::ChannelTexts;
pub use common::CommonTexts;
pub use confirm::ConfirmTexts;
pub use error::ErrorTexts;
pub use frame::FrameTexts;
pub use groups::GroupsTexts;
pub use identity::IdentityTexts;
pub use invitation::InvitationTexts;
pub use leak_desk::LeakDeskTexts;
pub use live::LiveTexts;
pub use messaging_api::MessagingApiTexts;
pub use notice::NoticeTexts;
pub use overview::OverviewTexts;
pub use provider::ProviderTexts;
pub use receipt::ReceiptTexts;
pub use review::ReviewTexts;
pub use roles::RolesTexts;
pub use security::SecurityTexts;
pub use sign_in::SignInTexts;
pub use signing_keys::SigningKeysTexts;
pub use token::TokenTexts;
pub use tokens::TokensTexts;
pub use verifiers::VerifiersTexts;

use crate::named::Language;

/// All texts of one language.
#[derive(Debug)]
pub struct Texts {
    pub account: AccountTexts,
    pub audit: AuditTexts,
    pub basic: BasicTexts,
    pub channel: ChannelTexts,
    pub confirm: ConfirmTexts,
    pub common: CommonTexts,
    pub error: ErrorTexts,
    pub frame: FrameTexts,
    pub groups: GroupsTexts,
    pub identity: IdentityTexts,
    pub invitation: InvitationTexts,
    pub live: LiveTexts,
    pub leak_desk: LeakDeskTexts,
    pub messaging_api: MessagingApiTexts,
    pub notice: NoticeTexts,
    pub overview: OverviewTexts,
    pub receipt: ReceiptTexts,
    pub review: ReviewTexts,
    pub provider: ProviderTexts,
    pub roles: RolesTexts,
    pub security: SecurityTexts,
    pub sign_in: SignInTexts,
    pub verifiers: VerifiersTexts,
    pub signing_keys: SigningKeysTexts,
    pub tokens: TokensTexts,
    pub token: TokenTexts,
}

impl Language {
    /// All texts of the language.
    #[must_use]
    pub const fn texts(self) -> &'static Texts {
        match self {
            Self::En => &en::TEXTS,
            Self::Ja => &ja::TEXTS,
        }
    }
}

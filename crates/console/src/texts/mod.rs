//! All texts of the pages, one value per language. A text is a field: one that is missing in
//! a language does not compile. A text with values in it is a function; what it returns as
//! [`Html`](crate::html::Html) was made of values that escape themselves.
//!
//! Each page has its section: `texts/<page>.rs` lists the texts, `texts/en/<page>.rs` and
//! `texts/ja/<page>.rs` hold them.

#![expect(missing_docs, reason = "the name of a text describes it, and en/ shows it")]

pub mod en;
pub mod ja;

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

pub use channel::ChannelTexts;
pub use common::CommonTexts;
pub use confirm::ConfirmTexts;
pub use error::ErrorTexts;
pub use frame::FrameTexts;
pub use groups::GroupsTexts;
pub use leak_desk::LeakDeskTexts;
pub use notice::NoticeTexts;
pub use overview::OverviewTexts;
pub use receipt::ReceiptTexts;
pub use review::ReviewTexts;
pub use sign_in::SignInTexts;
pub use tokens::TokensTexts;
pub use token::TokenTexts;

/// All texts of one language.
#[derive(Debug)]
pub struct Texts {
    pub channel: ChannelTexts,
    pub confirm: ConfirmTexts,
    pub common: CommonTexts,
    pub error: ErrorTexts,
    pub frame: FrameTexts,
    pub groups: GroupsTexts,
    pub leak_desk: LeakDeskTexts,
    pub notice: NoticeTexts,
    pub overview: OverviewTexts,
    pub receipt: ReceiptTexts,
    pub review: ReviewTexts,
    pub sign_in: SignInTexts,
    pub tokens: TokensTexts,
    pub token: TokenTexts,
}

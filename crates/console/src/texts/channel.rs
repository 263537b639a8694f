//! The head of a channel's pages.

use crate::{
    html::{Html, Id},
    named::ChannelTab,
};
use tegata_token::id::ChannelId;

#[derive(Debug)]
pub struct ChannelTexts {
    pub tabs: &'static str,
    pub tab: fn(ChannelTab) -> &'static str,
    pub id: fn(Id<ChannelId>) -> Html,
}

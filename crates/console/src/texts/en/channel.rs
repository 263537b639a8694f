//! Channel, in English.

use crate::{html, named::ChannelTab, texts::ChannelTexts};

pub const TEXTS: ChannelTexts = ChannelTexts {
    tabs: "Pages of this channel",
    tab: |tab| match tab {
        ChannelTab::Basic => "Basic settings",
        ChannelTab::MessagingApi => "Messaging API",
        ChannelTab::Tokens => "Tokens",
        ChannelTab::Groups => "Groups",
        ChannelTab::Security => "Security",
        ChannelTab::Roles => "Roles",
        ChannelTab::Audit => "Audit",
    },
    id: |id| html!("Channel ID {}", id),
};

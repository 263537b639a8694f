//! Channel, in Japanese.

use crate::{html, named::ChannelTab, texts::ChannelTexts};

pub const TEXTS: ChannelTexts = ChannelTexts {
    tabs: "このチャネルのページ",
    tab: |tab| match tab {
        ChannelTab::Basic => "チャネル基本設定",
        ChannelTab::MessagingApi => "Messaging API設定",
        ChannelTab::Tokens => "トークン",
        ChannelTab::Groups => "グループ",
        ChannelTab::Security => "セキュリティ設定",
        ChannelTab::Roles => "権限設定",
        ChannelTab::Audit => "監査ログ",
    },
    id: |id| html!("チャネルID {}", id),
};

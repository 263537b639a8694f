//! Provider, in English.

use crate::{html, texts::ProviderTexts};
use tegata_policy::rules::ChannelType;

pub const TEXTS: ProviderTexts = ProviderTexts {
    tabs: "Pages of this provider",
    channels: "Channels",
    id: |id| html!("Provider ID {}", id),
    created: |at| html!("created {}", at),
    create_channel: "Create channel",
    no_channels: "No channels to show",
    no_channels_why: "Channels that you may see are listed here.",
    no_channels_create: "Create a channel. It gets an ID and a secret, with which your program \
                         requests tokens.",
    settings: "Settings",
    deletion: "Deletion",
    deletion_why: "A provider can be deleted once all its channels are deleted. This cannot be \
                   undone.",
    delete: "Delete provider",
    delete_question: |name| html!("Delete the provider {}?", name),
    keep: "Keep provider",
    cannot_undo: "Nothing has been deleted yet. You cannot undo a deletion.",
    type_hint: |of| match of {
        ChannelType::MessagingApi => "For bots: has tokens of all kinds.",
        ChannelType::LineLogin => "For signing people in: has short-lived and stateless tokens.",
        ChannelType::MiniApp => "For LINE MINI Apps: has short-lived and stateless tokens.",
    },
};

//! A list of channels.

use super::type_name;
use crate::{Frame, html::Html};
use askama::Template;
use tegata_policy::rules::ChannelType;
use tegata_token::{id::ChannelId, time::UnixTime, view::ChannelState};

/// A channel, as lists show it.
#[derive(Debug, Clone)]
pub struct ChannelLine {
    /// Its id.
    pub id: ChannelId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub channel_type: ChannelType,
    /// Its state.
    pub state: ChannelState,
    /// When it was created.
    pub created_at: UnixTime,
}

#[derive(Template)]
#[template(path = "channel_table.html")]
struct Rendered<'a> {
    frame: &'a Frame,
    rows: &'a [ChannelLine],
    next: Option<&'a str>,
}

/// The table of channels, and the link to the page after it.
#[must_use]
pub fn channel_table(frame: &Frame, rows: &[ChannelLine], next: Option<&str>) -> Html {
    Html::trusted(Rendered { frame, rows, next }.render().unwrap_or_default())
}

impl Rendered<'_> {
    fn type_name(&self, channel_type: &ChannelType) -> &'static str {
        type_name(*channel_type)
    }

    fn state(&self, state: &ChannelState) -> Html {
        state_tag(self.frame, *state)
    }
}

/// The state of a channel, as a tag.
#[must_use]
pub fn state_tag(frame: &Frame, state: ChannelState) -> Html {
    let t = &frame.t().common;
    let (class, word) = match state {
        ChannelState::Active => ("ok", t.active),
        ChannelState::Suspended => ("warn", t.suspended),
        ChannelState::Deleted => ("inactive", t.deleted),
    };
    crate::html!("<span class=\"tag {}\">{}</span>", Html::from(class), Html::from(word))
}

//! The head of a channel's pages: its name, its facts and its tabs.

use super::{Acts, PageHead, Tab, Tabs};
use crate::named::ChannelTab;
use crate::{
    Crumb, Frame, Section,
    html::{Bdi, Html, Id},
};
use tegata_policy::rules::ChannelType;
use tegata_token::{
    id::{ChannelId, ProviderId},
    view::ChannelState,
};

/// What the head of a channel's pages shows.
#[derive(Debug, Clone)]
pub struct ChannelHead {
    /// Its id.
    pub id: ChannelId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub channel_type: ChannelType,
    /// Its state.
    pub state: ChannelState,
    /// Its provider.
    pub provider: ProviderId,
    /// The provider's name, if the person may see it.
    pub provider_name: Option<String>,
    /// The tabs that the person may see.
    pub tabs: Vec<ChannelTab>,
    /// What the person may do with its tokens and groups.
    pub acts: Acts,
}

impl ChannelHead {
    /// The address of a page of the channel.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("/console/channels/{}{path}", self.id)
    }

    /// The head of the page of a tab.
    #[must_use]
    pub fn page(&self, frame: Frame, tab: ChannelTab) -> PageHead {
        let t = frame.t();
        let tabs = self.tabs.iter().map(|it| Tab {
            href: self.at(it.path()),
            name: (t.channel.tab)(*it),
            count: None,
            current: *it == tab,
        });
        let tabs = Tabs { label: t.channel.tabs, all: tabs.collect() };
        let facts = self.facts(&frame);
        let page =
            PageHead::new(frame, Some(Section::Overview), crate::html!("{}", Bdi(&self.name)));
        PageHead { facts, tabs: Some(tabs), acts: self.acts, ..page }
            .below(self.crumbs(t.overview.providers))
    }

    /// The head of a page that is below the channel, such as one that asks before an act.
    #[must_use]
    pub fn below(&self, frame: Frame, heading: Html, name: &str) -> PageHead {
        let mut crumbs = self.crumbs(frame.t().overview.providers);
        crumbs.push(Crumb::new("", name));
        PageHead::new(frame, Some(Section::Overview), heading).below(crumbs)
    }

    fn crumbs(&self, providers: &str) -> Vec<Crumb> {
        let provider = self
            .provider_name
            .as_ref()
            .map(|name| Crumb::new(format!("/console/providers/{}", self.provider), name.clone()));
        let first = Crumb::new("/console", providers);
        let own = Crumb::new(self.at(""), self.name.clone());
        [Some(first), provider, Some(own)].into_iter().flatten().collect()
    }

    fn facts(&self, frame: &Frame) -> Vec<Html> {
        let t = frame.t();
        let (class, state) = match self.state {
            ChannelState::Active => ("ok", t.common.active),
            ChannelState::Suspended => ("warn", t.common.suspended),
            ChannelState::Deleted => ("inactive", t.common.deleted),
        };
        vec![
            crate::html!("<span class=\"tag {}\">{}</span>", Html::from(class), Html::from(state)),
            crate::html!(
                "<span class=\"tag plain\">{}</span>",
                Html::from(type_name(self.channel_type))
            ),
            (t.channel.id)(Id(self.id)),
        ]
    }
}

/// The name of a channel's type, as LINE and the API have it.
#[must_use]
pub const fn type_name(channel_type: ChannelType) -> &'static str {
    match channel_type {
        ChannelType::MessagingApi => "messaging-api",
        ChannelType::LineLogin => "line-login",
        ChannelType::MiniApp => "mini-app",
    }
}

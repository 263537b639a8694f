//! Providers: created, renamed, deleted; and their channels.

use super::{ChannelLine, PageHead, Tab, Tabs};
use crate::{
    Crumb, Frame, Section,
    forms::{Field, Input},
    html::{Bdi, Html, Id},
    pieces::commands,
};
use askama::Template;
use tegata_policy::rules::ChannelType;
use tegata_token::{id::ProviderId, time::UnixTime};

/// What the head of a provider's pages shows.
#[derive(Debug, Clone)]
pub struct ProviderHead {
    /// Its id.
    pub id: ProviderId,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: UnixTime,
    /// Whether the person may see who has a role in it.
    pub sees_roles: bool,
}

impl ProviderHead {
    /// The address of a page of the provider.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("/console/providers/{}{path}", self.id)
    }

    /// The head of its channels or, with `roles`, of its roles.
    #[must_use]
    pub fn page(&self, frame: Frame, roles: bool) -> PageHead {
        let t = frame.t();
        let tab =
            |path: &str, name, current| Tab { href: self.at(path), name, count: None, current };
        let mut all = vec![tab("", t.provider.channels, !roles)];
        if self.sees_roles {
            all.push(tab("/roles", t.roles.title, roles));
        }
        let tabs = Some(Tabs { label: t.provider.tabs, all });
        let facts = vec![
            (t.provider.id)(Id(self.id)),
            (t.provider.created)(frame.times().day(self.created_at)),
        ];
        let crumbs = self.crumbs(&frame);
        let page =
            PageHead::new(frame, Some(Section::Overview), crate::html!("{}", Bdi(&self.name)));
        PageHead { facts, tabs, ..page }.below(crumbs)
    }

    /// The head of a page that is below the provider.
    #[must_use]
    pub fn below(&self, frame: Frame, heading: Html, name: &str) -> PageHead {
        let mut crumbs = self.crumbs(&frame);
        crumbs.push(Crumb::new("", name));
        PageHead::new(frame, Some(Section::Overview), heading).below(crumbs)
    }

    fn crumbs(&self, frame: &Frame) -> Vec<Crumb> {
        let first = Crumb::new("/console", frame.t().overview.providers);
        vec![first, Crumb::new(self.at(""), self.name.clone())]
    }
}

/// A provider with its channels.
#[derive(Debug, Template)]
#[template(path = "provider.html")]
pub struct ProviderPage {
    page: PageHead,
    it: ProviderView,
}

/// What the page of a provider shows.
#[derive(Debug, Clone)]
pub struct ProviderView {
    /// The provider.
    pub head: ProviderHead,
    /// Its channels.
    pub channels: Vec<ChannelLine>,
    /// The page after them.
    pub next: Option<String>,
    /// Whether the person may create channels.
    pub creates: bool,
    /// Whether the person may rename it.
    pub renames: bool,
    /// Whether the person may delete it.
    pub deletes: bool,
    /// The tag of the settings that are shown.
    pub seen: String,
    /// The name, as it is or as it was entered.
    pub name: Field,
}

impl ProviderPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, it: ProviderView) -> Self {
        let label = frame.t().common.name;
        let name = it.renames.then_some(("name", label, &it.name));
        let page = it.head.page(frame, false).checked(name);
        Self { page, it }
    }

    fn name(&self) -> Html {
        name_input(&self.page.frame, &self.it.name)
    }

    fn commands(&self) -> Html {
        let id = self.it.head.id;
        let mut lines = vec![format!("tegata channel list --provider {id}")];
        if self.it.creates {
            lines.push(format!("tegata channel create --provider {id} NAME"));
        }
        commands(self.page.frame.t().common.command_line, lines)
    }
}

/// The input for a name.
pub(super) fn name_input(frame: &Frame, name: &Field) -> Html {
    let t = &frame.t().common;
    Input::new("name", t.name, name).hint(t.name_hint).longest(100).html()
}

/// The form that creates a provider.
#[derive(Debug, Template)]
#[template(path = "new_provider.html")]
pub struct NewProviderPage {
    page: PageHead,
    name: Field,
}

impl NewProviderPage {
    /// The form.
    #[must_use]
    pub fn new(frame: Frame, name: Field) -> Self {
        let t = frame.t();
        let crumbs = [
            Crumb::new("/console", t.overview.providers),
            Crumb::new("", t.overview.create_provider),
        ];
        let heading = t.overview.create_provider;
        let page = PageHead::new(frame, Some(Section::Overview), heading).below(crumbs);
        Self { page: page.checked([("name", t.common.name, &name)]), name }
    }

    fn input(&self) -> Html {
        name_input(&self.page.frame, &self.name)
    }
}

/// The form that creates a channel.
#[derive(Debug, Template)]
#[template(path = "new_channel.html")]
pub struct NewChannelPage {
    page: PageHead,
    action: String,
    provider: ProviderId,
    name: Field,
    chosen: ChannelType,
}

impl NewChannelPage {
    /// The form.
    #[must_use]
    pub fn new(frame: Frame, head: &ProviderHead, name: Field, chosen: ChannelType) -> Self {
        let heading = frame.t().provider.create_channel;
        let (action, provider) = (head.at("/channels"), head.id);
        let label = frame.t().common.name;
        let page = head.below(frame, heading.into(), heading).checked([("name", label, &name)]);
        Self { page, action, provider, name, chosen }
    }

    fn input(&self) -> Html {
        name_input(&self.page.frame, &self.name)
    }

    fn types(&self) -> [(&'static str, &'static str, bool); 3] {
        let t = &self.page.frame.t().provider;
        [ChannelType::MessagingApi, ChannelType::LineLogin, ChannelType::MiniApp]
            .map(|it| (super::type_name(it), (t.type_hint)(it), it == self.chosen))
    }
}

//! One person: roles, and what can be done with the sign-in.

use super::{PageHead, PersonLine, PersonalToken};
use crate::{
    Crumb, Frame, Section,
    forms::Once,
    html::{Bdi, Html, Id},
};
use askama::Template;
use tegata_policy::permission::OperatorRole;
use tegata_token::id::{ChannelId, ProviderId};

/// What the page shows.
#[derive(Debug, Clone)]
pub struct PersonView {
    /// The person.
    pub person: PersonLine,
    /// Whether the person is disabled.
    pub disabled: bool,
    /// The role in the whole authority.
    pub operator: Option<OperatorRole>,
    /// The providers in which the person has a role, and the role's name.
    pub providers: Vec<(ProviderId, &'static str)>,
    /// The same for channels.
    pub channels: Vec<(ChannelId, &'static str)>,
    /// Whether the person who looks may change, reset and delete.
    pub changes: bool,
    /// Whether the person who looks may disable.
    pub disables: bool,
    /// The person's personal tokens.
    pub tokens: Vec<PersonalToken>,
    /// Whether the person who looks may delete them.
    pub deletes_tokens: bool,
    /// The provider of the linked account, if there is one.
    pub identity: Option<String>,
    /// An invitation that was just made.
    pub once: Option<Once>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "person.html")]
pub struct PersonPage {
    page: PageHead,
    it: PersonView,
}

impl PersonPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, it: PersonView) -> Self {
        let people = frame.t().frame.people;
        let crumbs =
            [Crumb::new("/console/people", people), Crumb::new("", it.person.name.clone())];
        let heading = crate::html!("{}", Bdi(&it.person.name));
        Self { page: PageHead::new(frame, Some(Section::People), heading).below(crumbs), it }
    }

    fn operator(&self) -> &'static str {
        let t = self.page.frame.t();
        self.it.operator.map_or(t.roles.no_role, t.frame.role)
    }

    fn id(&self) -> Html {
        crate::html!("{}", Id(self.it.person.id))
    }

    fn at(&self, path: &str) -> String {
        format!("/console/people/{}/{path}", self.it.person.id)
    }
}

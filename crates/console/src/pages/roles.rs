//! Who has which role in a channel, a provider, or the whole authority.

use super::PageHead;
use crate::{
    forms::{Field, Input, Once},
    html::Html,
};
use askama::Template;
use tegata_token::{id::PersonId, time::UnixTime};

/// A person, as lists show it.
#[derive(Debug, Clone)]
pub struct PersonLine {
    /// The person's id.
    pub id: PersonId,
    /// The display name.
    pub name: String,
    /// The name to sign in with.
    pub login: String,
    /// The value of the role in forms; empty: none.
    pub role: &'static str,
    /// The tag of the settings to which the role belongs.
    pub seen: String,
    /// The tag's class and the word of the state.
    pub state: (&'static str, &'static str),
    /// When the invitation that can be accepted expires.
    pub invited_until: Option<UnixTime>,
    /// Whether this is the person who looks at the page.
    pub own: bool,
}

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Roles {
    /// The address of the page.
    pub here: String,
    /// The people.
    pub people: Vec<PersonLine>,
    /// The roles that can be given: the value in forms, the name, and what it permits.
    pub roles: Vec<(&'static str, &'static str, &'static str)>,
    /// Whether the person may give roles and change them.
    pub changes: bool,
    /// Whether the person may take roles away.
    pub takes: bool,
    /// Whether a role can be given to a person by its id; people of the whole authority have
    /// pages of their own.
    pub adds: bool,
    /// What follows the id of a person in the address where the role is changed.
    pub change: &'static str,
    /// Whether each person has a page.
    pub links: bool,
    /// An invitation that was just made.
    pub once: Option<Once>,
    /// What is wrong with the id of a person.
    pub person: Field,
    /// The name to sign in with of the person to invite.
    pub login: Field,
    /// The display name of the person to invite.
    pub name: Field,
    /// The same on the command line.
    pub commands: Vec<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "roles.html")]
pub struct RolesPage {
    page: PageHead,
    it: Roles,
}

impl RolesPage {
    /// The page.
    #[must_use]
    pub fn new(page: PageHead, it: Roles) -> Self {
        let t = page.frame.t();
        let person = ("person", t.roles.person, &it.person);
        let login = ("login", t.sign_in.login, &it.login);
        let name = ("name", t.common.name, &it.name);
        let fields = [person, login, name].into_iter().filter(|_| it.changes);
        Self { page: page.checked(fields), it }
    }

    fn person(&self) -> Html {
        let t = &self.page.frame.t().roles;
        Input::new("person", t.person, &self.it.person).hint(t.person_hint).longest(10).html()
    }

    fn login(&self) -> Html {
        let t = self.page.frame.t();
        let input = Input::new("login", t.sign_in.login, &self.it.login);
        input.hint(t.roles.login_hint).longest(64).html()
    }

    fn name(&self) -> Html {
        let t = self.page.frame.t();
        let input = Input::new("name", t.common.name, &self.it.name).longest(100);
        input.hint(t.roles.name_hint).optional().html()
    }

    fn role_name(&self, value: &str) -> &'static str {
        let found = self.it.roles.iter().find(|it| it.0 == value);
        found.map_or(self.page.frame.t().roles.no_role, |it| it.1)
    }
}

//! The own account: password, roles and personal tokens.

use super::{PageHead, strength::strength};
use crate::{
    Frame, Section,
    forms::{Field, Input, Once},
    html::{Html, Id},
};
use askama::Template;
use tegata_policy::permission::Rights;
use tegata_token::{
    id::{AdminTokenId, ChannelId, PersonId, ProviderId},
    time::UnixTime,
};

/// A personal token.
#[derive(Debug, Clone)]
pub struct PersonalToken {
    /// Its id.
    pub id: AdminTokenId,
    /// Its name.
    pub name: String,
    /// How far it reaches.
    pub rights: Rights,
    /// When it expires.
    pub expires_at: UnixTime,
}

/// The linked account at an identity provider.
#[derive(Debug, Clone)]
pub struct LinkedAccount {
    /// The provider.
    pub issuer: String,
    /// The account there.
    pub subject: String,
    /// When it was linked.
    pub linked_at: UnixTime,
}

/// What the page shows of signing in by an identity provider.
#[derive(Debug, Clone)]
pub struct IdentityView {
    /// The linked account, if there is one.
    pub linked: Option<LinkedAccount>,
    /// Whether there is a provider to link with.
    pub links: bool,
    /// Why nothing was linked.
    pub wrong: Option<String>,
}

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Account {
    /// The person's id.
    pub id: PersonId,
    /// The name to sign in with.
    pub login: String,
    /// When each session began and expires, and whether it is the present one.
    pub sessions: Vec<(UnixTime, UnixTime, bool)>,
    /// The providers in which the person has a role, and the role's name.
    pub providers: Vec<(ProviderId, &'static str)>,
    /// The same for channels.
    pub channels: Vec<(ChannelId, &'static str)>,
    /// The personal tokens.
    pub tokens: Vec<PersonalToken>,
    /// Signing in by an identity provider.
    pub identity: IdentityView,
    /// A token that was just created.
    pub once: Option<Once>,
    /// What is wrong with the present password.
    pub old: Field,
    /// What is wrong with the new password.
    pub new: Field,
    /// The name of a new token.
    pub token_name: Field,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    page: PageHead,
    it: Account,
}

impl AccountPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, it: Account) -> Self {
        let heading = frame.t().frame.account;
        let t = frame.t();
        let old = ("old", t.account.old_password, &it.old);
        let new = ("new", t.account.new_password, &it.new);
        let name = ("name", t.common.name, &it.token_name);
        let identity = Field { wrong: it.identity.wrong.clone(), ..Field::default() };
        let identity = ("h-id", t.identity.title, &identity);
        let page = PageHead::new(frame, Some(Section::Account), heading);
        Self { page: page.checked([old, new, identity, name]), it }
    }

    fn old(&self) -> Html {
        let t = &self.page.frame.t().account;
        Input::new("old", t.old_password, &self.it.old).password("current-password").html()
    }

    fn new_password(&self) -> Html {
        let t = self.page.frame.t();
        let input = Input::new("new", t.account.new_password, &self.it.new);
        input.hint(t.invitation.password_hint).password("new-password").html()
    }

    fn strength(&self) -> Html {
        strength(&self.page.frame, "new", None)
    }

    fn create_command(&self) -> String {
        format!("tegata admin-token create NAME --sign-in {} --rights read", self.it.login)
    }

    fn token_name(&self) -> Html {
        Input::new("name", self.page.frame.t().common.name, &self.it.token_name).longest(100).html()
    }

    fn rights(&self) -> [(&'static str, &'static str); 3] {
        [Rights::Read, Rights::Revoke, Rights::Full]
            .map(|it| (it.name(), (self.page.frame.t().account.rights_name)(it)))
    }

    fn time(&self, at: &UnixTime) -> Html {
        self.page.frame.times().cell(*at)
    }

    fn has_others(&self) -> bool {
        self.it.sessions.len() > 1
    }

    fn id(&self) -> Html {
        crate::html!("{}", Id(self.it.id))
    }
}

/// For how many days a new token is valid: the choices.
const DAYS: [u32; 4] = [1, 30, 90, 365];

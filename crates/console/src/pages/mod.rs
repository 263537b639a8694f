//! The pages. Each is a value with a template of the same name in `templates/`.

mod account;
mod audit;
mod basic;
mod channel;
mod channel_table;
mod confirm;
mod error;
mod found;
mod groups;
mod identity;
mod invitation;
mod leak_desk;
mod live;
mod messaging_api;
mod overview;
mod person;
mod provider;
mod receipt;
mod roles;
mod security;
mod shown_token;
mod sign_in;
mod signing_keys;
mod strength;
mod token_table;
mod tokens;
mod verifiers;

pub use crate::named::{ChannelTab, InstanceStanding};
pub use account::{Account, AccountPage, IdentityView, LinkedAccount, PersonalToken};
pub use audit::{AuditLine, AuditPage, AuditView, Verification};
pub use basic::{Basic, BasicActs, BasicPage, KeyLine, SecretLine};
pub use channel::{ChannelHead, type_name};
pub use channel_table::{ChannelLine, channel_table, state_tag};
pub use confirm::{ActToConfirm, ConfirmPage, Note};
pub use error::{ErrorPage, FormAgain, Trouble};
pub use found::{BadFoundToken, FoundToken};
pub use groups::{GroupForm, GroupPage, GroupsPage, ShownGroup};
pub use identity::{ContinuePage, IdentityCodePage};
pub use invitation::{AcceptPage, InvitationPage, OwnInvitationPage, RecoveryCodesPage, ToAccept};
pub use leak_desk::{Desk, Found, LeakDeskPage, LeakedToken, OtherSecrets};
pub use live::{Expiring, NEXT, ShownExpiries, ShownMinute, activity, calendar};
pub use messaging_api::{MessagingApi, MessagingApiPage};
pub use overview::{Alert, AlertKind, Overview, OverviewPage, OwnAlert, ProviderLine};
pub use person::{PersonPage, PersonView};
pub use provider::{NewChannelPage, NewProviderPage, ProviderHead, ProviderPage, ProviderView};
pub use receipt::{ReceiptPage, ShownInstance, ShownReceipt};
pub use roles::{PersonLine, Roles, RolesPage};
pub use security::{Security, SecurityPage};
pub use shown_token::{REVOKED, ShownToken, revoke_href};
pub use sign_in::SignInPage;
pub use signing_keys::{ShownKey, SigningKeysPage, below_keys};
pub use token_table::{TokenLine, TokenTable};
pub use tokens::{Filter, KindCount, ShownUse, TokenPage, TokensPage, TokensView, uses_table};
pub use verifiers::{
    NewVerifierPage, RunningInstance, ShownVerifier, VerifierCreatedPage, VerifierForm,
    VerifiersPage, below,
};

use crate::{
    forms::{Field, Mistake},
    frame::{Crumb, Frame, Section},
    html::Html,
};

/// What the person who looks at a page may do with what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acts {
    /// Whether the person may create and change.
    pub change: bool,
    /// Whether the person may take away: revoke, suspend, delete.
    pub take: bool,
}

impl Acts {
    /// Everything.
    pub const ALL: Self = Self { change: true, take: true };
}

/// The head of a page: what the layout shows around its content.
#[derive(Debug, Clone)]
pub struct PageHead {
    /// What all pages have in common.
    pub frame: Frame,
    /// The heading; without its markup it is the title of the window.
    pub heading: Html,
    /// A sentence below the heading.
    pub lead: Option<Html>,
    /// Facts below the heading.
    pub facts: Vec<Html>,
    /// The section of the bar.
    pub section: Option<Section>,
    /// The path to the page; the last step is the page itself.
    pub crumbs: Vec<Crumb>,
    /// The tabs, of a page that has some.
    pub tabs: Option<Tabs>,
    /// What the person may do.
    pub acts: Acts,
    /// The fields of the page's forms that were not accepted.
    pub mistakes: Vec<Mistake>,
}

impl PageHead {
    /// A page of a section, with this heading.
    #[must_use]
    pub fn new(frame: Frame, section: Option<Section>, heading: impl Into<Html>) -> Self {
        Self {
            frame,
            heading: heading.into(),
            lead: None,
            facts: Vec::new(),
            section,
            crumbs: Vec::new(),
            tabs: None,
            acts: Acts::ALL,
            mistakes: Vec::new(),
        }
    }

    /// The same, with what is wrong with some of these fields, which are named by id and label:
    /// a summary at the top, which the browser focuses, and the title say so.
    #[must_use]
    pub fn checked<'a>(
        mut self,
        fields: impl IntoIterator<Item = (&'static str, &'a str, &'a Field)>,
    ) -> Self {
        let described = self.frame.t().token.described;
        let wrong = fields.into_iter().filter_map(|(id, label, field)| {
            let why = field.wrong.as_ref()?;
            Some(Mistake { id, text: described(label, why) })
        });
        self.mistakes.extend(wrong);
        self
    }

    /// The same, for a person who may do this.
    #[must_use]
    pub fn acts(self, acts: Acts) -> Self {
        Self { acts, ..self }
    }

    /// The same, with a sentence below the heading.
    #[must_use]
    pub fn lead(self, lead: impl Into<Html>) -> Self {
        Self { lead: Some(lead.into()), ..self }
    }

    /// The same, with the path to it.
    #[must_use]
    pub fn below(self, crumbs: impl IntoIterator<Item = Crumb>) -> Self {
        Self { crumbs: crumbs.into_iter().collect(), ..self }
    }

    /// Whether it belongs to this section.
    #[must_use]
    pub fn is_in(&self, section: &Section) -> bool {
        self.section == Some(*section)
    }
}

/// The tabs of a page.
#[derive(Debug, Clone)]
pub struct Tabs {
    /// What they are of, for those who do not see it.
    pub label: &'static str,
    /// The tabs.
    pub all: Vec<Tab>,
}

impl Tabs {
    /// The name of the tab that is shown.
    #[must_use]
    pub fn current(&self) -> &'static str {
        self.all.iter().find(|it| it.current).map_or("", |it| it.name)
    }
}

/// One tab.
#[derive(Debug, Clone)]
pub struct Tab {
    /// Its address.
    pub href: String,
    /// Its name.
    pub name: &'static str,
    /// How many things it holds, where that is known.
    pub count: Option<usize>,
    /// Whether it is the page that is shown.
    pub current: bool,
}

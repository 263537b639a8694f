//! Who has which role in a channel or a provider.

use super::{
    Answer, Console, channel,
    failure::{Failure, refusal},
    ids::Ids,
    make::Made,
    notice::Notice,
    providers, render,
    sent::{Sent, name},
    visit::{SignedIn, Visit, may, redirect},
};
use crate::authority::admin::{self, NewPerson};
use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use std::sync::Arc;
use tegata_console::{
    Frame,
    created::Created,
    forms::{Field, Once},
    pages::{ChannelTab, PageHead, PersonLine, Roles, RolesPage},
};
use tegata_policy::{
    acts::{PersonRow, PersonState},
    permission::{ChannelRole, Permission, ProviderRole, RoleChange},
    secret::PlainSecret,
    text::is_login,
};
use tegata_store::{Error, SettingsTag};
use tegata_token::id::{ChannelId, PersonId, ProviderId};

/// A provider or a channel, in which people have roles.
#[derive(Clone, Copy)]
pub enum Place {
    Provider(ProviderId),
    Channel(ChannelId),
}

const PROVIDER: [(&str, ProviderRole); 2] =
    [("admin", ProviderRole::Admin), ("member", ProviderRole::Member)];
const CHANNEL: [(&str, ChannelRole); 3] = [
    ("admin", ChannelRole::Admin),
    ("member", ChannelRole::Member),
    ("tester", ChannelRole::Tester),
];

/// The role of this name in a table; `none` takes the role away.
fn named<R: Copy>(roles: &[(&str, R)], name: Option<&str>) -> Result<Option<R>, Failure> {
    match name {
        Some("none") => Ok(None),
        name => {
            let found = roles.iter().find(|it| Some(it.0) == name).map(|it| Some(it.1));
            found.ok_or_else(|| Failure::bad_request("`role` is unknown"))
        }
    }
}

/// The name of a role in a table.
fn name_of<R: PartialEq>(roles: &[(&'static str, R)], role: &R) -> &'static str {
    roles.iter().find(|it| it.1 == *role).map_or("", |it| it.0)
}

impl Place {
    /// The place as an option of the command line.
    pub fn scope(self) -> String {
        match self {
            Self::Provider(id) => format!("--provider {id}"),
            Self::Channel(id) => format!("--channel {id}"),
        }
    }

    /// The tag of the role that a person has here.
    fn seen(self, person: &PersonRow) -> String {
        let place = match self {
            Self::Provider(provider) => RoleChange::Provider { provider, role: None },
            Self::Channel(channel) => RoleChange::Channel { channel, role: None },
        };
        SettingsTag::of_role(person, place).to_string()
    }

    /// The address of its page.
    pub fn here(self) -> String {
        match self {
            Self::Provider(id) => format!("/console/providers/{id}/roles"),
            Self::Channel(id) => format!("/console/channels/{id}/roles"),
        }
    }

    /// The change to the role of this name, or to none.
    pub fn change(self, role: Option<&str>) -> Result<RoleChange, Failure> {
        Ok(match self {
            Self::Provider(provider) => {
                RoleChange::Provider { provider, role: named(&PROVIDER, role)? }
            }
            Self::Channel(channel) => RoleChange::Channel { channel, role: named(&CHANNEL, role)? },
        })
    }
}

/// A person, as lists show it.
pub fn line(who: &SignedIn, it: &PersonRow, role: &'static str, seen: String) -> PersonLine {
    let class = match it.state() {
        PersonState::Active => "ok",
        PersonState::Invited => "warn",
        PersonState::Disabled => "inactive",
    };
    PersonLine {
        id: it.id,
        name: it.name.clone(),
        login: it.login.clone(),
        role,
        seen,
        state: (class, (who.frame().t().roles.state)(it.state())),
        invited_until: None,
        own: it.id == who.person.id,
    }
}

/// The page, as it would be for this place.
pub async fn view(who: &SignedIn, place: Place) -> Result<(PageHead, Roles), Failure> {
    let (frame, t) = (who.frame(), who.frame().t());
    let (page, people, roles, (changes, takes)) = match place {
        Place::Provider(id) => {
            let people = who.admin.provider_roles(id).await?;
            let people = people
                .iter()
                .map(|(it, role)| line(who, it, name_of(&PROVIDER, role), place.seen(it)));
            let hint = |(value, role): (&'static str, _)| {
                (value, (t.account.provider_role)(role), (t.roles.provider_hint)(role))
            };
            let page = providers::head(who, id).await?.page(frame, true);
            let acts = [Permission::GiveProviderRole, Permission::TakeProviderRole];
            let [changes, takes] = acts.map(|it| may(who, it, Some(id), None));
            (page, people.collect(), PROVIDER.map(hint).to_vec(), (changes, takes))
        }
        Place::Channel(id) => {
            let people = who.admin.channel_roles(id).await?;
            let people = people
                .iter()
                .map(|(it, role)| line(who, it, name_of(&CHANNEL, role), place.seen(it)));
            let hint = |(value, role): (&'static str, _)| {
                (value, (t.account.channel_role)(role), (t.roles.channel_hint)(role))
            };
            let (head, _) = channel::head(who, id).await?;
            let provider = Some(head.provider);
            let acts = [Permission::GiveChannelRole, Permission::TakeChannelRole];
            let [changes, takes] = acts.map(|it| may(who, it, provider, Some(id)));
            let page = head.page(frame, ChannelTab::Roles);
            (page, people.collect(), CHANNEL.map(hint).to_vec(), (changes, takes))
        }
    };
    let scope = place.scope();
    let commands = vec![
        format!("tegata person list {scope}"),
        format!("tegata person set-role PERSON {scope} member"),
    ];
    let it = Roles { adds: true, changes, takes, people, roles, commands, ..empty(place.here()) };
    Ok((page, it))
}

/// A page of people with nothing on it.
pub fn empty(here: String) -> Roles {
    Roles {
        here,
        people: Vec::new(),
        roles: Vec::new(),
        changes: false,
        takes: false,
        adds: false,
        change: "",
        links: false,
        once: None,
        person: Field::default(),
        login: Field::default(),
        name: Field::default(),
        commands: Vec::new(),
    }
}

/// The roles in a channel.
pub async fn of_channel(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<ChannelId>,
) -> Answer {
    show(&console, who, Place::Channel(id)).await
}

/// The roles in a provider.
pub async fn of_provider(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<ProviderId>,
) -> Answer {
    show(&console, who, Place::Provider(id)).await
}

async fn show(console: &Console, who: SignedIn, place: Place) -> Answer {
    let (page, mut it) = view(&who, place).await?;
    it.once = invitation_once(console, &who, &it.here)?;
    render(&RolesPage::new(page, it))
}

/// An invitation that was just made, for the page that shows it.
pub fn invitation_once(
    console: &Console,
    who: &SignedIn,
    here: &str,
) -> Result<Option<Once>, Failure> {
    let t = &who.frame().t().roles;
    who.once(console, here, (t.once, t.once_lead))
}

/// The link of an invitation, to where the settings say that the console is, or else to where
/// this person has just used it. The invitation is behind `#`, which browsers do not send.
pub fn link(
    console: &Console,
    visit: &Visit,
) -> impl Fn(&PlainSecret) -> PlainSecret + Send + use<> {
    let address = console.authority.console().unwrap_or(&visit.origin).to_owned();
    move |invitation| {
        PlainSecret::from_caller(format!("{address}/console/invitation#{}", invitation.reveal()))
    }
}

/// The page again, with what is wrong.
pub fn again(mut page: PageHead, it: Roles) -> Answer {
    page.frame = Frame { here: it.here.clone(), ..page.frame };
    let page = RolesPage::new(page, it);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
}

/// Gives a role in a channel to a person by its id.
pub async fn give_in_channel(who: SignedIn, Ids(id): Ids<ChannelId>, sent: Sent) -> Answer {
    give(who, Place::Channel(id), sent).await
}

/// Gives a role in a provider to a person by its id.
pub async fn give_in_provider(who: SignedIn, Ids(id): Ids<ProviderId>, sent: Sent) -> Answer {
    give(who, Place::Provider(id), sent).await
}

async fn give(who: SignedIn, place: Place, sent: Sent) -> Answer {
    let form = sent.form()?;
    let entered = form.get("person").unwrap_or_default().trim();
    let role = form.get("role");
    let change = place.change(role)?;
    if change.takes() {
        return Err(Failure::bad_request("`role` is unknown"));
    }
    // First, so that the person who may not see the place learns nothing of the id.
    let (page, it) = view(&who, place).await?;
    let person = entered.parse::<PersonId>();
    let has = it.people.iter().find(|one| Ok(one.id) == person);
    // Another role may take something away, and so is asked for.
    if let Some(one) = has.filter(|one| Some(one.role) != role) {
        let role = role.unwrap_or_default();
        return Ok(redirect(&format!("{}/{}?role={role}", it.here, one.id)));
    }
    let given = match person {
        Ok(person) => who.admin.set_role(person, change).await.map(drop),
        Err(_) => Err(Error::NotFound("person").into()),
    };
    match given {
        Ok(()) => Ok(who.done(Notice::Saved, &it.here)),
        Err(admin::Error::Store(Error::NotFound(_))) => {
            let person = Field::of(entered).wrong(who.frame().t().roles.person_wrong);
            again(page, Roles { person, ..it })
        }
        Err(error) => {
            let person = Field::of(entered).wrong(refusal(error)?);
            again(page, Roles { person, ..it })
        }
    }
}

/// Invites a person with a role in a channel.
pub async fn invite_to_channel(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<ChannelId>,
    sent: Sent,
) -> Answer {
    let place = Place::Channel(id);
    let role = place.change(sent.form()?.get("role"))?;
    let (page, it) = view(&who, place).await?;
    invite(&console, &who, Some(role), (page, it), &sent).await
}

/// Invites a person with a role in a provider.
pub async fn invite_to_provider(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<ProviderId>,
    sent: Sent,
) -> Answer {
    let place = Place::Provider(id);
    let role = place.change(sent.form()?.get("role"))?;
    let (page, it) = view(&who, place).await?;
    invite(&console, &who, Some(role), (page, it), &sent).await
}

/// Invites a person; the page shows the link once.
pub async fn invite(
    console: &Console,
    who: &SignedIn,
    role: Option<RoleChange>,
    (page, it): (PageHead, Roles),
    sent: &Sent,
) -> Answer {
    let (form, t) = (sent.form()?, who.frame().t());
    let entered = form.get("login").unwrap_or_default().trim().to_owned();
    let shown = form.get("name").map(str::to_owned);
    let login = Field::of(entered.clone());
    if !is_login(&entered) {
        let name = Field::of(shown.unwrap_or_default());
        return again(page, Roles { login: login.wrong(t.roles.login_wrong), name, ..it });
    }
    let checked = match &shown {
        None => Some(entered.clone()),
        Some(text) => name(Some(text)),
    };
    let Some(name) = checked else {
        let name = Field::of(shown.unwrap_or_default()).wrong(t.common.name_wrong);
        return again(page, Roles { login, name, ..it });
    };
    let new = NewPerson { login: entered, name: name.clone(), role: role.filter(|it| !it.takes()) };
    let (admin, link_of, here) = (who.admin.clone(), link(console, &who.visit), it.here.clone());
    let made = async move {
        let invited = admin.invite(new).await?;
        let notice = Notice::Created(Created::Invitation(invited.person.id));
        Ok(Made::at(here, notice).secret(link_of(&invited.invitation)))
    };
    match who.make(console, sent, made).await? {
        Ok(response) => Ok(response),
        Err(admin::Error::LoginTaken(..)) => {
            let (login, name) = (login.wrong(t.roles.login_taken), Field::of(name));
            again(page, Roles { login, name, ..it })
        }
        Err(error) => {
            let (login, name) = (login.wrong(refusal(error)?), Field::of(name));
            again(page, Roles { login, name, ..it })
        }
    }
}

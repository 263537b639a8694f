//! The people of the whole authority.

use super::{
    Answer, Console,
    confirm::{Wrong, asked},
    failure::Failure,
    ids::Ids,
    invitation::settled,
    make::Made,
    notice::Notice,
    render,
    roles::{empty, invitation_once, invite, line, link},
    sent::Sent,
    visit::{SignedIn, Visit, may},
};
use crate::authority::admin::{DrawnInvitation, ListedPerson};
use axum::{Extension, extract::State, response::Response};
use std::sync::Arc;
use tegata_console::{
    Crumb, Section,
    created::Created,
    html::Bdi,
    pages::{OwnInvitationPage, PageHead, PersonPage, PersonView, PersonalToken, Roles, RolesPage},
};
use tegata_policy::{
    acts::{AdminTokenRow, PersonRow},
    permission::{OperatorRole, Permission, RoleChange},
    secret::PlainSecret,
};
use tegata_store::SettingsTag;
use tegata_token::id::PersonId;

/// The address of the list.
pub const HERE: &str = "/console/people";

const ROLES: [(&str, OperatorRole); 3] = [
    ("administrator", OperatorRole::Administrator),
    ("on-call", OperatorRole::OnCall),
    ("auditor", OperatorRole::Auditor),
];

/// The role of this name; `none`: no role.
pub fn named(name: Option<&str>) -> Result<Option<OperatorRole>, Failure> {
    match name {
        Some("none") => Ok(None),
        name => {
            let found = ROLES.iter().find(|it| Some(it.0) == name).map(|it| Some(it.1));
            found.ok_or_else(|| Failure::bad_request("`role` is unknown"))
        }
    }
}

fn name_of(role: Option<OperatorRole>) -> &'static str {
    ROLES.iter().find(|it| Some(it.1) == role).map_or("", |it| it.0)
}

/// The tag of what is changed of a person.
fn seen(person: &PersonRow) -> String {
    SettingsTag::of_person(person).to_string()
}

/// The page.
pub async fn list(State(console): State<Arc<Console>>, who: SignedIn) -> Answer {
    let (page, mut it) = view(&who).await?;
    it.once = invitation_once(&console, &who, HERE)?;
    render(&RolesPage::new(page, it))
}

/// The list.
pub async fn view(who: &SignedIn) -> Result<(PageHead, Roles), Failure> {
    let people = who.admin.people(None).await?;
    let (frame, t) = (who.frame(), who.frame().t());
    let shown = |ListedPerson { person, invited_until, .. }: &ListedPerson| {
        let now = who.visit.now;
        let invited_until = invited_until.filter(|it| now < *it);
        tegata_console::pages::PersonLine {
            invited_until,
            ..line(who, person, name_of(person.operator), seen(person))
        }
    };
    let role = |(value, role): (&'static str, OperatorRole)| {
        (value, (t.frame.role)(role), (t.roles.operator_hint)(role))
    };
    let it = Roles {
        people: people.iter().map(shown).collect(),
        roles: ROLES.map(role).to_vec(),
        changes: may(who, Permission::ChangePerson, None, None),
        takes: may(who, Permission::DisablePerson, None, None),
        change: "/role",
        links: true,
        commands: vec![
            "tegata person list".to_owned(),
            "tegata person invite LOGIN --operator --role auditor".to_owned(),
        ],
        ..empty(HERE.to_owned())
    };
    Ok((PageHead::new(frame, Some(Section::People), t.frame.people), it))
}

/// Invites a person of the whole authority, or one without a role.
pub async fn invite_operator(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    sent: Sent,
) -> Answer {
    let role = named(sent.form()?.get("role"))?;
    let role = role.map(|role| RoleChange::Operator { role: Some(role) });
    let shown = view(&who).await?;
    invite(&console, &who, role, shown, &sent).await
}

/// One person.
pub async fn show(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<PersonId>,
) -> Answer {
    let found = who.admin.person(id).await?;
    let (t, person) = (who.frame().t(), &found.person);
    let own = line(&who, person, name_of(person.operator), seen(person));
    let (here, is_own) = (format!("{HERE}/{id}"), id == who.person.id);
    let it = PersonView {
        disabled: person.disabled,
        operator: person.operator,
        providers: person
            .providers
            .iter()
            .map(|(id, role)| (*id, (t.account.provider_role)(*role)))
            .collect(),
        channels: person
            .channels
            .iter()
            .map(|(id, role)| (*id, (t.account.channel_role)(*role)))
            .collect(),
        changes: may(&who, Permission::ChangePerson, None, None),
        disables: may(&who, Permission::DisablePerson, None, None),
        deletes_tokens: is_own || may(&who, Permission::DeleteOthersToken, None, None),
        tokens: personal_tokens(&who, id)?,
        identity: found.identity.as_ref().map(|it| it.identity.issuer.clone()),
        once: invitation_once(&console, &who, &here)?,
        person: own,
    };
    render(&PersonPage::new(who.frame(), it))
}

/// The personal tokens of a person.
pub fn personal_tokens(who: &SignedIn, of: PersonId) -> Result<Vec<PersonalToken>, Failure> {
    let all = who.admin.admin_tokens()?.into_iter().filter(|it| it.person == of);
    let line = |it: AdminTokenRow| PersonalToken {
        id: it.id,
        name: it.name,
        rights: it.rights,
        expires_at: it.expires_at,
    };
    Ok(all.map(line).collect())
}

/// What is done with a person after it is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Disable,
    Unlink,
    Reset,
    Delete,
}

async fn asking(
    console: &Console,
    who: &SignedIn,
    id: PersonId,
    deed: Deed,
    wrong: Wrong,
) -> Answer {
    let found = who.admin.person(id).await?;
    let needed = match deed {
        Deed::Disable | Deed::Unlink => Permission::DisablePerson,
        Deed::Reset => Permission::ResetPerson,
        Deed::Delete => Permission::DeletePerson,
    };
    if !may(who, needed, None, None) {
        return Err(Failure::forbidden());
    }
    if deed == Deed::Unlink && found.identity.is_none() {
        return Err(Failure::not_found());
    }
    let person = found.person;
    let t = who.frame().t();
    let name = Bdi(&person.name);
    let (heading, why, button, word) = match deed {
        Deed::Disable => {
            ((t.roles.disable_question)(name), t.roles.disable_why, t.roles.disable, "disable")
        }
        Deed::Unlink => {
            ((t.identity.unlink_others)(name), t.identity.unlink_why, t.identity.unlink, "unlink")
        }
        Deed::Reset => {
            let is_own = id == who.person.id;
            let why = if is_own { t.roles.reset_own_why } else { t.roles.reset_why };
            ((t.roles.reset_question)(name), why, t.roles.reset, "reset")
        }
        Deed::Delete => {
            ((t.roles.delete_question)(name), t.roles.delete_why, t.roles.delete, "delete")
        }
    };
    let here = format!("{HERE}/{id}");
    let crumbs = [
        Crumb::new(HERE, t.frame.people),
        Crumb::new(here.clone(), person.name.clone()),
        Crumb::new("", button),
    ];
    let page = PageHead::new(who.frame(), Some(Section::People), heading).below(crumbs);
    let mut act = who.act(format!("{here}/{word}"), button, wrong);
    act.waits = false;
    if deed == Deed::Reset && id == who.person.id {
        act.drawn = Some(console.authority.encrypted(&who.admin.draw_own_invitation()?)?);
    }
    act.keep = (here, t.roles.keep);
    act.commands = vec![format!("tegata person {word} {id}")];
    asked(page.lead(why), act)
}

/// Asks before a person is disabled.
pub async fn ask_disable(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<PersonId>,
) -> Answer {
    asking(&console, &who, id, Deed::Disable, Wrong::default()).await
}

/// Asks before a person's account at the identity provider is unlinked.
pub async fn ask_unlink(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<PersonId>,
) -> Answer {
    asking(&console, &who, id, Deed::Unlink, Wrong::default()).await
}

/// Asks before a person's sign-in is reset.
pub async fn ask_reset(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<PersonId>,
) -> Answer {
    asking(&console, &who, id, Deed::Reset, Wrong::default()).await
}

/// Asks before a person is deleted.
pub async fn ask_delete(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<PersonId>,
) -> Answer {
    asking(&console, &who, id, Deed::Delete, Wrong::default()).await
}

/// Disables a person.
pub async fn disable(
    State(console): State<Arc<Console>>,
    mut who: SignedIn,
    Ids(id): Ids<PersonId>,
    sent: Sent,
) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return asking(&console, &who, id, Deed::Disable, wrong).await,
    };
    let admin = who.admin.clone().because(options.reason);
    admin.change_person(id, None, Some(true), None).await?;
    Ok(who.done(Notice::Saved, &format!("{HERE}/{id}")))
}

/// Unlinks a person's account at the identity provider.
pub async fn unlink(
    State(console): State<Arc<Console>>,
    mut who: SignedIn,
    Ids(id): Ids<PersonId>,
    sent: Sent,
) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return asking(&console, &who, id, Deed::Unlink, wrong).await,
    };
    let admin = who.admin.clone().because(options.reason);
    let act = async move {
        admin.unlink_identity(id).await?;
        Ok(Made::at(format!("{HERE}/{id}"), Notice::Saved))
    };
    who.take_away(&sent, act).await
}

/// Enables a person.
pub async fn enable(who: SignedIn, Ids(id): Ids<PersonId>) -> Answer {
    who.admin.change_person(id, None, Some(false), None).await?;
    Ok(who.done(Notice::Saved, &format!("{HERE}/{id}")))
}

/// Resets a person's sign-in; the page shows the new invitation once.
pub async fn reset(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    who: Result<SignedIn, Failure>,
    Ids(id): Ids<PersonId>,
    sent: Sent,
) -> Answer {
    let drawn: Option<DrawnInvitation> = console.authority.opened(sent.form()?.get("drawn"))?;
    // The session may have ended with the same form, as by the first of two clicks.
    if let Some(page) = reset_before(&console, &visit, drawn.as_ref()).await? {
        return Ok(page);
    }
    let failure = match reset_now(&console, who, id, &sent, drawn.as_ref()).await {
        Ok(page) => return Ok(page),
        Err(failure) => failure,
    };
    let before = reset_before(&console, &visit, drawn.as_ref()).await?;
    before.ok_or(failure)
}

async fn reset_now(
    console: &Console,
    who: Result<SignedIn, Failure>,
    id: PersonId,
    sent: &Sent,
    drawn: Option<&DrawnInvitation>,
) -> Answer {
    let mut who = who?;
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return asking(console, &who, id, Deed::Reset, wrong).await,
    };
    let (admin, link_of) = (who.admin.clone().because(options.reason), link(console, &who.visit));
    if id == who.person.id {
        let invited = admin.reset_own(drawn).await?;
        return show_own(who.visit, &link_of(&invited.invitation));
    }
    let made = async move {
        let invited = admin.reset_person(id).await?;
        let notice = Notice::Created(Created::Invitation(id));
        Ok(Made::at(format!("{HERE}/{id}"), notice).secret(link_of(&invited.invitation)))
    };
    Ok(who.make(console, sent, made).await??)
}

/// The page that the same form has got before.
async fn reset_before(
    console: &Console,
    visit: &Visit,
    drawn: Option<&DrawnInvitation>,
) -> Result<Option<Response>, Failure> {
    let Some(drawn) = drawn else { return Ok(None) };
    let invitation = console.authority.reset_before(drawn).await?;
    let link = invitation.map(|it| link(console, visit)(&it));
    link.map(|it| show_own(visit.clone(), &it)).transpose()
}

/// Shows the link for one's own new sign-in. The session has ended with the old one, so no page
/// can follow.
fn show_own(visit: Visit, link: &PlainSecret) -> Answer {
    let frame = settled(&visit.signed_out());
    render(&OwnInvitationPage::new(frame, link.reveal().to_owned()))
}

/// Deletes a person.
pub async fn delete(
    State(console): State<Arc<Console>>,
    mut who: SignedIn,
    Ids(id): Ids<PersonId>,
    sent: Sent,
) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return asking(&console, &who, id, Deed::Delete, wrong).await,
    };
    let admin = who.admin.clone().because(options.reason);
    let act = async move {
        admin.delete_person(id).await?;
        Ok(Made::at(HERE.to_owned(), Notice::Deleted(0)))
    };
    who.take_away(&sent, act).await
}

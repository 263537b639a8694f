//! A person's role is changed or taken away after a page that says what the new one permits.

use super::{
    Answer, channel,
    confirm::{Wrong, asked},
    failure::Failure,
    ids::Ids,
    make::Made,
    notice::Notice,
    people,
    roles::{Place, view},
    sent::Sent,
    visit::{SignedIn, may},
};
use crate::api::form::Form;
use axum::extract::RawQuery;
use tegata_console::{
    Crumb,
    html::{Bdi, Html},
    pages::{Note, PageHead, Roles},
};
use tegata_policy::permission::{Permission, RoleChange};
use tegata_token::id::{ChannelId, PersonId, ProviderId};

/// The value of no role in forms.
pub const NONE: &str = "none";

/// The role that an address or a form names.
fn role<'a>(form: &'a Form<'_>) -> &'a str {
    form.get("role").unwrap_or(NONE)
}

/// A change of one person's role.
struct RoleQuestion<'a> {
    person: PersonId,
    /// The value of the new role in forms.
    to: &'a str,
    /// Where the form goes.
    action: String,
    commands: Vec<String>,
}

/// The page before the change of the role of a person in this list.
fn ask(
    who: &SignedIn,
    (page, list): (PageHead, Roles),
    it: RoleQuestion<'_>,
    wrong: Wrong,
) -> Answer {
    if !(list.changes || list.takes && it.to == NONE) {
        return Err(Failure::forbidden());
    }
    let person = list.people.iter().find(|one| one.id == it.person);
    let person = person.ok_or_else(Failure::not_found)?;
    let t = &who.frame().t().roles;
    let name = Bdi(&person.name);
    let new = list.roles.iter().find(|role| role.0 == it.to);
    let (heading, lead, button): (Html, Html, _) = match new {
        Some((_, role, hint)) => ((t.change_question)(name, role), (*hint).into(), t.change),
        None if it.to == NONE => ((t.take_question)(name), t.take_why.into(), t.take),
        None => return Err(Failure::bad_request("`role` is unknown")),
    };
    let mut act = who.act(it.action, button, wrong);
    act.waits = false;
    act.hidden = vec![("role", it.to.to_owned()), ("seen", person.seen.clone())];
    act.keep = (list.here.clone(), t.keep);
    act.commands = it.commands;
    if person.own {
        let heading: Html = t.own.into();
        act.notes = vec![Note { class: "warn", heading, text: t.own_why.into() }];
    }
    let mut crumbs = page.crumbs;
    // The last one is where the list is, and has no address of its own in it.
    crumbs.push(Crumb::new(list.here, t.title));
    crumbs.push(Crumb::new("", button));
    let page = PageHead { heading, tabs: None, facts: Vec::new(), crumbs, ..page };
    asked(page.lead(lead), act)
}

async fn ask_in(who: &SignedIn, place: Place, person: PersonId, to: &str, wrong: Wrong) -> Answer {
    let shown = view(who, place).await?;
    let scope = place.scope();
    let commands = match to {
        NONE => vec![format!("tegata person set-role {person} {scope} --remove")],
        role => vec![format!("tegata person set-role {person} {scope} {role}")],
    };
    let action = format!("{}/{person}", place.here());
    ask(who, shown, RoleQuestion { person, to, action, commands }, wrong)
}

async fn ask_operator(who: &SignedIn, person: PersonId, to: &str, wrong: Wrong) -> Answer {
    // First, so that a person without this permission learns of no id.
    who.admin.person(person).await?;
    let shown = people::view(who).await?;
    let commands = match to {
        NONE => vec![format!("tegata person set-role {person} --operator --remove")],
        role => vec![format!("tegata person set-role {person} --operator {role}")],
    };
    let action = format!("{}/{person}/role", people::HERE);
    ask(who, shown, RoleQuestion { person, to, action, commands }, wrong)
}

/// Asks before a role in a channel is changed.
pub async fn ask_in_channel(
    who: SignedIn,
    Ids((id, person)): Ids<(ChannelId, PersonId)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    ask_in(&who, Place::Channel(id), person, role(&query), Wrong::default()).await
}

/// Asks before a role in a provider is changed.
pub async fn ask_in_provider(
    who: SignedIn,
    Ids((id, person)): Ids<(ProviderId, PersonId)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    ask_in(&who, Place::Provider(id), person, role(&query), Wrong::default()).await
}

/// Asks before a role in the whole authority is changed.
pub async fn ask_in_authority(
    who: SignedIn,
    Ids(person): Ids<PersonId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    ask_operator(&who, person, role(&query), Wrong::default()).await
}

/// Changes a person's role in a channel, or takes it away.
pub async fn change_in_channel(
    who: SignedIn,
    Ids((id, person)): Ids<(ChannelId, PersonId)>,
    sent: Sent,
) -> Answer {
    change(who, Place::Channel(id), person, sent).await
}

/// Changes a person's role in a provider, or takes it away.
pub async fn change_in_provider(
    who: SignedIn,
    Ids((id, person)): Ids<(ProviderId, PersonId)>,
    sent: Sent,
) -> Answer {
    change(who, Place::Provider(id), person, sent).await
}

async fn change(mut who: SignedIn, place: Place, person: PersonId, sent: Sent) -> Answer {
    let form = sent.form()?;
    let change = place.change(Some(role(&form)))?;
    let options = match who.agreed(&form).await? {
        Ok(options) => options,
        Err(wrong) => return ask_in(&who, place, person, role(&form), wrong).await,
    };
    let admin = who.as_seen(&form).because(options.reason);
    // The person may have given up what the page needs.
    let here = if person == who.person.id { "/console".to_owned() } else { place.here() };
    let act = async move {
        admin.set_role(person, change).await?;
        Ok(Made::at(here, Notice::Saved))
    };
    who.take_away(&sent, act).await
}

/// Changes the role of a person in the whole authority, or takes it away.
pub async fn change_in_authority(
    mut who: SignedIn,
    Ids(person): Ids<PersonId>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let new = people::named(Some(role(&form)))?;
    let options = match who.agreed(&form).await? {
        Ok(options) => options,
        Err(wrong) => return ask_operator(&who, person, role(&form), wrong).await,
    };
    let admin = who.as_seen(&form).because(options.reason);
    let here = if person == who.person.id { "/console" } else { people::HERE };
    let act = async move {
        admin.change_person(person, None, None, Some(new)).await?;
        Ok(Made::at(here.to_owned(), Notice::Saved))
    };
    who.take_away(&sent, act).await
}

/// Asks before a person gives up their own role in a channel, of which the person need not see the
/// roles.
pub async fn ask_leave(who: SignedIn, Ids(id): Ids<ChannelId>) -> Answer {
    asking_leave(&who, id, Wrong::default()).await
}

async fn asking_leave(who: &SignedIn, id: ChannelId, wrong: Wrong) -> Answer {
    let (head, _) = channel::head(who, id).await?;
    if !may(who, Permission::LeaveChannel, Some(head.provider), Some(id)) {
        return Err(Failure::forbidden());
    }
    let t = &who.frame().t().roles;
    let mut act = who.act(head.at("/leave"), t.leave, wrong);
    act.waits = false;
    act.keep = (head.at(""), t.keep);
    act.commands =
        vec![format!("tegata person set-role {} --channel {id} --remove", who.person.id)];
    let page = head.below(who.frame(), (t.leave_question)(Bdi(&head.name)), t.leave);
    asked(page.lead(t.own_why), act)
}

/// Gives up one's own role in a channel.
pub async fn leave(mut who: SignedIn, Ids(id): Ids<ChannelId>, sent: Sent) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return asking_leave(&who, id, wrong).await,
    };
    let none = RoleChange::Channel { channel: id, role: None };
    let (admin, own) = (who.admin.clone().because(options.reason), who.person.id);
    let act = async move {
        admin.set_role(own, none).await?;
        Ok(Made::at("/console".to_owned(), Notice::Saved))
    };
    who.take_away(&sent, act).await
}

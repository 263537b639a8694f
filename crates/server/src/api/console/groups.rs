//! The groups of a channel: slots and rotations, settings, deletion.

use super::{
    Answer, channel,
    confirm::{Wrong, asked, table},
    failure::Failure,
    ids::Ids,
    notice::Notice,
    render, render_wrong,
    sent::Sent,
    shown::line,
    tokens::active,
    visit::SignedIn,
};
use crate::{
    api::form::Form,
    authority::admin::{ActOptions, ChannelWithUse},
};
use tegata_console::{
    forms::Field,
    html::{Bdi, Html},
    pages::{
        ActToConfirm, ChannelHead, ChannelTab, GroupForm, GroupPage, GroupsPage, Note, ShownGroup,
        ShownToken, revoke_href,
    },
};
use tegata_policy::rules::{CAP, WhenFull};
use tegata_store::{GroupPatch, GroupRow, SettingsTag};
use tegata_token::id::{ChannelId, Group};

/// All groups.
pub async fn list(who: SignedIn, Ids(channel): Ids<ChannelId>) -> Answer {
    let found = who.admin.channel_with_tokens(channel).await?;
    let rows = who.admin.groups_of(&found).await?;
    let head = channel::head_of(&who, &found).await?;
    let tokens = active(&found);
    let groups = rows.iter().map(|row| shown_group(&found, &tokens, row)).collect();
    let page = head.page(who.frame(), ChannelTab::Groups);
    render(&GroupsPage::new(page, channel, groups))
}

fn shown_group(found: &ChannelWithUse, tokens: &[ShownToken], row: &GroupRow) -> ShownGroup {
    let channel = &found.holding.channel;
    let rule = channel.rule_of(&row.group);
    let of = tokens.iter().filter(|it| it.group.as_ref() == Some(&row.group));
    ShownGroup {
        channel: channel.id,
        group: row.group.clone(),
        contact: row.settings.contact.clone(),
        cap: rule.cap,
        when_full: rule.when_full,
        own: row.settings.cap.is_some() || row.settings.when_full.is_some(),
        keys: row.assertion_keys,
        tokens: of.cloned().collect(),
    }
}

/// A group of an address, with the head of its channel's pages.
async fn found(
    who: &SignedIn,
    channel: ChannelId,
    group: &Group,
) -> Result<(ChannelHead, ChannelWithUse, GroupRow), Failure> {
    let found = who.admin.channel_with_tokens(channel).await?;
    let rows = who.admin.groups_of(&found).await?;
    let row = rows.into_iter().find(|it| it.group == *group).ok_or_else(Failure::not_found)?;
    let head = channel::head_of(who, &found).await?;
    Ok((head, found, row))
}

/// One group, with the form of its settings.
pub async fn show(who: SignedIn, Ids((channel, group)): Ids<(ChannelId, Group)>) -> Answer {
    let (head, found, row) = found(&who, channel, &group).await?;
    let form = GroupForm {
        seen: SettingsTag::of_group(&row.settings).to_string(),
        contact: Field::of(row.settings.contact.clone().unwrap_or_default()),
        cap: Field::of(row.settings.cap.map(|it| it.to_string()).unwrap_or_default()),
        when_full: row.settings.when_full,
        channel_cap: found.holding.channel.group_rule.cap,
    };
    render(&page(&who, &head, &found, &row, form))
}

fn page(
    who: &SignedIn,
    head: &ChannelHead,
    found: &ChannelWithUse,
    row: &GroupRow,
    form: GroupForm,
) -> GroupPage {
    let tokens = active(found);
    let page = head.page(who.frame(), ChannelTab::Groups);
    GroupPage::new(page, shown_group(found, &tokens, row), form)
}

/// Saves the settings.
pub async fn set(
    who: SignedIn,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    sent: Sent,
) -> Answer {
    let (head, found, row) = found(&who, channel, &group).await?;
    let form = sent.form()?;
    let (patch, entered) = settings(&form, &who, found.holding.channel.group_rule.cap)?;
    let Some(patch) = patch else {
        return render_wrong(&page(&who, &head, &found, &row, entered));
    };
    who.as_seen(&form).change_group(head.id, row.group.clone(), patch).await?;
    Ok(who.done(Notice::Saved, &head.at(&format!("/groups/{}", row.group))))
}

/// The settings that a form sent; none if a field cannot be accepted, which the form then
/// shows.
fn settings(
    form: &Form<'_>,
    who: &SignedIn,
    channel_cap: usize,
) -> Result<(Option<GroupPatch>, GroupForm), Failure> {
    let frame = who.frame();
    let t = &frame.t().groups;
    let entered = |name: &str| form.get(name).unwrap_or_default().trim().to_owned();
    let (contact, cap) = (entered("contact"), entered("cap"));
    let when_full = match form.get("when_full") {
        None => None,
        Some("evict-oldest") => Some(WhenFull::EvictOldest),
        Some("deny") => Some(WhenFull::Deny),
        Some(other) => return Err(Failure::bad_request(format_args!("when_full {other:?}"))),
    };
    let wanted = (!contact.is_empty()).then(|| line(&contact, 200));
    let number = (!cap.is_empty()).then(|| cap.parse().ok().filter(|it| (1..=CAP).contains(it)));
    let mark = |text: String, wrong: bool, why: &'static str| {
        let field = Field::of(text);
        if wrong { field.wrong(why) } else { field }
    };
    let wrong = (matches!(wanted, Some(None)), matches!(number, Some(None)));
    let patch = (wrong == (false, false)).then(|| GroupPatch {
        contact: Some(wanted.flatten()),
        cap: Some(number.flatten()),
        when_full: Some(when_full),
    });
    let entered = GroupForm {
        seen: form.get("seen").unwrap_or_default().to_owned(),
        contact: mark(contact, wrong.0, t.contact_wrong),
        cap: mark(cap, wrong.1, t.cap_wrong),
        when_full,
        channel_cap,
    };
    Ok((patch, entered))
}

/// Lists what the deletion of a group takes away, and asks.
pub async fn review(who: SignedIn, Ids((channel, group)): Ids<(ChannelId, Group)>) -> Answer {
    ask(&who, channel, &group, Wrong::default()).await
}

async fn ask(who: &SignedIn, channel: ChannelId, group: &Group, wrong: Wrong) -> Answer {
    let (head, found, row) = found(who, channel, group).await?;
    let rehearsal = ActOptions::rehearsal();
    let would =
        who.admin.delete_group(head.id, row.group.clone(), &rehearsal).await?.rehearsed()?;
    let it = shown_group(&found, &[], &row);
    let frame = who.frame();
    let t = frame.t();
    let mut notes = vec![Note {
        class: "warn",
        heading: Html::text(&(t.groups.keys)(it.keys)),
        text: t.review.keys_go.into(),
    }];
    if let Some(contact) = &it.contact {
        let heading = t.token.contact.into();
        notes.push(Note { class: "", heading, text: Html::trusted(Bdi(contact).to_string()) });
    }
    let command = format!("tegata group delete --channel {} {}", head.id, row.group);
    let question = (t.review.delete_group)(would.tokens, Bdi(row.group.as_str()));
    let act = ActToConfirm {
        notes,
        tokens: Some(table(&would)),
        keep: (it.href(), t.review.keep_group),
        commands: vec![format!("{command} --dry-run"), command],
        alternatives: vec![(
            revoke_href(head.id, "group", row.group.as_str()),
            (t.review.revoke_group)(0, Bdi(row.group.as_str())),
        )],
        ..who.act(format!("{}/delete", it.href()), t.review.delete_group_do, wrong)
    };
    let page = head.below(frame, question, t.review.delete_group_do).lead(t.confirm.nothing_yet);
    asked(page, act)
}

/// Deletes a group.
pub async fn delete(
    mut who: SignedIn,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let options = match who.agreed(&form).await? {
        Ok(options) => options,
        Err(wrong) => return ask(&who, channel, &group, wrong).await,
    };
    let admin = who.admin.clone();
    let act = async move { admin.delete_group(channel, group, &options).await };
    who.delete(&sent, act, format!("/console/channels/{channel}/groups")).await
}

//! The channel secret: rotated, and the previous one deleted.

use super::head;
use crate::{
    api::{
        console::{
            Answer, Console,
            confirm::{Wrong, asked, table},
            failure::Failure,
            ids::Ids,
            make::Made,
            notice::Notice,
            sent::Sent,
            visit::SignedIn,
        },
        form::Form,
    },
    authority::admin::{ActOptions, DryRun},
};
use axum::extract::{RawQuery, State};
use std::sync::Arc;
use tegata_console::{
    html::{Bdi, Html},
    pages::Note,
};
use tegata_policy::channel::RevokeTokens;
use tegata_token::{id::ChannelId, time::DAY};

/// How a secret is rotated.
#[derive(Clone, Copy)]
struct Rotation {
    keep: i64,
    revoke: RevokeTokens,
}

const REVOKE: [(&str, RevokeTokens); 3] = [
    ("none", RevokeTokens::None),
    ("by-secret", RevokeTokens::BySecret),
    ("all", RevokeTokens::All),
];

impl Rotation {
    fn of(form: &Form<'_>) -> Result<Self, Failure> {
        let keep = form.get("keep").unwrap_or("0").parse().ok();
        let keep = keep.filter(|it| (0..=DAY).contains(it));
        let keep = keep.ok_or_else(|| Failure::bad_request("`keep` must be from 0 to 86400"))?;
        let wanted = form.get("revoke").unwrap_or("none");
        let revoke = REVOKE.iter().find(|it| it.0 == wanted).map(|it| it.1);
        let revoke = revoke.ok_or_else(|| Failure::bad_request("`revoke` is unknown"))?;
        Ok(Self { keep, revoke })
    }

    fn revoke_name(self) -> &'static str {
        REVOKE.iter().find(|it| it.1 == self.revoke).map_or("none", |it| it.0)
    }
}

/// Asks before a secret is rotated.
pub async fn ask(who: SignedIn, Ids(id): Ids<ChannelId>, RawQuery(query): RawQuery) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    asking(&who, id, Rotation::of(&query)?, Wrong::default()).await
}

async fn asking(who: &SignedIn, id: ChannelId, how: Rotation, wrong: Wrong) -> Answer {
    let (head, _) = head(who, id).await?;
    let options = ActOptions::rehearsal();
    let found = who.admin.replace_secret(id, how.keep, how.revoke, &options).await?.rehearsed()?;
    let (frame, t) = (who.frame(), &who.frame().t().basic);
    let heading = (t.rotate_question)(Bdi(&head.name), found.tokens);
    let lead: Html = match how.keep {
        0 => t.rotate_lead_now.into(),
        keep => (t.rotate_lead)(&frame.times().length(keep)).into(),
    };
    let mut act = who.act(head.at("/secret/rotate"), t.rotate, wrong);
    act.hidden = vec![("keep", how.keep.to_string()), ("revoke", how.revoke_name().to_owned())];
    act.notes = notes(who, &found);
    // Verifiers hold no secrets: they learn only of the tokens that it revokes.
    act.waits = how.revoke != RevokeTokens::None;
    act.tokens = (how.revoke != RevokeTokens::None).then(|| table(&found));
    act.keep = (head.at(""), t.rotate_keep);
    let revoke = match how.revoke {
        RevokeTokens::None => String::new(),
        _ => format!(" --revoke-tokens {}", how.revoke_name()),
    };
    let command = format!("tegata channel rotate-secret {id} --keep-previous {}{revoke}", how.keep);
    act.commands = vec![format!("{command} --dry-run"), command];
    let page = head.below(frame, heading, t.rotate).lead(lead);
    asked(page, act)
}

fn notes(who: &SignedIn, found: &DryRun) -> Vec<Note> {
    let t = &who.frame().t().basic;
    let note = || Note { class: "bad", heading: t.in_use.into(), text: t.in_use_why.into() };
    found.previous_in_use.unwrap_or_default().then(note).into_iter().collect()
}

/// Rotates a secret; the page shows the new one once.
pub async fn rotate(
    State(console): State<Arc<Console>>,
    mut who: SignedIn,
    Ids(id): Ids<ChannelId>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let how = Rotation::of(&form)?;
    let options = match who.agreed(&form).await? {
        Ok(options) => options,
        Err(wrong) => return asking(&who, id, how, wrong).await,
    };
    let admin = who.admin.clone();
    let made = async move {
        let outcome = admin.replace_secret(id, how.keep, how.revoke, &options).await?;
        let (new, taken) = outcome.done()?;
        let notice = match taken.tokens {
            None | Some(0) => Notice::Saved,
            Some(tokens) => Notice::Revoked(tokens),
        };
        Ok(Made::at(format!("/console/channels/{id}"), notice).secret(new.secret))
    };
    Ok(who.make(&console, &sent, made).await??)
}

/// Asks before the previous secret is deleted.
pub async fn ask_delete_previous(who: SignedIn, Ids(id): Ids<ChannelId>) -> Answer {
    asking_previous(&who, id, Wrong::default()).await
}

async fn asking_previous(who: &SignedIn, id: ChannelId, wrong: Wrong) -> Answer {
    let (head, _) = head(who, id).await?;
    let rehearsal = ActOptions::rehearsal();
    let found = who.admin.delete_previous_secret(id, &rehearsal).await?.rehearsed()?;
    let t = &who.frame().t().basic;
    let mut act = who.act(head.at("/secret/previous/delete"), t.previous_button, wrong);
    act.notes = notes(who, &found);
    act.waits = false;
    act.keep = (head.at(""), t.previous_keep);
    act.commands = ["--dry-run ", ""]
        .map(|it| format!("tegata channel delete-previous-secret {it}{id}"))
        .to_vec();
    let heading = (t.previous_question)(Bdi(&head.name));
    let page = head.below(who.frame(), heading, t.previous_button).lead(t.previous_lead);
    asked(page, act)
}

/// Deletes the previous secret.
pub async fn delete_previous(mut who: SignedIn, Ids(id): Ids<ChannelId>, sent: Sent) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return asking_previous(&who, id, wrong).await,
    };
    who.admin.delete_previous_secret(id, &options).await?;
    Ok(who.done(Notice::Deleted(0), &format!("/console/channels/{id}")))
}

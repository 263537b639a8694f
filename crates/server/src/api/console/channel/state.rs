//! A channel suspended, resumed and deleted.

use super::head;
use crate::{
    api::console::{
        Answer,
        confirm::{Wrong, asked, table},
        ids::Ids,
        notice::Notice,
        sent::Sent,
        visit::SignedIn,
    },
    authority::admin::ActOptions,
};
use tegata_console::{html::Bdi, pages::TokenTable};
use tegata_store::ChannelPatch;
use tegata_token::{id::ChannelId, view::ChannelState};

fn to(state: ChannelState) -> ChannelPatch {
    ChannelPatch { state: Some(state), ..ChannelPatch::default() }
}

/// Asks before a channel is suspended.
pub async fn ask_suspend(who: SignedIn, Ids(id): Ids<ChannelId>) -> Answer {
    asking_suspend(&who, id, Wrong::default()).await
}

async fn asking_suspend(who: &SignedIn, id: ChannelId, wrong: Wrong) -> Answer {
    let (head, _) = head(who, id).await?;
    let (patch, options) = (to(ChannelState::Suspended), ActOptions::rehearsal());
    let found = who.admin.change_channel(id, patch, &options).await?.rehearsed()?;
    let t = &who.frame().t().basic;
    let mut act = who.act(head.at("/suspend"), t.suspend, wrong);
    act.tokens = Some(TokenTable { suspends: true, ..table(&found) });
    act.keep = (head.at(""), t.suspend_keep);
    act.commands = ["--dry-run ", ""].map(|it| format!("tegata channel suspend {it}{id}")).to_vec();
    let heading = (t.suspend_question)(Bdi(&head.name), found.tokens);
    let page = head.below(who.frame(), heading, t.suspend).lead(t.suspend_lead);
    asked(page, act)
}

/// Suspends a channel.
pub async fn suspend(mut who: SignedIn, Ids(id): Ids<ChannelId>, sent: Sent) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return asking_suspend(&who, id, wrong).await,
    };
    let outcome = who.admin.change_channel(id, to(ChannelState::Suspended), &options).await?;
    who.took(outcome, |_| Notice::Saved, &format!("/console/channels/{id}")).await
}

/// Resumes a channel.
pub async fn resume(who: SignedIn, Ids(id): Ids<ChannelId>) -> Answer {
    who.admin.change_channel(id, to(ChannelState::Active), &ActOptions::default()).await?;
    Ok(who.done(Notice::Saved, &format!("/console/channels/{id}")))
}

/// Asks before a channel is deleted.
pub async fn ask_delete(who: SignedIn, Ids(id): Ids<ChannelId>) -> Answer {
    asking_delete(&who, id, Wrong::default()).await
}

async fn asking_delete(who: &SignedIn, id: ChannelId, wrong: Wrong) -> Answer {
    let (head, _) = head(who, id).await?;
    let found = who.admin.delete_channel(id, &ActOptions::rehearsal()).await?.rehearsed()?;
    let t = &who.frame().t().basic;
    let mut act = who.act(head.at("/delete"), t.delete, wrong);
    act.tokens = Some(table(&found));
    act.keep = (head.at(""), t.delete_keep);
    act.commands = ["--dry-run ", ""].map(|it| format!("tegata channel delete {it}{id}")).to_vec();
    act.alternatives = vec![(head.at("/suspend"), t.suspend_instead.into())];
    let heading = (t.delete_question)(Bdi(&head.name), found.tokens);
    let page = head.below(who.frame(), heading, t.delete).lead(t.delete_lead);
    asked(page, act)
}

/// Deletes a channel.
pub async fn delete(mut who: SignedIn, Ids(id): Ids<ChannelId>, sent: Sent) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return asking_delete(&who, id, wrong).await,
    };
    let admin = who.admin.clone();
    let act = async move { admin.delete_channel(id, &options).await };
    who.delete(&sent, act, "/console".to_owned()).await
}

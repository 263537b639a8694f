//! Assertion keys: registered and deleted.

use super::{
    basic::{again, view},
    head,
};
use crate::{
    api::{
        console::{
            Answer, Console,
            confirm::{Wrong, asked, table},
            failure::{Failure, refusal},
            ids::Ids,
            make::Made,
            notice::Notice,
            sent::Sent,
            visit::SignedIn,
        },
        form::Form,
    },
    authority::admin::{self, ActOptions},
};
use axum::extract::{RawQuery, State};
use std::sync::Arc;
use tegata_client::public_key::public_jwk;
use tegata_console::{created::Created, forms::Field, html::Id, pages::Basic, pieces::sentence};
use tegata_policy::{
    jwk::{AssertionKey, is_private_text},
    rules::ASSERTION_KEYS,
};
use tegata_store::Error;
use tegata_token::id::{AssertionKeyId, ChannelId, Group};

/// Registers a public key, as JWK or PEM.
pub async fn register(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<ChannelId>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let t = &who.frame().t().basic;
    let text = form.get("key").unwrap_or_default();
    let entered = form.get("group").unwrap_or_default().trim();
    let group = match entered {
        "" => Ok(None),
        name => name.parse::<Group>().map(Some),
    };
    let (key, group) = match (read(text), group) {
        (Ok(key), Ok(group)) => (key, group),
        (key, group) => {
            let why = match key {
                Err(_) if is_private_text(text) => Some(t.private_key.to_owned()),
                key => key.err().map(|why| sentence(&why)),
            };
            let key = Field { wrong: why, ..Field::default() };
            let wrong = group.is_err().then(|| t.group_wrong.to_owned());
            let group = Field { wrong, ..Field::of(entered) };
            return again(&who, Basic { key, group, ..view(&who, id).await? });
        }
    };
    let (admin, of) = (who.admin.clone(), group.clone());
    let made = async move {
        let kid = admin.register_key(id, key, of).await?;
        let notice = Notice::Created(Created::Key(kid));
        Ok(Made::at(format!("/console/channels/{id}"), notice))
    };
    match who.make(&console, &sent, made).await? {
        Ok(response) => Ok(response),
        Err(error) => not_registered(&who, view(&who, id).await?, group, error),
    }
}

/// The page again, with why the channel cannot have the key.
fn not_registered(who: &SignedIn, it: Basic, group: Option<Group>, error: admin::Error) -> Answer {
    let t = &who.frame().t().basic;
    let entered = Field::of(group.as_ref().map(Group::to_string).unwrap_or_default());
    let same_group = it.keys.iter().filter(|key| key.group == group).count();
    match error {
        admin::Error::Store(Error::Conflict(_)) if same_group < ASSERTION_KEYS => {
            let key = Field::default().wrong(t.key_there);
            again(who, Basic { key, group: entered, ..it })
        }
        admin::Error::Store(Error::Conflict(_)) => {
            again(who, Basic { group: entered.wrong(t.group_full), ..it })
        }
        error => again(who, Basic { group: entered.wrong(refusal(error)?), ..it }),
    }
}

/// The public key in a text; the error quotes nothing of it.
fn read(text: &str) -> Result<AssertionKey, String> {
    let jwk = public_jwk(text.as_bytes()).map_err(|it| it.to_string())?;
    AssertionKey::from_jwk(jwk.to_string().as_bytes()).map_err(|it| it.to_string())
}

/// Whether the tokens of a key are revoked, too.
fn with_tokens(form: &Form<'_>) -> bool {
    form.get("tokens") == Some("revoke")
}

/// Asks before a key is deleted.
pub async fn ask(
    who: SignedIn,
    Ids((id, kid)): Ids<(ChannelId, AssertionKeyId)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    asking(&who, (id, kid), with_tokens(&query), Wrong::default()).await
}

async fn asking(
    who: &SignedIn,
    (id, kid): (ChannelId, AssertionKeyId),
    revoke: bool,
    wrong: Wrong,
) -> Answer {
    let (head, _) = head(who, id).await?;
    let found =
        who.admin.delete_key(id, kid, revoke, &ActOptions::rehearsal()).await?.rehearsed()?;
    let t = &who.frame().t().basic;
    let here = head.at(&format!("/keys/{kid}/delete"));
    let mut act = who.act(here.clone(), (t.key_button)(found.tokens), wrong);
    act.tokens = revoke.then(|| table(&found));
    act.keep = (head.at(""), t.key_keep);
    let mut command = format!("tegata key delete --channel {id} {kid}");
    if revoke {
        act.hidden = vec![("tokens", "revoke".to_owned())];
        act.alternatives = vec![(here, t.key_alone.into())];
        command.push_str(" --revoke-tokens");
    } else {
        act.alternatives = vec![(format!("{here}?tokens=revoke"), t.key_with_tokens.into())];
    }
    act.commands = vec![format!("{command} --dry-run"), command];
    let heading = (t.key_question)(Id(kid), found.tokens);
    let page = head.below(who.frame(), heading, t.key_name).lead(t.key_lead);
    asked(page, act)
}

/// Deletes a key.
pub async fn delete(
    mut who: SignedIn,
    Ids((id, kid)): Ids<(ChannelId, AssertionKeyId)>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let revoke = with_tokens(&form);
    let options = match who.agreed(&form).await? {
        Ok(options) => options,
        Err(wrong) => return asking(&who, (id, kid), revoke, wrong).await,
    };
    let admin = who.admin.clone();
    let act = async move { admin.delete_key(id, kid, revoke, &options).await };
    who.delete(&sent, act, format!("/console/channels/{id}")).await
}

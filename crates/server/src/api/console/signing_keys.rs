//! The keys that sign tokens: the list, rotation, revocation.

use super::{
    Answer, Console,
    confirm::{Wrong, asked, table},
    failure::Failure,
    ids::Ids,
    make::Made,
    notice::Notice,
    render,
    sent::Sent,
    visit::{SignedIn, may},
};
use crate::authority::admin::{ActOptions, Anywhere};
use axum::extract::State;
use std::sync::Arc;
use tegata_console::{
    created::Created,
    html::Id,
    pages::{ActToConfirm, Acts, Note, ShownKey, SigningKeysPage, below_keys},
};
use tegata_policy::permission::Permission;
use tegata_token::id::SigningKeyId;

const LIST: &str = "/console/signing-keys";

/// All signing keys.
pub async fn list(who: SignedIn) -> Answer {
    let keys = who.admin.signing_keys().await?.into_iter();
    let keys = keys.map(|it| ShownKey { id: it.id, state: it.state, created: it.created_at });
    let acts = Acts {
        change: may(&who, Permission::RotateSigningKeys, None, None),
        take: may(&who, Permission::RevokeSigningKeys, None, None),
    };
    render(&SigningKeysPage::new(who.frame(), keys.collect(), acts))
}

/// Explains what a rotation does, and asks.
pub async fn review_rotate(who: SignedIn) -> Answer {
    ask_rotate(&who, Wrong::default()).await
}

async fn ask_rotate(who: &SignedIn, wrong: Wrong) -> Answer {
    who.admin.signing_keys().await?;
    let frame = who.frame();
    let t = frame.t();
    let note =
        Note { class: "", heading: t.confirm.nothing_yet.into(), text: t.review.rotate_why.into() };
    let act = ActToConfirm {
        notes: vec![note],
        waits: false,
        takes: false,
        keep: (LIST.to_owned(), t.review.do_not_rotate),
        commands: vec!["tegata signing-key rotate".to_owned()],
        ..who.act(format!("{LIST}/rotate"), t.review.rotate_do, wrong)
    };
    let question = t.review.rotate_signing_key.into();
    asked(below_keys(frame, question, t.review.rotate_do), act)
}

/// Begins a rotation.
pub async fn rotate(State(console): State<Arc<Console>>, mut who: SignedIn, sent: Sent) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return ask_rotate(&who, wrong).await,
    };
    let admin = who.admin.clone().because(options.reason);
    let made = async move {
        let key = admin.rotate_signing_keys().await?;
        Ok(Made::at(LIST.to_owned(), Notice::Created(Created::SigningKey(key.id))))
    };
    Ok(who.make(&console, &sent, made).await??)
}

/// Lists what the revocation of a key takes away, and asks.
pub async fn review_revoke(who: SignedIn, Ids(key): Ids<SigningKeyId>) -> Answer {
    ask(&who, key, Wrong::default()).await
}

async fn ask(who: &SignedIn, key: SigningKeyId, wrong: Wrong) -> Answer {
    let known = who.admin.signing_keys().await?;
    if !known.iter().any(|it| it.id == key) {
        return Err(Failure::not_found());
    }
    let would = who.admin.revoke(Anywhere::SigningKey(key), &ActOptions::rehearsal()).await?;
    let would = would.rehearsed()?;
    let frame = who.frame();
    let t = frame.t();
    let command = format!("tegata signing-key revoke {key}");
    let act = ActToConfirm {
        notes: vec![Note {
            class: "bad",
            heading: t.review.not_undone.into(),
            text: t.review.revoke_signing_key_why.into(),
        }],
        tokens: Some(table(&would)),
        keep: (LIST.to_owned(), t.review.keep_key),
        commands: vec![format!("{command} --dry-run"), command],
        alternatives: vec![(format!("{LIST}/rotate"), t.review.rotate_do.into())],
        ..who.act(format!("{LIST}/{key}/revoke"), t.review.revoke_key_do, wrong)
    };
    let question = (t.review.revoke_signing_key)(would.tokens, Id(key));
    asked(below_keys(frame, question, t.review.revoke_key_do), act)
}

/// Revokes a key, and all tokens that it signed.
pub async fn revoke(mut who: SignedIn, Ids(key): Ids<SigningKeyId>, sent: Sent) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return ask(&who, key, wrong).await,
    };
    let outcome = who.admin.revoke(Anywhere::SigningKey(key), &options).await?;
    who.took(outcome, Notice::Revoked, LIST).await
}

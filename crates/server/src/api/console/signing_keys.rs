//! The keys that sign tokens: the list, rotation, revocation.

use super::{
    Answer,
    failure::Failure,
    notice::Notice,
    render,
    revoke::to_receipt,
    sent::Sent,
    shown::{self, id},
    visit::SignedIn,
};
use crate::authority::admin::{ActOptions, Anywhere, Outcome};
use axum::extract::Path;
use tegata_console::{
    forms::Field,
    html::Id,
    pages::{Act, ConfirmPage, Note, ShownKey, SigningKeysPage, below_keys},
};
use tegata_token::id::SigningKeyId;

const LIST: &str = "/console/signing-keys";

/// All signing keys.
pub async fn list(who: SignedIn) -> Answer {
    let keys = who.admin.signing_keys().await?.into_iter();
    let keys = keys.map(|it| ShownKey { id: it.id, state: it.state, created: it.created_at });
    render(&SigningKeysPage::new(who.frame(), keys.collect()))
}

/// Explains what a rotation does, and asks.
pub async fn review_rotate(who: SignedIn) -> Answer {
    who.admin.signing_keys().await?;
    let frame = who.frame();
    let t = frame.t();
    let act = Act {
        action: format!("{LIST}/rotate"),
        hidden: Vec::new(),
        notes: vec![Note {
            class: "",
            heading: t.confirm.nothing_yet.into(),
            text: t.review.rotate_why.into(),
        }],
        tokens: None,
        options: false,
        reason: Field::default(),
        again: None,
        button: t.review.rotate_do.into(),
        keep: (LIST.to_owned(), t.review.do_not_rotate),
        commands: vec!["tegata signing-key rotate".to_owned()],
        alternatives: Vec::new(),
    };
    let question = t.review.rotate_signing_key.into();
    render(&ConfirmPage::new(below_keys(frame, question, t.review.rotate_do), act))
}

/// Begins a rotation.
pub async fn rotate(who: SignedIn, _: Sent) -> Answer {
    who.admin.rotate_signing_keys().await?;
    Ok(who.done(Notice::Created, LIST))
}

/// Lists what the revocation of a key takes away, and asks.
pub async fn review_revoke(who: SignedIn, Path(key): Path<String>) -> Answer {
    ask(&who, id(&key)?, Field::default()).await
}

async fn ask(who: &SignedIn, key: SigningKeyId, reason: Field) -> Answer {
    let known = who.admin.signing_keys().await?;
    if !known.iter().any(|it| it.id == key) {
        return Err(Failure::not_found());
    }
    let would = who.admin.revoke(Anywhere::SigningKey(key), &ActOptions::rehearsal()).await?;
    let Outcome::DryRun(would) = would else {
        return Err(Failure::internal(&"a dry run was an act"));
    };
    let frame = who.frame();
    let t = frame.t();
    let command = format!("tegata signing-key revoke {key}");
    let act = Act {
        action: format!("{LIST}/{key}/revoke"),
        hidden: Vec::new(),
        notes: vec![Note {
            class: "bad",
            heading: t.review.not_undone.into(),
            text: t.review.revoke_signing_key_why.into(),
        }],
        tokens: Some(shown::table(&would)),
        options: true,
        reason,
        again: None,
        button: t.review.revoke_key_do.into(),
        keep: (LIST.to_owned(), t.review.keep_key),
        commands: vec![format!("{command} --dry-run"), command],
        alternatives: vec![(format!("{LIST}/rotate"), t.review.rotate_do.into())],
    };
    let question = (t.review.revoke_signing_key)(would.tokens, Id(key));
    render(&ConfirmPage::new(below_keys(frame, question, t.review.revoke_key_do), act))
}

/// Revokes a key, and all tokens that it signed.
pub async fn revoke(who: SignedIn, Path(key): Path<String>, sent: Sent) -> Answer {
    let key: SigningKeyId = id(&key)?;
    let options = match shown::options(&sent.form()?) {
        Ok(options) => options,
        Err(entered) => {
            let wrong = who.frame().t().confirm.reason_wrong;
            return ask(&who, key, Field::of(entered).wrong(wrong)).await;
        }
    };
    match who.admin.revoke(Anywhere::SigningKey(key), &options).await? {
        Outcome::Done((), taken) => {
            to_receipt(&who, &taken, Notice::Revoked(taken.tokens), LIST).await
        }
        Outcome::DryRun(_) => Err(Failure::internal(&"an act was a dry run")),
    }
}

//! The own account.

use super::{
    Answer, Console,
    confirm::{Wrong, asked},
    failure::{Failure, refusal},
    ids::Ids,
    make::Made,
    notice::Notice,
    people, render,
    sent::{Sent, name},
    visit::SignedIn,
};
use crate::authority::admin;
use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use std::sync::Arc;
use tegata_console::{
    Crumb, Section,
    created::Created,
    forms::Field,
    html::Bdi,
    pages::{Account, AccountPage, IdentityView, LinkedAccount, PageHead},
};
use tegata_policy::{acts::AdminTokenRow, permission::Rights, secret::PlainSecret};
use tegata_store::Error as StoreError;
use tegata_token::{id::AdminTokenId, time::DAY};

const HERE: &str = "/console/account";

/// The page.
pub async fn show(State(console): State<Arc<Console>>, who: SignedIn) -> Answer {
    let mut it = account(&console, &who).await?;
    let t = &who.frame().t().account;
    it.once = who.once(&console, HERE, (t.once, t.once_lead))?;
    render(&AccountPage::new(who.frame(), it))
}

async fn account(console: &Console, who: &SignedIn) -> Result<Account, Failure> {
    let (person, t) = (&who.person, &who.frame().t().account);
    let sessions = who.admin.sessions()?.into_iter();
    let linked = who.admin.account().await?.identity.map(|it| LinkedAccount {
        issuer: it.identity.issuer,
        subject: it.identity.subject,
        linked_at: it.linked_at,
    });
    Ok(Account {
        id: person.id,
        login: person.login.clone(),
        sessions: sessions.map(|(it, present)| (it.created_at, it.expires_at, present)).collect(),
        providers: person
            .providers
            .iter()
            .map(|(id, role)| (*id, (t.provider_role)(*role)))
            .collect(),
        channels: person.channels.iter().map(|(id, role)| (*id, (t.channel_role)(*role))).collect(),
        tokens: people::personal_tokens(who, person.id)?,
        identity: IdentityView { linked, links: console.signs_in_by_identity(), wrong: None },
        once: None,
        old: Field::default(),
        new: Field::default(),
        token_name: Field::default(),
    })
}

fn again(who: &SignedIn, it: Account) -> Answer {
    let frame = tegata_console::Frame { here: HERE.to_owned(), ..who.frame() };
    let page = AccountPage::new(frame, it);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
}

/// The page, with why no account at the identity provider was linked.
#[cfg(feature = "openid-connect")]
pub async fn with_identity_wrong(console: &Console, who: &SignedIn, why: String) -> Answer {
    let mut it = account(console, who).await?;
    it.identity.wrong = Some(why);
    let frame = tegata_console::Frame { here: HERE.to_owned(), ..who.frame() };
    render(&AccountPage::new(frame, it))
}

/// Asks before the account at the identity provider is unlinked.
pub async fn ask_unlink(who: SignedIn) -> Answer {
    asking_unlink(&who, Wrong::default()).await
}

async fn asking_unlink(who: &SignedIn, wrong: Wrong) -> Answer {
    let linked = who.admin.account().await?.identity.ok_or_else(Failure::not_found)?;
    let (frame, t) = (who.frame(), who.frame().t());
    let crumbs = [Crumb::new(HERE, t.frame.account), Crumb::new("", t.identity.unlink)];
    let heading = (t.identity.unlink_question)(Bdi(&linked.identity.issuer));
    let page = PageHead::new(frame, Some(Section::Account), heading).below(crumbs);
    let mut act = who.act(format!("{HERE}/identity/unlink"), t.identity.unlink, wrong);
    (act.reasons, act.waits) = (false, false);
    act.keep = (HERE.to_owned(), t.identity.unlink_keep);
    act.commands = vec![format!("tegata person unlink {}", who.person.id)];
    asked(page.lead(t.identity.unlink_why), act)
}

/// Unlinks the account at the identity provider.
pub async fn unlink(mut who: SignedIn, sent: Sent) -> Answer {
    if let Err(code) = who.prove(&sent.form()?).await? {
        return asking_unlink(&who, Wrong { code: Some(code), ..Wrong::default() }).await;
    }
    who.admin.unlink_own_identity().await?;
    Ok(who.done(Notice::Saved, HERE))
}

/// Changes the password.
pub async fn change_password(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let [old, new] = ["old", "new"]
        .map(|it| PlainSecret::from_caller(form.get(it).unwrap_or_default().to_owned()));
    let t = who.frame().t();
    match who.admin.change_password(old, new).await {
        Ok(()) => Ok(who.done(Notice::Saved, HERE)),
        Err(admin::Error::WrongSignIn) => {
            let old = Field::default().wrong(t.account.old_wrong);
            again(&who, Account { old, ..account(&console, &who).await? })
        }
        Err(admin::Error::Unacceptable(..)) => {
            let new = Field::default().wrong(t.invitation.password_wrong);
            again(&who, Account { new, ..account(&console, &who).await? })
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends all sessions but the present one.
pub async fn end_sessions(who: SignedIn) -> Answer {
    who.admin.end_other_sessions().await?;
    Ok(who.done(Notice::Saved, HERE))
}

/// Creates a personal token, which the page shows once.
pub async fn create_token(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let entered = form.get("name").unwrap_or_default();
    let Some(name) = name(Some(entered)) else {
        let token_name = Field::of(entered).wrong(who.frame().t().common.name_wrong);
        return again(&who, Account { token_name, ..account(&console, &who).await? });
    };
    let rights = [Rights::Read, Rights::Revoke, Rights::Full];
    let rights = rights.into_iter().find(|it| Some(it.name()) == form.get("rights"));
    let rights = rights.ok_or_else(|| Failure::bad_request("`rights` is unknown"))?;
    let days = form.get("days").and_then(|it| it.parse().ok()).filter(|it| (1..=366).contains(it));
    let days: i64 = days.ok_or_else(|| Failure::bad_request("`days` must be from 1 to 366"))?;
    let until = who.visit.now.plus(days * DAY);
    let admin = who.admin.clone();
    let made = async move {
        let (row, token) = admin.create_admin_token(name, rights, until).await?;
        let notice = Notice::Created(Created::PersonalToken(row.id));
        Ok(Made::at(HERE.to_owned(), notice).secret(token))
    };
    match who.make(&console, &sent, made).await? {
        Ok(response) => Ok(response),
        Err(error) => {
            let token_name = Field::of(entered).wrong(refusal(error)?);
            again(&who, Account { token_name, ..account(&console, &who).await? })
        }
    }
}

/// Asks before a personal token is deleted.
pub async fn ask_delete_token(who: SignedIn, Ids(id): Ids<AdminTokenId>) -> Answer {
    asking(&who, id, Wrong::default())
}

/// A personal token that the person sees, and the page that lists it: their own account, or that of
/// another person.
fn listed(who: &SignedIn, id: AdminTokenId) -> Result<(AdminTokenRow, String), Failure> {
    let found = who.admin.admin_tokens()?.into_iter().find(|it| it.id == id);
    let found = found.ok_or_else(Failure::not_found)?;
    let page = match found.person == who.person.id {
        true => HERE.to_owned(),
        false => format!("{}/{}", people::HERE, found.person),
    };
    Ok((found, page))
}

fn asking(who: &SignedIn, id: AdminTokenId, wrong: Wrong) -> Answer {
    let (found, listed) = listed(who, id)?;
    let (frame, t) = (who.frame(), who.frame().t());
    let (section, of) = match listed == HERE {
        true => (Section::Account, t.frame.account.to_owned()),
        false => (Section::People, who.admin.name_of(found.person).unwrap_or_default()),
    };
    let crumbs = [Crumb::new(listed.clone(), of), Crumb::new("", t.account.delete_token_name)];
    let heading = (t.account.delete_token)(Bdi(&found.name));
    let page = PageHead::new(frame, Some(section), heading).below(crumbs);
    let mut act =
        who.act(format!("{HERE}/tokens/{id}/delete"), t.account.delete_token_button, wrong);
    (act.reasons, act.waits) = (false, false);
    act.keep = (listed, t.account.delete_token_keep);
    act.commands = vec![format!("tegata admin-token delete {id}")];
    asked(page.lead(t.confirm.nothing_yet), act)
}

/// Deletes a personal token.
pub async fn delete_token(mut who: SignedIn, Ids(id): Ids<AdminTokenId>, sent: Sent) -> Answer {
    if let Err(code) = who.prove(&sent.form()?).await? {
        return asking(&who, id, Wrong { code: Some(code), ..Wrong::default() });
    }
    // It is not listed any more if the form was sent before.
    let (admin, listed) = (who.admin.clone(), listed(&who, id).ok());
    let act = async move {
        let (_, page) = listed.ok_or(StoreError::NotFound("personal token"))?;
        admin.delete_admin_token(id).await?;
        Ok(Made::at(page, Notice::Deleted(0)))
    };
    who.take_away(&sent, act).await
}

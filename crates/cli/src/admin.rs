//! `tegata admin`: the first administrator, and the root administrator's token.

use crate::{
    api::Api,
    master_key::check_is_of,
    output::Output,
    person::{invited, login},
    place::{Found, Where},
    taking::{Confirmation, Why},
    terminal::note,
};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;
use tegata_policy::{acts::LOGIN_TAKEN, secret::PlainSecret};
use tegata_server::authority::{
    admin_token::{self, Taken},
    keeping,
    place::Files,
};
use tegata_store::sqlite::OpenError;

#[derive(Subcommand)]
pub enum Verb {
    /// Invite an administrator; prints the invitation, once. Works on the machine of the
    /// store without a server, and otherwise through the server that uses the store.
    Invite(Invite),
    /// Create a new root administrator's token, on the machine of the store. Waits until
    /// the running server uses it; fails if the server does not, or has its token from
    /// elsewhere. With PostgreSQL it is in force at once for all servers.
    Reset(Reset),
}

#[derive(Args)]
pub struct Invite {
    /// The name to sign in with: 1 to 64 of `a-z 0-9 . _ @ + -`, beginning with a letter or
    /// a digit, and not ten digits alone.
    #[arg(value_parser = login)]
    login: String,
    /// The display name; without it: the sign-in name.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    place: Where,
}

/// Invites an administrator.
pub async fn invite(
    api: impl FnOnce() -> anyhow::Result<Api>,
    out: &Output,
    Invite { login, name, place }: Invite,
) -> anyhow::Result<()> {
    let (place, api) = (place.find_existing()?.place, api()?);
    let made = made(&place, &api, &login, name.as_deref().unwrap_or(&login)).await?;
    invited(&api, out, made)
}

/// The invitation of an administrator, made by the server that uses the store, or without one.
async fn made(place: &Files, api: &Api, login: &str, name: &str) -> anyhow::Result<Value> {
    match keeping::invite_administrator(place, login, name).await {
        Ok((person, invitation, expires_at)) => Ok(json!({
            "person_id": person,
            "login": login,
            "name": name,
            "operator": "administrator",
            "invitation": invitation.reveal(),
            "expires_at": Timestamp::from_second(expires_at.0)?,
        })),
        Err(keeping::Error::Open(OpenError::Locked(store))) => {
            check_is_of(api, &store).await?;
            let body = json!({ "login": login, "name": name, "operator": "administrator" });
            api.post(&["people", "invitations"], &body).await
        }
        Err(keeping::Error::Store(tegata_store::Error::Conflict(LOGIN_TAKEN))) => {
            bail!("{LOGIN_TAKEN}; choose another name: that administrator can then reset the first")
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Args)]
pub struct Reset {
    #[command(flatten)]
    why: Why,
    /// Also invite an administrator with this name to sign in with, and print the link: for
    /// the case that the last one lost the password or the second factor.
    #[arg(long, value_name = "LOGIN", value_parser = login)]
    invite: Option<String>,
    #[command(flatten)]
    confirm: Confirmation,
    #[command(flatten)]
    place: Where,
}

/// Replaces the root administrator's token.
pub async fn reset(
    api: impl FnOnce() -> anyhow::Result<Api>,
    out: &Output,
    Reset { why: Why { reason }, invite, confirm, place }: Reset,
    flag: Option<PathBuf>,
) -> anyhow::Result<()> {
    let Found { place, admin_token_file, .. } = place.find_existing()?;
    // The rule of `serve`, without the variable, which may hold a client's token.
    let file = flag.or(admin_token_file).unwrap_or_else(|| place.admin_token());
    let file = std::path::absolute(file)?;
    let what_goes = format!("replaces the administrator's token in {}\n", file.display());
    confirm.ask(&what_goes, false)?;
    let why = reason.as_deref();
    let taken = match place.database {
        Some(_) => {
            let put = async |new| keeping::put_root_token(&place, new, reason.clone()).await;
            admin_token::reset_shared(&place, &file, why, put).await?
        }
        None => admin_token::reset(&place, &file, why).await?,
    };
    let process = match taken {
        Taken::Running(process) => Some(process),
        Taken::NextStart | Taken::AllServers => None,
    };
    let mut result = json!({ "admin_token_file": file, "taken_by_process": process });
    let mut columns = vec!["admin_token_file", "taken_by_process"];
    if let Some(login) = &invite {
        let token = PlainSecret::from_caller(std::fs::read_to_string(&file)?.trim().to_owned());
        let api = api()?.with_token(token)?;
        let made = made(&place, &api, login, login).await;
        let made = made.context("the token was replaced, and the administrator is not invited")?;
        result["link"] = api.invitation_link(&made);
        for member in ["person_id", "login", "invitation", "expires_at"] {
            result[member] = made[member].clone();
        }
        columns.extend(["person_id", "login", "invitation", "link", "expires_at"]);
    }
    out.thing(&result, &columns)?;
    match taken {
        Taken::Running(_) => note("the server now accepts this token and rejects the old one"),
        Taken::AllServers => note(
            "every server on this database now accepts this token, wherever its own comes from, and \
             rejects the old one; copy the file to the other machines, for the commands there",
        ),
        Taken::NextStart => note(
            "no server runs on this store, so the audit does not record this; the next one uses \
             this token, unless it is started with TEGATA_ADMIN_TOKEN or --admin-token-file",
        ),
    }
    if invite.is_none() {
        note("for an administrator who signs in: tegata admin invite NAME");
    }
    note(
        "if the old token was stolen, what was created with it still works: see \
         docs/book/src/runbooks/admin-token-stolen.md",
    );
    Ok(())
}

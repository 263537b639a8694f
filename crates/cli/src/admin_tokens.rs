//! `tegata admin-token`: personal administrator's tokens.

use crate::{
    api::{Api, Page},
    output::Output,
    sign_in::ask,
    taking::{Confirmation, Why},
    terminal::note,
};
use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use jiff::{Timestamp, ToSpan};
use serde_json::json;
use tegata_policy::{permission::Rights, secret::PlainSecret};
use tegata_token::id::AdminTokenId;

#[derive(Subcommand)]
pub enum Verb {
    /// Sign in and create a personal token; prints it, once.
    Create(Create),
    /// List personal tokens, newest first: your own; an operator sees all.
    List(Page),
    /// Delete a personal token: it is refused from then on.
    Delete(Delete),
}

#[derive(Args)]
pub struct Create {
    /// The token's name.
    name: String,
    /// The sign-in name of the person; asks for the password and a code.
    #[arg(long, value_name = "LOGIN")]
    sign_in: String,
    /// What the token permits, within the person's roles.
    #[arg(long, value_enum, default_value = "read")]
    rights: RightsArgument,
    /// Days until it expires.
    #[arg(long, value_name = "N", default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
}

/// A personal token's rights, as arguments.
#[derive(Clone, Copy, ValueEnum)]
enum RightsArgument {
    /// It reads.
    Read,
    /// It reads, revokes tokens, suspends channels, and deletes keys and groups.
    Revoke,
    /// Everything that the person may do, except create tokens and change the password.
    Full,
}

impl From<RightsArgument> for Rights {
    fn from(it: RightsArgument) -> Self {
        match it {
            RightsArgument::Read => Self::Read,
            RightsArgument::Revoke => Self::Revoke,
            RightsArgument::Full => Self::Full,
        }
    }
}

#[derive(Args)]
pub struct Delete {
    /// The token's id.
    id: AdminTokenId,
    #[command(flatten)]
    why: Why,
    /// Change nothing; show the token that would be deleted.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirmation,
}

/// Runs one of the verbs.
pub async fn run(api: &Api, out: &Output, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Create(args) => create(api, out, args).await,
        Verb::List(page) => {
            let columns = ["admin_token_id", "person_id", "name", "rights", "expires_at"];
            out.list(&api.get(&["admin-tokens"], &page).await?, "admin_tokens", &columns)
        }
        Verb::Delete(args) => delete(api, out, args).await,
    }
}

async fn delete(api: &Api, out: &Output, args: Delete) -> anyhow::Result<()> {
    let id = args.id.to_string();
    if args.dry_run {
        let query = json!({ "dry_run": true });
        let found = api.delete_with(&["admin-tokens", &id], &query).await?;
        let text = |name: &str| found[name].as_str().unwrap_or_default();
        let (name, person) = (text("name"), text("person_id"));
        let what = format!("would delete personal token {id}, {name} of person {person}");
        return out.done(&what, &json!({ "dry_run": true, "would_delete": found }));
    }
    if args.confirm.asks() {
        let all = api.rows(&["admin-tokens"], "admin_tokens").await?;
        let Some(found) = all.iter().find(|it| it["admin_token_id"] == *id) else {
            bail!("no personal token {id}; see: tegata admin-token list");
        };
        let text = |name: &str| found[name].as_str().unwrap_or_default();
        let what = format!("personal token {id}, {} of person {}", text("name"), text("person_id"));
        args.confirm.ask(&format!("{what}: it is refused from then on\n"), false)?;
    }
    let why = args.why.added_to(json!({}));
    api.delete_with(&["admin-tokens", &id], &why).await?;
    out.done(&format!("token {id} is deleted"), &json!({ "deleted": id }))
}

async fn create(api: &Api, out: &Output, args: Create) -> anyhow::Result<()> {
    let (password, code) = (ask("password")?, ask("code, or a recovery code")?);
    let body = json!({
        "login": args.sign_in, "password": password.reveal(), "code": code.reveal(),
    });
    let session = api.post_openly(&["sessions"], &body).await?;
    let token = session["session_token"].as_str().unwrap_or_default();
    let session = api.with_token(PlainSecret::from_caller(token.to_owned()))?;
    let until = Timestamp::from_second(session.now().await.0)?;
    let until = until.checked_add((i64::from(args.days) * 24).hours())?;
    let body = json!({
        "name": args.name, "rights": Rights::from(args.rights).name(), "expires_at": until.to_string(),
    });
    let made = session.post(&["admin-tokens"], &body).await;
    // The token is printed before anything else: it is not shown again.
    let first = ["admin_token_id", "admin_token", "name", "rights", "expires_at"];
    let printed = made.and_then(|made| out.thing(&made, &first));
    // The session is not needed any more, whether a token was made or not.
    let ended = session.delete(&["sessions", "current"]).await;
    printed?;
    note("use it in TEGATA_ADMIN_TOKEN, or in a file that --admin-token-file names");
    ended.map(drop)
}

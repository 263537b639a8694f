//! `tegata person`: the people who administer the authority, and their roles.

use crate::{
    api::{Api, Page},
    failure::BadUsage,
    output::Output,
    sign_in::{ask, ask_new_password},
    taking::{Confirmation, Why},
    terminal::note,
};
use clap::{ArgGroup, Args, Subcommand};
use data_encoding::BASE32_NOPAD;
use serde::Serialize;
use serde_json::{Value, from_value, json};
use tegata_policy::{
    password,
    permission::{ChannelRole, OperatorRole, ProviderRole},
    secret::PlainSecret,
    text::counted,
    text::{LOGIN_RULE, is_login},
    totp,
};
use tegata_token::id::{ChannelId, PersonId, ProviderId};

#[derive(Subcommand)]
pub enum Verb {
    /// Invite a person; prints the invitation, once.
    Invite(Invite),
    /// Accept an invitation: set your password and second factor. Needs no administrator's
    /// token.
    Accept,
    /// List people, newest first; or those who have a role in a provider or a channel.
    List(List),
    /// Show a person and the person's roles.
    Show(Named),
    /// Rename a person.
    Set(Set),
    /// Disable a person: sessions are revoked, and personal tokens are rejected.
    Disable(Confirmed),
    /// Enable a disabled person.
    Enable(Named),
    /// Give a person a role, or take it away.
    SetRole(SetRole),
    /// Unlink a person's account at the identity provider, and revoke the person's sessions.
    Unlink(Confirmed),
    /// Revoke a person's password, second factor and sessions; prints an invitation to set
    /// new ones, once.
    Reset(Confirmed),
    /// Delete a person, with sessions and personal tokens; this cannot be undone.
    Delete(Delete),
}

/// In what a role is.
#[derive(Args)]
struct Place {
    /// In the whole authority.
    #[arg(long, group = "place")]
    operator: bool,
    /// In this provider.
    #[arg(long, group = "place", value_name = "ID")]
    provider: Option<ProviderId>,
    /// In this channel.
    #[arg(long, group = "place", value_name = "ID")]
    channel: Option<ChannelId>,
}

/// A name to sign in with, from the command line.
pub fn login(text: &str) -> Result<String, &'static str> {
    is_login(text).then(|| text.to_owned()).ok_or(LOGIN_RULE)
}

#[derive(Args)]
#[command(after_help = ROLES)]
pub struct Invite {
    /// The name to sign in with: 1 to 64 of `a-z 0-9 . _ @ + -`, beginning with a letter or
    /// a digit, and not ten digits alone.
    #[arg(value_parser = login)]
    login: String,
    /// The display name; without it: the sign-in name.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    place: Place,
    /// The first role there.
    #[arg(long, requires = "place")]
    role: Option<String>,
}

const ROLES: &str = "\
Roles with --operator: administrator (everything), on-call (reads everything; revokes, suspends,
disables), auditor (reads everything).
Roles with --provider: admin, member. With --channel: admin, member, tester.
A provider's admin cannot see inside its channels without a role there.

  tegata person invite mika@example.com --operator --role administrator
  tegata person invite aoi@example.com --provider 2345678901 --role admin
  tegata person set-role 4567890123 --channel 1234567890 member
  tegata person set-role 4567890123 --channel 1234567890 --remove";

#[derive(Args)]
#[command(
    after_help = ROLES,
    group = ArgGroup::new("what").required(true),
    override_usage = "tegata person set-role [OPTIONS] <PERSON> <ROLE|--remove>"
)]
pub struct SetRole {
    /// The person's id.
    person: PersonId,
    #[command(flatten)]
    place: Place,
    /// The role: with --operator administrator, on-call or auditor; with --provider admin or
    /// member; with --channel admin, member or tester.
    #[arg(group = "what")]
    role: Option<String>,
    /// Take the role away.
    #[arg(long, group = "what")]
    remove: bool,
    /// With --remove: change nothing; show the role that would be taken away.
    #[arg(long, requires = "remove")]
    dry_run: bool,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    confirm: Confirmation,
}

#[derive(Args, Serialize)]
pub struct List {
    /// Only those whose name, sign-in name or id contains this text.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["provider", "channel"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<String>,
    /// Only those who have a role in this provider.
    #[arg(long, value_name = "ID", conflicts_with = "channel")]
    #[serde(skip)]
    provider: Option<ProviderId>,
    /// Only those who have a role in this channel.
    #[arg(long, value_name = "ID")]
    #[serde(skip)]
    channel: Option<ChannelId>,
    #[command(flatten)]
    #[serde(flatten)]
    page: Page,
}

#[derive(Args)]
pub struct Named {
    /// The person's id.
    person: PersonId,
}

#[derive(Args)]
pub struct Confirmed {
    /// The person's id.
    person: PersonId,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    confirm: Confirmation,
}

#[derive(Args)]
pub struct Delete {
    #[command(flatten)]
    confirmed: Confirmed,
    /// Change nothing; show the person who would be deleted.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
pub struct Set {
    /// The person's id.
    person: PersonId,
    /// A new display name.
    #[arg(long)]
    name: String,
}

/// Runs one of the verbs.
pub async fn run(api: &Api, out: &Output, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Invite(args) => invite(api, out, args).await,
        Verb::Accept => accept(api, out).await,
        Verb::List(args) => list(api, out, args).await,
        Verb::Show(Named { person }) => {
            let found = api.get(&["people", &person.to_string()], &()).await?;
            out.thing(&found, FIRST)
        }
        Verb::Set(Set { person, name }) => change(api, out, person, &json!({ "name": name })).await,
        Verb::Disable(args) => {
            ask_about(api, &args, "sessions end, and personal tokens are rejected").await?;
            let body = args.why.added_to(json!({ "state": "disabled" }));
            change(api, out, args.person, &body).await
        }
        Verb::Enable(Named { person }) => {
            change(api, out, person, &json!({ "state": "active" })).await
        }
        Verb::SetRole(args) => set_role(api, out, args).await,
        Verb::Unlink(args) => {
            ask_about(
                api,
                &args,
                "the account at the identity provider signs in no more, and sessions end",
            )
            .await?;
            let id = args.person.to_string();
            api.post(&["people", &id, "unlink"], &args.why.added_to(json!({}))).await?;
            let done = format!("the account of person {id} at the identity provider is unlinked");
            out.done(&done, &json!({ "unlinked": id }))
        }
        Verb::Reset(args) => {
            ask_about(api, &args, "the password, the second factor and all sessions end").await?;
            let path = ["people", &args.person.to_string(), "reset"];
            invited(api, out, api.post(&path, &args.why.added_to(json!({}))).await?)
        }
        Verb::Delete(Delete { confirmed, dry_run }) => {
            let id = confirmed.person.to_string();
            if dry_run {
                let dry_run = json!({ "dry_run": true });
                let found = api.delete_with(&["people", &id], &dry_run).await?;
                let shown = json!({
                    "dry_run": true, "would_delete": found["person"],
                    "admin_tokens": found["admin_tokens"], "sessions": found["sessions"],
                });
                return out.done(&would_delete(&found), &shown);
            }
            ask_about(api, &confirmed, "sessions and personal tokens go, too").await?;
            let why = confirmed.why.added_to(json!({}));
            api.delete_with(&["people", &id], &why).await?;
            out.done(&format!("person {id} is deleted"), &json!({ "deleted": id }))
        }
    }
}

fn would_delete(found: &Value) -> String {
    let person = &found["person"];
    let (id, login, name) =
        (text(person, "person_id"), text(person, "login"), text(person, "name"));
    let tokens = found["admin_tokens"].as_array().map_or(0, Vec::len);
    let sessions = found["sessions"].as_u64().unwrap_or_default();
    format!(
        "would delete person {id}, {login} ({name}), with {} and {}",
        counted(sessions, "session", "sessions"),
        counted(tokens, "personal token", "personal tokens")
    )
}

const FIRST: &[&str] = &["person_id", "login", "name", "state", "operator"];

/// The members of an invitation that name the first role and where it holds.
fn first_role(place: &Place, role: Option<String>) -> anyhow::Result<Value> {
    if let Some(role) = &role {
        is_role(place, role)?;
    }
    let Some(role) = role else {
        if place.operator || place.provider.is_some() || place.channel.is_some() {
            return Err(BadUsage("give the role with --role".to_owned()).into());
        }
        return Ok(json!({}));
    };
    Ok(match (place.provider, place.channel) {
        (Some(provider), _) => {
            json!({ "provider_id": provider.to_string(), "provider_role": role })
        }
        (_, Some(channel)) => json!({ "channel_id": channel.to_string(), "channel_role": role }),
        (None, None) => json!({ "operator": role }),
    })
}

/// Checks that there is such a role at this place.
fn is_role(place: &Place, role: &str) -> anyhow::Result<()> {
    let named = || Value::from(role);
    let (is, roles) = match (place.provider, place.channel) {
        (Some(_), _) => (from_value::<ProviderRole>(named()).is_ok(), "admin or member"),
        (_, Some(_)) => (from_value::<ChannelRole>(named()).is_ok(), "admin, member or tester"),
        _ if place.operator => {
            (from_value::<OperatorRole>(named()).is_ok(), "administrator, on-call or auditor")
        }
        // What is missing is said elsewhere.
        _ => return Ok(()),
    };
    match is {
        true => Ok(()),
        false => Err(BadUsage(format!("the role {role:?} does not exist there: {roles}")).into()),
    }
}

async fn invite(api: &Api, out: &Output, args: Invite) -> anyhow::Result<()> {
    let mut body = first_role(&args.place, args.role)?;
    body["login"] = args.login.into();
    if let Some(name) = args.name {
        body["name"] = name.into();
    }
    invited(api, out, api.post(&["people", "invitations"], &body).await?)
}

/// Prints an invitation, and how it is accepted.
pub fn invited(api: &Api, out: &Output, mut made: Value) -> anyhow::Result<()> {
    made["link"] = api.invitation_link(&made);
    // `person show` prints the rest.
    out.only(&made, &["person_id", "login", "invitation", "link", "expires_at"])?;
    note(
        "hand the link or the invitation over in confidence: its holder sets the password, once, \
         in a browser or with `tegata person accept`",
    );
    Ok(())
}

async fn accept(api: &Api, out: &Output) -> anyhow::Result<()> {
    let invitation = ask("invitation")?;
    let body = json!({ "invitation": invitation.reveal() });
    let opened = api.post_openly(&["invitations", "open"], &body).await?;
    note(&format!("for {} ({})", text(&opened, "login"), text(&opened, "name")));
    let password = ask_new_password()?;
    password::check(&password, text(&opened, "login"), text(&opened, "name"))
        .map_err(|wrong| BadUsage(wrong.to_owned()))?;
    note(&format!(
        "add this to an authenticator program, and type the code that it shows:\n  {}\n  {}",
        text(&opened, "totp_secret"),
        text(&opened, "totp_uri")
    ));
    let code = ask_code(api, text(&opened, "totp_secret")).await?;
    let body = json!({
        "invitation": invitation.reveal(),
        "password": password.reveal(),
        "totp_secret": opened["totp_secret"],
        "code": code.reveal(),
    });
    let accepted = api.post_openly(&["invitations", "accept"], &body).await?;
    out.thing(&accepted, &["person_id", "login", "recovery_codes"])?;
    note(&format!(
        "keep the recovery codes: each signs in once without the authenticator. Next, once the \
         authenticator shows another code: `tegata admin-token create NAME --sign-in {} --rights \
         full`",
        text(&accepted, "login")
    ));
    Ok(())
}

/// Asks for the code of an authenticator until it is one of this secret: a mistyped one would
/// end the invitation's attempt, and the next one has another secret.
async fn ask_code(api: &Api, totp_secret: &str) -> anyhow::Result<PlainSecret> {
    let secret = BASE32_NOPAD.decode(totp_secret.as_bytes()).unwrap_or_default();
    loop {
        let code = ask("code")?;
        if totp::step_of(&secret, code.reveal(), api.now().await).is_some() {
            return Ok(code);
        }
        note(
            "that is not the code of this secret at present: compare the clock of the device with \
             the authority's, and type the code that is shown now",
        );
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let columns = ["person_id", "login", "name", "state", "role"];
    match (args.provider, args.channel) {
        (Some(provider), _) => {
            let path = ["providers", &provider.to_string(), "roles"];
            out.list(&api.get(&path, &args.page).await?, "roles", &columns)
        }
        (_, Some(channel)) => {
            let path = ["channels", &channel.to_string(), "roles"];
            out.list(&api.get(&path, &args.page).await?, "roles", &columns)
        }
        (None, None) => {
            let columns = ["person_id", "login", "name", "state", "operator", "invited_until"];
            out.list(&api.get(&["people"], &args).await?, "people", &columns)
        }
    }
}

async fn change(api: &Api, out: &Output, person: PersonId, body: &Value) -> anyhow::Result<()> {
    out.thing(&api.patch(&["people", &person.to_string()], body).await?, FIRST)
}

async fn ask_about(api: &Api, args: &Confirmed, what: &str) -> anyhow::Result<()> {
    if args.confirm.asks() {
        let id = args.person.to_string();
        let found = api.get(&["people", &id], &()).await?;
        let (login, name) = (text(&found, "login"), text(&found, "name"));
        args.confirm.ask(&format!("person {id}, {login} ({name}): {what}\n"), false)?;
    }
    Ok(())
}

async fn set_role(api: &Api, out: &Output, args: SetRole) -> anyhow::Result<()> {
    let person = args.person.to_string();
    if let Some(role) = &args.role {
        is_role(&args.place, role)?;
    }
    let of = |kind: &str, id: String| vec![kind.to_owned(), id, "roles".to_owned(), person.clone()];
    let (path, member) = match (args.place.provider, args.place.channel, args.place.operator) {
        (Some(provider), _, _) => (of("providers", provider.to_string()), "role"),
        (_, Some(channel), _) => (of("channels", channel.to_string()), "role"),
        (None, None, true) => (vec!["people".to_owned(), person.clone()], "operator"),
        (None, None, false) => {
            let words = "give --operator, --provider ID or --channel ID";
            return Err(BadUsage(words.to_owned()).into());
        }
    };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    if args.dry_run || args.remove && args.confirm.asks() {
        // A person can leave, and a role can be taken away in what is deleted, though the role
        // cannot be read: the act itself decides.
        let found = match path[0] {
            "people" => Some(api.get(&path, &()).await?),
            _ => api.get_if_any(&path).await?,
        };
        let role = found.as_ref().map_or(&Value::Null, |it| &it[member]);
        let what = match &found {
            Some(it) => {
                let role = role.as_str().unwrap_or("-");
                format!(
                    "person {person}, {} ({}): role {role}",
                    text(it, "login"),
                    text(it, "name")
                )
            }
            // `channels`, say, and its id.
            None => {
                format!("person {person}: role in {} {}", path[0].trim_end_matches('s'), path[1])
            }
        };
        if args.dry_run {
            let json = json!({ "dry_run": true, "would_remove": role });
            return out.done(&format!("would take away, of {what}"), &json);
        }
        args.confirm.ask(&format!("{what} is taken away\n"), false)?;
    }
    let body = args.why.added_to(json!({ member: args.role }));
    let first = ["person_id", "login", "name", "state", member];
    out.thing(&api.patch(&path, &body).await?, &first)
}

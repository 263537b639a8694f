//! Revoking tokens of a channel: a page that lists what goes, and the act.

use super::{
    Answer, channel,
    confirm::{Wrong, asked, table},
    failure::Failure,
    ids::Ids,
    notice::Notice,
    sent::Sent,
    shown::parsed,
    tokens,
    visit::SignedIn,
};
use crate::{
    api::form::Form,
    authority::admin::{self, ActOptions, DryRun, InChannel},
};
use axum::extract::RawQuery;
use tegata_console::{
    html::{Bdi, Html, Id},
    pages::{ActToConfirm, ChannelHead, Note, revoke_href},
    texts::Texts,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// What to revoke, as an address and a form name it.
#[derive(Debug, Clone)]
enum What {
    Token(TokenId),
    Stateless(TokenId, UnixTime),
    Group(Group),
    Kind(Kind),
    Key(AssertionKeyId),
    All,
}

impl What {
    fn of(form: &Form<'_>) -> Result<Self, Failure> {
        let named = |it: Option<Self>| {
            it.ok_or_else(|| Failure::bad_request("which: enter the name or id of what to revoke"))
        };
        match form.get("what").unwrap_or_default() {
            "token" => named(parsed(form, "which")?.map(Self::Token)),
            "stateless" => {
                let parts = form.get("which").and_then(|it| it.split_once('.'));
                named(parts.and_then(|(id, expires)| {
                    Some(Self::Stateless(id.parse().ok()?, UnixTime(expires.parse().ok()?)))
                }))
            }
            "group" => named(parsed(form, "which")?.map(Self::Group)),
            "kind" => named(parsed(form, "which")?.map(Self::Kind)),
            "key" => named(parsed(form, "which")?.map(Self::Key)),
            "all" => Ok(Self::All),
            other => {
                Err(Failure::bad_request(format_args!("what {other:?}: there is no such scope")))
            }
        }
    }

    fn target(&self) -> InChannel {
        match self.clone() {
            Self::Token(id) => InChannel::Stored(id),
            Self::Stateless(id, expires_at) => InChannel::Stateless { id, expires_at },
            Self::Group(group) => InChannel::Group(group),
            Self::Kind(kind) => InChannel::Kind(kind),
            Self::Key(key) => InChannel::AssertionKey(key),
            Self::All => InChannel::All,
        }
    }

    /// As an address and a form name it.
    fn fields(&self) -> (&'static str, String) {
        match self {
            Self::Token(id) => ("token", id.to_string()),
            Self::Stateless(id, expires) => ("stateless", format!("{id}.{}", expires.0)),
            Self::Group(group) => ("group", group.to_string()),
            Self::Kind(kind) => ("kind", kind.name().to_owned()),
            Self::Key(key) => ("key", key.to_string()),
            Self::All => ("all", String::new()),
        }
    }

    fn question(&self, t: &Texts, count: usize, channel: &str) -> Html {
        let t = &t.review;
        match self {
            Self::Token(id) | Self::Stateless(id, _) => (t.revoke_token)(Id(*id)),
            Self::Group(group) => (t.revoke_group)(count, Bdi(group.as_str())),
            Self::Kind(kind) => (t.revoke_kind)(count, *kind),
            Self::Key(key) => (t.revoke_key)(count, Id(*key)),
            Self::All => (t.revoke_channel)(count, Bdi(channel)),
        }
    }

    fn commands(&self, channel: ChannelId) -> Vec<String> {
        let scope = match self {
            Self::Stateless(..) => {
                return vec!["printf %s \"$TOKEN\" | tegata token revoke - --wait 30s".to_owned()];
            }
            Self::Token(id) => format!("--token-id {id}"),
            Self::Group(group) => format!("--group {group}"),
            Self::Kind(kind) => format!("--kind {}", kind.name()),
            Self::Key(key) => format!("--assertion-key {key}"),
            Self::All => "--all".to_owned(),
        };
        let command = format!("tegata token revoke --channel {channel} {scope}");
        vec![format!("{command} --dry-run"), format!("{command} --wait 30s")]
    }
}

/// Lists what would be revoked, and asks.
pub async fn review(
    who: SignedIn,
    Ids(channel): Ids<ChannelId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let form = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    match What::of(&form) {
        Ok(what) => ask(&who, channel, &what, Wrong::default()).await,
        Err(error) => match by_hand(form.get("what").unwrap_or_default()) {
            Some(what) => {
                let entered = form.get("which").unwrap_or_default();
                tokens::not_found(&who, channel, what, entered).await
            }
            None => Err(error),
        },
    }
}

/// The scope, if a person enters its name or id; what is wrong with it is shown there.
fn by_hand(what: &str) -> Option<&'static str> {
    ["group", "kind", "key"].into_iter().find(|it| *it == what)
}

async fn ask(who: &SignedIn, channel: ChannelId, what: &What, wrong: Wrong) -> Answer {
    let rehearsal = ActOptions::rehearsal();
    let would = match who.admin.revoke_in_channel(channel, what.target(), &rehearsal).await {
        Err(error @ admin::Error::NoSuch { .. }) => {
            let (kind, which) = what.fields();
            return match by_hand(kind) {
                Some(kind) => tokens::not_found(who, channel, kind, &which).await,
                None => Err(Failure::bad_request(error)),
            };
        }
        would => would?.rehearsed()?,
    };
    let (head, found) = channel::head(who, channel).await?;
    let contacts = contacts(&found.holding.channel.groups, &would);
    let frame = who.frame();
    let t = frame.t();
    let question = what.question(t, would.tokens, &head.name);
    let button = (t.review.revoke)(would.tokens);
    let act = who.act(head.at("/revoke"), button, wrong);
    let act = act_on(t, &head, what, &would, contacts, act);
    let page = head.below(frame, question, t.review.revoke_short).lead(t.review.not_undone);
    asked(page, act)
}

fn act_on(
    t: &Texts,
    head: &ChannelHead,
    what: &What,
    would: &DryRun,
    contacts: Vec<String>,
    act: ActToConfirm,
) -> ActToConfirm {
    let (kind, which) = what.fields();
    let mut notes: Vec<Note> = Vec::new();
    if let What::Stateless(..) = what {
        let (heading, text) = (t.review.one_stateless_short, t.review.one_stateless);
        notes.push(Note { class: "warn", heading: heading.into(), text: text.into() });
    }
    if !contacts.is_empty() {
        let names: Vec<_> = contacts.iter().map(|it| Bdi(it).to_string()).collect();
        let text = Html::trusted(names.join(t.token.comma));
        notes.push(Note { class: "", heading: t.token.contact.into(), text });
    }
    let mut alternatives = Vec::new();
    if let (What::Group(_), Some((_, older))) =
        (what, would.rows.last().filter(|_| would.rows.len() > 1))
    {
        let href = revoke_href(head.id, "token", &older.id.to_string());
        alternatives.push((href, (t.review.only_token)(Id(older.id))));
    }
    alternatives.push((head.at("/suspend"), t.review.suspend.into()));
    ActToConfirm {
        hidden: vec![("what", kind.to_owned()), ("which", which)],
        notes,
        tokens: (!matches!(what, What::Stateless(..))).then(|| table(would)),
        keep: (head.at("/tokens"), (t.review.keep)(would.tokens)),
        commands: what.commands(head.id),
        alternatives,
        ..act
    }
}

/// Whom to contact about the tokens that would be revoked.
fn contacts(
    groups: &std::collections::BTreeMap<Group, tegata_policy::channel::GroupSettings>,
    would: &DryRun,
) -> Vec<String> {
    let of = would.rows.iter().filter_map(|(_, row)| row.group.as_ref());
    let mut all: Vec<_> = of.filter_map(|it| groups.get(it)?.contact.clone()).collect();
    all.sort_unstable();
    all.dedup();
    all.truncate(10);
    all
}

/// Revokes, and shows the receipt.
pub async fn revoke(mut who: SignedIn, Ids(channel): Ids<ChannelId>, sent: Sent) -> Answer {
    let form = sent.form()?;
    let what = What::of(&form)?;
    let options = match who.agreed(&form).await? {
        Ok(options) => options,
        Err(wrong) => return ask(&who, channel, &what, wrong).await,
    };
    let outcome = who.admin.revoke_in_channel(channel, what.target(), &options).await?;
    let otherwise = format!("/console/channels/{channel}/tokens");
    who.took(outcome, Notice::Revoked, &otherwise).await
}

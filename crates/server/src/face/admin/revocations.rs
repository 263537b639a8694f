//! Ending tokens: one, or all of a scope. Each call says exactly one thing to
//! end, and its receipt says whether every verifier knows.

use crate::{
    authority::ending_of,
    face::admin::{
        Administrator, groups,
        problem::{Code, Problem, Problems},
        read::{Body, FromMembers, Ids, Members, invalid},
        schema, tokens,
    },
};
use axum::Json;
use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tegata_store::{By, Ended, Ending, Error, Page};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, SigningKeyId, TokenId},
    key::KeyState,
    kind::Kind,
};
use utoipa::ToSchema;

/// What to end within a channel.
pub enum OfChannel {
    Token(String),
    Stored(TokenId),
    Group(Group),
    Kind(Kind),
    AssertionKey(AssertionKeyId),
    All,
}

/// What to end anywhere.
pub enum OfAll {
    Token(String),
    Provider(ProviderId),
    SigningKey(SigningKeyId),
    All,
}

/// An ending as it was asked for.
pub struct Asked<T> {
    what: T,
    reason: Option<String>,
    dry_run: bool,
}

const TOKEN: &str = "a token, a text";

impl FromMembers for OfChannel {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let token = members.take("access_token", TOKEN)?;
        let stored = members.take("token_id", "the id of a stored token")?;
        let group = members.take("group", super::groups::NAME)?;
        let kind = members.take("kind", tokens::KIND)?;
        let key = members.take("assertion_key", "the `kid` of an assertion key")?;
        exactly_one([
            ("access_token", token.map(Self::Token)),
            ("token_id", stored.map(Self::Stored)),
            ("group", group.map(Self::Group)),
            ("kind", kind.map(Self::Kind)),
            ("assertion_key", key.map(Self::AssertionKey)),
            ("all", all(members)?.map(|()| Self::All)),
        ])
    }
}

impl FromMembers for OfAll {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let token = members.take("access_token", TOKEN)?;
        let provider = members.take("provider_id", "the id of a provider")?;
        let key = members.take("signing_key", "the `kid` of a signing key")?;
        exactly_one([
            ("access_token", token.map(Self::Token)),
            ("provider_id", provider.map(Self::Provider)),
            ("signing_key", key.map(Self::SigningKey)),
            ("all", all(members)?.map(|()| Self::All)),
        ])
    }
}

/// `"all": true`; false would mean nothing, and is more likely a mistake.
fn all(members: &mut Members) -> Result<Option<()>, Problem> {
    match members.take("all", "true")? {
        None => Ok(None),
        Some(true) => Ok(Some(())),
        Some(false) => Err(invalid("all", "true, or left out")),
    }
}

fn exactly_one<T, const N: usize>(given: [(&str, Option<T>); N]) -> Result<T, Problem> {
    let names = given.each_ref().map(|(name, _)| *name).join(", ");
    let mut given = given.into_iter().filter_map(|(_, it)| it);
    match (given.next(), given.next()) {
        (Some(it), None) => Ok(it),
        (None, _) => {
            Err(Problem::new(Code::MissingMember, format!("say what to end, by one of {names}")))
        }
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::InvalidMember, format!("give exactly one of {names}")))
        }
    }
}

impl<T: FromMembers> FromMembers for Asked<T> {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let reason = members.line("reason", 500)?;
        // Nobody has to be waited for yet: see `receipt`.
        members.whole("wait_seconds", 0..=60)?;
        let dry_run = members.flag("dry_run")?;
        Ok(Self { what: T::from_members(members)?, reason, dry_run })
    }
}

/// What an ending did, or would have done.
#[derive(Serialize, ToSchema)]
pub struct Revocation {
    /// How many stored, live tokens it ended; 1 for a stateless token that was given by
    /// its text.
    revoked: usize,
    /// True, and only there, if stateless tokens are in the scope as well; they leave no
    /// rows, so they cannot be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    stateless_too: Option<bool>,
    #[schema(value_type = schema::Position)]
    position: Position,
    receipt: Receipt,
    /// True, and only there, if nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
}

/// Who knows of an ending.
#[derive(Serialize, ToSchema)]
pub struct Receipt {
    /// Whether every verifier does, so that none accepts the tokens any more.
    complete: bool,
    verifiers: Vec<Verifier>,
}

/// What one verifier knows.
#[derive(Serialize, ToSchema)]
pub struct Verifier {
    name: String,
    instance: String,
    state: String,
    #[schema(required, value_type = Option<schema::Time>)]
    acknowledged_at: Option<String>,
}

/// End tokens of a channel.
///
/// Give exactly one of `access_token`, `token_id`, `group`, `kind`,
/// `assertion_key` and `all`.
#[utoipa::path(
    post, path = "/channels/{channel}/revocations", operation_id = "revokeInChannel",
    tag = "revocations",
    params(("channel" = schema::ChannelId, Path, description = "Whose tokens.")),
    request_body = schema::RevocationInChannel,
    responses(
        (status = 201, description = "They are ended.", body = Revocation),
        (status = 200, description = "What a dry run found.", body = Revocation),
        Problems,
    )
)]
pub async fn of_channel(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Body(asked): Body<Asked<OfChannel>>,
) -> Result<(StatusCode, Json<Revocation>), Problem> {
    who.channel(channel).await?;
    let scopes = &who.metrics.revocations;
    let count = match asked.what {
        OfChannel::Token(_) | OfChannel::Stored(_) => &scopes.token,
        OfChannel::Group(_) => &scopes.group,
        OfChannel::Kind(_) => &scopes.kind,
        OfChannel::AssertionKey(_) => &scopes.assertion_key,
        OfChannel::All => &scopes.channel,
    };
    let stateless_too = match asked.what {
        OfChannel::Token(_) | OfChannel::Stored(_) => false,
        OfChannel::Kind(kind) => kind == Kind::Stateless,
        OfChannel::Group(_) | OfChannel::AssertionKey(_) | OfChannel::All => true,
    };
    let ending = match asked.what {
        OfChannel::Token(token) => {
            let claims = tokens::read(&who, &token)?;
            if claims.channel != channel {
                let detail = "this token is another channel's";
                return Err(Problem::new(Code::NotFound, detail));
            }
            ending_of(&claims)
        }
        OfChannel::Stored(id) => {
            Ending::Stored { serial: tokens::find(&who, channel, id).await?.serial }
        }
        OfChannel::Group(group) => Ending::Group(group),
        OfChannel::Kind(kind) => Ending::Kind(kind),
        OfChannel::AssertionKey(key) => Ending::AssertionKey(key),
        OfChannel::All => Ending::All,
    };
    let by = who.by(asked.reason);
    match who.authority.end(channel, ending, asked.dry_run, by).await {
        Ok(ended) => Ok(receipt(count, ended, stateless_too, asked.dry_run)),
        Err(error) => Err(groups::naming(&who, channel, error).await),
    }
}

/// End tokens over all channels.
///
/// Give exactly one of `access_token`, `provider_id`, `signing_key` and `all`.
/// The last two remove signing keys.
#[utoipa::path(
    post, path = "/revocations", operation_id = "revoke", tag = "revocations",
    request_body = schema::RevocationAnywhere,
    responses(
        (status = 201, description = "They are ended.", body = Revocation),
        (status = 200, description = "What a dry run found.", body = Revocation),
        Problems,
    )
)]
pub async fn of_all(
    who: Administrator,
    Body(asked): Body<Asked<OfAll>>,
) -> Result<(StatusCode, Json<Revocation>), Problem> {
    let Asked { what, reason, dry_run } = asked;
    let by = who.by(reason);
    let scopes = &who.metrics.revocations;
    let count = match what {
        OfAll::Token(_) => &scopes.token,
        OfAll::Provider(_) => &scopes.provider,
        OfAll::SigningKey(_) => &scopes.signing_key,
        OfAll::All => &scopes.everything,
    };
    let stateless_too = !matches!(what, OfAll::Token(_));
    let ended = match what {
        OfAll::Token(token) => {
            let claims = tokens::read(&who, &token)?;
            who.authority.end(claims.channel, ending_of(&claims), dry_run, by).await?
        }
        OfAll::Provider(provider) if !dry_run => who.authority.end_provider(provider, by).await?,
        OfAll::Provider(provider) => under_provider(&who, provider, by).await?,
        OfAll::SigningKey(key) if dry_run => under_keys(&who, Some(key)).await?,
        OfAll::SigningKey(key) => who.authority.remove_signing_key(Some(key), by).await?,
        OfAll::All if dry_run => under_keys(&who, None).await?,
        OfAll::All => who.authority.remove_signing_key(None, by).await?,
    };
    Ok(receipt(count, ended, stateless_too, dry_run))
}

/// What the removal of a signing key, or of all of them, would end.
async fn under_keys(who: &Administrator, key: Option<SigningKeyId>) -> Result<Ended, Problem> {
    let view = who.authority.view();
    let good = view.keys().iter().filter(|it| it.state != KeyState::Removed);
    let keys: Vec<SigningKeyId> = good.map(|it| it.key.id()).collect();
    let keys = match key {
        // A key that is removed already ends nothing more.
        Some(key) if view.key(key).is_some() => keys.into_iter().filter(|&it| it == key).collect(),
        Some(_) => return Err(Error::NotFound("signing key").into()),
        None => keys,
    };
    let tokens = who.authority.store().signed_by(keys, who.authority.now()).await?;
    Ok(Ended { tokens, position: view.position() })
}

/// What the end of a provider's tokens would end.
async fn under_provider(
    who: &Administrator,
    provider: ProviderId,
    by: By,
) -> Result<Ended, Problem> {
    let mut sum = Ended { tokens: 0, position: who.authority.view().position() };
    let mut page = Page { before: None, most: CHANNELS };
    loop {
        let channels = who.authority.store().channels(provider, page).await?;
        for (_, channel) in &channels {
            match who.authority.end(channel.id, Ending::All, true, by.clone()).await {
                Ok(ended) => sum.tokens += ended.tokens,
                // Deleted meanwhile, which ended all its tokens.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match channels.last() {
            Some((row, _)) if channels.len() == CHANNELS => page.before = Some(*row),
            _ => return Ok(sum),
        }
    }
}

/// So many channels are read at once.
const CHANNELS: usize = 1_000;

/// The authority is the only verifier so far, and it knew before it answered. A dry
/// run ended nothing, so nobody can know of it.
fn receipt(
    count: &Counter,
    ended: Ended,
    stateless_too: bool,
    dry_run: bool,
) -> (StatusCode, Json<Revocation>) {
    let status = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
    if !dry_run {
        count.inc();
    }
    let answer = Revocation {
        revoked: ended.tokens,
        stateless_too: stateless_too.then_some(true),
        position: ended.position,
        receipt: Receipt { complete: !dry_run, verifiers: Vec::new() },
        dry_run: dry_run.then_some(true),
    };
    (status, Json(answer))
}

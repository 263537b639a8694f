//! Tokens as an administrator sees them: their facts, never the tokens
//! themselves, but for a new long-lived one, once.

use crate::{
    face::admin::{
        Administrator,
        problem::{Code, Problem, Problems},
        read::{Body, FromMembers, IdempotencyKey, Ids, Members, Part, Query},
        schema, show,
    },
    metrics::NotIssued,
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use tegata_policy::{
    admit::{self, Live},
    judge::{Credential, IssueRequest},
    law::LONGEST_DELAY,
};
use tegata_store::{EndedBy, Error, Page, TokenFilter, TokenName, TokenRow, TokenState};
use tegata_token::{
    claims::Claims,
    decide::{self, Refused},
    id::{ChannelId, TokenId},
    kind::Kind,
    time::UnixTime,
    view::How,
};
use utoipa::ToSchema;

/// How to make a new long-lived token.
#[derive(ToSchema)]
#[schema(as = Reissue)]
#[serde(deny_unknown_fields)]
pub struct Reissue {
    /// For how many seconds the present token lives on.
    #[schema(
        rename = "delay_seconds",
        required = false,
        default = 0,
        minimum = 0,
        maximum = 86_400
    )]
    delay: i64,
    /// Issue nothing; say how many tokens would end.
    #[schema(required = false, default = false)]
    dry_run: bool,
}

impl FromMembers for Reissue {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let delay = members.whole("delay_seconds", 0..=LONGEST_DELAY)?.unwrap_or(0);
        Ok(Self { delay, dry_run: members.flag("dry_run")? })
    }
}

/// Give a channel a new long-lived token.
///
/// The present one ends, or lives on for the delay.
#[utoipa::path(
    post, path = "/channels/{channel}/long-lived-token", operation_id = "reissueLongLivedToken",
    tag = "tokens",
    params(
        ("channel" = schema::ChannelId, Path, description = "Whose token."),
        ("Idempotency-Key" = Option<String>, Header,
         description = "1 to 255 printable characters: ask again with the same one and get the \
                        same token."),
    ),
    request_body = Option<Reissue>,
    responses(
        (status = 201, description = "The new token.", body = show::NewToken),
        (status = 200, description = "What a dry run found.", body = show::Rehearsal),
        Problems,
    )
)]
pub async fn reissue(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    IdempotencyKey(idempotency): IdempotencyKey,
    Body(Reissue { delay, dry_run }): Body<Reissue>,
) -> Result<Response, Problem> {
    let credential = Credential::Administrator { delay };
    let request = IssueRequest { kind: Kind::LongLived, credential, group: None, idempotency };
    if dry_run {
        let tokens = would_end(&who, request, channel).await?;
        return Ok(Json(show::Rehearsal::of(tokens)).into_response());
    }
    let began = who.authority.clock().steady();
    let issued = who.authority.issue(request, channel, Some(who.by(None))).await;
    let issued = issued.map_err(Problem::from);
    let took = who.authority.clock().steady().duration_since(began);
    let why = |problem: &Problem| match problem.code() {
        Code::Unavailable => NotIssued::Unavailable,
        _ => NotIssued::Refused,
    };
    who.metrics.issues(Kind::LongLived).count(issued.as_ref().map_err(why), took);
    let issued = issued?;
    let answer = show::NewToken {
        access_token: issued.reveal().to_owned(),
        token_type: "Bearer",
        token_id: issued.claims.id,
        previous_valid_until: issued.previous_until.and_then(show::time),
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// How many tokens the law would end at once for this request; refused as it would be.
async fn would_end(
    who: &Administrator,
    request: IssueRequest,
    channel: ChannelId,
) -> Result<usize, Problem> {
    let grant = who.authority.grant(request, channel).await?;
    let now = who.authority.now();
    let living = TokenFilter { state: Some(TokenState::Active), ..TokenFilter::default() };
    // The law lets no channel have as many as that.
    let page = Page { before: None, most: 1_000 };
    let rows = who.authority.store().tokens(channel, living, page, now).await?;
    let live: Vec<Live> = rows.into_iter().map(|(_, row)| living_of(row)).collect();
    let next = live.iter().map(|it| it.serial.next()).max().unwrap_or_default();
    // It asks for no group, so there is none to find a place for.
    Ok(admit::admit(&grant, &live, 0, next, now).map_err(Error::from)?.ends.len())
}

fn living_of(row: TokenRow) -> Live {
    Live { kind: row.kind, serial: row.serial, group: row.group, expires_at: row.expires_at }
}

pub struct Wanted {
    filter: TokenFilter,
    part: Part,
}

/// What a kind's name must be.
pub const KIND: &str = "one of v2.1, stateless, short-lived, long-lived";

impl FromMembers for Wanted {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let filter = TokenFilter {
            kind: members.take("kind", KIND)?,
            group: members.take("group", super::groups::NAME)?,
            state: members.take("state", "one of active, expired, ended")?,
        };
        Ok(Self { filter, part: Part::from_members(members)? })
    }
}

/// List a channel's stored tokens, newest first.
///
/// Stateless tokens are not stored. A row stays for a while after its token's end.
#[utoipa::path(
    get, path = "/channels/{channel}/tokens", operation_id = "listTokens", tag = "tokens",
    params(
        ("channel" = schema::ChannelId, Path, description = "Whose tokens."),
        ("kind" = Option<schema::Kind>, Query, description = "Only of this kind."),
        ("group" = Option<schema::Group>, Query, description = "Only of this group."),
        ("state" = Option<schema::TokenState>, Query, description = "Only in this state."),
        Part,
    ),
    responses((status = 200, description = "A page of them.", body = show::Tokens), Problems)
)]
pub async fn list(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Query(Wanted { filter, part }): Query<Wanted>,
) -> Result<Json<show::Tokens>, Problem> {
    who.channel(channel).await?;
    let (store, now) = (who.authority.store(), who.authority.now());
    let (rows, next) = part.split(store.tokens(channel, filter, part.page()?, now).await?);
    Ok(show::Tokens::of(&rows, next))
}

/// Show a stored token.
#[utoipa::path(
    get, path = "/channels/{channel}/tokens/{token}", operation_id = "showToken", tag = "tokens",
    params(
        ("channel" = schema::ChannelId, Path, description = "Whose token."),
        ("token" = schema::TokenId, Path, description = "Its id; not the token."),
    ),
    responses((status = 200, description = "The token's facts.", body = show::Token), Problems)
)]
pub async fn show(
    who: Administrator,
    Ids((channel, token)): Ids<(ChannelId, TokenId)>,
    Query(()): Query<()>,
) -> Result<Json<show::Token>, Problem> {
    let (store, now) = (who.authority.store(), who.authority.now());
    let row = store.token(channel, TokenName::Id(token), now).await?;
    let row = row.ok_or_else(|| Problem::not_found("such token on this channel"))?;
    Ok(Json((&row).into()))
}

/// A token that somebody shows.
#[derive(ToSchema)]
#[schema(as = TokenToExplain)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The token, in whichever form.
    #[schema(rename = "access_token")]
    token: String,
}

impl FromMembers for Shown {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        Ok(Self { token: members.need("access_token", "a token, a text")? })
    }
}

/// Say what a token is, and why it is good or not.
///
/// A string that is no token of this authority is 404.
#[utoipa::path(
    post, path = "/explain", operation_id = "explainToken", tag = "tokens",
    request_body = Shown,
    responses((status = 200, description = "What it is.", body = show::Explanation), Problems)
)]
pub async fn explain(
    who: Administrator,
    Body(Shown { token }): Body<Shown>,
) -> Result<Json<show::Explanation>, Problem> {
    let authority = &who.authority;
    let claims = authority.read(token.as_bytes())?;
    let now = authority.now();
    let verdict = decide::judge(&claims, now, &authority.view());
    let row = match claims.kind.is_stored() {
        true => {
            authority.store().token(claims.channel, TokenName::Serial(claims.serial), now).await?
        }
        false => None,
    };
    let row = row.filter(|row| row.id == claims.id).unwrap_or_else(|| row_of(&claims));
    let row = agreeing(row, verdict);
    let mut why = why(&claims, &row, verdict);
    why.push_str(&super::enders::told(authority, &claims, &row, verdict).await?);
    Ok(Json(show::Explanation { token: (&row).into(), channel_id: claims.channel, why }))
}

/// What is known of a token that has no row, or has none any more.
fn row_of(claims: &Claims) -> TokenRow {
    TokenRow {
        id: claims.id,
        serial: claims.serial,
        kind: claims.kind,
        group: claims.group.clone(),
        assertion_key: claims.assertion_key,
        state: TokenState::Active,
        issued_at: claims.issued_at,
        expires_at: claims.expires_at,
        last_used_at: None,
        ended: None,
        ended_for: None,
        ended_act: None,
    }
}

/// The row with the state that a check would find: the view is what counts, and
/// rows are marked later, or never.
fn agreeing(mut row: TokenRow, verdict: Result<UnixTime, Refused>) -> TokenRow {
    match verdict {
        Ok(_) => row.state = TokenState::Active,
        Err(Refused::Expired) if row.ended.is_none() => row.state = TokenState::Expired,
        Err(Refused::Ended(_)) => row.state = TokenState::Ended,
        Err(_) => {}
    }
    row
}

fn why(claims: &Claims, row: &TokenRow, verdict: Result<UnixTime, Refused>) -> String {
    let at = |time| show::time(time).unwrap_or_else(|| "an unknown time".to_owned());
    let ended_at = row.ended.map_or_else(String::new, |(_, time)| format!(" at {}", at(time)));
    match verdict {
        Ok(until) if until < claims.expires_at => format!(
            "It is good until {}: a newer token replaced it and left it this delay.",
            at(until)
        ),
        Ok(_) if claims.kind == Kind::LongLived => {
            "It is good until it is revoked or reissued.".to_owned()
        }
        Ok(until) => format!("It is good until {}.", at(until)),
        Err(Refused::Expired) => match row.ended {
            Some(_) => format!("It was ended{ended_at}, and would have expired by now."),
            None => format!("It expired at {}.", at(claims.expires_at)),
        },
        Err(Refused::Suspended) => {
            "Its channel is suspended; while it is, no token of it is good.".to_owned()
        }
        Err(Refused::Ended(How::SigningKey)) => {
            format!("The signing key {} that signed it was removed.", claims.key)
        }
        Err(Refused::Ended(How::Channel)) => "Its channel was deleted.".to_owned(),
        Err(Refused::Ended(how)) => match (row.ended.map(|(by, _)| by), how) {
            (Some(EndedBy::Evicted), _) => format!(
                "It was the oldest when a newer token needed its place, and was ended{ended_at}."
            ),
            (Some(EndedBy::Reissued), _) => {
                format!("A newer long-lived token replaced it, and it was ended{ended_at}.")
            }
            (_, How::Floor) => format!("It was revoked{ended_at}, together with others."),
            _ => format!("It was revoked{ended_at}."),
        },
        Err(other) => format!("It is not good here: {other}."),
    }
}

/// The claims of a token of ours, for whoever wants it ended.
pub fn read(who: &Administrator, token: &str) -> Result<Claims, Problem> {
    Ok(who.authority.read(token.as_bytes())?)
}

/// A stored token by its id.
pub async fn find(
    who: &Administrator,
    channel: ChannelId,
    token: TokenId,
) -> Result<TokenRow, Problem> {
    let now = who.authority.now();
    let row = who.authority.store().token(channel, TokenName::Id(token), now).await?;
    row.ok_or_else(|| Problem::new(Code::NotFound, "there is no such token on this channel"))
}

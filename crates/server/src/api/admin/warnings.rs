//! What is about to expire, is unused, or is used though it was replaced.

use crate::{
    api::admin::{
        administrator::Administrator,
        problem::{Problem, Problems},
        read::{Body, Limit, Part, Query, invalid, moment},
        schema, show,
    },
    authority::{
        admin::{FoundWarnings, WarningFilter},
        warnings::{TYPES, Warning},
    },
};
use axum::Json;
use serde::Deserialize;
use tegata_store::Holding;
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};
use utoipa::IntoParams;

/// Which warnings to list, and in which order.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only of this channel.
    #[param(value_type = Option<schema::ChannelId>)]
    channel: Option<ChannelId>,
    /// Only of this provider's channels.
    #[param(value_type = Option<schema::ProviderId>)]
    provider: Option<ProviderId>,
    /// Only of this type, such as `token.expiring`.
    #[param(value_type = Option<String>)]
    r#type: Option<String>,
    /// Only those that apply since this time (RFC 3339) or later.
    #[param(value_type = Option<schema::Time>)]
    since: Option<String>,
    /// Only those that apply since before this time (RFC 3339).
    #[param(value_type = Option<schema::Time>)]
    until: Option<String>,
    /// `channel` (default): by the channels' ids; `time`: newest first, which reads all
    /// channels.
    #[param(value_type = Option<schema::WarningOrder>)]
    order: Option<Order>,
    /// Continue behind this cursor, which the previous page returned as `next`.
    #[param(value_type = Option<schema::Cursor>)]
    after: Option<String>,
    /// Maximum number of rows.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<Limit>,
}

/// The order of warnings.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    #[default]
    Channel,
    Time,
}

impl Wanted {
    fn filter(&mut self) -> Result<WarningFilter, Problem> {
        let kind = self.r#type.take();
        let known = |it: &String| TYPES.contains(&it.as_str());
        if kind.as_ref().is_some_and(|it| !known(it)) {
            return Err(invalid("type", &format!("one of {}", TYPES.join(", "))).in_query());
        }
        let at =
            |name, text: &mut Option<String>| moment(name, text.take()).map_err(Problem::in_query);
        let (since, until) = (at("since", &mut self.since)?, at("until", &mut self.until)?);
        Ok(WarningFilter { kind, provider: self.provider, since, until })
    }
}

/// List warnings.
///
/// In the order of the channels' ids, or of time.
#[utoipa::path(
    get, path = "/warnings", operation_id = "listWarnings", tag = "warnings",
    params(Wanted),
    responses((status = 200, description = "A page of warnings.", body = show::Warnings), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(mut wanted): Query<Wanted>,
) -> Result<Json<show::Warnings>, Problem> {
    let filter = wanted.filter()?;
    let Wanted { channel, order, after, limit, .. } = wanted;
    let (order, is_first) = (order.unwrap_or_default(), channel.is_none() && after.is_none());
    let part = Part::new(after, limit);
    let (warnings, next) = match (channel, order) {
        (Some(channel), Order::Channel) => {
            by_channel(&who.admin.warnings_of(channel, &filter).await?)
        }
        (None, Order::Channel) => {
            by_channel(&who.admin.warnings(part.after()?, part.limit(), &filter).await?)
        }
        (Some(channel), Order::Time) => {
            by_time(&who.admin.warnings_of(channel, &filter).await?, &part)?
        }
        (None, Order::Time) => by_time(&who.admin.all_warnings(&filter).await?, &part)?,
    };
    let (mut verifiers, mut authority) = (Vec::new(), Vec::new());
    if is_first {
        let silent = who.admin.silent_instances()?;
        verifiers.extend(silent.iter().map(show::VerifierWarning::from));
        let wanted = |it: &show::VerifierWarning| {
            let is_of_type = filter.kind.as_ref().is_none_or(|kind| it.is(kind));
            is_of_type && filter.provider.is_none()
        };
        verifiers.retain(wanted);
        let own = who.admin.own_warnings(&filter).await?;
        authority.extend(own.iter().map(show::OwnWarning::from));
    }
    Ok(Json(show::Warnings { warnings, verifiers, authority, next }))
}

type Page = (Vec<show::Warning>, Option<String>);

fn rows(found: &FoundWarnings) -> impl Iterator<Item = (&Warning, &Holding)> {
    found.of_channels.iter().flat_map(|(of, all)| all.iter().map(move |it| (it, of)))
}

fn by_channel(found: &FoundWarnings) -> Page {
    let shown = rows(found).map(|(it, of)| show::Warning::of(it, of)).collect();
    (shown, found.next.map(|id| id.to_string()))
}

fn by_time(found: &FoundWarnings, part: &Part) -> Result<Page, Problem> {
    let mut all: Vec<_> = rows(found).collect();
    let name = |(it, of): &(&Warning, &Holding)| it.name(of.channel.id);
    all.sort_by_cached_key(|row| (std::cmp::Reverse(row.0.since), name(row)));
    let cursor = |row: &(&Warning, &Holding)| {
        let UnixTime(since) = row.0.since;
        format!("{since}/{}", name(row))
    };
    let (page, next) = part.cut(all, cursor)?;
    Ok((page.into_iter().map(|(it, of)| show::Warning::of(it, of)).collect(), next))
}

/// Send a test warning to the webhook now, once.
///
/// The response tells whether the receiver accepted it. 409 if there is no webhook.
#[utoipa::path(
    post, path = "/warnings/test", operation_id = "testWebhook", tag = "warnings",
    responses((status = 200, description = "The result of the delivery.", body = show::TestDelivery),
              Problems)
)]
pub async fn test(
    who: Administrator,
    Body(()): Body<()>,
) -> Result<Json<show::TestDelivery>, Problem> {
    Ok(Json(who.admin.test_webhook().await?.into()))
}

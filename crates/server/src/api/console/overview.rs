//! What needs attention; providers and channels.

use super::{
    Answer,
    failure::Failure,
    live,
    pager::Pager,
    render,
    visit::{SignedIn, may},
};
use crate::{
    api::form::Form,
    authority::{
        admin::WarningFilter,
        warnings::{Subject, Warning, own::OwnWarning},
    },
};
use axum::extract::RawQuery;
use tegata_console::pages::{
    Alert, AlertKind, ChannelLine, Overview, OverviewPage, OwnAlert, ProviderLine,
};
use tegata_policy::{channel::Channel, permission::Permission, text::is_plain};
use tegata_store::{ChannelFilter, Provider, ProviderRevocation};
use tegata_token::time::UnixTime;

/// Maximum number of warnings that are shown.
const WARNINGS: usize = 50;

/// The page.
pub async fn show(who: SignedIn, RawQuery(query): RawQuery) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    // No name has a character that is not plain, and PostgreSQL refuses a NUL.
    let plain = |it: &str| it.chars().filter(|it| is_plain(*it)).take(100).collect::<String>();
    let search = query.get("q").map(plain);
    let fields = [("q", search.as_deref().unwrap_or_default())];
    let (alerts, more_alerts, searched) = match search {
        Some(_) => Default::default(),
        None => alerts(&who).await?,
    };
    let own = match search {
        Some(_) => Vec::new(),
        None => who.admin.own_warnings(&WarningFilter::default()).await?,
    };
    let pager = Pager::of(&query, "providers")?;
    let rows = who.admin.providers_alone(search.clone(), pager.page()).await?;
    let (providers, providers_next) = pager.split(rows, "/console", &fields);
    let pager = Pager::of(&query, "channels")?;
    let filter = ChannelFilter { search: search.clone(), ..ChannelFilter::default() };
    let rows = who.admin.channels(filter, pager.page()).await?;
    let (channels, channels_next) = pager.split(rows, "/console", &fields);
    let provider = |(it, revocation): (Provider, Option<ProviderRevocation>)| ProviderLine {
        id: it.id,
        name: it.name,
        created_at: it.created_at,
        channels_left: revocation.map(|it| it.channels_left),
    };
    let live = match search {
        Some(_) => Vec::new(),
        None => live::parts(&who).await?,
    };
    let it = Overview {
        own: own.into_iter().map(own_alert).collect(),
        alerts,
        more_alerts,
        searched,
        search: search.unwrap_or_default(),
        providers: providers.into_iter().map(provider).collect(),
        providers_next,
        channels: channels.iter().map(channel_line).collect(),
        channels_next,
        creates: may(&who, Permission::CreateProvider, None, None),
        live,
    };
    render(&OverviewPage::new(who.frame(), it))
}

fn own_alert(it: OwnWarning) -> OwnAlert {
    match it {
        OwnWarning::SigningKeyOverdue { due_at, .. } => OwnAlert::SigningKeyOverdue(due_at),
        OwnWarning::CertificateExpires { expires_at } => OwnAlert::CertificateExpires(expires_at),
        OwnWarning::BackupOld { backed_up_at } => OwnAlert::BackupOld(backed_up_at),
        OwnWarning::StoreWentBackwards { seen_at } => OwnAlert::StoreWentBackwards(seen_at),
    }
}

/// A channel, as lists show it.
pub fn channel_line(it: &Channel) -> ChannelLine {
    ChannelLine {
        id: it.id,
        name: it.name.clone(),
        channel_type: it.channel_type,
        state: it.state,
        created_at: it.created_at,
    }
}

/// What needs attention, the most urgent first, whether there is more, and when it was
/// searched for, if that was earlier.
async fn alerts(who: &SignedIn) -> Result<(Vec<Alert>, bool, Option<UnixTime>), Failure> {
    let found = who.admin.attention(WARNINGS).await?;
    let alerts = found.warnings.iter().map(|(of, it)| alert(of, it)).collect();
    Ok((alerts, found.more, Some(found.at).filter(|it| *it < who.visit.now)))
}

fn alert(of: &Channel, it: &Warning) -> Alert {
    let token = it.token();
    let (what, made_at, last_used_at) = match &it.what {
        Subject::TokenExpires(token) => {
            (AlertKind::TokenExpires(token.kind), None, token.last_used_at)
        }
        Subject::TokenUnused(token) => (AlertKind::TokenUnused(token.kind), None, None),
        Subject::TokenReplaced { token, .. } => {
            (AlertKind::TokenReplaced(token.kind), None, token.last_used_at)
        }
        Subject::SecretExpires { .. } => (AlertKind::SecretExpires, None, None),
        Subject::KeyUnused { created_at, .. } => (AlertKind::KeyUnused, Some(*created_at), None),
        Subject::NearlyFull { kind, active, cap } => {
            (AlertKind::NearlyFull(*kind, *active, *cap), None, None)
        }
    };
    let settings = it
        .group()
        .and_then(|name| of.groups.iter().find(|(group, _)| group.as_str() == name).map(|it| it.1));
    Alert {
        channel: of.id,
        name: of.name.clone(),
        group: it.group().map(str::to_owned),
        contact: settings.and_then(|it| it.contact.clone()),
        made_at: made_at.or(token.map(|it| it.issued_at)),
        expires_at: it.expires_at(),
        last_used_at,
        what,
    }
}

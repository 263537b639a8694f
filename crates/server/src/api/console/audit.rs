//! Who did what: in the whole authority, or in a channel.

use super::{
    Answer, channel,
    failure::Failure,
    ids::Ids,
    pager::Pager,
    render, shown,
    visit::{SignedIn, may},
};
use crate::api::form::Form;
use axum::extract::RawQuery;
use data_encoding::HEXLOWER;
use serde_json::Value;
use tegata_console::{
    Section,
    pages::{AuditLine, AuditPage, AuditView, ChannelTab, PageHead, Verification},
};
use tegata_policy::permission::Permission;
use tegata_store::{AuditFilter, AuditRow, audit_event::AuditAct};
use tegata_token::id::{ChannelId, PersonId};

/// The events that the person may see.
pub async fn of_all(who: SignedIn, RawQuery(query): RawQuery) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    let channel = query.get("channel").map(|it| it.trim().parse().map_err(|_| it));
    let mut it = AuditView { here: "/console/audit".to_owned(), ..AuditView::default() };
    it.channel = query.get("channel").unwrap_or_default().to_owned();
    match channel {
        // What is no id finds nothing.
        Some(Err(_)) => {}
        None => it = events(&who, AuditFilter::default(), &query, it).await?,
        Some(Ok(id)) => {
            let filter = AuditFilter { channel: Some(id), ..AuditFilter::default() };
            it = events(&who, filter, &query, it).await?;
        }
    }
    it.filters_channel = true;
    it.verifies = may(&who, Permission::ReadAudit, None, None);
    it.commands = vec!["tegata audit list".to_owned(), "tegata audit verify".to_owned()];
    let t = &who.frame().t().audit;
    let page = PageHead::new(who.frame(), Some(Section::Audit), t.title).lead(t.lead);
    render(&AuditPage::new(page, it))
}

/// The events of a channel.
pub async fn of_channel(
    who: SignedIn,
    Ids(id): Ids<ChannelId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    let (head, _) = channel::head(&who, id).await?;
    if !head.tabs.contains(&ChannelTab::Audit) {
        return Err(Failure::forbidden());
    }
    let it = AuditView { here: head.at("/audit"), ..AuditView::default() };
    let filter = AuditFilter { channel: Some(id), ..AuditFilter::default() };
    let mut it = events(&who, filter, &query, it).await?;
    it.commands = vec![format!("tegata audit list --channel {id}")];
    render(&AuditPage::new(head.page(who.frame(), ChannelTab::Audit), it))
}

/// A page of events.
async fn events(
    who: &SignedIn,
    filter: AuditFilter,
    query: &Form<'_>,
    it: AuditView,
) -> Result<AuditView, Failure> {
    let pager = Pager::of(query, "before")?;
    let text = |name| query.get(name).unwrap_or_default().trim();
    let (act, actor) = (text("act"), text("actor"));
    // What is the name of no act finds nothing.
    let known = AuditAct::of(act);
    let is_act = known.is_some() || act.is_empty();
    // Neither does what no actor is named, such as a text with a NUL, which PostgreSQL refuses.
    let named = shown::line(actor, 100);
    let rows = if is_act && (named.is_some() || actor.is_empty()) {
        who.admin.audit(AuditFilter { act: known, actor: named, ..filter }, pager.page()).await?
    } else {
        Vec::new()
    };
    let fields = [("channel", it.channel.as_str()), ("act", act), ("actor", actor)];
    let rows = rows.into_iter().map(|row| (row.id, row)).collect();
    let (rows, next) = pager.split(rows, &it.here, &fields);
    let events = rows.iter().map(|row| line(who, row)).collect();
    Ok(AuditView {
        act: act.to_owned(),
        actor: actor.to_owned(),
        acts: AuditAct::ALL.iter().map(|it| it.name()).collect(),
        events,
        next,
        ..it
    })
}

/// An event, as pages show it.
pub fn line(who: &SignedIn, row: &AuditRow) -> AuditLine {
    let name = actor_name(who, &row.actor);
    let mut detail = row.detail.clone();
    let reason = detail.as_object_mut().and_then(|it| it.remove("reason"));
    let members = detail.as_object().into_iter().flatten();
    let value = |it: &Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
    AuditLine {
        id: row.id,
        at: row.at,
        actor: row.actor.clone(),
        name,
        source: row.source.clone(),
        act: row.act.clone(),
        channel: row.channel,
        provider: row.provider,
        reason: reason.as_ref().and_then(Value::as_str).map(str::to_owned),
        detail: members
            .filter(|(_, it)| !it.is_null())
            .map(|(name, it)| (name.clone(), value(it)))
            .collect(),
    }
}

/// The display name of an actor that is a person.
pub fn actor_name(who: &SignedIn, actor: &str) -> Option<String> {
    let id = actor.strip_prefix("person ").and_then(|it| it.parse::<PersonId>().ok());
    id.and_then(|id| who.admin.name_of(id))
}

/// Verifies the whole audit.
pub async fn verify(who: SignedIn) -> Answer {
    let report = who.admin.verify_audit().await?;
    let key = HEXLOWER.encode(&who.admin.audit_key()?.to_bytes());
    let verification = Verification {
        ok: report.ok,
        events: report.events,
        checkpoints: report.checkpoints,
        pending: report.pending,
        problems: report.problems.into_iter().map(|it| it.what).collect(),
        notices: report.notices,
        key,
    };
    let empty = Form::parse(b"").map_err(Failure::bad_request)?;
    let it = AuditView { here: "/console/audit".to_owned(), ..AuditView::default() };
    let mut it = events(&who, AuditFilter::default(), &empty, it).await?;
    it.filters_channel = true;
    it.verifies = true;
    it.verification = Some(verification);
    it.commands = vec!["tegata audit verify".to_owned()];
    let t = &who.frame().t().audit;
    let page = PageHead::new(who.frame(), Some(Section::Audit), t.title).lead(t.lead);
    render(&AuditPage::new(page, it))
}

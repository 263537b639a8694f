//! The token rules and the limits of a channel.

use super::head;
use crate::{
    api::{
        console::{
            Answer,
            failure::Failure,
            ids::Ids,
            notice::Notice,
            render,
            sent::Sent,
            visit::{SignedIn, may},
        },
        form::Form,
    },
    authority::admin::ActOptions,
};
use axum::response::IntoResponse;
use http::StatusCode;
use std::num::NonZeroU32;
use tegata_console::{
    Frame,
    forms::Field,
    pages::{Security, SecurityPage},
};
use tegata_policy::{
    channel::OnLeak,
    permission::Permission,
    rules::{TokenRules, WhenFull},
};
use tegata_store::{ChannelPatch, LimitsPatch, SettingsTag};
use tegata_token::{id::ChannelId, time::DAY};

/// The page.
pub async fn show(who: SignedIn, Ids(id): Ids<ChannelId>) -> Answer {
    render(&SecurityPage::new(who.frame(), view(&who, id).await?))
}

async fn view(who: &SignedIn, id: ChannelId) -> Result<Security, Failure> {
    let (head, found) = head(who, id).await?;
    let it = &found.holding.channel;
    let field = |it: Option<u32>| Field::of(it.map(|it| it.to_string()).unwrap_or_default());
    let positive = |it: Option<NonZeroU32>| field(it.map(NonZeroU32::get));
    Ok(Security {
        rules: match it.rules {
            TokenRules::Current => "current",
            TokenRules::Legacy2020 => "legacy-2020",
        },
        denies: it.group_rule.when_full == WhenFull::Deny,
        group_cap: Field::of(it.group_rule.cap.to_string()),
        own_audience_only: it.own_audience_only,
        single_use_assertions: it.single_use_assertions,
        flags_leaks: it.on_leak == OnLeak::Flag,
        limits: [
            positive(it.limits.issue_rate_short_lived),
            positive(it.limits.issue_rate),
            positive(it.limits.verify_rate),
            field(it.limits.surge_limit),
            positive(it.limits.surge_window_seconds),
            positive(it.limits.surge_cooldown_seconds),
        ],
        seen: SettingsTag::of_channel(it).to_string(),
        changes: may(who, Permission::ChangeChannel, Some(it.provider), Some(id)),
        head,
    })
}

/// The smallest and largest value of each limit, in the order of the page.
const BOUNDS: [(u32, u32); 6] = [
    (1, 1_000_000),
    (1, 1_000_000),
    (1, 1_000_000),
    (0, u32::MAX),
    (1, DAY as u32),
    (1, DAY as u32),
];

/// A limit that was entered; empty: the server's applies.
fn limit(entered: &str, (least, most): (u32, u32)) -> Option<Option<u32>> {
    match entered.trim() {
        "" => Some(None),
        text => text.parse().ok().filter(|it| (least..=most).contains(it)).map(Some),
    }
}

/// What was entered, as a patch; the inner error is the page again.
fn patch(who: &SignedIn, form: &Form<'_>, shown: Security) -> Result<ChannelPatch, Box<Security>> {
    let mut shown = Box::new(shown);
    let t = &who.frame().t().security;
    let mut limits = [None; 6];
    let mut is_wrong = false;
    for (at, (name, bounds)) in Security::LIMITS.iter().zip(BOUNDS).enumerate() {
        let entered = form.get(name).unwrap_or_default();
        shown.limits[at] = Field::of(entered);
        match limit(entered, bounds) {
            Some(limit) => limits[at] = limit,
            None => {
                shown.limits[at] = Field::of(entered).wrong((t.limit_wrong)(bounds.0, bounds.1));
                is_wrong = true;
            }
        }
    }
    let entered = form.get("group_cap").unwrap_or_default();
    let cap = entered.trim().parse().ok().filter(|it| (1..=30).contains(it));
    if cap.is_none() {
        shown.group_cap = Field::of(entered).wrong((t.limit_wrong)(1, 30));
        is_wrong = true;
    }
    if is_wrong {
        return Err(shown);
    }
    let positive = |it: Option<u32>| Some(it.and_then(NonZeroU32::new));
    let rules = match form.get("rules") {
        Some("legacy-2020") => TokenRules::Legacy2020,
        _ => TokenRules::Current,
    };
    let when_full = match form.get("when_full") {
        Some("deny") => WhenFull::Deny,
        _ => WhenFull::EvictOldest,
    };
    let on_leak = match form.get("on_leak") {
        Some("flag") => OnLeak::Flag,
        _ => OnLeak::Revoke,
    };
    let limits = LimitsPatch {
        issue_rate_short_lived: positive(limits[0]),
        issue_rate: positive(limits[1]),
        verify_rate: positive(limits[2]),
        surge_limit: Some(limits[3]),
        surge_window_seconds: positive(limits[4]),
        surge_cooldown_seconds: positive(limits[5]),
    };
    Ok(ChannelPatch {
        rules: Some(rules),
        group_cap: cap,
        group_when_full: Some(when_full),
        own_audience_only: Some(form.get("own_audience_only").is_some()),
        single_use_assertions: Some(form.get("single_use_assertions").is_some()),
        on_leak: Some(on_leak),
        limits,
        ..ChannelPatch::default()
    })
}

/// Changes them.
pub async fn change(who: SignedIn, Ids(id): Ids<ChannelId>, sent: Sent) -> Answer {
    let form = sent.form()?;
    let shown = view(&who, id).await?;
    let here = shown.head.at("/security");
    match patch(&who, &form, shown) {
        Ok(patch) => {
            who.as_seen(&form).change_channel(id, patch, &ActOptions::default()).await?;
            Ok(who.done(Notice::Saved, &here))
        }
        Err(shown) => {
            let page = SecurityPage::new(Frame { here, ..who.frame() }, *shown);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
        }
    }
}

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
    rules::{CAP, TokenRules, WhenFull},
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

/// The page with what was entered: also with the tag of the settings that the person saw, so that
/// none that was changed meanwhile is overwritten.
fn entered(form: &Form<'_>, shown: Security) -> Security {
    let text = |name: &str| Field::of(form.get(name).unwrap_or_default());
    Security {
        rules: match form.get("rules") {
            Some("legacy-2020") => "legacy-2020",
            _ => "current",
        },
        denies: form.get("when_full") == Some("deny"),
        group_cap: text("group_cap"),
        own_audience_only: form.get("own_audience_only").is_some(),
        single_use_assertions: form.get("single_use_assertions").is_some(),
        flags_leaks: form.get("on_leak") == Some("flag"),
        limits: Security::LIMITS.map(text),
        seen: form.get("seen").map_or(shown.seen, str::to_owned),
        ..shown
    }
}

/// What was entered, as a patch; the inner error is the page again.
fn patch(who: &SignedIn, mut it: Box<Security>) -> Result<ChannelPatch, Box<Security>> {
    let t = &who.frame().t().security;
    let mut limits = [None; 6];
    let mut is_wrong = false;
    for ((field, bounds), to) in it.limits.iter_mut().zip(BOUNDS).zip(&mut limits) {
        match limit(&field.value, bounds) {
            Some(limit) => *to = limit,
            None => {
                *field = Field::of(&field.value).wrong((t.limit_wrong)(bounds.0, bounds.1));
                is_wrong = true;
            }
        }
    }
    let cap = it.group_cap.value.trim().parse().ok().filter(|it| (1..=CAP).contains(it));
    if cap.is_none() {
        let most = u32::try_from(CAP).unwrap_or(u32::MAX);
        it.group_cap = Field::of(&it.group_cap.value).wrong((t.limit_wrong)(1, most));
        is_wrong = true;
    }
    if is_wrong {
        return Err(it);
    }
    let positive = |it: Option<u32>| Some(it.and_then(NonZeroU32::new));
    let limits = LimitsPatch {
        issue_rate_short_lived: positive(limits[0]),
        issue_rate: positive(limits[1]),
        verify_rate: positive(limits[2]),
        surge_limit: Some(limits[3]),
        surge_window_seconds: positive(limits[4]),
        surge_cooldown_seconds: positive(limits[5]),
    };
    Ok(ChannelPatch {
        rules: Some(match it.rules {
            "legacy-2020" => TokenRules::Legacy2020,
            _ => TokenRules::Current,
        }),
        group_cap: cap,
        group_when_full: Some(if it.denies { WhenFull::Deny } else { WhenFull::EvictOldest }),
        own_audience_only: Some(it.own_audience_only),
        single_use_assertions: Some(it.single_use_assertions),
        on_leak: Some(if it.flags_leaks { OnLeak::Flag } else { OnLeak::Revoke }),
        limits,
        ..ChannelPatch::default()
    })
}

/// Changes them.
pub async fn change(who: SignedIn, Ids(id): Ids<ChannelId>, sent: Sent) -> Answer {
    let form = sent.form()?;
    let entered = entered(&form, view(&who, id).await?);
    let here = entered.head.at("/security");
    match patch(&who, Box::new(entered)) {
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

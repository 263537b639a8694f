//! The token rules and the limits of a channel.

use super::{ChannelHead, ChannelTab, PageHead};
use crate::{
    Frame,
    forms::{Field, Input},
    html::Html,
};
use askama::Template;

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Security {
    /// The head.
    pub head: ChannelHead,
    /// The token rules: `current` or `legacy-2020`.
    pub rules: &'static str,
    /// Whether a full group denies another token, rather than evict the oldest.
    pub denies: bool,
    /// Maximum number of active tokens of a kind in a group.
    pub group_cap: Field,
    /// Whether an assertion must name this server.
    pub own_audience_only: bool,
    /// Whether each assertion is accepted once.
    pub single_use_assertions: bool,
    /// Whether a report of a leaked token leaves it active.
    pub flags_leaks: bool,
    /// The limits, in the order of [`Security::LIMITS`]; empty: the server's.
    pub limits: [Field; 6],
    /// The tag of the settings that are shown.
    pub seen: String,
    /// Whether the person may change them.
    pub changes: bool,
}

impl Security {
    /// The names of the limits, in forms and in the API.
    pub const LIMITS: [&'static str; 6] = [
        "issue_rate_short_lived",
        "issue_rate",
        "verify_rate",
        "surge_limit",
        "surge_window_seconds",
        "surge_cooldown_seconds",
    ];
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "security.html")]
pub struct SecurityPage {
    page: PageHead,
    it: Security,
}

impl SecurityPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, it: Security) -> Self {
        let t = &frame.t().security;
        let cap = ("group_cap", t.group_cap, &it.group_cap);
        let limits = Security::LIMITS.into_iter().zip(t.limits).zip(&it.limits);
        let limits = limits.map(|((name, label), field)| (name, label, field));
        let page = it.head.page(frame, ChannelTab::Security);
        Self { page: page.checked([cap].into_iter().chain(limits).filter(|_| it.changes)), it }
    }

    fn cap(&self) -> Html {
        let t = &self.page.frame.t().security;
        Input::new("group_cap", t.group_cap, &self.it.group_cap).longest(2).html()
    }

    fn limits(&self) -> Vec<Html> {
        let names = self.page.frame.t().security.limits;
        let all = Security::LIMITS.into_iter().zip(names).zip(&self.it.limits);
        all.map(|((name, label), field)| {
            Input::new(name, label, field).longest(10).optional().html()
        })
        .collect()
    }

    /// The settings for a person who may not change them: names and values.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let (t, it) = (&self.page.frame.t().security, &self.it);
        let yes = |is: bool| if is { t.yes } else { t.no }.to_owned();
        let when_full = if it.denies { t.deny } else { t.evict };
        let mut facts = vec![
            (t.rules, it.rules.to_owned()),
            (t.group_cap, it.group_cap.value.clone()),
            (t.when_full, when_full.to_owned()),
            (t.own_audience_only, yes(it.own_audience_only)),
            (t.single_use, yes(it.single_use_assertions)),
            (t.on_leak, if it.flags_leaks { t.leak_flag } else { t.leak_revoke }.to_owned()),
        ];
        facts.extend(t.limits.into_iter().zip(&it.limits).map(|(name, field)| {
            let value = if field.value.is_empty() { t.servers } else { &field.value };
            (name, value.to_owned())
        }));
        facts
    }
}

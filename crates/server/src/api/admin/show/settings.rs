//! Token rules, settings and activity, as the API shows them.

use super::time::time;
use crate::{
    api::admin::schema,
    authority::{activity::ActiveMinute, admin::EffectiveSettings},
};
use serde::Serialize;
use tegata_policy::rules::{ASSERTION_KEYS, Authentication, ChannelType, GROUP_CAP, GROUPS, RULES};
use tegata_policy::rules::{Rule, TokenRules, WhenFull};
use tegata_token::{
    kind::{Kind, Lifetime},
    time::DAY,
};
use utoipa::ToSchema;

/// The token rules.
#[derive(Serialize, ToSchema)]
pub struct AllTokenRules {
    /// Each kind under the rules `current`.
    current: Vec<KindRule>,
    /// Each kind under the rules `legacy-2020`.
    #[serde(rename = "legacy-2020")]
    legacy_2020: Vec<KindRule>,
    /// The default of `group_cap`.
    default_group_cap: usize,
    /// Maximum number of groups of a channel.
    groups: usize,
    /// Maximum number of assertion keys of a group, and of the channel at large.
    assertion_keys: usize,
}

/// The rules of a kind.
#[derive(Serialize, ToSchema)]
pub struct KindRule {
    #[schema(value_type = schema::Kind)]
    kind: Kind,
    /// The longest lifetime in seconds; null: until it is revoked.
    #[schema(required)]
    longest_seconds: Option<i64>,
    /// How many active tokens a channel may have; null: no limit.
    #[schema(required)]
    cap: Option<usize>,
    /// The kinds that are counted under that cap together.
    #[schema(value_type = Vec<schema::Kind>)]
    counted_with: Vec<Kind>,
    /// What happens to a further issue.
    #[schema(required, value_type = Option<schema::WhenFull>)]
    when_full: Option<WhenFull>,
    /// How a client authenticates: `secret`, `assertion` or `administrator`.
    authentication: Vec<&'static str>,
    /// The types of channels that may have it.
    #[schema(value_type = Vec<schema::ChannelType>)]
    channel_types: Vec<ChannelType>,
}

impl AllTokenRules {
    /// The rules of this program.
    pub fn current() -> Self {
        let of = |rules: TokenRules| RULES.iter().map(|rule| KindRule::of(rule, rules)).collect();
        Self {
            current: of(TokenRules::Current),
            legacy_2020: of(TokenRules::Legacy2020),
            default_group_cap: GROUP_CAP,
            groups: GROUPS,
            assertion_keys: ASSERTION_KEYS,
        }
    }
}

impl KindRule {
    fn of(rule: &Rule, rules: TokenRules) -> Self {
        let pool = rules.pool(rule.kind);
        let authentication = |it: &Authentication| match it {
            Authentication::Secret => "secret",
            Authentication::Assertion => "assertion",
            Authentication::Administrator => "administrator",
        };
        Self {
            kind: rule.kind,
            longest_seconds: longest(rule.life),
            cap: pool.map(|it| it.cap.most),
            counted_with: pool.map_or_else(Vec::new, |it| it.kinds.to_vec()),
            when_full: pool.map(|it| it.cap.when_full),
            authentication: rule.authentication.iter().map(authentication).collect(),
            channel_types: rule.channel_types.to_vec(),
        }
    }
}

/// The longest lifetime, in seconds; `None` for a kind without an end in practice.
fn longest(life: Lifetime) -> Option<i64> {
    match life {
        Lifetime::Requested { longest } => Some(longest),
        // A century: it ends with its revocation.
        Lifetime::Fixed(seconds) => (seconds < 10 * 365 * DAY).then_some(seconds),
    }
}

/// The settings that apply to every channel without settings of its own.
#[derive(Serialize, ToSchema)]
pub struct Settings {
    /// The server's public address.
    public_url: String,
    /// Short-lived tokens per channel and second.
    issue_rate_short_lived: u32,
    /// Requests per channel and second for each other operation.
    issue_rate: u32,
    /// Requests per channel and second to each of LINE's two verifications; null: no limit.
    #[schema(required)]
    verify_rate: Option<u32>,
    /// Tokens of one kind that a channel may be issued per window; null: no limit.
    #[schema(required)]
    surge_limit: Option<u32>,
    surge_window_seconds: u64,
    surge_cooldown_seconds: u64,
    /// After how long without use a token is idle while a newer one is used.
    token_idle_after_seconds: u64,
    /// The times before an expiry at which a warning is sent, the longest first.
    warn_before_seconds: Vec<u64>,
    /// How long something must be unused to be a warning.
    warn_unused_after_seconds: u64,
    /// After how many days a signing key should be replaced.
    signing_key_days: u32,
}

impl From<&EffectiveSettings> for Settings {
    fn from(it: &EffectiveSettings) -> Self {
        let (rates, warn) = (&it.rates, &it.warn);
        Self {
            public_url: it.issuer.clone(),
            issue_rate_short_lived: rates.short_lived.get(),
            issue_rate: rates.other.get(),
            verify_rate: rates.check.map(|it| it.get()),
            surge_limit: rates.surge.issues.map(|it| it.get()),
            surge_window_seconds: rates.surge.window.as_secs(),
            surge_cooldown_seconds: rates.surge.cooldown.as_secs(),
            token_idle_after_seconds: it.idle_after.as_secs(),
            warn_before_seconds: warn.before.iter().map(|it| it.as_secs()).collect(),
            warn_unused_after_seconds: warn.unused_after.as_secs(),
            signing_key_days: warn.signing_key_days,
        }
    }
}

/// What happened in each minute of the last day.
#[derive(Serialize, ToSchema)]
pub struct Activity {
    /// The minutes since the server's start, oldest first.
    minutes: Vec<Minute>,
}

/// What happened in a minute.
#[derive(Serialize, ToSchema)]
#[schema(as = ActiveMinute)]
pub struct Minute {
    /// Its start.
    #[schema(required, value_type = Option<schema::Time>)]
    minute: Option<String>,
    /// Verifications of active tokens.
    verified: u64,
    /// Verifications of other tokens.
    rejected: u64,
    /// Tokens that were issued.
    issued: u64,
}

impl From<&[ActiveMinute]> for Activity {
    fn from(all: &[ActiveMinute]) -> Self {
        let minute = |it: &ActiveMinute| Minute {
            minute: time(it.minute),
            verified: it.verified,
            rejected: it.rejected,
            issued: it.issued,
        };
        Self { minutes: all.iter().map(minute).collect() }
    }
}

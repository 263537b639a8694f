//! Warnings: what is about to expire, is unused, or is used though it was replaced.
//!
//! [`find`] returns the warnings about one channel; it depends on no clock and no store.
//! The job queues due ones, once per subject and per time before its expiry, and
//! [`webhook`] delivers them. What it found stays in memory as a [`walk`].

pub mod job;
pub mod leak;
pub mod own;
pub mod walk;
pub mod webhook;

use std::time::Duration;
use tegata_policy::{
    channel::{Channel, RegisteredKey},
    rules::{LONGEST_DELAY, Pool},
};
use tegata_store::{Holding, NewWarning, TokenRow};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Serial, TokenId},
    kind::Kind,
    time::{DAY, UnixTime},
    view::ChannelState,
};

/// When to warn.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The times before an expiry, the longest first.
    pub before: Vec<Duration>,
    /// How long after its creation something without use counts as unused.
    pub unused_after: Duration,
    /// After how many days a signing key should be replaced.
    pub signing_key_days: u32,
}

impl Default for Policy {
    fn default() -> Self {
        let day = Duration::from_secs(DAY.unsigned_abs());
        Self { before: vec![7 * day, day, day / 24], unused_after: 7 * day, signing_key_days: 90 }
    }
}

/// The types of warnings that lists can have.
pub const TYPES: [&str; 13] = [
    "token.expiring",
    "token.unused",
    "token.replaced-in-use",
    "secret.expiring",
    "assertion-key.unused",
    "channel.nearly-full",
    "signing-key.overdue",
    "certificate.expiring",
    "backup.old",
    "store.went-backwards",
    "verifier.behind",
    "verifier.may-still-accept",
    "verifier.accepted-revoked",
];

/// How long the holder of a new token has to switch to it, in seconds.
const CHANGEOVER: i64 = 3_600;

/// How long a warning is kept after the expiry that it is about, in seconds.
const KEPT: i64 = 7 * DAY;

/// A warning.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// What it is about.
    pub what: Subject,
    /// For something that expires: the time before its expiry that has come, in seconds.
    pub stage: Option<i64>,
    /// Since when it applies.
    pub since: UnixTime,
}

/// What a warning is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A token expires, and no other token of its kind that its holder could have expires
    /// later.
    TokenExpires(WarnedToken),
    /// A token was never used.
    TokenUnused(WarnedToken),
    /// A token is still used long after its group, or its channel for a long-lived token,
    /// got a newer one: its client will fail once it expires.
    TokenReplaced {
        /// The token that is used.
        token: WarnedToken,
        /// The newer one.
        by: TokenId,
    },
    /// The previous channel secret expires.
    SecretExpires {
        /// Its expiry.
        at: UnixTime,
    },
    /// An assertion key was never used.
    KeyUnused {
        /// Its `kid`.
        kid: AssertionKeyId,
        /// The group that it is bound to.
        group: Option<String>,
        /// When it was registered.
        created_at: UnixTime,
    },
    /// A channel nearly has as many active tokens of a kind as it may have.
    NearlyFull {
        /// The kind.
        kind: Kind,
        /// How many are active.
        active: usize,
        /// How many may be.
        cap: usize,
    },
}

/// A token, as a warning describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct WarnedToken {
    /// Its id.
    pub id: TokenId,
    /// Its serial.
    pub serial: Serial,
    /// Its kind.
    pub kind: Kind,
    /// The group that holds it.
    pub group: Option<String>,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// Its expiry.
    pub expires_at: UnixTime,
    /// Its last use that was recorded.
    pub last_used_at: Option<UnixTime>,
}

impl WarnedToken {
    fn of(row: &TokenRow) -> Self {
        Self {
            id: row.id,
            serial: row.serial,
            kind: row.kind,
            group: row.group.as_ref().map(|group| group.as_str().to_owned()),
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// All warnings about a channel at `now`.
#[must_use]
pub fn find(holding: &Holding, policy: &Policy, now: UnixTime) -> Vec<Warning> {
    let mut found = Vec::new();
    for token in &holding.tokens {
        of_token(token, &holding.tokens, policy, now, &mut found);
    }
    for secret in &holding.channel.secrets {
        if let Some(at) = secret.until
            && let Some(stage) = policy.stage(at.since(now), LONGEST_DELAY)
        {
            let (what, since) = (Subject::SecretExpires { at }, at.plus(-stage));
            found.push(Warning { what, stage: Some(stage), since });
        }
    }
    let unused = |key: &&RegisteredKey| {
        !holding.keys_used.contains_key(&key.id) && policy.is_old(key.created_at, now)
    };
    for key in holding.channel.assertion_keys.iter().filter(unused) {
        let group = key.group.as_ref().map(|group| group.as_str().to_owned());
        let what = Subject::KeyUnused { kid: key.id, group, created_at: key.created_at };
        let since = policy.old_from(key.created_at);
        found.push(Warning { what, stage: None, since });
    }
    for (kind, pool) in pools(holding) {
        let active = of_pool(holding, pool).count();
        let newest = of_pool(holding, pool).map(|it| it.issued_at).max();
        if let Some(since) = newest.filter(|_| pool.cap.is_nearly_reached(active)) {
            let what = Subject::NearlyFull { kind, active, cap: pool.cap.most };
            found.push(Warning { what, stage: None, since });
        }
    }
    found
}

/// What is counted together under a cap, for each kind that several tokens can be active of.
fn pools(holding: &Holding) -> impl Iterator<Item = (Kind, Pool)> {
    let kinds = [Kind::V21, Kind::ShortLived].into_iter();
    kinds.filter_map(|kind| Some((kind, holding.channel.rules.pool(kind)?)))
}

/// The active tokens that are counted together.
fn of_pool(holding: &Holding, pool: Pool) -> impl Iterator<Item = &TokenRow> {
    holding.tokens.iter().filter(move |it| pool.kinds.contains(&it.kind))
}

fn of_token(
    token: &TokenRow,
    all: &[TokenRow],
    policy: &Policy,
    now: UnixTime,
    found: &mut Vec<Warning>,
) {
    let newer = all
        .iter()
        .filter(|it| it.kind == token.kind && it.group == token.group && it.serial > token.serial)
        .min_by_key(|it| it.serial);
    let used_beyond = newer.is_some_and(|newer| {
        token.last_used_at.is_some_and(|used| used.since(newer.issued_at) > CHANGEOVER)
    });
    // Tokens without a group have many holders; a newer token of one of them means
    // nothing for the others.
    let one_holder = token.group.is_some() || token.kind == Kind::LongLived;
    if let Some(by) = newer.filter(|_| used_beyond && one_holder) {
        let what = Subject::TokenReplaced { token: WarnedToken::of(token), by: by.id };
        let since = by.issued_at.plus(CHANGEOVER);
        found.push(Warning { what, stage: None, since });
        return;
    }
    let outlived = newer.is_some_and(|newer| newer.expires_at > token.expires_at) && !used_beyond;
    let life = token.expires_at.since(token.issued_at);
    if !outlived && let Some(stage) = policy.stage(token.expires_at.since(now), life) {
        let what = Subject::TokenExpires(WarnedToken::of(token));
        let since = token.expires_at.plus(-stage);
        found.push(Warning { what, stage: Some(stage), since });
    }
    if token.last_used_at.is_none() && newer.is_none() && policy.is_old(token.issued_at, now) {
        let what = Subject::TokenUnused(WarnedToken::of(token));
        let since = policy.old_from(token.issued_at);
        found.push(Warning { what, stage: None, since });
    }
}

impl Policy {
    /// The smallest time before an expiry that has come, when `left` seconds of a
    /// lifetime of `life` are left. Times beyond the last third do not apply to such a
    /// lifetime: a client that renews after two thirds is not late by then.
    fn stage(&self, left: i64, life: i64) -> Option<i64> {
        let stages = self.before.iter().filter_map(|it| i64::try_from(it.as_secs()).ok());
        stages.filter(|&stage| left <= stage && stage.saturating_mul(3) < life).min()
    }

    fn is_old(&self, made_at: UnixTime, now: UnixTime) -> bool {
        now >= self.old_from(made_at)
    }

    /// From when on something that was made at that time counts as unused.
    fn old_from(&self, made_at: UnixTime) -> UnixTime {
        made_at.plus(i64::try_from(self.unused_after.as_secs()).unwrap_or(i64::MAX))
    }
}

impl Warning {
    /// The name of the type, as webhooks and lists spell it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.what {
            Subject::TokenExpires(_) => "token.expiring",
            Subject::TokenUnused(_) => "token.unused",
            Subject::TokenReplaced { .. } => "token.replaced-in-use",
            Subject::SecretExpires { .. } => "secret.expiring",
            Subject::KeyUnused { .. } => "assertion-key.unused",
            Subject::NearlyFull { .. } => "channel.nearly-full",
        }
    }

    /// The token that it is about.
    #[must_use]
    pub fn token(&self) -> Option<&WarnedToken> {
        match &self.what {
            Subject::TokenExpires(token)
            | Subject::TokenUnused(token)
            | Subject::TokenReplaced { token, .. } => Some(token),
            Subject::SecretExpires { .. }
            | Subject::KeyUnused { .. }
            | Subject::NearlyFull { .. } => None,
        }
    }

    /// The group that it is about.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match &self.what {
            Subject::KeyUnused { group, .. } => group.as_deref(),
            _ => self.token().and_then(|token| token.group.as_deref()),
        }
    }

    /// The expiry of what it is about.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        match &self.what {
            Subject::SecretExpires { at } => Some(*at),
            _ => self.token().map(|token| token.expires_at),
        }
    }

    /// The order in which people should see warnings: the smallest first, those of something
    /// unused last.
    #[must_use]
    pub fn urgency(&self) -> (bool, Option<UnixTime>, UnixTime) {
        let is_idle = matches!(self.what, Subject::TokenUnused(_) | Subject::KeyUnused { .. });
        (is_idle, self.expires_at(), self.since)
    }

    /// Whether it still applies to its channel, as far as the channel alone shows.
    pub(super) fn applies(&self, channel: &Channel, now: UnixTime) -> bool {
        let there = match &self.what {
            Subject::SecretExpires { at } => channel.secrets.iter().any(|it| it.until == Some(*at)),
            Subject::KeyUnused { kid, .. } => channel.assertion_keys.iter().any(|it| it.id == *kid),
            _ => true,
        };
        there
            && channel.state == ChannelState::Active
            && self.expires_at().is_none_or(|it| now < it)
    }

    /// What to do, for people.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.what {
            Subject::TokenExpires(_) => {
                "no newer token replaces it; issue one and switch to it before this one expires"
            }
            Subject::TokenUnused(_) => {
                "it was never used; revoke it, or find out which client should use it"
            }
            Subject::TokenReplaced { .. } => {
                "a client still uses it though there is a newer one, and will fail when it expires; \
                 give the client the newer one"
            }
            Subject::SecretExpires { .. } => {
                "clients that still use the previous secret will be denied then; give them the \
                 current one"
            }
            Subject::KeyUnused { .. } => {
                "no assertion was signed with it; delete it if no client needs it"
            }
            Subject::NearlyFull { .. } => {
                "its cap is nearly reached; revoke tokens that are not used, before an issue is \
                 denied or evicts one that is"
            }
        }
    }

    /// The warning with its rendered `body`, to be delivered once.
    #[must_use]
    pub fn to_send(&self, of: &Holding, body: String, now: UnixTime) -> NewWarning {
        let thing = match &self.what {
            // Again a week later, if it is still so.
            Subject::NearlyFull { .. } => now.0.div_euclid(7 * DAY).to_string(),
            _ => String::new(),
        };
        let name = format!("{}{thing}", self.name(of.channel.id));
        let ends = self.expires_at().filter(|_| self.stage.is_some());
        // A warning without an expiry is sent once; the name is kept for a limited time.
        let keep_until = ends.unwrap_or(now.plus(400 * DAY)).plus(KEPT);
        NewWarning { name, body, keep_until }
    }

    /// Its name: that of no other warning.
    #[must_use]
    pub fn name(&self, channel: ChannelId) -> String {
        let thing = match &self.what {
            // Each rotation of the secret has its own expiry.
            Subject::SecretExpires { at } => at.0.to_string(),
            Subject::KeyUnused { kid, .. } => kid.to_string(),
            Subject::NearlyFull { kind, .. } => kind.to_string(),
            _ => self.token().map(|token| token.id.to_string()).unwrap_or_default(),
        };
        let stage = self.stage.unwrap_or(0);
        format!("{}/{channel}/{thing}/{stage}", self.kind())
    }
}

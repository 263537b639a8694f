//! What is about to end, lies unused, or is used though it was replaced: the
//! things that break at a bad hour because nobody was told.
//!
//! [`find`] looks at what one channel holds and says what deserves a warning; it
//! knows no clock and no store. The job puts what is due on its way, once for
//! each thing and each time before its end, and [`webhook`] delivers it.

pub mod job;
pub mod webhook;

use std::time::Duration;
use tegata_policy::{channel::RegisteredKey, rules::LONGEST_DELAY};
use tegata_store::{Holding, NewWarning, TokenRow};
use tegata_token::{
    id::{AssertionKeyId, TokenId},
    kind::Kind,
    time::{DAY, UnixTime},
};

/// When to warn.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long before an end, the longest first.
    pub before: Vec<Duration>,
    /// What was not used for so long after it was made lies unused.
    pub unused_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let day = Duration::from_secs(DAY.unsigned_abs());
        Self { before: vec![7 * day, day, day / 24], unused_after: 7 * day }
    }
}

/// Whoever got a new token has this long to put it to use, in seconds.
const CHANGEOVER: i64 = 3_600;

/// A warning is kept for so long after what it warns of, in seconds.
const KEPT: i64 = 7 * DAY;

/// Something that somebody should know of.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// What it is.
    pub what: Subject,
    /// Of a thing that ends: which time before its end it is now, in seconds.
    pub stage: Option<i64>,
}

/// What somebody should know of.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A token ends, and no other of its kind that its holder could have outlives it.
    TokenExpires(WarnedToken),
    /// A token was never used.
    TokenUnused(WarnedToken),
    /// A token is still used long after its group, or its long-lived place, got
    /// another: whoever holds it will fail once it ends.
    TokenReplaced {
        /// The token that is used.
        token: WarnedToken,
        /// The newer one.
        by: TokenId,
    },
    /// The previous channel secret ends.
    SecretExpires {
        /// From then on it is not taken.
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
}

/// A token, as far as a warning tells of it.
#[derive(Debug, Clone, PartialEq)]
pub struct WarnedToken {
    /// Its own name.
    pub id: TokenId,
    /// Its kind.
    pub kind: Kind,
    /// The group that holds it.
    pub group: Option<String>,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// When it ends.
    pub expires_at: UnixTime,
    /// When it was last used, as far as has been noted.
    pub last_used_at: Option<UnixTime>,
}

impl WarnedToken {
    fn of(row: &TokenRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            group: row.group.as_ref().map(|group| group.as_str().to_owned()),
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// All that a channel's holding deserves to be warned of at `now`.
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
            found.push(Warning { what: Subject::SecretExpires { at }, stage: Some(stage) });
        }
    }
    let unused = |key: &&RegisteredKey| {
        !holding.keys_used.contains_key(&key.id) && policy.is_old(key.created_at, now)
    };
    for key in holding.channel.assertion_keys.iter().filter(unused) {
        let group = key.group.as_ref().map(|group| group.as_str().to_owned());
        let what = Subject::KeyUnused { kid: key.id, group, created_at: key.created_at };
        found.push(Warning { what, stage: None });
    }
    found
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
    // Tokens without a group have many holders; that one of them got a newer token
    // says nothing of the others.
    let one_holder = token.group.is_some() || token.kind == Kind::LongLived;
    if let Some(by) = newer.filter(|_| used_beyond && one_holder) {
        let what = Subject::TokenReplaced { token: WarnedToken::of(token), by: by.id };
        found.push(Warning { what, stage: None });
        return;
    }
    let outlived = newer.is_some_and(|newer| newer.expires_at > token.expires_at) && !used_beyond;
    let life = token.expires_at.since(token.issued_at);
    if !outlived && let Some(stage) = policy.stage(token.expires_at.since(now), life) {
        let what = Subject::TokenExpires(WarnedToken::of(token));
        found.push(Warning { what, stage: Some(stage) });
    }
    if token.last_used_at.is_none() && newer.is_none() && policy.is_old(token.issued_at, now) {
        found.push(Warning { what: Subject::TokenUnused(WarnedToken::of(token)), stage: None });
    }
}

impl Policy {
    /// The nearest time before an end that has come, when `left` seconds of `life`
    /// are left. Times beyond the last third are not meant for such a life: by then
    /// nobody is late who renews after two thirds.
    fn stage(&self, left: i64, life: i64) -> Option<i64> {
        let stages = self.before.iter().filter_map(|it| i64::try_from(it.as_secs()).ok());
        stages.filter(|&stage| left <= stage && stage.saturating_mul(3) < life).min()
    }

    fn is_old(&self, made_at: UnixTime, now: UnixTime) -> bool {
        now.since(made_at) >= i64::try_from(self.unused_after.as_secs()).unwrap_or(i64::MAX)
    }
}

impl Warning {
    /// The name of what happened, as webhooks and lists spell it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.what {
            Subject::TokenExpires(_) => "token.expiring",
            Subject::TokenUnused(_) => "token.unused",
            Subject::TokenReplaced { .. } => "token.replaced-in-use",
            Subject::SecretExpires { .. } => "secret.expiring",
            Subject::KeyUnused { .. } => "assertion-key.unused",
        }
    }

    /// The token that it is about.
    #[must_use]
    pub fn token(&self) -> Option<&WarnedToken> {
        match &self.what {
            Subject::TokenExpires(token)
            | Subject::TokenUnused(token)
            | Subject::TokenReplaced { token, .. } => Some(token),
            Subject::SecretExpires { .. } | Subject::KeyUnused { .. } => None,
        }
    }

    /// The group that it concerns.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match &self.what {
            Subject::KeyUnused { group, .. } => group.as_deref(),
            _ => self.token().and_then(|token| token.group.as_deref()),
        }
    }

    /// When what it is about ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        match &self.what {
            Subject::SecretExpires { at } => Some(*at),
            _ => self.token().map(|token| token.expires_at),
        }
    }

    /// What to do, in words.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.what {
            Subject::TokenExpires(_) => {
                "no newer token takes its place; issue one and put it to use before this one ends"
            }
            Subject::TokenUnused(_) => "nobody has used it; revoke it, or find out who should",
            Subject::TokenReplaced { .. } => {
                "somebody still uses it though there is a newer one, and will fail when it ends; \
                 bring the newer one there"
            }
            Subject::SecretExpires { .. } => {
                "whoever still shows the previous secret will be refused then; give them the \
                 current one"
            }
            Subject::KeyUnused { .. } => {
                "no assertion was signed with it; delete it if nobody needs it"
            }
        }
    }

    /// It, with `body` to be put on its way once.
    #[must_use]
    pub fn to_send(&self, of: &Holding, body: String, now: UnixTime) -> NewWarning {
        let thing = match &self.what {
            // Each rotation has an end of its own.
            Subject::SecretExpires { at } => at.0.to_string(),
            Subject::KeyUnused { kid, .. } => kid.to_string(),
            _ => self.token().map(|token| token.id.to_string()).unwrap_or_default(),
        };
        let stage = self.stage.unwrap_or(0);
        let name = format!("{}/{}/{thing}/{stage}", self.kind(), of.channel.id);
        let ends = self.expires_at().filter(|_| self.stage.is_some());
        // What does not end is said once; a century's end is not waited for.
        let keep_until = ends.unwrap_or(now.plus(400 * DAY)).plus(KEPT);
        NewWarning { name, body, keep_until }
    }
}

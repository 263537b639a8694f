//! The first step of issuing: whether a request is allowed a token.
//!
//! [`authorize`] reads the request and one immutable snapshot of the channel, and returns
//! a [`Grant`]. Only this function makes a grant, and the store accepts nothing else.

use crate::{
    assertion::{Assertion, Audience, BadAssertion, UnverifiedAssertion},
    channel::{Channel, RegisteredKey, Secret},
    denied::Denied,
    rules::{Authentication, LONGEST_DELAY, Rule, TokenRules},
    secret::{HashedSecret, PlainSecret, sha256},
};
use std::{fmt, sync::Arc};
use tegata_token::{
    claims::Claims,
    id::{Group, Serial, SigningKeyId, TokenId},
    kind::{Kind, Lifetime},
    time::UnixTime,
    view::ChannelState,
};

/// A request for a token, parsed but not authorized.
#[derive(Debug, Clone)]
pub struct IssueRequest {
    /// The requested kind.
    pub kind: Kind,
    /// How the caller authenticates.
    pub credential: Credential,
    /// The requested group, if the caller names one.
    pub group: Option<Group>,
    /// The SHA-256 of the caller's `Idempotency-Key`.
    pub idempotency: Option<[u8; 32]>,
    /// The requested lifetime of a v2.1 token in seconds, if the request names it outside its
    /// assertion.
    pub lifetime: Option<i64>,
}

/// How a caller authenticates.
#[derive(Clone)]
pub enum Credential {
    /// The channel's secret.
    Secret(PlainSecret),
    /// A signed assertion.
    Assertion(UnverifiedAssertion),
    /// An administrator, authenticated before, requests a token in the channel's name:
    /// the current long-lived token is to stay active for `delay` seconds.
    Administrator {
        /// 0 revokes it immediately.
        delay: i64,
    },
}

impl Credential {
    fn proof(&self) -> Authentication {
        match self {
            Self::Secret(_) => Authentication::Secret,
            Self::Assertion(_) => Authentication::Assertion,
            Self::Administrator { .. } => Authentication::Administrator,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.proof())
    }
}

/// The right to one token, granted by [`authorize`] for one snapshot of a channel.
#[derive(Debug, Clone)]
pub struct Grant {
    channel: Arc<Channel>,
    request: IssueRequest,
    audience: Arc<Audience>,
    life: i64,
    group: Option<Group>,
    secret: Option<HashedSecret>,
    assertion: Option<Assertion>,
    delay: i64,
}

/// Decides whether a channel's settings allow a request. Takes no lock and writes
/// nothing.
///
/// # Errors
/// The first [`Denied`] that applies: authentication is tested before anything else.
pub fn authorize(
    request: IssueRequest,
    channel: Arc<Channel>,
    audience: Arc<Audience>,
    now: UnixTime,
) -> Result<Grant, Denied> {
    let (mut delay, mut secret) = (0, None);
    let assertion = match &request.credential {
        Credential::Secret(shown) => {
            secret = Some(check_secret(&channel, shown, now)?);
            None
        }
        Credential::Assertion(assertion) => {
            Some(check_assertion(&channel, assertion, &audience, now)?)
        }
        Credential::Administrator { delay: asked } => {
            // An administrator cannot bypass a suspension by a reissue: a suspended
            // channel gets no token.
            check_state(&channel)?;
            if !(0..=LONGEST_DELAY).contains(asked) {
                return Err(Denied::DelayOutOfRange);
            }
            if *asked != 0 && channel.rules == TokenRules::Legacy2020 {
                return Err(Denied::DelayUnderLegacyRules);
            }
            delay = *asked;
            None
        }
    };
    let rule = Rule::of(request.kind);
    if !rule.authentication.contains(&request.credential.proof()) {
        return Err(Denied::AuthenticationNotForKind(rule.kind));
    }
    if !rule.channel_types.contains(&channel.channel_type) {
        return Err(Denied::KindNotForChannel(rule.kind));
    }
    let life = match (rule.life, &request.credential) {
        (Lifetime::Fixed(life), _) => life,
        (Lifetime::Requested { longest }, Credential::Assertion(it)) => {
            it.token_lifetime(request.lifetime, longest)?
        }
        (Lifetime::Requested { .. }, _) => return Err(Denied::AuthenticationNotForKind(rule.kind)),
    };
    let bound = assertion.and_then(|it| {
        let key = channel.assertion_keys.iter().find(|key| key.id == it.key)?;
        key.group.clone()
    });
    let group = match (bound, &request.group) {
        // One token for the whole channel, so that the cutoff of a group never covers it.
        _ if request.kind == Kind::LongLived => None,
        (Some(bound), Some(asked)) if bound != *asked => return Err(Denied::OtherGroupsKey),
        (Some(bound), _) => Some(bound),
        (None, asked) => asked.clone(),
    };
    Ok(Grant { channel, request, audience, life, group, secret, assertion, delay })
}

fn check_state(channel: &Channel) -> Result<(), Denied> {
    match channel.state {
        ChannelState::Active => Ok(()),
        ChannelState::Suspended => Err(Denied::Suspended),
        ChannelState::Deleted => Err(Denied::UnknownChannel),
    }
}

/// Verifies that `secret` is one of the channel's and that the channel is active; returns
/// the matching hash.
///
/// # Errors
/// [`Denied::WrongSecret`], [`Denied::Suspended`] or [`Denied::UnknownChannel`].
pub fn check_secret(
    channel: &Channel,
    secret: &PlainSecret,
    now: UnixTime,
) -> Result<HashedSecret, Denied> {
    let live = |it: &&Secret| it.until.is_none_or(|until| now < until);
    let shown = secret.hash();
    // Every secret is compared, so that the timing does not reveal which one matched.
    let known = channel.secrets.iter().filter(live).filter(|it| it.hash.is(&shown)).count() > 0;
    if !known {
        return Err(Denied::WrongSecret);
    }
    check_state(channel)?;
    Ok(shown)
}

/// The result for a secret of an unknown channel, after as much work as for a wrong
/// secret of a channel that exists: both get the same response, and the timing must not
/// tell them apart.
#[must_use]
pub fn dummy_secret_check(secret: &PlainSecret) -> Denied {
    let no_secret = HashedSecret::from_stored([0; 32]);
    std::hint::black_box(no_secret.is_of(secret));
    Denied::UnknownChannel
}

/// Verifies that `assertion` is valid and signed by one of the channel's keys, and that
/// the channel is active.
///
/// # Errors
/// [`Denied::UnknownAssertionKey`], [`Denied::Assertion`], or the channel's state.
pub fn check_assertion(
    channel: &Channel,
    assertion: &UnverifiedAssertion,
    audience: &Audience,
    now: UnixTime,
) -> Result<Assertion, Denied> {
    let named = |key: &&RegisteredKey| match assertion.key() {
        Some(kid) => key.id.to_string() == kid,
        // Of the keys that are bound to a group, an assertion must name its own.
        None => key.group.is_none(),
    };
    let mut keys = channel.assertion_keys.iter().filter(named);
    let own_only = channel.own_audience_only;
    let verify = |key: &RegisteredKey| assertion.verify(key.id, &key.key, audience, own_only, now);
    let mut checked = verify(keys.next().ok_or(Denied::UnknownAssertionKey)?);
    while checked.is_err_and(|bad| bad == BadAssertion::Signature)
        && let Some(next) = keys.next()
    {
        checked = verify(next);
    }
    let checked = checked?;
    check_state(channel)?;
    Ok(checked)
}

impl Grant {
    /// The snapshot of the channel that the grant was authorized against.
    #[must_use]
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The granted kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.request.kind
    }

    /// The group that the token will belong to.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// Whether the group of a stateless token that is issued `now` is remembered until
    /// the token expires. If not, the store must write the group's row first.
    #[must_use]
    pub fn knows_its_group(&self, now: UnixTime) -> bool {
        let used = &self.channel.used_groups;
        let outlives = |group| used.get(group).is_some_and(|&it| it >= now.plus(self.life));
        self.group.as_ref().is_none_or(outlives)
    }

    /// The channel's secret, if the client authenticated with it.
    #[must_use]
    pub fn secret(&self) -> Option<HashedSecret> {
        self.secret
    }

    /// The assertion, if the client authenticated with one.
    #[must_use]
    pub fn assertion(&self) -> Option<&Assertion> {
        self.assertion.as_ref()
    }

    /// A digest of the caller's `Idempotency-Key` and of its scope, which is kind, group
    /// and assertion key; the channel is stored separately.
    #[must_use]
    pub fn idempotency(&self) -> Option<[u8; 32]> {
        let key = self.request.idempotency?;
        let group = self.group.as_ref().map_or("", Group::as_str);
        let asked_with = self.assertion.map(|it| it.key.to_string()).unwrap_or_default();
        let kind = self.kind().name();
        Some(sha256(&[format!("{kind} {group} {asked_with} ").as_bytes(), &key]))
    }

    /// What a retry under the same idempotency key must repeat besides the scope: the
    /// lifetime of the token and the delay of a reissue.
    #[must_use]
    pub fn parameters(&self) -> (i64, i64) {
        (self.life, self.delay)
    }

    /// How long the current long-lived token stays active after a reissue, in seconds.
    #[must_use]
    pub fn delay(&self) -> i64 {
        self.delay
    }

    /// Authorizes the same request again, against a newer snapshot.
    ///
    /// # Errors
    /// As [`authorize`].
    pub fn authorize_again(self, channel: Arc<Channel>, now: UnixTime) -> Result<Self, Denied> {
        authorize(self.request, channel, self.audience, now)
    }

    /// The claims of the token, once its serial is known.
    #[must_use]
    pub fn claims(&self, id: TokenId, serial: Serial, key: SigningKeyId, now: UnixTime) -> Claims {
        Claims {
            id,
            kind: self.kind(),
            provider: self.channel.provider,
            channel: self.channel.id,
            group: self.group.clone(),
            assertion_key: self.assertion.map(|it| it.key),
            serial,
            issued_at: now,
            expires_at: now.plus(self.life),
            key,
        }
    }

    /// The claims of a stateless token. Its serial is that of the last bulk revocation in
    /// the very snapshot that the request was authorized against: with a serial read
    /// later, the token could escape a revocation that its credential did not.
    #[must_use]
    pub fn stateless_claims(&self, id: TokenId, key: SigningKeyId, now: UnixTime) -> Claims {
        self.claims(id, self.channel.bulk_serial, key, now)
    }
}

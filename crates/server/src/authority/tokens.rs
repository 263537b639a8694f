//! Issuing, verifying and revoking tokens. The rules are in `tegata_policy`; the rows, in
//! the store.

use super::Authority;
use crate::{
    authority::{limits::Operation, random, source::Source},
    metrics::IssuedToken,
};
use std::{fmt, sync::Arc};
use tegata_policy::{
    assertion::{Assertion, UnverifiedAssertion},
    authorize::{self, Credential, Grant, IssueRequest},
    channel::Channel,
    denied::Denied,
    secret::{HashedSecret, PlainSecret},
};
use tegata_store::{By, Error, Result, RevocationTarget, figures::Expected};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, Group, Position, TokenId},
    kind::Kind,
    time::UnixTime,
    verify::{Active, Invalid, verify},
    wire::{self, Unverified},
};

/// A token that was issued, for its one response.
pub struct Token {
    text: String,
    /// Its claims.
    pub claims: Claims,
    /// Its remaining lifetime in seconds.
    pub expires_in: i64,
    /// After a reissue: the expiry of the previous token.
    pub previous_until: Option<UnixTime>,
    /// Whether it was issued before, under the same `Idempotency-Key`.
    pub again: bool,
    /// The number of tokens evicted for it.
    pub evicted: usize,
    /// The number of tokens that are revoked for it, now or after a delay.
    pub revoked: usize,
    /// The position of the issue's last change.
    pub position: Position,
}

impl Token {
    /// The token's text, for the one response that contains it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What the metrics count.
    #[must_use]
    pub fn counted(&self) -> IssuedToken {
        IssuedToken { again: self.again, evicted: self.evicted }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Authority {
    /// Verifies a token. Reads memory alone, and records the use and from where it came. The
    /// inner error is the reason why it is not valid.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: whether it is valid is not known.
    pub async fn verify(
        &self,
        token: &[u8],
        source: Option<Source>,
    ) -> Result<std::result::Result<Active, Invalid>> {
        let (verified, _) = match self.verified_at_once(token) {
            Some(verified) => verified?,
            // Apart, so that the others carry nothing of it.
            None => Box::pin(self.verified(token)).await?,
        };
        if let Ok(active) = &verified {
            self.last_used.note(&active.claims, source, self.now());
        }
        Ok(verified)
    }

    /// Verifies a token without recording its use; also returns the position of the view that
    /// the result comes from.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub(super) async fn verified(
        &self,
        token: &[u8],
    ) -> Result<(std::result::Result<Active, Invalid>, Position)> {
        self.decided(|| self.verified_now(token), |(verified, _)| may_widen(verified)).await
    }

    /// The same without waiting: `None` if memory must catch up first.
    fn verified_at_once(
        &self,
        token: &[u8],
    ) -> Option<Result<(std::result::Result<Active, Invalid>, Position)>> {
        self.decided_at_once(|| self.verified_now(token), |(verified, _)| may_widen(verified))
    }

    fn verified_now(&self, token: &[u8]) -> (std::result::Result<Active, Invalid>, Position) {
        let view = self.memory.view.load();
        (verify(token, self.now(), &view, &self.signatures), view.position())
    }

    /// The claims of a token that one of our keys signed, valid or not. The inner error is
    /// [`Invalid::Malformed`], [`Invalid::UnknownKey`] or [`Invalid::BadSignature`].
    ///
    /// # Errors
    /// [`Error::Unavailable`]: its key is not known, and memory may be behind.
    pub async fn read(&self, token: &[u8]) -> Result<std::result::Result<Claims, Invalid>> {
        self.decided(|| self.read_now(token), may_widen).await
    }

    /// The same by the keys that are in memory now, for the log.
    ///
    /// # Errors
    /// As the inner one there.
    pub fn read_now(&self, token: &[u8]) -> std::result::Result<Claims, Invalid> {
        let unverified = Unverified::parse(token)?;
        let view = self.memory.view.load();
        let key = view.key(unverified.key()).ok_or(Invalid::UnknownKey)?;
        unverified.verify(&key.key).map_err(|_| Invalid::BadSignature)
    }

    /// A channel as it is now; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn channel(&self, id: ChannelId) -> Result<Option<Arc<Channel>>> {
        let mut since = self.mark();
        let mut found = self.channel_in_memory(id).await?;
        if self.decide_again(found.is_none()).await? {
            since = self.mark();
            found = self.channel_in_memory(id).await?;
        }
        self.current(since, found)
    }

    /// A channel as memory has it, or reads it from the store.
    async fn channel_in_memory(&self, id: ChannelId) -> Result<Option<Arc<Channel>>> {
        self.memory.channels.get(id, || self.store.channel(id)).await
    }

    /// Issues a token: [`Self::grant`] and [`Self::redeem`] in one. `by` is the
    /// administrator who requested it, if any.
    ///
    /// # Errors
    /// As theirs.
    pub async fn issue(
        &self,
        request: IssueRequest,
        channel: ChannelId,
        by: Option<By>,
    ) -> Result<Token> {
        let grant = self.grant(request, channel).await?;
        self.redeem(grant, by).await
    }

    /// Authorizes a request for a token by the channel as it is now.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the rule that denies it, or [`Error::Unavailable`].
    pub async fn grant(&self, request: IssueRequest, channel: ChannelId) -> Result<Grant> {
        let mut since = self.mark();
        let mut grant = self.grant_now(request.clone(), channel).await;
        if self.decide_again(is_denied_for_lack(&grant)).await? {
            since = self.mark();
            grant = self.grant_now(request, channel).await;
        }
        let (grant, now) = (self.current(since, grant?)?, self.now());
        if let Some(assertion) = grant.assertion() {
            self.last_used.note_key(assertion.key, now);
        }
        if let Some(secret) = grant.secret() {
            self.last_used.note_secret(grant.channel().id, secret, now);
        }
        Ok(grant)
    }

    /// Authorizes a request by what is in memory.
    async fn grant_now(&self, request: IssueRequest, channel: ChannelId) -> Result<Grant> {
        let Some(channel) = self.channel_in_memory(channel).await? else {
            return Err(match &request.credential {
                Credential::Secret(secret) => authorize::dummy_secret_check(secret).into(),
                _ => Denied::UnknownChannel.into(),
            });
        };
        Ok(authorize::authorize(request, channel, self.audience.clone(), self.now())?)
    }

    /// Announces an act to the store, which then waits a moment for it before it commits
    /// others: from before the request is authenticated until it is answered.
    pub fn expect_act(&self) -> Expected {
        self.store.figures().expect()
    }

    /// Issues the token of a grant.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the channel's limits or caps deny it, or
    /// [`Error::Unavailable`].
    pub async fn redeem(&self, grant: Grant, by: Option<By>) -> Result<Token> {
        let now = self.now();
        let id = TokenId(random::id()?);
        // After authentication, so that other clients cannot use up the channel's rate.
        self.take(Operation::Issue(grant.kind()), grant.channel())?;
        if grant.kind().is_stored() {
            let slot = self.reserve(&grant)?;
            let issued = self.store.issue(grant, id, now, by).await;
            slot.settle(issued.as_ref().is_ok_and(|it| !it.again));
            let issued = issued?;
            if issued.again && self.signing_key(issued.claims.key).is_none() {
                // A recovery could not decrypt its key, so the same token cannot be
                // signed again.
                return Err(Denied::IdempotencyInactive.into());
            }
            if !issued.again && self.is_revoked_key(issued.claims.key) {
                // By another server, after this one had read the key and before it committed.
                let why = "the signing key was revoked while the token was issued; try again";
                return Err(Error::Unavailable(why.into()));
            }
            let from = if issued.again { now } else { issued.claims.issued_at };
            return Ok(Token {
                text: self.write(&issued.claims, &issued.issuer)?,
                expires_in: issued.claims.expires_at.since(from),
                claims: issued.claims,
                previous_until: issued.previous_until,
                again: issued.again,
                evicted: issued.evicted,
                revoked: issued.revoked,
                position: issued.position,
            });
        }
        let single_use = grant.assertion().is_some() && grant.channel().single_use_assertions;
        let since = self.mark();
        let prepared = !single_use && grant.knows_its_group(now);
        let grant = if prepared { grant } else { self.store.take_assertion(grant, now).await? };
        let key = self.active_key().ok_or_else(no_key)?;
        let claims = grant.stateless_claims(id, key, now);
        Ok(Token {
            // No commit confirms that channel and key are still as memory has them.
            text: self.write(&claims, &self.issuer).and_then(|text| self.current(since, text))?,
            expires_in: claims.expires_at.since(now),
            claims,
            previous_until: None,
            again: false,
            evicted: 0,
            revoked: 0,
            position: Position::default(),
        })
    }

    fn write(&self, claims: &Claims, issuer: &str) -> Result<String> {
        let key = self.signing_key(claims.key).ok_or_else(no_key)?;
        Ok(wire::write(claims, issuer, &key))
    }

    /// Authenticates a channel by its secret, and returns it if it is active.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Unavailable`].
    pub async fn check_secret(
        &self,
        channel: ChannelId,
        secret: &PlainSecret,
    ) -> Result<Arc<Channel>> {
        let mut since = self.mark();
        let mut checked = self.check_secret_now(channel, secret).await;
        if self.decide_again(is_denied_for_lack(&checked)).await? {
            since = self.mark();
            checked = self.check_secret_now(channel, secret).await;
        }
        let (channel, secret) = self.current(since, checked?)?;
        self.last_used.note_secret(channel.id, secret, self.now());
        Ok(channel)
    }

    async fn check_secret_now(
        &self,
        channel: ChannelId,
        secret: &PlainSecret,
    ) -> Result<(Arc<Channel>, HashedSecret)> {
        let Some(channel) = self.channel_in_memory(channel).await? else {
            return Err(authorize::dummy_secret_check(secret).into());
        };
        let secret = authorize::check_secret(&channel, secret, self.now())?;
        Ok((channel, secret))
    }

    async fn check_assertion_now(
        &self,
        assertion: &UnverifiedAssertion,
    ) -> Result<(Arc<Channel>, Assertion)> {
        let channel = self.channel_in_memory(assertion.channel()).await?;
        let channel = channel.ok_or(Denied::UnknownAssertionKey)?;
        let now = self.now();
        let checked = authorize::check_assertion(&channel, assertion, &self.audience, now)?;
        Ok((channel, checked))
    }

    /// Authenticates a channel by an assertion, and returns it if it is active; also the only
    /// group whose tokens the assertion's key may learn of, unless it is a key of the channel
    /// at large. Reading uses up no assertion, also where each issues one token only.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Unavailable`].
    pub async fn check_assertion(
        &self,
        assertion: &UnverifiedAssertion,
    ) -> Result<(Arc<Channel>, Option<Group>)> {
        let mut since = self.mark();
        let mut checked = self.check_assertion_now(assertion).await;
        if self.decide_again(is_denied_for_lack(&checked)).await? {
            since = self.mark();
            checked = self.check_assertion_now(assertion).await;
        }
        let (channel, checked) = self.current(since, checked?)?;
        self.last_used.note_key(checked.key, self.now());
        let key = channel.assertion_keys.iter().find(|key| key.id == checked.key);
        let group = key.and_then(|key| key.group.clone());
        Ok((channel, group))
    }

    /// The ids of the active v2.1 tokens that an assertion may list: those of its key's
    /// group, or for a key of the channel at large, all.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Unavailable`].
    pub async fn live_v21(&self, assertion: &UnverifiedAssertion) -> Result<Vec<TokenId>> {
        let (channel, group) = self.check_assertion(assertion).await?;
        self.take(Operation::KeyIds, &channel)?;
        self.store.live_v21(channel.id, group, self.now()).await
    }
}

/// The error of one of several acts, after an earlier one was committed: what says that nothing
/// was changed says so of this act alone.
pub(super) fn in_between(error: Error) -> Error {
    match error {
        Error::NotNow(why) => Error::Unavailable(format!("after a part was done: {why}").into()),
        Error::Taken => Error::Unavailable("after a part was done: no unused id was found".into()),
        other => other,
    }
}

/// Whether a change that another server has made could make the token valid: a key was added,
/// or the channel was resumed.
fn may_widen<T>(verified: &std::result::Result<T, Invalid>) -> bool {
    matches!(verified, Err(Invalid::UnknownKey | Invalid::Suspended))
}

/// Whether a change that another server has made could authenticate the request: a channel, a
/// secret or an assertion key was added, or the channel was resumed.
fn is_denied_for_lack<T>(authenticated: &Result<T>) -> bool {
    let Err(Error::Denied(denied)) = authenticated else { return false };
    matches!(
        denied,
        Denied::UnknownChannel
            | Denied::WrongSecret
            | Denied::UnknownAssertionKey
            | Denied::Suspended
    )
}

fn no_key() -> Error {
    Error::Unavailable("the signing key is not loaded".into())
}

/// The target that means this one token.
#[must_use]
pub(super) fn revocation_of(token: &Claims) -> RevocationTarget {
    match token.kind {
        Kind::Stateless => {
            RevocationTarget::Stateless { id: token.id, expires_at: token.expires_at }
        }
        _ => RevocationTarget::Presented { serial: token.serial, id: token.id },
    }
}

//! The state that all protocols share: the authority and the counters.

use super::subject::{self, VerifiedToken};
use crate::{
    api::faults::Faults,
    authority::{
        Authority, Error, Result, actor::Actor, admin, admin_token::TokenSource, health::Health,
        jobs::Jobs, leaks::LeakReceiver, limits::Operation, source::Source, tokens::Token,
    },
    metrics::{Metrics, NotIssued, Verifications, reason},
};
use std::sync::Arc;
use tegata_policy::{
    authorize::{Credential, IssueRequest},
    channel::Channel,
    denied::Denied,
    secret::PlainSecret,
};
use tegata_store::TRACES;
use tegata_token::{
    claims::Claims,
    id::ChannelId,
    kind::WireForm,
    verify::{Active, Invalid},
};
use tracing::{Instrument, field};

/// The state that all protocols share.
pub struct App {
    /// The authority.
    pub authority: Arc<Authority>,
    /// What `/readyz` reports.
    pub health: Arc<Health>,
    /// The server's counters.
    pub metrics: Arc<Metrics>,
    /// Whether the development clock can be moved.
    pub dev: bool,
    /// Whether a line is logged for each verification.
    pub log_verifications: bool,
    /// The faults to simulate; only under `--dev` can there be any.
    pub faults: Faults,
    /// The root administrator's token.
    pub admin_token: Arc<TokenSource>,
    /// The periodic jobs, which run at once when the clock is moved.
    pub jobs: Arc<Jobs>,
    /// Who may report leaked tokens in a programme's name.
    pub leaks: Arc<LeakReceiver>,
}

impl App {
    /// Verifies a token for a client; some verifications are timed among `counts`.
    /// The inner error is the reason why it is not valid.
    ///
    /// # Errors
    /// [`Unavailable`](crate::authority::Error::Unavailable): whether it is valid is not known.
    pub(super) async fn verify(
        &self,
        counts: &Verifications,
        token: &[u8],
        source: Source,
    ) -> Result<std::result::Result<Active, Invalid>> {
        let verify = self.authority.verify(token, Some(source));
        let verified = counts.timed(|| self.authority.clock().steady(), verify).await?;
        if let Ok(active) = &verified {
            subject::set(active.claims.channel);
        }
        if self.log_verifications {
            let result = verified.as_ref().map_or_else(|invalid| reason(*invalid), |_| "active");
            let claims = match &verified {
                Ok(active) => Some(Claims::clone(&active.claims)),
                // A token of ours that is not valid has an id, too.
                Err(_) => self.authority.read_now(token).ok(),
            };
            subject::set_verified(VerifiedToken { result, claims });
        }
        Ok(verified)
    }

    /// Issues a token to a channel, and counts it. A wrong secret counts as a guess.
    ///
    /// # Errors
    /// [`Error::Denied`], or [`Error::Unavailable`].
    pub(super) async fn issue(
        &self,
        request: IssueRequest,
        channel: ChannelId,
        source: Source,
    ) -> Result<Token> {
        let kind = request.kind;
        let by_secret = matches!(request.credential, Credential::Secret(_));
        let counts = self.metrics.issues(kind);
        let clock = self.authority.clock();
        let began = clock.steady();
        let issued = async {
            let _expected = kind.is_stored().then(|| self.authority.expect_act());
            self.authority.issue(request, channel, None).await
        };
        let (name, id) = (kind.name(), field::display(channel));
        let span =
            tracing::info_span!(target: TRACES, "issue", tegata.kind = name, tegata.channel = id);
        let issued = issued.instrument(span).await.map_err(|error| match by_secret {
            true => self.after_secret(error, source, channel),
            false => error,
        });
        let why = |error: &Error| match error {
            Error::Denied(Denied::LimitExceeded { .. }) => NotIssued::Limited,
            Error::Denied(_) => NotIssued::Denied,
            _ => NotIssued::Unavailable,
        };
        let took = clock.steady().duration_since(began);
        counts.count(issued.as_ref().map(Token::counted).map_err(why), took);
        issued
    }

    /// Authenticates a channel by its secret. A wrong one counts as a guess.
    ///
    /// # Errors
    /// [`Error::Denied`], or [`Error::Unavailable`].
    pub(super) async fn check_secret(
        &self,
        channel: ChannelId,
        secret: &PlainSecret,
        source: Source,
    ) -> Result<Arc<Channel>> {
        let checked = self.authority.check_secret(channel, secret).await;
        checked.map_err(|error| self.after_secret(error, source, channel))
    }

    fn after_secret(&self, error: Error, source: Source, channel: ChannelId) -> Error {
        match error {
            Error::Denied(denied) => self.authority.after_secret(denied, source, channel).into(),
            error => error,
        }
    }

    /// Revokes a token on behalf of its channel, by its credentials or by the token itself.
    ///
    /// # Errors
    /// [`Error::Denied`] beyond the rate limit, or [`Error::Unavailable`].
    pub(super) async fn revoke_own(&self, token: &Claims, source: Source) -> Result<()> {
        subject::set(token.channel);
        let operation = match token.kind.form() {
            WireForm::Jws => Operation::RevokeJws,
            WireForm::Opaque(_) => Operation::RevokeOpaque,
        };
        let channel = self.authority.admin(Actor::Channel(token.channel), Some(source));
        match channel.revoke_own(token, operation).await {
            Ok(()) => Ok(()),
            Err(admin::Error::Store(error)) => Err(error),
            // None of these occurs for a channel with a token of its own.
            Err(
                admin::Error::Forbidden { .. }
                | admin::Error::NotOurToken
                | admin::Error::OtherChannelsToken
                | admin::Error::LoginTaken(..)
                | admin::Error::BeyondRights(_)
                | admin::Error::WrongSignIn
                | admin::Error::TooManySignIns(_)
                | admin::Error::Busy
                | admin::Error::Unacceptable(..)
                | admin::Error::NothingCreated(_)
                | admin::Error::NoSuch { .. },
            ) => Ok(()),
        }
    }
}

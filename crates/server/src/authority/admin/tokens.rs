//! The facts of tokens, and the long-lived token, which administrators issue.

use super::{
    facade::{Admin, Outcome, Result, Revocation},
    permission::Permission,
};
use crate::{authority::tokens::Token, metrics::NotIssued};
use tegata_policy::{
    admit::{Live, admit},
    authorize::{Credential, IssueRequest},
    denied::Denied,
};
use tegata_store::{
    Error, Page, RecentUse, Revoked, RowId, TokenFilter, TokenName, TokenRow, TokenState,
};
use tegata_token::{
    id::{ChannelId, TokenId},
    kind::Kind,
};

impl Admin {
    /// A channel's stored tokens, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn tokens(
        &self,
        channel: ChannelId,
        mut filter: TokenFilter,
        page: Page,
    ) -> Result<Vec<(RowId, TokenRow)>> {
        self.may(Permission::ReadTokens)?;
        let of = self.existing(channel).await?.state;
        if let Some(wanted) = filter.state {
            filter.state = wanted.regardless_of(of);
            if filter.state.is_none() {
                return Ok(Vec::new());
            }
        }
        let (store, now) = (self.authority.store(), self.authority.now());
        let mut rows = store.tokens(channel, filter, page, now).await?;
        for (_, row) in &mut rows {
            row.state = row.state.in_channel(of);
        }
        Ok(rows)
    }

    /// One stored token, and its recent uses, newest first.
    ///
    /// # Errors
    /// As [`Self::tokens`].
    pub async fn token(
        &self,
        channel: ChannelId,
        token: TokenId,
    ) -> Result<(TokenRow, Vec<RecentUse>)> {
        self.may(Permission::ReadTokens)?;
        let mut row = self.stored(channel, token).await?;
        if let Some(of) = self.authority.channel(channel).await? {
            row.state = row.state.in_channel(of.state);
        }
        let uses = self.uses_of(channel, &mut row).await?;
        Ok((row, uses))
    }

    /// The recent uses of a stored token. The last one is noted in its row: the newest are
    /// in memory until a job writes them.
    pub(super) async fn uses_of(
        &self,
        channel: ChannelId,
        row: &mut TokenRow,
    ) -> Result<Vec<RecentUse>> {
        if let Some((at, _)) = self.authority.last_used.token(channel, row.serial) {
            row.last_used_at = row.last_used_at.max(Some(at));
        }
        Ok(self.authority.recent_uses(channel, row.serial).await?)
    }

    /// One stored token, with its state regardless of its channel's.
    pub(super) async fn stored(&self, channel: ChannelId, token: TokenId) -> Result<TokenRow> {
        let (name, now) = (TokenName::Id(token), self.authority.now());
        let row = self.authority.store().token(channel, name, now).await?;
        row.ok_or_else(|| Error::NotFound("token on this channel").into())
    }

    /// Issues a channel's long-lived token; the present one is revoked after `delay`
    /// seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn reissue(
        &self,
        channel: ChannelId,
        delay: i64,
        idempotency: Option<[u8; 32]>,
        dry_run: bool,
    ) -> Result<Outcome<Token>> {
        self.may(Permission::ReissueToken)?;
        let credential = Credential::Administrator { delay };
        let request = IssueRequest { kind: Kind::LongLived, credential, group: None, idempotency };
        if dry_run {
            return Ok(Outcome::DryRun(self.would_evict(request, channel).await?));
        }
        let authority = &self.authority;
        let began = authority.clock().steady();
        let issued = authority.issue(request, channel, Some(self.by())).await;
        let took = authority.clock().steady().duration_since(began);
        let counted = issued.as_ref().map(Token::counted).map_err(not_issued);
        authority.metrics().issues(Kind::LongLived).count(counted, took);
        Ok(Outcome::Done(issued?))
    }

    /// What issuing for this request would revoke at once; fails like the issue itself.
    async fn would_evict(&self, request: IssueRequest, channel: ChannelId) -> Result<Revocation> {
        let grant = self.authority.grant(request, channel).await?;
        let now = self.authority.now();
        let active = TokenFilter { state: Some(TokenState::Active), ..TokenFilter::default() };
        // The token rules allow no channel as many active tokens as that.
        let page = Page { before: None, most: 1_000 };
        let rows = self.authority.store().tokens(channel, active, page, now).await?;
        let live: Vec<Live> = rows.into_iter().map(|(_, row)| live(row)).collect();
        let next = live.iter().map(|it| it.serial.next()).max().unwrap_or_default();
        // The request names no group, so no group is created.
        let admitted = admit(&grant, &live, 0, next, now).map_err(Error::from)?;
        let revoked = Revoked { tokens: admitted.ends.len(), ..self.nothing() };
        Ok(Revocation::new(revoked, false, true))
    }
}

fn live(row: TokenRow) -> Live {
    Live { kind: row.kind, serial: row.serial, group: row.group, expires_at: row.expires_at }
}

fn not_issued(error: &Error) -> NotIssued {
    match error {
        Error::Unavailable(_) | Error::Taken => NotIssued::Unavailable,
        Error::Denied(Denied::LimitExceeded { .. }) => NotIssued::Limited,
        Error::Denied(_) | Error::NotFound(_) | Error::Conflict(_) => NotIssued::Denied,
    }
}

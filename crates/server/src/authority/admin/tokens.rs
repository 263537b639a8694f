//! The facts of tokens, and the long-lived token, which administrators issue.

use super::{
    facade::{Admin, Result},
    options::ActOptions,
    taking::{Outcome, ROWS},
};
use crate::{
    authority::{
        receipt::{CommittedAct, Concerns},
        tokens::Token,
    },
    metrics::NotIssued,
};
use tegata_policy::permission::Permission;
use tegata_policy::{
    authorize::{Credential, IssueRequest},
    denied::Denied,
};
use tegata_store::{
    Error, ExpiryFilter, Page, RecentUse, Reissue, RowId, TokenFilter, TokenName, TokenRow,
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
        let of = self.channel_for(Permission::ReadTokens, channel).await?.state;
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
        let mut shown: Vec<_> = rows.iter_mut().map(|(_, row)| row).collect();
        self.authority.note_idle(channel, &mut shown).await?;
        Ok(rows)
    }

    /// Active tokens of all channels that the actor sees, the first to expire first, with the
    /// numbers of their rows.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn expiring_tokens(
        &self,
        mut filter: ExpiryFilter,
        most: usize,
    ) -> Result<Vec<(RowId, ChannelId, TokenRow)>> {
        filter.seen = self.seen(Permission::ReadTokens)?.map(|it| it.channels);
        let (store, now) = (self.authority.store(), self.authority.now());
        let mut found = store.expiring_tokens(filter, most, now).await?;
        for (_, channel, row) in &mut found {
            if let Some(of) = self.authority.channel(*channel).await? {
                row.state = row.state.in_channel(of.state);
            }
            self.authority.note_idle(*channel, &mut [row]).await?;
        }
        Ok(found)
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
        let of = self.channel_for(Permission::ReadTokens, channel).await?;
        let mut row = self.stored(channel, token).await?;
        row.state = row.state.in_channel(of.state);
        self.authority.note_idle(channel, &mut [&mut row]).await?;
        let uses = self.authority.recent_uses(channel, row.serial).await?;
        Ok((row, uses))
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
        options: &ActOptions,
    ) -> Result<Outcome<Token>> {
        let credential = Credential::Administrator { delay };
        let request = IssueRequest {
            kind: Kind::LongLived,
            credential,
            group: None,
            idempotency,
            lifetime: None,
        };
        let (authority, by) = (&self.authority, self.by_of(options));
        let of = self.channel_for(Permission::ReissueToken, channel).await?;
        if options.dry_run {
            let grant = authority.grant(request, channel).await?;
            // No token gets this id.
            let act = Reissue { grant, id: TokenId([0; 16]), by };
            let would = authority.store().would_reissue(act, ROWS).await?;
            return Ok(Outcome::DryRun(self.would_take_of(&of, would, false).await?));
        }
        let began = authority.clock().steady();
        let issued = authority.issue(request, channel, Some(by)).await;
        let took = authority.clock().steady().duration_since(began);
        let counted = issued.as_ref().map(Token::counted).map_err(not_issued);
        authority.metrics().issues(Kind::LongLived).count(counted, took);
        let issued = issued?;
        let act = CommittedAct {
            position: issued.position,
            effective_at: issued.previous_until.unwrap_or(issued.claims.issued_at),
            concerns: Concerns::Provider(of.provider),
        };
        let taken = self.taken(issued.revoked, act, false, options).await?;
        Ok(Outcome::Done(issued, taken))
    }
}

fn not_issued(error: &Error) -> NotIssued {
    match error {
        Error::Unavailable(_) | Error::NotNow(_) | Error::Taken => NotIssued::Unavailable,
        Error::Denied(Denied::LimitExceeded { .. }) => NotIssued::Limited,
        Error::Denied(_) | Error::NotFound(_) | Error::Conflict(_) | Error::Changed => {
            NotIssued::Denied
        }
    }
}

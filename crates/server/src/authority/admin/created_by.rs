//! What an actor created within a time: tokens and assertion keys, and revoking them.
//!
//! The audit records which actor registered a key, and for which administrator a token was
//! issued. A token that a channel requested by its own credentials has the channel as its
//! actor, and is found by the time of its issue.

use super::{
    created::{CreatedBy, CreatedKey},
    facade::{Admin, Error, Result},
    options::ActOptions,
    taking::{DryRun, Outcome, ROWS},
};
use crate::authority::{
    actor::Actor,
    receipt::{CommittedAct, Concerns},
    tokens::in_between,
};
use tegata_policy::permission::Permission;
use tegata_store::{
    AuditFilter, Error as StoreError, Event, KeyFilter, Page, RevocationTarget, Taking,
    TokenFilter, TokenName, TokenState,
    audit_event::{AuditAct, AuditEvent, CreatedByRevoked},
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Serial},
    kind::Kind,
    time::UnixTime,
};

/// What was found.
#[derive(Default)]
struct Found {
    keys: Vec<CreatedKey>,
    tokens: Vec<(ChannelId, Serial)>,
}

/// Maximum number of keys and tokens that are handled at once.
const MOST: usize = 10_000;

/// Number of rows that are read at once.
const PAGE: usize = 1_000;

const TOO_MANY: Error = Error::Store(StoreError::Conflict(
    "the actor created more than 10,000 tokens and keys within this time; give a shorter one with \
     `until`",
));

impl Admin {
    /// Deletes the assertion keys that an actor registered within a time, and revokes the
    /// tokens that were issued for them and those that the actor itself created.
    ///
    /// # Errors
    /// [`Error::NothingCreated`], a conflict if there are too many of them, or as the store. What was revoked before
    /// stays revoked.
    pub async fn revoke_created_by(
        &self,
        what: &CreatedBy,
        options: &ActOptions,
    ) -> Result<Outcome<Vec<CreatedKey>>> {
        self.may(Permission::RevokeCreatedBy)?;
        let found = self.created_by(what).await?;
        if options.dry_run {
            let mut sum = DryRun { stateless_too: !found.keys.is_empty(), ..DryRun::default() };
            for (channel, act) in self.acts(&found, options) {
                self.rehearse(channel, act, &mut sum).await?;
            }
            sum.created_keys = Some(found.keys);
            return Ok(Outcome::DryRun(sum));
        }
        let tokens = self.take_all(&found, options).await?;
        self.authority.metrics().revocations.created_by.inc();
        let event = AuditEvent::TokenRevokeCreatedBy(CreatedByRevoked {
            created_by: what.actor.clone(),
            created_from: what.source,
            since: what.since,
            until: what.until,
            keys: found.keys.iter().filter(|it| it.row.is_some()).count(),
            revoked: tokens,
        });
        // The channels can be of several providers, and the last act concerns one of them.
        let (event, by) = (Event::of(event), self.by_of(options));
        let recorded = self.authority.store().record_for_all(event, by).await;
        let position = recorded.map_err(in_between)?;
        let effective_at = self.authority.now();
        let act = CommittedAct { position, effective_at, concerns: Concerns::All };
        let taken = self.taken(tokens, act, !found.keys.is_empty(), options).await?;
        Ok(Outcome::Done(found.keys, taken))
    }

    /// Takes away what was found; returns how many stored tokens were revoked.
    async fn take_all(&self, found: &Found, options: &ActOptions) -> Result<usize> {
        let (store, mut tokens, mut begun) = (self.authority.store(), 0, false);
        for (channel, act) in self.acts(found, options) {
            let key = match &act {
                Taking::AssertionKey(it) => Some(it.key),
                _ => None,
            };
            let done = match (store.take(act).await, key) {
                // Another responder has deleted it meanwhile, and may have left its tokens.
                (Err(StoreError::NotFound(_)), Some(key)) => {
                    store.take(self.revoke_of(channel, key, options)).await
                }
                (done, _) => done,
            };
            match done {
                Ok(revoked) => {
                    tokens += revoked.tokens;
                    begun = true;
                }
                // Deleted, or so long ago that none of its tokens can be active.
                Err(StoreError::NotFound(_)) => {}
                Err(error) if begun => return Err(in_between(error).into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(tokens)
    }

    /// Revokes the tokens that were issued for an assertion key.
    fn revoke_of(&self, channel: ChannelId, key: AssertionKeyId, options: &ActOptions) -> Taking {
        Taking::revoke(channel, RevocationTarget::AssertionKey(key), self.by_of(options))
    }

    /// The acts that take away what was found, keys first: then nothing new can be issued
    /// for them.
    fn acts(&self, found: &Found, options: &ActOptions) -> Vec<(ChannelId, Taking)> {
        let by = || self.by_of(options);
        let keys = found.keys.iter().map(|key| {
            let act = match key.row {
                Some(_) => Taking::assertion_key(key.channel, key.id, true, by()),
                None => self.revoke_of(key.channel, key.id, options),
            };
            (key.channel, act)
        });
        let tokens = found.tokens.iter().map(|&(channel, serial)| {
            (channel, Taking::revoke(channel, RevocationTarget::Stored { serial }, by()))
        });
        keys.chain(tokens).collect()
    }

    /// Adds what an act would take away.
    async fn rehearse(&self, id: ChannelId, act: Taking, sum: &mut DryRun) -> Result<()> {
        let would = match self.authority.store().would_take(act, ROWS - sum.rows.len()).await {
            Ok(would) => would,
            Err(StoreError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let Some(channel) = self.authority.channel(id).await? else { return Ok(()) };
        let found = self.would_take_of(&channel, would, false).await?;
        sum.tokens += found.tokens;
        sum.rows.extend(found.rows.into_iter().map(|(_, row)| (Some(id), row)));
        Ok(())
    }

    async fn created_by(&self, what: &CreatedBy) -> Result<Found> {
        let mut found = Found::default();
        if let Some(channel) = channel_of(&what.actor) {
            self.issued_for(channel, what, &mut found).await?;
        }
        for act in [AuditAct::KeyRegister, AuditAct::TokenIssue] {
            self.audited(act, what, &mut found).await?;
        }
        // A mistyped actor must not look like success.
        match found.keys.is_empty() && found.tokens.is_empty() {
            true => Err(Error::NothingCreated(what.actor.clone())),
            false => Ok(found),
        }
    }

    /// Adds the keys or tokens of the audit events of this act.
    async fn audited(&self, act: AuditAct, what: &CreatedBy, found: &mut Found) -> Result<()> {
        let filter = AuditFilter {
            actor: Some(what.actor.clone()),
            source: what.source,
            since: Some(what.since),
            until: what.until,
            act: Some(act),
            ..AuditFilter::default()
        };
        let mut page = Page { before: None, most: PAGE };
        loop {
            let rows = self.authority.store().audit(filter.clone(), page).await?;
            for row in &rows {
                let (Some(channel), Some(event)) =
                    (row.channel, AuditEvent::read(&row.act, &row.detail))
                else {
                    continue;
                };
                self.add(channel, &event, found).await?;
            }
            match rows.last() {
                Some(row) if rows.len() == PAGE => page.before = Some(row.id),
                _ => return Ok(()),
            }
        }
    }

    async fn add(&self, channel: ChannelId, event: &AuditEvent, found: &mut Found) -> Result<()> {
        let store = self.authority.store();
        match event {
            AuditEvent::KeyRegister(it) => {
                let filter = KeyFilter { id: Some(it.kid), ..KeyFilter::default() };
                let rows = store.assertion_keys(filter, Page { before: None, most: 1 }).await?;
                let row = rows.into_iter().next().map(|(_, row)| row);
                found.keys.push(CreatedKey { channel, id: it.kid, row });
            }
            AuditEvent::TokenIssue(it) => {
                let (name, now) = (TokenName::Id(it.token_id), self.authority.now());
                let row = store.token(channel, name, now).await?;
                let row = row.filter(|row| row.state == TokenState::Active);
                found.tokens.extend(row.map(|row| (channel, row.serial)));
            }
            _ => {}
        }
        found.within_limits()
    }

    /// Adds the active stored tokens that a channel requested.
    async fn issued_for(
        &self,
        channel: ChannelId,
        what: &CreatedBy,
        found: &mut Found,
    ) -> Result<()> {
        if what.source.is_some() {
            return Err(Error::Store(StoreError::Conflict(
                "the addresses that a channel requested tokens from are not recorded; leave \
                 `source` out",
            )));
        }
        let filter = TokenFilter { state: Some(TokenState::Active), ..TokenFilter::default() };
        let mut page = Page { before: None, most: PAGE };
        loop {
            let store = self.authority.store();
            let rows = store.tokens(channel, filter.clone(), page, self.authority.now()).await?;
            let within = |at: UnixTime| at >= what.since && what.until.is_none_or(|it| at < it);
            // Only administrators have long-lived tokens issued.
            let own =
                rows.iter().filter(|(_, row)| row.kind != Kind::LongLived && within(row.issued_at));
            found.tokens.extend(own.map(|(_, row)| (channel, row.serial)));
            found.within_limits()?;
            match rows.last() {
                Some((row, _)) if rows.len() == PAGE => page.before = Some(*row),
                _ => return Ok(()),
            }
        }
    }
}

impl Found {
    fn within_limits(&self) -> Result<()> {
        match self.keys.len() + self.tokens.len() > MOST {
            true => Err(TOO_MANY),
            false => Ok(()),
        }
    }
}

/// The channel that an actor's name stands for.
fn channel_of(actor: &str) -> Option<ChannelId> {
    let id = actor.strip_prefix("channel ")?.parse().ok()?;
    (Actor::Channel(id).to_string() == actor).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Authority, Memory};
    use aws_lc_rs::{
        rsa::{KeyPair, KeySize},
        signature::KeyPair as _,
    };
    use std::sync::Arc;
    use tegata_policy::{jwk::AssertionKey, rules::ChannelType};
    use tegata_store::sqlite::{Options, SqliteStore};
    use tegata_token::{claims::Claims, id::TokenId, verify::verify_claims};

    async fn authority(folder: &std::path::Path) -> Arc<Authority> {
        let (memory, issuer) = (Memory::new(), "http://tegata.test");
        let options = Options { issuer: issuer.to_owned(), dev: true, ..Options::default() };
        let store = SqliteStore::open(&folder.join("tegata.db"), options, memory.on_commit());
        let store = Arc::new(store.unwrap());
        let authority = Authority::start(store, memory, &folder.join("master.key"), issuer).await;
        Arc::new(authority.unwrap())
    }

    #[tokio::test]
    async fn a_key_that_another_responder_deletes_meanwhile_loses_its_tokens_nevertheless() {
        let folder = tempfile::tempdir().unwrap();
        let authority = authority(folder.path()).await;
        let (admin, options) = (authority.admin(Actor::Root, None), ActOptions::default());
        let provider = admin.create_provider("Company").await.unwrap().id;
        let kind = ChannelType::MessagingApi;
        let channel = admin.create_channel(provider, "shop", kind).await.unwrap().0.id;
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let modulus = public.modulus().big_endian_without_leading_zero();
        let key = AssertionKey::from_modulus(modulus).unwrap();
        let key = admin.register_key(channel, key, None).await.unwrap();
        let what = CreatedBy {
            actor: Actor::Root.to_string(),
            source: None,
            since: UnixTime(0),
            until: None,
        };
        let found = admin.created_by(&what).await.unwrap();
        // Without its tokens.
        admin.delete_key(channel, key, false, &options).await.unwrap();
        let now = authority.now();
        let token = Claims {
            id: TokenId([1; 16]),
            kind: Kind::V21,
            provider,
            channel,
            group: None,
            assertion_key: Some(key),
            serial: Serial(0),
            issued_at: now,
            expires_at: now.plus(3_600),
            key: authority.view().keys()[0].key.id(),
        };
        let is_active = || verify_claims(&token, now, &authority.view()).is_ok();
        assert!(is_active());
        admin.take_all(&found, &options).await.unwrap();
        assert!(!is_active());
    }
}

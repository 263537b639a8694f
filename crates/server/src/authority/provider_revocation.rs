//! Revoking all tokens of a provider: a job in the store, of many transactions. Once begun it
//! completes: the request that began it goes on with it, and a periodic job does if that request
//! was interrupted. Of servers that share a store, the one with the jobs cannot know that, so two
//! may go on with one job.

use super::{Authority, tokens::in_between};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tegata_store::{By, Error, Result, Revoked, RowId};
use tegata_token::id::ProviderId;

/// Maximum number of channels whose tokens are revoked in one transaction.
const CHANNELS_AT_ONCE: usize = 50;

/// The jobs with which requests of this server go on.
#[derive(Default, Clone)]
pub(super) struct RequestedJobs(Arc<Mutex<HashSet<RowId>>>);

impl RequestedJobs {
    fn inner(&self) -> MutexGuard<'_, HashSet<RowId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, job: RowId) -> bool {
        self.inner().contains(&job)
    }

    /// Adds a job until the result is dropped.
    fn add(&self, job: RowId) -> Requested {
        self.inner().insert(job);
        Requested { all: self.clone(), job }
    }
}

/// A request goes on with this job.
struct Requested {
    all: RequestedJobs,
    job: RowId,
}

impl Drop for Requested {
    fn drop(&mut self) {
        self.all.inner().remove(&self.job);
    }
}

impl Authority {
    /// Revokes all tokens of a provider's present channels. Once begun it completes, even
    /// if the caller is cancelled or the process stops. Without a number of tokens if another
    /// server took the last step.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a provider, or [`Error::Unavailable`]: the
    /// remaining tokens are revoked later.
    pub(super) async fn revoke_provider(
        self: &Arc<Self>,
        provider: ProviderId,
        by: By,
    ) -> Result<Revoked<Option<usize>>> {
        let job = self.store.begin_provider_revocation(provider, by).await?;
        let (own, requested) = (self.clone(), self.requested_jobs.add(job));
        let work = tokio::spawn(async move {
            let _requested = requested;
            match own.continue_provider_revocation(job).await? {
                Some(Revoked { tokens, position, at }) => {
                    Ok(Revoked { tokens: Some(tokens), position, at })
                }
                None => own.revoked_by_another(provider).await,
            }
        });
        work.await.unwrap_or_else(|error| Err(Error::Unavailable(error.to_string().into())))
    }

    /// Goes on with a job until it is complete; `None`: another server took the last step.
    async fn continue_provider_revocation(&self, job: RowId) -> Result<Option<Revoked>> {
        loop {
            let step = self.store.continue_provider_revocation(job, CHANNELS_AT_ONCE, self.now());
            match step.await {
                Ok((revoked, true)) => return Ok(Some(revoked)),
                Ok((_, false)) => {}
                Err(Error::NotFound(_)) => return Ok(None),
                Err(error) => return Err(in_between(error)),
            }
        }
    }

    /// The result of a revocation whose last step another server took: its receipt was begun with
    /// that step, or a later act on the provider began a newer one, which covers it. Waits until
    /// it is in force on every server, for which that step may still wait.
    async fn revoked_by_another(&self, provider: ProviderId) -> Result<Revoked<Option<usize>>> {
        self.store.catch_up().await.map_err(in_between)?;
        let known = self.view().position();
        self.store.in_force(known).await;
        let receipt = self.store.newest_receipt(provider).await.map_err(in_between)?;
        let (position, at) =
            receipt.map_or((known, self.now()), |it| (it.position, it.about.effective_at));
        Ok(Revoked { tokens: None, position, at })
    }

    /// Completes the revocations of providers' tokens that were interrupted.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) async fn finish_provider_revocations(&self) -> Result<()> {
        for under_way in self.store.provider_revocations().await? {
            if !self.requested_jobs.has(under_way.job) {
                self.continue_provider_revocation(under_way.job).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Memory, actor::Actor};
    use tegata_policy::rules::ChannelType;
    use tegata_store::sqlite::{Options, SqliteStore};

    async fn authority(folder: &std::path::Path) -> Arc<Authority> {
        let (memory, issuer) = (Memory::new(), "http://tegata.test");
        let options = Options { issuer: issuer.to_owned(), dev: true, ..Options::default() };
        let store = SqliteStore::open(&folder.join("tegata.db"), options, memory.on_commit());
        let store = Arc::new(store.unwrap());
        let authority = Authority::start(store, memory, &folder.join("master.key"), issuer).await;
        Arc::new(authority.unwrap())
    }

    #[tokio::test]
    async fn the_periodic_job_leaves_alone_what_a_request_goes_on_with_until_that_is_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let authority = authority(folder.path()).await;
        let admin = authority.admin(Actor::Root, None);
        let provider = admin.create_provider("Company").await.unwrap().id;
        admin.create_channel(provider, "shop", ChannelType::MessagingApi).await.unwrap();
        let by = authority.by(Actor::Root, None, None);
        let job = authority.store.begin_provider_revocation(provider, by).await.unwrap();
        let requested = authority.requested_jobs.add(job);
        authority.finish_provider_revocations().await.unwrap();
        assert_eq!(authority.store.provider_revocations().await.unwrap().len(), 1);
        drop(requested);
        authority.finish_provider_revocations().await.unwrap();
        assert!(authority.store.provider_revocations().await.unwrap().is_empty());
    }
}

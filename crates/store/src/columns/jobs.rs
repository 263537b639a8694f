//! Rows of background jobs: requests that are remembered, warnings, revocations of a
//! provider's tokens.

use super::Columns;
use crate::{DueWarning, ProviderRevocation};
use tegata_policy::acts::{ProviderJob, QueuedWarning, RememberedRequest, UsedAssertion};

pub(crate) fn request<R: Columns>(row: &R) -> Result<RememberedRequest, R::Error> {
    Ok(RememberedRequest {
        key: row.value("key")?,
        parameters: row.value("parameters")?,
        response: row.optional("response")?,
        until: row.value("until")?,
    })
}

/// Maximum number of old requests that a new one deletes; since it adds one, they decrease
/// faster than they increase.
pub(crate) const OLD_REQUESTS: usize = 8;

pub(crate) fn queued<R: Columns>(row: &R) -> Result<QueuedWarning, R::Error> {
    Ok(QueuedWarning {
        number: row.value("number")?,
        name: row.value("name")?,
        keep_until: row.value("keep_until")?,
        attempts: row.value("attempts")?,
    })
}

pub(crate) fn due<R: Columns>(row: &R) -> Result<DueWarning, R::Error> {
    Ok(DueWarning {
        number: row.value("number")?,
        name: row.value("name")?,
        body: row.value("body")?,
        attempts: row.value("attempts")?,
        keep_until: row.value("keep_until")?,
    })
}

/// A revocation of a provider's tokens, from a row with the next channel in `next`.
pub(crate) fn provider_job<R: Columns>(row: &R) -> Result<ProviderJob, R::Error> {
    Ok(ProviderJob {
        number: row.value("number")?,
        provider: row.value("provider")?,
        through: row.value("through")?,
        actor: row.value("actor")?,
        source: row.optional("source")?,
        reason: row.optional("reason")?,
        revoked: row.value("revoked")?,
        position: row.value("position")?,
        next: row.optional("next")?,
    })
}

/// The same, from a row with the number of channels that are left in `channels_left`.
pub(crate) fn running<R: Columns>(row: &R) -> Result<ProviderRevocation, R::Error> {
    Ok(ProviderRevocation {
        job: row.value("number")?,
        provider: row.value("provider")?,
        revoked: row.value("revoked")?,
        channels_left: row.value("channels_left")?,
    })
}

pub(crate) fn used_assertion<R: Columns>(row: &R) -> Result<UsedAssertion, R::Error> {
    Ok(UsedAssertion {
        channel: row.value("channel")?,
        fingerprint: row.value("fingerprint")?,
        expires_at: row.value("expires_at")?,
    })
}

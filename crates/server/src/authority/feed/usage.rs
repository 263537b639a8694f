//! What verifiers ask and report about tokens.

use super::Refused;
use crate::authority::Authority;
use std::{collections::HashMap, sync::Arc};
use tegata_store::VerifierRow;
use tegata_token::{
    feed::UsageReport,
    id::Position,
    time::UnixTime,
    verify::{Active, verify},
};

/// Maximum number of tokens of a report whose times of last use are recorded.
const MOST: usize = 1_000;

impl Authority {
    /// Verifies a token for a verifier; `None`: it is not active, or of a provider that the
    /// verifier must learn nothing of. Also returns the position of the view that was used.
    pub fn introspect(
        &self,
        verifier: &VerifierRow,
        token: &[u8],
    ) -> (Option<Arc<Active>>, Position) {
        let view = self.view();
        let now = self.now();
        let active = verify(token, now, &view, &self.signatures).ok();
        let sees = |it: &Active| verifier.provider.is_none_or(|of| of == it.claims.provider);
        let active = active.filter(sees);
        if let Some(active) = &active {
            self.last_used.note(&active.claims, now);
        }
        (active.map(Arc::new), view.position())
    }

    /// Records the uses that an instance reports. Unknown tokens, and those of other
    /// providers, are ignored.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn feed_usage(
        &self,
        verifier: &VerifierRow,
        report: UsageReport,
    ) -> Result<(), Refused> {
        let now = self.now();
        // The latest minute of each token; a verifier's clock may be wrong, but a use cannot
        // be in the future.
        let mut last = HashMap::new();
        for minute in &report.minutes {
            for it in &minute.uses {
                let at = last.entry((it.channel, it.token_id)).or_insert(UnixTime(0));
                *at = minute.minute.min(now).max(*at);
            }
        }
        let names: Vec<_> = last.keys().copied().take(MOST).collect();
        for (channel, token, serial) in self.store.live_serials(names, verifier.provider).await? {
            if let Some(at) = last.get(&(channel, token)) {
                self.last_used.note_stored(channel, serial, *at);
            }
        }
        Ok(())
    }
}

//! From where tokens were used, in memory and in the store: written in parts, and read so that
//! each use is counted once.

use super::Authority;
use tegata_store::{NotedUse, RecentUse, Result, USES_KEPT, merged};
use tegata_token::id::{ChannelId, Serial};

/// Maximum number of last-used times, and of uses, that are written in one transaction.
const AT_ONCE: usize = 1_000;

/// The uses that were taken out of [`super::last_used::LastUsed`] and are not in the store yet.
/// A part leaves it in the moment in which the store has it, under one lock; who reads both
/// holds that lock.
#[derive(Default)]
pub(super) struct Uses(tokio::sync::RwLock<Vec<NotedUse>>);

impl Authority {
    /// Writes the last-used times and the uses of tokens recorded since the last call to the
    /// store. All that was recorded before this call is written when it returns.
    ///
    /// # Errors
    /// [`tegata_store::Error::Unavailable`]; the times and uses are lost then.
    pub async fn flush_last_used(&self) -> Result<()> {
        let _flushing = self.flushing.lock().await;
        let stamps = {
            let mut taken = self.uses.0.write().await;
            let (stamps, uses) = self.last_used.take();
            // Those that an earlier call could not write are lost.
            *taken = uses;
            stamps
        };
        // In parts, so that a revocation waits for one part at the most.
        for stamps in stamps.chunks(AT_ONCE) {
            let stamped = self.store.stamp(stamps.to_vec()).await;
            stamped.inspect_err(|_| self.last_used.leave_out(self.now()))?;
        }
        let since = self.now().plus(-USES_KEPT);
        loop {
            let mut taken = self.uses.0.write().await;
            if taken.is_empty() {
                return Ok(());
            }
            let rest = taken.len().saturating_sub(AT_ONCE);
            self.store.record_uses(taken.split_off(rest), since).await?;
        }
    }

    /// The recent uses of a stored token, newest first: those in memory, too.
    ///
    /// # Errors
    /// [`tegata_store::Error::Unavailable`].
    pub async fn recent_uses(&self, channel: ChannelId, serial: Serial) -> Result<Vec<RecentUse>> {
        let taken = self.uses.0.read().await;
        let mut noted = self.last_used.uses(channel, serial);
        let of_token = |it: &&NotedUse| it.channel == channel && it.serial == serial;
        noted.extend(taken.iter().filter(of_token).map(|it| it.used));
        let stored = self.store.recent_uses(channel, serial).await?;
        Ok(merged(stored.iter().chain(&noted), self.now().plus(-USES_KEPT)))
    }
}

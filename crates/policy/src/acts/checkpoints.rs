//! The key that signs checkpoints of the audit, and the checkpoints.

use super::{
    Act, ActError, ActName, Decided,
    effects::{Effects, Write},
    locked::{Locked, Needs},
    things::WrappedKey,
    upkeep::{Checkpoint, Upkeep},
};
use tegata_token::time::UnixTime;

/// Stores the key that signs checkpoints; there must be none.
#[derive(Debug, Clone)]
pub struct SetAuditKey {
    /// Its public half.
    pub public: [u8; 32],
    /// Its private half, wrapped.
    pub wrapped: WrappedKey,
}

impl Act for SetAuditKey {
    type Output = ();
    const NAME: ActName = ActName::SetAuditKey;

    fn needs(&self) -> Needs {
        Needs { audit_key: true, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        if locked.audit_key.is_some() {
            return Err(ActError::Taken);
        }
        let mut effects = Effects::default();
        effects.write(Write::AuditKey(self.public, self.wrapped.clone()));
        Ok(((), effects))
    }
}

/// Stores a checkpoint, which must be the next one.
#[derive(Debug, Clone)]
pub struct AddCheckpoint {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
}

impl Act for AddCheckpoint {
    type Output = ();
    const NAME: ActName = ActName::AddCheckpoint;

    fn needs(&self) -> Needs {
        Needs { upkeep: Upkeep::LastCheckpoint, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let last = locked.upkeep.checkpoint.as_ref().map_or(0, |it| it.number);
        if self.checkpoint.number <= last {
            return Err(ActError::Taken);
        }
        if self.checkpoint.number > last + 1 {
            return Err(ActError::Conflict("the checkpoint does not follow the last one"));
        }
        let mut effects = Effects::default();
        effects.write(Write::Checkpoint(Box::new(self.checkpoint.clone())));
        Ok(((), effects))
    }
}

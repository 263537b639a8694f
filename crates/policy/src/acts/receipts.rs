//! Receipts: which acts have one, and the rows that hold them.

use super::{
    Act, ActName, Decided,
    change::Change,
    effects::{Effects, Write},
    followers::{ReceiptFor, ReceiptRow},
    locked::{Locked, Needs},
};
use tegata_token::{
    id::ProviderId,
    time::UnixTime,
    view::{ChannelChange, ChannelState},
};

/// What the receipt of an act with these effects is about; `None`: it has none. An
/// eviction takes a token away, too, but is no act of its own. A revocation of a provider's
/// tokens gets its receipt with its last commit, at the position of its last change.
#[must_use]
pub fn receipt_of(act: ActName, effects: &Effects, now: UnixTime) -> Option<ReceiptFor> {
    let about = |provider| Some(ReceiptFor { provider, effective_at: now });
    let provider = effects.changes.iter().find_map(|it| it.about().0);
    match act {
        ActName::Revoke
        | ActName::ReportLeaks
        | ActName::ReplaceSecret
        | ActName::DeletePreviousSecret
        | ActName::DeleteKey
        | ActName::DeleteGroup
        | ActName::DeleteProvider => about(Some(provider?)),
        ActName::ChangeChannel => about(Some(narrowed(effects)?)),
        ActName::ChangeSigningKeys => {
            let is_repeated = matches!(effects.changes[..], [Change::Empty { .. }]);
            (is_repeated || !effects.journal.is_empty()).then_some(about(None)?)
        }
        ActName::Issue => {
            Some(ReceiptFor { provider: Some(provider?), effective_at: effects.reissued? })
        }
        ActName::RecordForAll => about(None),
        _ => None,
    }
}

/// The provider of a channel that was suspended or deleted.
fn narrowed(effects: &Effects) -> Option<ProviderId> {
    effects.changes.iter().find_map(|it| match it {
        Change::Tokens { provider, change: ChannelChange::State { state }, .. } => {
            (*state != ChannelState::Active).then_some(*provider)
        }
        _ => None,
    })
}

/// Writes the lists of receipts, and which of them are complete.
#[derive(Debug, Clone)]
pub struct SettleReceipts {
    /// The receipts.
    pub receipts: Vec<ReceiptRow>,
}

impl Act for SettleReceipts {
    type Output = ();
    const NAME: ActName = ActName::SettleReceipts;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, _: &Locked, _: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        for row in &self.receipts {
            effects.write(Write::Receipt(Box::new(row.clone())));
        }
        Ok(((), effects))
    }
}

//! When tokens, assertion keys and secrets were last used.

use super::{
    Act, ActName, Decided,
    effects::{Effects, Write},
    locked::{Locked, Needs},
    upkeep::{Stamp, StampPlace, Upkeep},
};
use std::{collections::BTreeMap, sync::Arc};
use tegata_token::time::UnixTime;

/// Records when tokens, assertion keys and secrets were last used. A stored time never
/// decreases; uses of what does not exist any more are ignored.
#[derive(Debug, Clone)]
pub struct StampUses {
    /// The uses.
    pub stamps: Arc<[Stamp]>,
}

impl Act for StampUses {
    type Output = ();
    const NAME: ActName = ActName::StampUses;

    fn needs(&self) -> Needs {
        Needs { upkeep: Upkeep::Stamps(self.stamps.clone()), ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let mut latest: BTreeMap<StampPlace, UnixTime> = BTreeMap::new();
        for it in locked.upkeep.stamped.iter().filter(|it| it.before < Some(it.at)) {
            let at = latest.entry(it.place).or_insert(it.at);
            *at = it.at.max(*at);
        }
        let mut effects = Effects::default();
        latest.into_iter().for_each(|(place, at)| effects.write(Write::Used(place, at)));
        Ok(((), effects))
    }
}

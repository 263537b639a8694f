//! Whether an instance can still accept what an act took away: a pure function of what
//! this process knows and of the time that it has measured.

use crate::authority::receipt::{InstanceReceipt, InstanceState};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};
use tegata_token::{
    feed::{InstanceId, OnStale, lease},
    id::VerifierId,
    time::UnixTime,
};

/// An instance in the list of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its verifier.
    pub verifier: VerifierId,
    /// The verifier's name.
    pub name: String,
    /// The instance.
    pub instance: InstanceId,
    /// Its staleness when it was listed, in milliseconds.
    pub staleness: u32,
    /// What it does with a stale view.
    pub on_stale: OnStale,
    /// What is known of it.
    pub fate: Fate,
}

/// What is known of an instance with regard to the position of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate {
    /// Nothing yet.
    Unknown,
    /// It has applied the position.
    Acknowledged {
        /// When it asked after the position.
        at: UnixTime,
    },
    /// It cannot apply the position.
    CannotApply {
        /// Why.
        reason: String,
    },
    /// Its lease ran out before it acknowledged the position.
    LeaseExpired,
    /// It has reported its end.
    Stopped,
    /// An operator removed it.
    Removed {
        /// The operator.
        by: String,
    },
}

/// For how long after an act an instance may accept a token by an introspection whose server did
/// not know of the act: a server that cannot reach the database answers for its lease of two
/// seconds, and the instance uses the answer for a second after it asked. A tenth more, since
/// their clocks differ.
const ASKED: Duration = Duration::from_millis(3_300);

/// The stored form of lines that differ in their instances alone. Most of a list are a few of
/// these: a revocation with thousands of followers writes little more than their names.
#[derive(Serialize, Deserialize)]
struct Alike {
    verifier: VerifierId,
    name: String,
    staleness: u32,
    on_stale: OnStale,
    #[serde(flatten)]
    fate: Fate,
    instances: Vec<InstanceId>,
}

/// Writes a list to store. `None` if that fails, which it cannot: the text is in memory.
pub fn write(lines: &[Line]) -> Option<String> {
    let (mut all, mut places) = (Vec::<Alike>::new(), HashMap::new());
    for it in lines {
        let (verifier, staleness, on_stale) = (it.verifier, it.staleness, it.on_stale);
        let place = match places.entry((verifier, &it.name, staleness, on_stale, &it.fate)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let (name, fate) = (it.name.clone(), it.fate.clone());
                let instances = Vec::new();
                all.push(Alike { verifier, name, staleness, on_stale, fate, instances });
                *new.insert(all.len() - 1)
            }
        };
        all[place].instances.push(it.instance.clone());
    }
    serde_json::to_string(&all).ok()
}

/// Reads a list that was stored; `None` if it is none.
pub fn read(list: &str) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    for alike in serde_json::from_str::<Vec<Alike>>(list).ok()? {
        let Alike { verifier, name, staleness, on_stale, fate, instances } = alike;
        lines.extend(instances.into_iter().map(|instance| {
            let (name, fate) = (name.clone(), fate.clone());
            Line { verifier, name, instance, staleness, on_stale, fate }
        }));
    }
    sort(&mut lines);
    Some(lines)
}

/// Brings lines into the order in which a receipt shows them.
pub fn sort(lines: &mut [Line]) {
    lines.sort_unstable_by(|a, b| (&a.name, &a.instance).cmp(&(&b.name, &b.instance)));
}

impl Line {
    /// The state of the instance, after `since` since this process learned that the
    /// position was committed. An answer without the position was read before that, so
    /// after the instance's staleness and a margin nothing that it holds can be fresh.
    pub fn state(&self, since: Duration) -> InstanceState {
        match &self.fate {
            Fate::Acknowledged { .. } => InstanceState::Acknowledged,
            Fate::Stopped => InstanceState::Stopped,
            Fate::Removed { .. } => InstanceState::Removed,
            Fate::LeaseExpired => InstanceState::LeaseExpired,
            Fate::Unknown | Fate::CannotApply { .. } if since >= self.lease() => {
                match self.on_stale {
                    OnStale::Allow => InstanceState::MayStillAccept,
                    OnStale::Deny | OnStale::Ask => InstanceState::LeaseExpired,
                }
            }
            Fate::CannotApply { .. } => InstanceState::CannotApply,
            Fate::Unknown => InstanceState::Waiting,
        }
    }

    /// Whether nothing more can be learned of it.
    pub fn is_settled(&self, since: Duration) -> bool {
        settles(self.state(since))
    }

    /// The time after which its lease has run out.
    pub fn lease(&self) -> Duration {
        let own = lease(Duration::from_millis(self.staleness.into()));
        if self.on_stale == OnStale::Ask { own.max(ASKED) } else { own }
    }

    /// As the receipt shows it.
    pub fn shown(&self, since: Duration) -> InstanceReceipt {
        let (acknowledged_at, detail) = match &self.fate {
            Fate::Acknowledged { at } => (Some(*at), None),
            Fate::CannotApply { reason } => (None, Some(reason.clone())),
            Fate::Removed { by } => (None, Some(by.clone())),
            Fate::Unknown | Fate::LeaseExpired | Fate::Stopped => (None, None),
        };
        InstanceReceipt {
            name: self.name.clone(),
            instance: self.instance.to_string(),
            state: self.state(since),
            acknowledged_at,
            detail,
        }
    }
}

/// Whether an instance in this state can no longer accept.
pub fn settles(state: InstanceState) -> bool {
    match state {
        InstanceState::Acknowledged
        | InstanceState::LeaseExpired
        | InstanceState::Stopped
        | InstanceState::Removed => true,
        InstanceState::Waiting | InstanceState::MayStillAccept | InstanceState::CannotApply => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_token::time::UnixTime;

    fn line(on_stale: OnStale, fate: Fate) -> Line {
        Line {
            verifier: VerifierId::from_number(1).unwrap(),
            name: "gateway".to_owned(),
            instance: "i".repeat(22).parse().unwrap(),
            staleness: 2_000,
            on_stale,
            fate,
        }
    }

    fn after(ms: u64, on_stale: OnStale, fate: Fate) -> InstanceState {
        line(on_stale, fate).state(Duration::from_millis(ms))
    }

    #[test]
    fn a_lease_is_the_staleness_and_a_tenth_and_100_ms() {
        assert_eq!(after(2_299, OnStale::Deny, Fate::Unknown), InstanceState::Waiting);
        assert_eq!(after(2_300, OnStale::Deny, Fate::Unknown), InstanceState::LeaseExpired);
    }

    #[test]
    fn an_instance_that_asks_about_tokens_may_accept_by_an_answer_of_a_server_that_is_cut_off() {
        assert_eq!(after(3_299, OnStale::Ask, Fate::Unknown), InstanceState::Waiting);
        assert_eq!(after(3_300, OnStale::Ask, Fate::Unknown), InstanceState::LeaseExpired);
        let long = Line { staleness: 60_000, ..line(OnStale::Ask, Fate::Unknown) };
        assert_eq!(long.lease(), lease(Duration::from_secs(60)));
    }

    #[test]
    fn an_instance_that_uses_a_stale_view_may_accept_for_ever() {
        assert_eq!(after(2_299, OnStale::Allow, Fate::Unknown), InstanceState::Waiting);
        let state = after(u64::MAX / 2, OnStale::Allow, Fate::Unknown);
        assert_eq!(state, InstanceState::MayStillAccept);
        assert!(!settles(state));
    }

    #[test]
    fn an_instance_that_cannot_apply_the_position_waits_for_its_lease() {
        let cannot = || Fate::CannotApply { reason: "unknown change".to_owned() };
        assert_eq!(after(2_299, OnStale::Deny, cannot()), InstanceState::CannotApply);
        assert_eq!(after(2_300, OnStale::Deny, cannot()), InstanceState::LeaseExpired);
        assert_eq!(after(2_300, OnStale::Allow, cannot()), InstanceState::MayStillAccept);
        let shown = line(OnStale::Deny, cannot()).shown(Duration::ZERO);
        assert_eq!(shown.detail.as_deref(), Some("unknown change"));
    }

    #[test]
    fn a_stored_list_is_the_list_and_names_what_is_alike_once() {
        let fates = [
            Fate::Unknown,
            Fate::Acknowledged { at: UnixTime(5) },
            Fate::Acknowledged { at: UnixTime(6) },
            Fate::CannotApply { reason: "unknown change".to_owned() },
            Fate::LeaseExpired,
            Fate::Stopped,
            Fate::Removed { by: "administrator".to_owned() },
        ];
        let new = |number: usize| {
            let fate = fates[number % fates.len()].clone();
            let instance = format!("{number:_>22}").parse().unwrap();
            Line { instance, ..line(OnStale::ALL[number % 3], fate) }
        };
        let mut lines: Vec<_> = (0..2_000).map(new).collect();
        sort(&mut lines);
        let list = write(&lines).unwrap();
        assert!(list.len() < 2_000 * 26 + 21 * 200, "{} bytes", list.len());
        assert_eq!(read(&list).unwrap(), lines);
        assert_eq!(read("[]"), Some(Vec::new()));
        assert_eq!(read("{}"), None);
    }

    #[test]
    fn what_is_known_of_an_instance_does_not_depend_on_time() {
        for (fate, state) in [
            (Fate::Acknowledged { at: UnixTime(5) }, InstanceState::Acknowledged),
            (Fate::Stopped, InstanceState::Stopped),
            (Fate::Removed { by: "administrator".to_owned() }, InstanceState::Removed),
            (Fate::LeaseExpired, InstanceState::LeaseExpired),
        ] {
            for ms in [0, 2_300, 1 << 40] {
                assert_eq!(after(ms, OnStale::Allow, fate.clone()), state);
            }
            assert!(settles(state));
        }
    }
}

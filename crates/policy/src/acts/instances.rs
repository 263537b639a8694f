//! Instances: the running copies of programs that use a verifier. A row is written before
//! an instance gets its first answer, so that no receipt can omit one that could accept
//! what the receipt reports.

use super::{
    Act, ActError, ActName, Decided,
    effects::{Effects, Write},
    followers::Instance,
    locked::{Locked, Needs},
    upkeep::Upkeep,
};
use core::net::IpAddr;
use tegata_token::{
    feed::{InstanceId, OnStale},
    id::VerifierId,
    time::UnixTime,
};

/// The number of instances that a verifier may have.
pub const MOST_INSTANCES: usize = 1_000;

/// The number of instances of a verifier that have reported their end and whose rows are still
/// kept, about an hour, from which on it gets no new one: two or three starts a second for all of
/// that time. Without this limit, instances that are registered and stopped at once would use the
/// memory of every server.
pub const MOST_STOPPED: usize = 10_000;

/// Registers an instance, or renews its row. The row keeps the longest staleness and the
/// most lenient setting.
#[derive(Debug, Clone)]
pub struct RegisterInstance {
    /// Its verifier.
    pub verifier: VerifierId,
    /// Its id.
    pub instance: InstanceId,
    /// Its staleness, in milliseconds.
    pub staleness: u32,
    /// What it does with a stale view.
    pub on_stale: OnStale,
    /// The source address of its request.
    pub address: IpAddr,
}

/// The result of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// The row of the instance.
    Registered(Instance),
    /// The staleness exceeds that of its verifier.
    StalenessTooLong,
    /// Its verifier may not accept tokens by a stale view.
    AllowNotPermitted,
    /// It has reported its end before.
    Stopped,
    /// Its verifier has too many instances.
    TooMany,
}

/// Why a verifier gets no new row.
const TOO_MANY_STOPPED: &str =
    "10,000 instances of the verifier have reported their end within about an hour";

impl Act for RegisterInstance {
    type Output = Registration;
    const NAME: ActName = ActName::RegisterInstance;

    fn needs(&self) -> Needs {
        let upkeep = Upkeep::Instance(self.verifier, self.instance.clone());
        Needs { upkeep, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<Registration> {
        let upkeep = &locked.upkeep;
        let verifier = upkeep.verifier.as_ref().filter(|_| !upkeep.verifier_deleted);
        // The request was authenticated before the verifier was deleted or changed.
        let verifier = verifier.ok_or(ActError::NotFound("verifier"))?;
        if self.staleness > verifier.max_staleness {
            return refused(Registration::StalenessTooLong);
        }
        if self.on_stale == OnStale::Allow && !verifier.allow {
            return refused(Registration::AllowNotPermitted);
        }
        let new = match upkeep.instances.first() {
            Some(old) if old.stopped => return refused(Registration::Stopped),
            Some(old) => Instance {
                staleness: old.staleness.max(self.staleness),
                on_stale: old.on_stale.max(self.on_stale),
                renewed_at: now,
                address: Some(self.address),
                ..old.clone()
            },
            None if upkeep.instance_count >= MOST_INSTANCES => {
                return refused(Registration::TooMany);
            }
            None if upkeep.stopped_count >= MOST_STOPPED => {
                return Err(ActError::Conflict(TOO_MANY_STOPPED));
            }
            None => Instance {
                verifier: self.verifier,
                instance: self.instance.clone(),
                staleness: self.staleness,
                on_stale: self.on_stale,
                registered_at: now,
                renewed_at: now,
                stopped: false,
                address: Some(self.address),
            },
        };
        let mut effects = Effects::default();
        effects.write(Write::Instance(Box::new(new.clone())));
        Ok((Registration::Registered(new), effects))
    }
}

fn refused(why: Registration) -> Decided<Registration> {
    Ok((why, Effects::default()))
}

/// Notes that an instance has reported its end. Its row stays until it is dropped, so that
/// a late request cannot register it again.
#[derive(Debug, Clone)]
pub struct StopInstance {
    /// Its verifier.
    pub verifier: VerifierId,
    /// Its id.
    pub instance: InstanceId,
}

impl Act for StopInstance {
    type Output = Instance;
    const NAME: ActName = ActName::StopInstance;

    fn needs(&self) -> Needs {
        let upkeep = Upkeep::Instance(self.verifier, self.instance.clone());
        Needs { upkeep, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<Instance> {
        let mut effects = Effects::default();
        let verifier = locked.upkeep.verifier.as_ref();
        verifier.ok_or(ActError::NotFound("verifier"))?;
        let stopped = match locked.upkeep.instances.first() {
            Some(old) if old.stopped => return Ok((old.clone(), effects)),
            Some(old) => Instance { stopped: true, renewed_at: now, ..old.clone() },
            None if locked.upkeep.stopped_count >= MOST_STOPPED => {
                return Err(ActError::Conflict(TOO_MANY_STOPPED));
            }
            None => Instance {
                verifier: self.verifier,
                instance: self.instance.clone(),
                staleness: 0,
                on_stale: OnStale::Deny,
                registered_at: now,
                renewed_at: now,
                stopped: true,
                address: None,
            },
        };
        effects.write(Write::Instance(Box::new(stopped.clone())));
        Ok((stopped, effects))
    }
}

/// Renews the rows of instances that go on asking: they say nothing new, but are old. A row that
/// is gone or stopped meanwhile stays so.
#[derive(Debug, Clone)]
pub struct RenewInstances {
    /// The verifiers, and the instances' ids.
    pub instances: Vec<(VerifierId, InstanceId)>,
}

impl Act for RenewInstances {
    type Output = ();
    const NAME: ActName = ActName::RenewInstances;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, _: &Locked, now: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        // In one order, since their rows are locked by no other lock.
        let mut instances = self.instances.clone();
        instances.sort_unstable();
        effects.write(Write::InstancesRenewed { instances, at: now });
        Ok(((), effects))
    }
}

/// Drops the rows of silent instances. The process that requests it measures the silence, on
/// its own steady clock.
#[derive(Debug, Clone)]
pub struct DropInstances {
    /// The verifiers, the instances' ids, and when their rows were last renewed: a row that
    /// was renewed since then is kept.
    pub instances: Vec<(VerifierId, InstanceId, UnixTime)>,
}

impl Act for DropInstances {
    type Output = ();
    const NAME: ActName = ActName::DropInstances;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, _: &Locked, _: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        for (verifier, instance, renewed_at) in &self.instances {
            effects.write(Write::InstanceDropped {
                verifier: *verifier,
                instance: instance.clone(),
                renewed_at: Some(*renewed_at),
            });
        }
        Ok(((), effects))
    }
}

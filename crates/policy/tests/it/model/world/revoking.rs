//! Revoking: every act that takes tokens, keys or credentials away; forgetting, saving
//! and restoring.

use super::{
    World,
    issuing::{Pending, Taken, registered, secret_of},
    reading::Verifier,
};
use crate::channel::{self};
use crate::model::{
    Fault,
    act::Which,
    authority::{Authority, is_stored},
    naive::{ChannelNo, Epoch, Event, Token, TokenNo},
};
use tegata_policy::{
    acts::StoredToken,
    channel::{Channel, Secret},
};
use tegata_token::{
    id::{AssertionKeyId, SigningKeyId},
    key::{KeyState, SigningKey},
    time::UnixTime,
    view::Scope,
};

pub(super) struct Backup {
    authority: Authority,
    epoch: Epoch,
    tokens: usize,
    journal: usize,
    taken: Vec<Vec<Taken>>,
}

impl World {
    pub(super) fn set(&mut self, channel: ChannelNo, edit: impl FnOnce(&mut Channel)) {
        self.authority.set(channel, edit);
        self.note(None, Event::Quiet);
        self.wait();
    }

    pub(super) fn revoke_all(
        &mut self,
        channel: ChannelNo,
        scope: Scope,
        from: Option<UnixTime>,
        now: UnixTime,
    ) {
        let entry = self.authority.revoke_all(channel, scope.clone(), from, now);
        self.note(Some(entry), Event::AllRevoked { channel, scope, from });
        self.wait();
        self.seen.one(if from.is_some() { "scope revoked later" } else { "scope revoked at once" });
    }

    pub(super) fn scope(&self, channel: ChannelNo, which: &Which) -> Scope {
        match which {
            Which::Channel => Scope::Channel,
            Which::Kind(kind) => Scope::Kind { kind: *kind },
            Which::KindGroup(kind, group) => {
                Scope::KindGroup { kind: *kind, group: group.map(channel::group) }
            }
            Which::Group(group) => Scope::Group { group: channel::group(group) },
            Which::AssertionKey(place) => {
                let key = *self.assertion_keys[channel][*place].last().unwrap();
                Scope::AssertionKey { key }
            }
        }
    }

    pub(super) fn rotate(&mut self, channel: ChannelNo, keep: i64, now: UnixTime) {
        self.secrets += 1;
        let taken = &mut self.taken[channel];
        let kept = taken.last().filter(|_| keep > 0).map(|(it, _)| (*it, Some(now.plus(keep))));
        *taken = kept.into_iter().chain([(self.secrets, None)]).collect();
        let secret = |&(it, until): &Taken| Secret { hash: secret_of(channel, it).hash(), until };
        let secrets = taken.iter().map(secret).collect();
        self.set(channel, |channel| channel.secrets = secrets);
    }

    pub(super) fn replace_key(&mut self, channel: ChannelNo, place: usize) -> AssertionKeyId {
        let of_place = &mut self.assertion_keys[channel][place];
        let new = registered(channel, place, of_place.len());
        of_place.push(new.id);
        let old = self.authority.channels[channel].channel.assertion_keys[place].id;
        self.set(channel, |channel| channel.assertion_keys[place] = new);
        old
    }

    pub(super) fn forget(&mut self, replica: usize, channel: ChannelNo) {
        // A replica whose clock jumped forgets nothing, unless that is the fault.
        if self.replicas[replica].jumped && self.fault != Fault::ForgetsByWallClock {
            return;
        }
        let now = self.clock(replica);
        self.time_of(replica);
        if let Some(entry) = self.authority.forget(channel, now) {
            self.note(Some(entry), Event::Quiet);
            self.seen.one("forgotten");
        }
    }

    // ---- signing keys

    pub(super) fn new_key(&mut self, state: KeyState) {
        let number = self.signing.len() as u8;
        let key = SigningKey::from_seed(&[number; 32]).unwrap();
        let entry = self.authority.set_key(key.public().clone(), state);
        self.note(Some(entry), Event::Key { key: key.public().id(), state });
        self.signing.insert(key.public().id(), key);
    }

    pub(super) fn set_key(&mut self, key: SigningKeyId, state: KeyState) {
        let public = self.signing[&key].public().clone();
        let entry = self.authority.set_key(public, state);
        self.note(Some(entry), Event::Key { key, state });
    }

    pub(super) fn pending(&self) -> Option<SigningKeyId> {
        let pending = self.authority.keys.iter().find(|it| it.state == KeyState::Pending);
        pending.map(|it| it.key.id())
    }

    /// The pending key becomes active, if every verifier has it.
    pub(super) fn activate(&mut self) {
        let Some(pending) = self.pending() else { return };
        let knows =
            |it: &Verifier| it.epoch == self.authority.epoch && it.view.key(pending).is_some();
        if self.verifiers.iter().all(knows) {
            let old = self.authority.active_key();
            self.set_key(pending, KeyState::Active);
            self.set_key(old, KeyState::Retired { issued_before: None });
            self.seen.one("signing key rotated");
        }
    }

    /// A key is limited or revoked; the active one gets a successor at once.
    pub(super) fn narrow_key(&mut self, nth: usize, state: KeyState) {
        let key = self.authority.keys[nth % self.authority.keys.len()].clone();
        let state = match (key.state, state) {
            (KeyState::Revoked, _) => return,
            (
                KeyState::Retired { issued_before: Some(earlier) },
                KeyState::Retired { issued_before: Some(before) },
            ) => KeyState::Retired { issued_before: Some(before.min(earlier)) },
            (_, state) => state,
        };
        if key.state == KeyState::Active {
            match self.pending() {
                Some(pending) => self.set_key(pending, KeyState::Active),
                None => self.new_key(KeyState::Active),
            }
        }
        self.set_key(key.key.id(), state);
        self.wait();
        self.seen.one("signing key limited or revoked");
    }

    // ---- revoking one token

    pub(super) fn ask_to_revoke(&mut self, replica: usize, token: usize) -> Option<Pending> {
        // Mostly one of the latest, which are still active.
        let back = token % self.handed.len().clamp(1, 40);
        let no = self.handed.len().checked_sub(back + 1)?;
        let epoch = &self.naive.epochs[self.authority.epoch];
        let lost = epoch.lost.iter().any(|lost| lost.contains(&no));
        let rows_then = self.rows_then(self.naive.tokens[no].channel);
        (!lost).then_some(Pending::Revoke { replica, no, rows_then })
    }

    pub(super) fn revoke_one(&mut self, no: TokenNo, rows_then: Vec<StoredToken>, now: UnixTime) {
        let epoch = self.authority.epoch;
        let Token { channel, kind, expires_at, .. } = self.naive.tokens[no];
        if now >= expires_at {
            return;
        }
        let is_revoked =
            |read| self.naive.revoked_from(no, epoch, read).is_some_and(|it| it <= now);
        if is_revoked(self.authority.log.len()) {
            // It is already revoked; the response waits for the act that revoked it.
            self.seen.one("revoked twice");
            match self.fault {
                Fault::RepeatAnswersAtOnce => _ = self.promised.insert(no, UnixTime(i64::MIN)),
                _ => {
                    let by = (0..=self.authority.log.len()).find(|read| is_revoked(*read)).unwrap();
                    self.waiting.push(by);
                }
            }
            return;
        }
        let entry = if is_stored(kind) {
            self.authority.revoke_stored(channel, no, rows_then, now)
        } else {
            self.authority.revoke_stateless(channel, self.handed[no].1.id, expires_at, now)
        };
        // Without such an act the response names the current position of the log.
        if let Some(entry) = entry {
            self.see_entry(&entry, "revoked");
            self.note(Some(entry), Event::Revoked(vec![(no, None)]));
        }
        self.wait();
    }

    // ---- saving and restoring

    pub(super) fn back_up(&mut self) {
        self.backups.push(Backup {
            authority: self.authority.clone(),
            epoch: self.naive.epochs[self.authority.epoch].clone(),
            tokens: self.handed.len(),
            journal: self.journal.len(),
            taken: self.taken.clone(),
        });
    }

    /// The store is restored; the journal since then is replayed, or every token issued
    /// before is revoked. The memory of replicas and followers is not restored.
    pub(super) fn restore(&mut self, nth: usize, replay: bool) {
        self.backups.truncate(nth + 1);
        let backup = &self.backups[nth];
        let mut epoch = backup.epoch.clone();
        epoch.lost.push(backup.tokens..self.handed.len());
        self.authority = backup.authority.clone();
        self.authority.epoch = self.naive.epochs.len();
        self.taken = backup.taken.clone();
        let since = self.journal[backup.journal..].to_vec();
        self.naive.epochs.push(epoch);

        if replay {
            if self.fault == Fault::BoundsBeforeReplay {
                self.bound_keys();
            }
            for (entry, event) in since {
                self.authority.replay(&entry);
                self.note_no_revocation(event);
                self.seen.one("revocation replayed");
            }
            if self.fault != Fault::BoundsBeforeReplay {
                self.bound_keys();
            }
        } else {
            // A revocation like any other: a later restore replays it.
            let keys: Vec<_> = self.authority.keys.iter().map(|it| it.key.id()).collect();
            keys.into_iter().for_each(|key| self.set_key(key, KeyState::Revoked));
        }
        self.new_key(KeyState::Active);
        self.pending.clear();
        self.waiting.clear();
        (0..2).for_each(|replica| self.take_snapshot(replica));
        self.seen.one(if replay { "restored with replay" } else { "restored without" });
    }
    /// The old keys are limited to tokens that the store surely knew.
    fn bound_keys(&mut self) {
        for (key, state) in self.authority.limited_keys() {
            self.note_no_revocation(Event::Key { key: key.id(), state });
            self.authority.set_key(key, state);
        }
    }
}

//! How many groups and assertion keys of a channel can be revoked, each by a cutoff of its
//! own.

use crate::acts::{by, locked};
use crate::channel::{NOW, channel, id};
use std::sync::Arc;
use tegata_policy::{
    acts::{Act, ActError, Change, DeleteGroup, Effects, Locked, RevocationTarget, Revoke},
    channel::{Channel, GroupSettings},
    denied::Denied,
    rules::MAX_SCOPE_REVOCATIONS,
};
use tegata_token::{id::Group, time::DAY};

fn group(n: usize) -> Group {
    format!("g{n}").parse().unwrap()
}

/// A channel that has this group, after the revocations of earlier ones.
fn with_group(n: usize, before: &Locked) -> Locked {
    let settings = GroupSettings { cap: Some(3), ..GroupSettings::default() };
    let channel = Channel { groups: [(group(n), settings)].into(), ..channel() };
    Locked { channel: Some(Arc::new(channel)), ..before.clone() }
}

fn follow(locked: &mut Locked, effects: &Effects) {
    for change in &effects.changes {
        if let Change::Tokens { change, .. } = change {
            Arc::make_mut(&mut locked.revocations).apply(change);
        }
    }
}

/// Deletes group after group; each leaves a cutoff.
fn delete(n: usize, locked: &mut Locked) -> Result<(), ActError> {
    let act = DeleteGroup { channel: id(), group: group(n), by: by() };
    let (_, effects) = act.decide(&with_group(n, locked), NOW)?;
    follow(locked, &effects);
    Ok(())
}

#[test]
fn the_revocations_of_groups_over_time_are_bounded_and_one_of_the_channel_makes_room() {
    let mut locked = locked(channel(), Vec::new());
    let denied = (0..4_000).find_map(|n| delete(n, &mut locked).err());
    let full = Some(ActError::Denied(Denied::TooManyScopeRevocations(id())));
    assert_eq!(denied.map(|it| it.to_string()), full.map(|it| it.to_string()));
    assert_eq!(locked.revocations.cutoffs.len(), MAX_SCOPE_REVOCATIONS);
    delete(0, &mut locked).expect("a group that is revoked again needs no room");

    let all = Revoke { channel: id(), known: None, target: RevocationTarget::All, by: by() };
    let (_, effects) = all.decide(&locked, NOW).expect("the channel can be revoked");
    follow(&mut locked, &effects);
    assert_eq!(locked.revocations.cutoffs.len(), 1, "it replaces those of its groups");
    delete(4_000, &mut locked).expect("there is room again");
}

#[test]
fn a_kind_can_be_revoked_however_many_groups_were() {
    let mut locked = locked(channel(), Vec::new());
    while delete(locked.revocations.cutoffs.len(), &mut locked).is_ok() {}
    let kind = RevocationTarget::Kind(tegata_token::kind::Kind::Stateless);
    let revoke = Revoke { channel: id(), known: None, target: kind, by: by() };
    revoke.decide(&locked, NOW).expect("kinds are few");
    // Their tokens have expired a day later, and the revocations are forgotten.
    let later = NOW.plus(3 * DAY);
    let forget = tegata_policy::acts::Forget { channel: id() };
    let (gone, effects) = forget.decide(&locked, later).unwrap();
    assert_eq!(gone, MAX_SCOPE_REVOCATIONS);
    follow(&mut locked, &effects);
    delete(0, &mut locked).expect("there is room again");
}

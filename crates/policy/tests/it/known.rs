//! Which groups, assertion keys and kinds an act may name.

use crate::acts::{by, locked, token};
use crate::channel::{NOW, channel, grant, group, id, registered};
use crate::signer::{OTHER, OWN};
use std::{collections::BTreeMap, sync::Arc};
use tegata_policy::{
    acts::{
        Act, ActError, ChangeChannel, ChannelPatch, DeleteGroup, DeleteKey, GroupPatch, Locked,
        Remembered, RevocationTarget, Revoke, SetGroup, TakeAssertion, Write,
        audit_event::AuditEvent,
    },
    channel::Channel,
    denied::Denied,
    rules::{ChannelType, GROUPS},
};
use tegata_token::{
    id::{Serial, TokenId},
    kind::Kind,
    time::{DAY, UnixTime},
    view::ChannelState,
};

fn revoke(target: RevocationTarget, locked: &Locked) -> Result<usize, ActError> {
    let act = Revoke { channel: id(), known: None, target, by: by() };
    act.decide(locked, NOW).map(|(revoked, _)| revoked)
}

fn with_used(until: UnixTime) -> Channel {
    Channel { used_groups: BTreeMap::from([(group("a"), until)]), ..channel() }
}

#[test]
fn a_group_may_be_named_while_a_token_of_it_may_be_active() {
    let named = |locked: &Locked| revoke(RevocationTarget::Group(group("a")), locked);
    let never = locked(channel(), Vec::new());
    assert!(matches!(named(&never), Err(ActError::NotFound("group"))));
    let live = locked(channel(), vec![token(1, Kind::ShortLived, Some("a"))]);
    assert_eq!(named(&live).unwrap(), 1);
    let key = Channel { assertion_keys: vec![registered(&OTHER, Some(group("a")))], ..channel() };
    assert_eq!(named(&locked(key, Vec::new())).unwrap(), 0);
    assert_eq!(named(&locked(with_used(NOW.plus(1)), Vec::new())).unwrap(), 0);
    assert!(named(&locked(with_used(NOW), Vec::new())).is_err(), "it was used too long ago");
    let by_tokens = Remembered { by_tokens: true, until: None };
    let deleted = Remembered { by_tokens: false, until: Some(NOW.plus(1)) };
    let over = Remembered { by_tokens: false, until: Some(NOW) };
    for (remembered, known) in [(by_tokens, true), (deleted, true), (over, false)] {
        let locked = Locked { remembered, ..never.clone() };
        assert_eq!(named(&locked).is_ok(), known, "{remembered:?}");
    }
}

#[test]
fn an_assertion_key_may_be_named_while_a_token_of_it_may_be_active() {
    let never = locked(channel(), Vec::new());
    assert_eq!(revoke(RevocationTarget::AssertionKey(OWN.id), &never).unwrap(), 0);
    let other = |locked: &Locked| revoke(RevocationTarget::AssertionKey(OTHER.id), locked);
    assert!(matches!(other(&never), Err(ActError::NotFound("assertion key"))));
    let remembered = Remembered { by_tokens: false, until: Some(NOW.plus(1)) };
    assert_eq!(other(&Locked { remembered, ..never }).unwrap(), 0);
}

#[test]
fn a_kind_that_the_channel_cannot_have_may_not_be_named() {
    let login = Channel { channel_type: ChannelType::LineLogin, ..channel() };
    let login = locked(login, Vec::new());
    let refused = revoke(RevocationTarget::Kind(Kind::V21), &login);
    let not_for = Denied::KindNotForChannel(Kind::V21);
    assert!(matches!(refused, Err(ActError::Denied(it)) if it == not_for));
    assert_eq!(revoke(RevocationTarget::Kind(Kind::ShortLived), &login).unwrap(), 0);
}

#[test]
fn a_revocation_of_a_stateless_token_counts_once() {
    let id = tegata_token::id::TokenId([1; 16]);
    let target = RevocationTarget::Stateless { id, expires_at: NOW.plus(900) };
    let mut locked = locked(channel(), Vec::new());
    assert_eq!(revoke(target.clone(), &locked).unwrap(), 1);
    Arc::make_mut(&mut locked.revocations).stateless.insert(id, NOW.plus(900));
    assert_eq!(revoke(target, &locked).unwrap(), 0, "it was revoked before");
    assert_eq!(revoke(RevocationTarget::Stateless { id, expires_at: NOW }, &locked).unwrap(), 0);
}

#[test]
fn the_first_stateless_token_of_a_group_adds_the_group() {
    let used = |channel: Channel| {
        let act = TakeAssertion { grant: grant(Kind::Stateless, Some("a"), channel.clone()) };
        act.decide(&locked(channel, Vec::new()), NOW).map(|(_, effects)| effects)
    };
    let until_of = |write: &Write| match write {
        Write::GroupUsed { group: named, until, .. } if *named == group("a") => Some(*until),
        _ => None,
    };
    let first = used(channel()).unwrap();
    let until = first.writes.iter().find_map(until_of).unwrap();
    assert!(until >= NOW.plus(DAY), "its row is renewed at most once a day");
    assert!(first.writes.iter().any(|it| matches!(it, Write::Revised(_))));
    assert!(used(with_used(NOW.plus(900))).unwrap().is_empty(), "its row outlives the token");
    assert!(!used(with_used(NOW.plus(899))).unwrap().is_empty());
    let others = (0..GROUPS).map(|it| (group(&format!("g{it}")), NOW.plus(DAY)));
    let full = Channel { used_groups: others.collect(), ..channel() };
    let refused = used(full);
    assert!(matches!(refused, Err(ActError::Denied(Denied::TooManyGroups))));
}

#[test]
fn a_deleted_group_and_a_deleted_key_are_remembered() {
    let keys = vec![registered(&OWN, None), registered(&OTHER, Some(group("a")))];
    let locked = locked(Channel { assertion_keys: keys, ..channel() }, Vec::new());
    let act = DeleteGroup { channel: id(), group: group("a"), by: by() };
    let (_, effects) = act.decide(&locked, NOW).unwrap();
    let group_gone = |it: &Write| matches!(it, Write::GroupDeleted { until, .. } if *until > NOW);
    let key_gone = |it: &Write| matches!(it, Write::AssertionKeyGone { key, until, .. } if *key == OTHER.id && *until > NOW);
    assert!(effects.writes.iter().any(group_gone) && effects.writes.iter().any(key_gone));
    let act = DeleteGroup { channel: id(), group: group("b"), by: by() };
    assert!(matches!(act.decide(&locked, NOW), Err(ActError::NotFound("group"))));
    let act = DeleteKey { channel: id(), key: OTHER.id, revoke_tokens: false, by: by() };
    assert!(act.decide(&locked, NOW).unwrap().1.writes.iter().any(key_gone));
}

#[test]
fn no_group_or_key_of_a_deleted_channel_is_remembered() {
    let patch = ChannelPatch { state: Some(ChannelState::Deleted), ..ChannelPatch::default() };
    let act = ChangeChannel { id: id(), patch, by: by() };
    let (_, effects) = act.decide(&locked(with_used(NOW.plus(1)), Vec::new()), NOW).unwrap();
    let forgotten = effects.writes.iter().position(|it| matches!(it, Write::ScopesForgotten(_)));
    let key = effects.writes.iter().position(|it| matches!(it, Write::AssertionKeyGone { .. }));
    assert!(key.is_some() && key < forgotten, "keys are deleted before they are forgotten");
}

#[test]
fn a_channel_that_is_known_need_not_be_read_unless_it_has_changed() {
    let target = RevocationTarget::Presented { serial: Serial(1), id: TokenId([7; 16]) };
    let known = Some(Arc::new(channel()));
    let act = Revoke { channel: id(), known, target, by: by() };
    let needs = act.needs();
    assert_eq!((needs.unless_revision, needs.named), (Some(channel().revision), None));
    let stored = locked(channel(), vec![token(1, Kind::ShortLived, None)]);
    let unread = Locked { channel: None, ..stored.clone() };
    let revoked = |locked: &Locked| act.decide(locked, NOW);
    let (as_known, as_read) = (revoked(&unread).unwrap().1, revoked(&stored).unwrap().1);
    assert_eq!(as_known.changes, as_read.changes);
    let AuditEvent::TokenRevoke(detail) = &as_known.audit.as_ref().unwrap().event.event else {
        panic!("{as_known:?}")
    };
    assert_eq!(detail.token_id, Some(TokenId([7; 16])));
    // What is known was changed: then what was read counts.
    let later = |state| Channel { revision: channel().revision + 1, state, ..channel() };
    let deleted = locked(later(ChannelState::Deleted), vec![token(1, Kind::ShortLived, None)]);
    assert!(matches!(revoked(&deleted), Err(ActError::NotFound("channel"))));
    let active = locked(later(ChannelState::Active), vec![token(1, Kind::ShortLived, None)]);
    assert_eq!(revoked(&active).unwrap().0, 1);
    let gone = Locked { count: None, channel: None, ..unread };
    assert!(matches!(revoked(&gone), Err(ActError::NotFound("channel"))));
}

#[test]
fn the_cap_of_a_group_is_1_to_30() {
    let locked = locked(channel(), Vec::new());
    for cap in [0, 31, usize::MAX] {
        let patch = ChannelPatch { group_cap: Some(cap), ..ChannelPatch::default() };
        let act = ChangeChannel { id: id(), patch, by: by() };
        let denied = act.decide(&locked, NOW).unwrap_err();
        assert!(matches!(denied, ActError::Denied(Denied::GroupCapOutOfRange)), "{cap}");
        let patch = GroupPatch { cap: Some(Some(cap)), ..GroupPatch::default() };
        let act = SetGroup { channel: id(), group: group("a"), patch, by: by() };
        let denied = act.decide(&locked, NOW).unwrap_err();
        assert!(matches!(denied, ActError::Denied(Denied::GroupCapOutOfRange)), "{cap}");
    }
    for cap in [1, 30] {
        let patch = ChannelPatch { group_cap: Some(cap), ..ChannelPatch::default() };
        assert!(ChangeChannel { id: id(), patch, by: by() }.decide(&locked, NOW).is_ok(), "{cap}");
    }
}

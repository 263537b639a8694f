//! Lines of the journal, applied again, and the recovery after them.

use crate::acts::{by, locked, signing_key, token};
use crate::channel::{NOW, channel, group, id, registered};
use crate::signer::OWN;
use tegata_policy::acts::{
    Act, ActName, Change, Effects, JournalEntry, Locked, RaiseSerials, Recover, Replay, Replayed,
    RevocationCause, Write, audit_event::StoreRecovered,
};
use tegata_policy::channel::{Channel, GroupSettings};
use tegata_token::{
    id::{ChannelId, Serial},
    key::KeyState,
    kind::Kind,
    view::{ChannelChange, ChannelState, Cutoff, RevokedToken, Scope, SingleRevocation},
};

fn store() -> Locked {
    let channel = Channel { assertion_keys: vec![registered(&OWN, None)], ..channel() };
    let tokens = [1, 2, 3].map(|serial| token(serial, Kind::V21, None));
    locked(channel, tokens.to_vec())
}

fn of_channel(change: ChannelChange) -> JournalEntry {
    JournalEntry::Channel { channel: id(), change, cause: RevocationCause::Requested }
}

fn revoked(serial: u64) -> JournalEntry {
    let token = RevokedToken::Stored { serial: Serial(serial), kind: Kind::V21 };
    let tokens = vec![SingleRevocation { token, until: NOW.plus(60) }];
    of_channel(ChannelChange::Revoked { tokens })
}

fn cutoff(below: u64) -> Cutoff {
    Cutoff::set(Scope::Channel, Serial(below), None, NOW)
}

fn replay(line: JournalEntry, locked: &Locked) -> (Replayed, Effects) {
    Replay { line, author: None, at: NOW }.decide(locked, NOW).unwrap()
}

fn recover(clock: bool, issued_before: bool) -> Recover {
    let event = StoreRecovered {
        epoch: 2,
        replayed: None,
        revoked_everything: !issued_before,
        issued_before: None,
        revoked: 0,
        audit_begins_anew: true,
    };
    Recover {
        issued_before: issued_before.then_some(NOW),
        clock: clock.then_some(NOW),
        successor: signing_key(2, KeyState::Active),
        lost: vec![signing_key(1, KeyState::Active).id],
        audit_key_lost: true,
        event,
        by: by(),
    }
}

/// Lines of every type that is about a channel.
fn lines() -> Vec<(&'static str, JournalEntry)> {
    let rules = GroupSettings { cap: Some(1), ..GroupSettings::default() };
    let secret = crate::channel::secret("other").hash();
    vec![
        ("single", revoked(2)),
        ("cutoff", of_channel(ChannelChange::Cutoff { cutoffs: vec![cutoff(3)] })),
        ("suspended", of_channel(ChannelChange::State { state: ChannelState::Suspended })),
        ("deleted", of_channel(ChannelChange::State { state: ChannelState::Deleted })),
        ("secret", JournalEntry::secret(id(), secret, None)),
        ("key", JournalEntry::AssertionKey { channel: id(), key: OWN.id }),
        ("group", JournalEntry::GroupRules { channel: id(), group: group("a"), rules }),
        ("limits", JournalEntry::Limits { channel: id(), limits: Default::default() }),
    ]
}

/// The effects of these acts.
pub fn examples(name: ActName) -> Vec<(&'static str, Effects)> {
    match name {
        ActName::Replay => {
            lines().into_iter().map(|(what, line)| (what, replay(line, &store()).1)).collect()
        }
        ActName::RaiseSerials => {
            let raise = RaiseSerials::of([revoked(200)].iter())[0];
            vec![("raised", raise.decide(&store(), NOW).unwrap().1)]
        }
        _ => vec![
            ("bounded", recover(false, true).decide(&store(), NOW).unwrap().1),
            ("revoked", recover(true, false).decide(&store(), NOW).unwrap().1),
        ],
    }
}

/// The rows of tokens that are marked as revoked.
fn rows(effects: &Effects) -> Vec<i64> {
    let row = |it: &Write| match it {
        Write::TokenRevoked { row, .. } => Some(*row),
        _ => None,
    };
    effects.writes.iter().filter_map(row).collect()
}

#[test]
fn a_line_revokes_exactly_the_tokens_that_it_names() {
    let (done, effects) = replay(revoked(2), &store());
    assert_eq!((done.tokens, rows(&effects)), (1, vec![2]));
    assert_eq!(effects.journal, [revoked(2)]);
    assert!(matches!(effects.changes[..], [Change::Tokens { .. }]), "{effects:?}");
    let except = Cutoff { except: [Serial(1)].into(), ..cutoff(3) };
    let change = ChannelChange::Cutoff { cutoffs: vec![except, cutoff(1)] };
    let (done, effects) = replay(of_channel(change), &store());
    assert_eq!((done.tokens, rows(&effects)), (1, vec![2]), "neither an exception nor a later one");
    let change = ChannelChange::State { state: ChannelState::Deleted };
    assert_eq!(replay(of_channel(change), &store()).0.tokens, 3);
}

#[test]
fn a_revocation_that_was_scheduled_earlier_is_not_postponed() {
    let mut locked = store();
    std::sync::Arc::make_mut(&mut locked.tokens)[0].times.ends_at = Some(NOW.plus(5));
    let later = Cutoff { from: Some(NOW.plus(9)), ..cutoff(3) };
    let change = ChannelChange::Cutoff { cutoffs: vec![later] };
    let (done, effects) = replay(of_channel(change), &locked);
    let at = |it: &Write| match it {
        Write::TokenRevokedFrom { row, at, replaced_by: None } => Some((*row, at.0 - NOW.0)),
        _ => None,
    };
    let scheduled: Vec<_> = effects.writes.iter().filter_map(at).collect();
    assert_eq!((done.tokens, scheduled), (2, vec![(1, 5), (2, 9)]));
}

#[test]
fn lines_about_what_the_store_lacks_or_has_deleted_have_no_effects() {
    let deleted = Channel { state: ChannelState::Deleted, ..channel() };
    for (what, line) in lines() {
        let (done, effects) = replay(line.clone(), &Locked::default());
        assert!(done.unknown && effects.is_empty(), "{what}");
        let (done, effects) = replay(line, &locked(deleted.clone(), Vec::new()));
        assert!(!done.unknown && effects.is_empty(), "{what}");
    }
    let key = JournalEntry::SigningKey {
        key: signing_key(9, KeyState::Active).id,
        state: KeyState::Revoked,
    };
    assert!(replay(key, &store()).1.is_empty());
}

#[test]
fn a_secret_and_a_key_are_counted_and_a_hash_that_is_none_is_a_conflict() {
    let of = |name| lines().into_iter().find(|(what, _)| *what == name).unwrap().1;
    assert!(replay(of("secret"), &store()).0.secret);
    assert_eq!(replay(of("key"), &store()).0.assertion_keys, 1);
    let sha256 = "+1".repeat(32);
    let line = JournalEntry::Secret { channel: id(), sha256, previous_until: None };
    assert!(Replay { line, author: None, at: NOW }.decide(&store(), NOW).is_err());
}

#[test]
fn a_signing_key_only_becomes_stricter() {
    let key = signing_key(1, KeyState::Active).id;
    let said = |seconds| KeyState::Retired { issued_before: Some(NOW.plus(seconds)) };
    let after = |before, said| {
        let mut locked = store();
        let mut stored = locked.keys[0].clone();
        stored.key.state = before;
        locked.keys = [stored].into();
        let line = JournalEntry::SigningKey { key, state: said };
        let effects = replay(line, &locked).1;
        effects.writes.iter().find_map(|it| match it {
            Write::SigningKeyState(row) => Some(row.state),
            _ => None,
        })
    };
    assert_eq!(after(KeyState::Active, said(5)), Some(said(5)));
    assert_eq!(after(said(3), said(5)), Some(said(3)));
    assert_eq!(after(said(3), KeyState::Revoked), Some(KeyState::Revoked));
    assert_eq!(after(KeyState::Revoked, said(5)), None);
}

#[test]
fn serials_are_raised_to_those_that_lines_name_and_never_lowered() {
    let lines = [revoked(150), of_channel(ChannelChange::Cutoff { cutoffs: vec![cutoff(120)] })];
    let raise = RaiseSerials::of(lines.iter())[0];
    assert_eq!((raise.serial, raise.bulk), (Serial(150), Serial(120)));
    let effects = raise.decide(&store(), NOW).unwrap().1;
    let named = |id: ChannelId, it: &Write| match it {
        Write::Serial(of, serial) => *of == id && *serial == Serial(150),
        Write::BulkSerial(of, serial) => *of == id && *serial == Serial(120),
        Write::Revised(of) => *of == id,
        _ => false,
    };
    assert_eq!(effects.writes.iter().filter(|it| named(id(), it)).count(), 3, "{effects:?}");
    let low = RaiseSerials::of([revoked(1)].iter())[0].decide(&store(), NOW).unwrap().1;
    assert!(matches!(low.writes[..], [Write::Revised(_)]), "{low:?}");
}

#[test]
fn a_recovery_bounds_or_revokes_the_old_keys_and_raises_every_serial() {
    for bound in [true, false] {
        let (old, effects) = recover(!bound, bound).decide(&store(), NOW).unwrap();
        assert_eq!(old, 1);
        let states: Vec<_> = effects
            .writes
            .iter()
            .filter_map(|it| match it {
                Write::SigningKeyState(row) | Write::SigningKey(row) => {
                    Some((row.state, row.wrapped.0.is_empty()))
                }
                _ => None,
            })
            .collect();
        let state =
            if bound { KeyState::Retired { issued_before: Some(NOW) } } else { KeyState::Revoked };
        assert_eq!(states, [(state, true), (KeyState::Active, false)], "the lost half is deleted");
        let raised = |it: &Write| matches!(it, Write::EverySerialRaised { .. });
        assert!(effects.writes.iter().any(raised));
        let dropped = |it: &Write| matches!(it, Write::PreviousSecretsDropped { .. });
        assert_eq!(effects.writes.iter().any(dropped), !bound);
    }
}

#[test]
fn what_a_line_lets_be_valid_for_a_while_is_not_valid_for_as_long_as_the_clock_was_ahead() {
    let sha256 = "ab".repeat(32);
    let secret =
        JournalEntry::Secret { channel: id(), sha256, previous_until: Some(NOW.plus(9_060)) };
    let later = Cutoff { from: Some(NOW.plus(9_070)), ..cutoff(3) };
    let delayed = of_channel(ChannelChange::Cutoff { cutoffs: vec![later] });
    // The clock was ahead by 9000 seconds when they were written.
    let replay = |line: JournalEntry, at| Replay { line, author: None, at }.decide(&store(), NOW);
    let until = |at| {
        let effects = replay(secret.clone(), at).unwrap().1;
        effects.writes.iter().find_map(|it| match it {
            Write::Secret { kept, .. } => *kept,
            _ => None,
        })
    };
    assert_eq!(until(NOW.plus(9_000)), Some(NOW.plus(60)));
    assert_eq!(until(NOW.plus(-10)), Some(NOW.plus(9_060)), "it was not");
    let effects = replay(delayed, NOW.plus(9_000)).unwrap().1;
    let from: Vec<_> = effects
        .writes
        .iter()
        .filter_map(|it| match it {
            Write::TokenRevokedFrom { at, .. } => Some(*at),
            _ => None,
        })
        .collect();
    assert_eq!(from, [NOW.plus(70), NOW.plus(70)]);
    let text = format!("{:?}", effects.changes);
    assert!(text.contains(&format!("{}", NOW.plus(70).0)), "the view says the same: {text}");
    assert!(!text.contains(&format!("{}", NOW.plus(9_070).0)), "{text}");
}

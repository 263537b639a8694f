//! The replacement of the root administrator's token.

use crate::acts::by;
use crate::channel::NOW;
use tegata_policy::acts::{
    Act, Effects, JournalEntry, Locked, ReplaceRootToken, Replay, RootTokenHash, RootTokens,
    UpkeepRows, Write,
    audit_event::{AuditEvent, NoDetail},
};

const fn token(n: u8) -> RootTokenHash {
    RootTokenHash([n; 32])
}

/// A store in which this token is in force, and these have ended.
fn known(in_force: Option<u8>, ended: &[u8]) -> Locked {
    let ended = ended.iter().map(|it| (token(*it), NOW)).collect();
    let root_tokens = RootTokens { in_force: in_force.map(token), ended };
    Locked { upkeep: UpkeepRows { root_tokens, ..UpkeepRows::default() }, ..Locked::default() }
}

fn replace(locked: &Locked, new: u8, old: Option<u8>) -> (bool, Effects) {
    let act = ReplaceRootToken { new: token(new), instead_of: old.map(token), by: by() };
    act.decide(locked, NOW).unwrap()
}

/// Examples of the act, and whether each takes something away.
pub fn examples() -> Vec<(&'static str, Effects, bool)> {
    let first = replace(&known(None, &[]), 1, None).1;
    vec![
        ("the first", first, false),
        ("another", replace(&known(Some(1), &[]), 2, Some(1)).1, true),
    ]
}

#[test]
fn a_replaced_token_is_recorded_in_the_audit_and_the_journal_in_the_same_transaction() {
    let (done, effects) = replace(&known(Some(1), &[]), 2, Some(1));
    assert!(done);
    let (ended, in_force) = (token(1), token(2));
    assert!(
        matches!(effects.writes[..], [Write::RootToken { ended: Some(it), .. }] if it == ended)
    );
    assert_eq!(effects.journal, [JournalEntry::RootToken { ended, in_force }]);
    assert_eq!(effects.changes.len(), 1, "else no line of the journal has a position");
    let event = effects.audit.unwrap().event.event;
    assert_eq!(event, AuditEvent::AdminReset(NoDetail {}));
    let line = serde_json::to_string(&effects.journal).unwrap();
    assert_eq!(serde_json::from_str::<Vec<JournalEntry>>(&line).unwrap(), effects.journal);
}

#[test]
fn a_token_that_has_ended_or_that_another_one_overtook_replaces_none() {
    for (locked, new, old) in [
        (known(Some(2), &[1]), 1, Some(2)),
        (known(Some(2), &[1]), 3, Some(1)),
        (known(Some(2), &[1]), 3, None),
        (known(Some(2), &[1]), 2, Some(2)),
        (known(None, &[]), 2, Some(1)),
        (known(None, &[1]), 1, None),
    ] {
        let (done, effects) = replace(&locked, new, old);
        assert!(!done && effects.is_empty(), "{new} {old:?}");
    }
}

#[test]
fn a_replay_of_a_replacement_puts_the_newest_token_in_force_and_none_that_has_ended() {
    let replayed = |locked: &Locked| {
        let line = JournalEntry::RootToken { ended: token(1), in_force: token(2) };
        let effects = Replay { line, author: None, at: NOW }.decide(locked, NOW).unwrap().1;
        assert!(effects.audit.is_none(), "the recovery writes one event about all lines");
        let is =
            |it: &Write| matches!(it, Write::RootToken { in_force, .. } if *in_force == token(2));
        effects.writes.iter().any(is)
    };
    assert!(replayed(&known(Some(1), &[])));
    assert!(replayed(&known(None, &[])), "the copy is from before the first one");
    assert!(replayed(&known(Some(7), &[])), "an earlier recovery put it in force");
    assert!(!replayed(&known(Some(2), &[1])), "the copy has it");
    assert!(!replayed(&known(Some(3), &[1, 2])), "the copy has a later one");
}

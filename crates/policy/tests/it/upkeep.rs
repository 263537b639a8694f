//! The decisions of background jobs.

use crate::acts::{by, locked, token};
use crate::channel::{NOW, channel, id};
use tegata_policy::acts::{
    Act, ActError, ActName, AddCheckpoint, BeginProviderRevocation, Checkpoint,
    ContinueProviderRevocation, Effects, JournalEntry, Locked, LockedProvider, NewWarning, Old,
    ProviderJob, ProviderProgress, QueueWarnings, QueuedWarning, RecentUse, RecordUses,
    SetAuditKey, StampPlace, StampUses, Stamped, SweptToken, Trim, USES_KEPT, USES_PER_TOKEN,
    UpkeepRows, UsedAssertion, UsesOfRow, WarningTried, WrappedKey, Write,
};
use tegata_token::{
    id::ChannelId,
    kind::Kind,
    time::{DAY, UnixTime},
};

/// A revocation of the provider's tokens is under way.
pub fn with_job(locked: Locked, next: Option<ChannelId>) -> Locked {
    let job = ProviderJob {
        number: 3,
        provider: channel().provider,
        through: 9,
        actor: "administrator".into(),
        source: None,
        reason: Some("leaked".into()),
        revoked: 5,
        position: 70,
        next,
    };
    Locked { upkeep: UpkeepRows { job: Some(job), ..UpkeepRows::default() }, ..locked }
}

fn two_tokens() -> Locked {
    locked(channel(), vec![token(1, Kind::V21, None), token(2, Kind::ShortLived, Some("a"))])
}

#[test]
fn a_revocation_of_a_provider_concerns_the_channels_that_exist_when_it_begins() {
    let provider = channel().provider;
    let act = BeginProviderRevocation { provider, by: by() };
    let upkeep = UpkeepRows { next_job: 4, ..UpkeepRows::default() };
    let provider_row = LockedProvider { name: "P".into(), channels: 0, revocations: 12 };
    let now = Locked { upkeep, provider: Some(provider_row), ..two_tokens() };
    let (job, effects) = act.decide(&now, NOW).unwrap();
    assert_eq!(job, 4);
    let [Write::ProviderJob(new)] = &effects.writes[..] else { panic!("{effects:?}") };
    assert_eq!((new.number, new.through, new.provider), (4, 12, provider));
    assert!(matches!(effects.journal[..], [JournalEntry::ProviderRevocation { .. }]));
    let unknown = Locked { provider: None, ..two_tokens() };
    assert!(matches!(act.decide(&unknown, NOW), Err(ActError::NotFound("provider"))));
}

#[test]
fn a_revocation_of_a_provider_goes_on_channel_by_channel_in_the_name_of_its_actor() {
    let act = ContinueProviderRevocation { job: 3, channel: Some(id()) };
    let (progress, effects) = act.decide(&with_job(two_tokens(), Some(id())), NOW).unwrap();
    assert_eq!(progress, ProviderProgress { revoked: 7, position: 70, done: false });
    let moved = |it: &Write| match it {
        Write::ProviderJobAt { job, done_to, revoked } => {
            (*job, *done_to, *revoked) == (3, id(), 7)
        }
        _ => false,
    };
    assert!(effects.writes.iter().any(moved), "{effects:?}");
    let record = effects.audit.unwrap();
    assert_eq!((record.by.reason.as_deref(), record.by.at), (Some("leaked"), NOW));
}

#[test]
fn a_revocation_of_a_provider_is_complete_only_without_a_next_channel() {
    let done = ContinueProviderRevocation { job: 3, channel: None };
    let (progress, effects) = done.decide(&with_job(two_tokens(), None), NOW).unwrap();
    assert_eq!(progress, ProviderProgress { revoked: 5, position: 70, done: true });
    assert!(matches!(effects.writes[..], [Write::ProviderJobDone(3)]));
    assert!(matches!(effects.journal[..], [JournalEntry::ProviderEndDone { .. }]));
    let left = done.decide(&with_job(two_tokens(), Some(id())), NOW);
    assert!(matches!(left, Err(ActError::Conflict(_))), "{left:?}");
    assert!(matches!(done.decide(&two_tokens(), NOW), Err(ActError::NotFound("job"))));
}

fn rows(upkeep: UpkeepRows) -> Locked {
    Locked { upkeep, ..Locked::default() }
}

fn queue(names: &[&str]) -> QueueWarnings {
    let new = |name: &&str| NewWarning {
        name: (*name).into(),
        body: "{}".into(),
        keep_until: NOW.plus(60),
    };
    QueueWarnings { warnings: names.iter().map(new).collect() }
}

fn queued(number: i64, name: &str, seconds: i64) -> QueuedWarning {
    QueuedWarning { number, name: name.into(), keep_until: NOW.plus(seconds), attempts: 2 }
}

fn with_warnings(warnings: Vec<QueuedWarning>) -> Locked {
    rows(UpkeepRows { warnings, ..UpkeepRows::default() })
}

fn used(place: StampPlace, before: Option<i64>, at: i64) -> Stamped {
    Stamped { place, before: before.map(|it| NOW.plus(it)), at: NOW.plus(at) }
}

fn stamp(stamped: Vec<Stamped>) -> Vec<(StampPlace, i64)> {
    let locked = rows(UpkeepRows { stamped, ..UpkeepRows::default() });
    let ((), effects) = StampUses { stamps: [].into() }.decide(&locked, NOW).unwrap();
    let time = |it| match it {
        Write::Used(place, at) => (place, at.0 - NOW.0),
        other => panic!("{other:?}"),
    };
    effects.writes.into_iter().map(time).collect()
}

/// The effects of an act of a job that is about no channel.
pub fn effects_of_jobs(name: ActName) -> Effects {
    let some = with_warnings(vec![queued(1, "a", 5)]);
    match name {
        ActName::QueueWarnings => queue(&["b"]).decide(&some, NOW).unwrap().1,
        ActName::WarningTried => {
            WarningTried { number: 1, next: None }.decide(&some, NOW).unwrap().1
        }
        ActName::Trim => {
            let old = Old::LogAndAssertions { most: 1 };
            let upkeep = UpkeepRows { log: vec![(1, UnixTime(0))], ..UpkeepRows::default() };
            Trim { old }.decide(&rows(upkeep), NOW).unwrap().1
        }
        ActName::RecordUses => record(Vec::new(), vec![use_at(1, 0)]).1,
        ActName::SetAuditKey => audit_key().decide(&Locked::default(), NOW).unwrap().1,
        ActName::AddCheckpoint => checkpoint(1, 1).decide(&Locked::default(), NOW).unwrap().1,
        _ => {
            let stamped = vec![used(StampPlace::Token(1), None, 1)];
            let locked = rows(UpkeepRows { stamped, ..UpkeepRows::default() });
            StampUses { stamps: [].into() }.decide(&locked, NOW).unwrap().1
        }
    }
}

#[test]
fn a_warning_is_queued_once_per_name_until_it_is_out_of_date() {
    let known = vec![queued(1, "kept", 0), queued(2, "over", -1), queued(2, "over", -1)];
    let (new, effects) =
        queue(&["kept", "over", "new", "new"]).decide(&with_warnings(known), NOW).unwrap();
    assert_eq!(new, 2);
    let written = |it: &Write| match it {
        Write::Warning { new, next } => (new.name.clone(), *next == NOW),
        Write::WarningDropped(number) => (number.to_string(), false),
        other => panic!("{other:?}"),
    };
    let written: Vec<_> = effects.writes.iter().map(written).collect();
    let named = |name: &str, new| (name.to_owned(), new);
    assert_eq!(written, [named("2", false), named("over", true), named("new", true)]);
    let again = queue(&["kept"]).decide(&with_warnings(vec![queued(1, "kept", 0)]), NOW);
    assert!(again.unwrap().1.is_empty(), "a warning that is queued already writes nothing");
}

#[test]
fn an_attempt_to_send_a_warning_is_counted_if_it_still_exists() {
    let tried = WarningTried { number: 1, next: Some(NOW.plus(9)) };
    let ((), effects) = tried.decide(&with_warnings(vec![queued(1, "a", 5)]), NOW).unwrap();
    let [Write::WarningTried { number: 1, attempts: 3, next }] = effects.writes[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(next, Some(NOW.plus(9)));
    assert!(tried.decide(&with_warnings(Vec::new()), NOW).unwrap().1.is_empty());
}

#[test]
fn a_time_of_last_use_only_increases_and_is_written_once() {
    let (token, secret) = (StampPlace::Token(7), StampPlace::Secret(id()));
    let earlier = stamp(vec![used(token, Some(5), 5), used(secret, Some(5), 4)]);
    assert_eq!(earlier, []);
    let later = stamp(vec![
        used(token, Some(5), 9),
        used(token, Some(5), 6),
        used(secret, None, 0),
        used(StampPlace::PreviousSecret(id()), Some(3), 2),
    ]);
    assert_eq!(later, [(token, 9), (secret, 0)]);
}

/// A use from the address with this last number, this many minutes ago.
fn use_at(source: u8, minutes: i64) -> RecentUse {
    RecentUse::once(Some([192, 0, 2, source].into()), NOW.plus(-60 * minutes))
}

/// What is kept of stored and noted uses, and the effects.
fn record(before: Vec<RecentUse>, noted: Vec<RecentUse>) -> (Vec<RecentUse>, Effects) {
    let uses = vec![UsesOfRow { row: 1, before, noted }];
    let locked = rows(UpkeepRows { uses, ..UpkeepRows::default() });
    let act = RecordUses { uses: [].into(), since: NOW.plus(-USES_KEPT) };
    let ((), effects) = act.decide(&locked, NOW).unwrap();
    let [Write::Uses { row: 1, uses }] = &effects.writes[..] else { panic!("{effects:?}") };
    (uses.clone(), effects)
}

#[test]
fn uses_of_one_address_in_one_minute_are_added_and_old_ones_are_dropped() {
    let old = use_at(9, USES_KEPT / 60 + 1);
    let (kept, _) = record(vec![use_at(1, 0), old, use_at(1, 5)], vec![use_at(1, 0), use_at(2, 0)]);
    let twice = RecentUse { count: 2, ..use_at(1, 0) };
    assert_eq!(kept, [use_at(2, 0), twice, use_at(1, 5)]);
}

#[test]
fn a_rare_address_stays_among_the_uses_of_a_busy_one() {
    let busy: Vec<RecentUse> = (0..100).map(|minutes| use_at(1, minutes)).collect();
    let (kept, _) = record(vec![use_at(7, 3_000)], busy);
    assert_eq!(kept.len(), USES_PER_TOKEN);
    assert_eq!((kept[0], kept[USES_PER_TOKEN - 1]), (use_at(1, 0), use_at(7, 3_000)));
    // Of many addresses, those that were used last are kept.
    let many: Vec<RecentUse> = (0..100).map(|it| use_at(it, i64::from(it))).collect();
    let (kept, _) = record(Vec::new(), many);
    let newest: Vec<RecentUse> = (0..16).map(|it| use_at(it, i64::from(it))).collect();
    assert_eq!(kept, newest);
}

#[test]
fn uses_of_a_token_are_dropped_a_week_after_the_last_one() {
    let last_uses = vec![(1, NOW.plus(-USES_KEPT)), (2, NOW.plus(1 - USES_KEPT))];
    let locked = rows(UpkeepRows { last_uses, ..UpkeepRows::default() });
    let act = Trim { old: Old::Uses { before: NOW.plus(-USES_KEPT), most: 9 } };
    let (gone, effects) = act.decide(&locked, NOW).unwrap();
    assert_eq!(gone, 1);
    assert!(matches!(effects.writes[..], [Write::UsesDropped { row: 1 }]), "{effects:?}");
}

fn audit_key() -> SetAuditKey {
    SetAuditKey { public: [1; 32], wrapped: WrappedKey(vec![1]) }
}

fn checkpoint(number: u64, kept_from: u64) -> AddCheckpoint {
    AddCheckpoint {
        checkpoint: Checkpoint {
            number,
            epoch: 1,
            first: 1,
            last: 2,
            events: 2,
            kept_from,
            at: NOW,
            chain: String::new(),
            signature: String::new(),
        },
    }
}

#[test]
fn changes_of_the_log_and_used_assertions_are_dropped_after_more_than_a_day() {
    let used = |n, expires_at| UsedAssertion { channel: id(), fingerprint: [n; 32], expires_at };
    let upkeep = UpkeepRows {
        log: vec![(7, NOW.plus(-DAY - 2)), (8, NOW.plus(-DAY - 1)), (9, NOW.plus(-DAY))],
        assertions: vec![used(1, NOW.plus(-DAY - 1)), used(2, NOW.plus(-DAY))],
        ..UpkeepRows::default()
    };
    let act = Trim { old: Old::LogAndAssertions { most: 9 } };
    let (gone, effects) = act.decide(&rows(upkeep), NOW).unwrap();
    assert_eq!(gone, 3);
    let [Write::LogDropped { through: 8 }, Write::AssertionsDropped(dropped)] = &effects.writes[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(dropped, &[(id(), [1; 32])]);
    assert!(act.decide(&Locked::default(), NOW).unwrap().1.is_empty());
}

#[test]
fn only_tokens_that_were_over_before_the_given_time_are_swept() {
    let of = |row, seconds| {
        let mut times = token(1, Kind::V21, None).times;
        times.expires_at = NOW.plus(seconds);
        SweptToken { row, channel: id(), times }
    };
    let upkeep = UpkeepRows { tokens: vec![of(1, -1), of(2, 0)], ..UpkeepRows::default() };
    let act = Trim { old: Old::Tokens { rows: vec![1, 2], before: NOW } };
    let (gone, effects) = act.decide(&rows(upkeep), NOW).unwrap();
    assert!(matches!(effects.writes[..], [Write::TokenDropped { row: 1, .. }]), "{effects:?}");
    assert_eq!(gone, 1);
}

#[test]
fn audit_events_are_dropped_only_after_a_checkpoint_has_announced_it() {
    let with = |kept_from| {
        let checkpoint = Some(checkpoint(4, kept_from).checkpoint);
        rows(UpkeepRows { events: vec![1, 2, 3], checkpoint, ..UpkeepRows::default() })
    };
    let act = Trim { old: Old::Audit { kept_from: 3, most: 3 } };
    let (gone, effects) = act.decide(&with(3), NOW).unwrap();
    assert!(matches!(effects.writes[..], [Write::AuditDropped { through: 3 }]), "{effects:?}");
    assert_eq!(gone, 3);
    assert!(act.decide(&with(2), NOW).unwrap().1.is_empty());
}

#[test]
fn a_checkpoint_follows_the_last_one_and_the_key_that_signs_them_is_set_once() {
    let last = Some(checkpoint(4, 1).checkpoint);
    let locked = rows(UpkeepRows { checkpoint: last, ..UpkeepRows::default() });
    assert!(checkpoint(5, 1).decide(&locked, NOW).is_ok());
    assert!(matches!(checkpoint(4, 1).decide(&locked, NOW), Err(ActError::Taken)));
    assert!(matches!(checkpoint(6, 1).decide(&locked, NOW), Err(ActError::Conflict(_))));
    let keyed = Locked { audit_key: Some([1; 32]), ..Locked::default() };
    assert!(matches!(audit_key().decide(&keyed, NOW), Err(ActError::Taken)));
}

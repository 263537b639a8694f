//! The limits, with the clock as an argument.

use super::{surge::SurgeRule, table::TableEntry, *};
use crate::authority::source::Source;
use proptest::prelude::*;
use std::collections::HashMap;

fn id(number: u64) -> ChannelId {
    ChannelId::from_number(1_000_000_000 + number).unwrap()
}

fn name(group: u64) -> Group {
    format!("team-{group}").parse().unwrap()
}

fn source(number: u32) -> Source {
    Source(IpAddr::from(number.to_be_bytes()))
}

#[expect(clippy::disallowed_methods, reason = "a base for moments that the tests choose")]
fn start() -> Instant {
    Instant::now()
}

fn limits(rates: Rates) -> (Limits, impl Fn(u64) -> Instant) {
    let start = start();
    let at = move |milliseconds| start + Duration::from_millis(milliseconds);
    (Limits::new(rates, Throttled::default(), start), at)
}

// ---- buckets

#[test]
fn events_of_one_type_do_not_keep_those_of_another_out_of_the_audit() {
    let (limits, at) = limits(Rates::default());
    let recorded = |event, ms| (0..100).filter(|_| limits.may_record(event, at(ms))).count();
    assert_eq!(recorded("secret.throttle", 0), 60);
    assert_eq!(recorded("issuing.cooldown", 0), 60);
    assert_eq!(recorded("secret.throttle", 2_100), 2);
}

#[test]
fn a_bucket_holds_one_seconds_worth_and_operations_count_apart() {
    let (limits, at) = limits(Rates::default());
    let take = |operation, channel, ms| {
        let rate = if operation == Operation::Issue(Kind::ShortLived) { 370 } else { 2_000 };
        let one = || limits.take_of(operation, id(channel), whole(rate), at(ms)).is_ok();
        (0..2_500).filter(|_| one()).count()
    };
    assert_eq!(take(Operation::Issue(Kind::ShortLived), 1, 0), 370);
    assert_eq!(take(Operation::Issue(Kind::ShortLived), 1, 100), 36);
    assert_eq!(take(Operation::Issue(Kind::V21), 1, 100), 2_000, "kinds count apart");
    assert_eq!(take(Operation::KeyIds, 1, 100), 2_000);
    assert_eq!(take(Operation::Issue(Kind::ShortLived), 2, 100), 370, "channels, too");
    assert_eq!(
        take(Operation::Issue(Kind::ShortLived), 1, 60_000),
        370,
        "it holds no more than its size"
    );
}

#[test]
fn servers_that_share_a_rate_allow_their_parts_of_it() {
    let (limits, at) = limits(Rates::default());
    let take = |channel| {
        let one = || limits.take_of(Operation::KeyIds, id(channel), whole(10), at(0)).is_ok();
        (0..20).filter(|_| one()).count()
    };
    for (servers, part) in [(1, 10), (3, 4), (10, 1), (1_000, 1), (0, 10)] {
        limits.share(servers);
        assert_eq!(take(servers as u64), part, "{servers}");
    }
}

#[test]
fn a_rate_that_does_not_divide_a_second_evenly_is_not_exceeded_over_time() {
    let (mut bucket, mut passed) = (Bucket::default(), 0_u64);
    let step = SECOND / 7;
    for number in 0..10_000 {
        let take = || bucket.take(whole(7), number * step).is_ok();
        passed += std::iter::repeat_with(take).take_while(|&it| it).count() as u64;
    }
    assert!((passed - 7) * SECOND <= 7 * 9_999 * step, "{passed}");
}

proptest! {
    #[test]
    fn never_more_than_the_burst_and_the_rate_pass(
        rate in 1_u32..100_000,
        steps in prop::collection::vec((0_u64..400_000_000, 1_usize..60), 1..60),
    ) {
        let (rate, mut now, mut passed) = (whole(rate), 1_000, Vec::new());
        let mut bucket = Bucket::default();
        for (step, asks) in steps {
            now += step;
            for _ in 0..asks {
                if bucket.take(rate, now).is_ok() {
                    passed.push(now);
                }
            }
        }
        // Between any two of them, not only from the beginning.
        for (first, &began) in passed.iter().enumerate() {
            for (last, &until) in passed.iter().enumerate().skip(first) {
                let most = f64::from(rate.get()) * (1.0 + (until - began) as f64 / 1e9);
                prop_assert!((last - first + 1) as f64 <= most + 1e-6);
            }
        }
    }
}

// ---- guesses

#[test]
fn the_eleventh_wrong_secret_within_a_minute_is_throttled_and_reported_once() {
    let (limits, at) = limits(Rates::default());
    let guess = |from, channel, second: u64| {
        limits.guess(source(from), id(channel), true, at(second * 1_000))
    };
    for _ in 0..10 {
        assert_eq!(guess(1, 1, 0), Ok(()));
    }
    let wait = LimitExceeded(40);
    assert_eq!(guess(1, 1, 20), Err(TooMany { wait, begins: true }));
    assert_eq!(guess(1, 1, 20), Err(TooMany { wait, begins: false }));
    assert_eq!(guess(1, 2, 20), Ok(()), "another channel");
    assert_eq!(guess(2, 1, 20), Ok(()), "another source");
    assert_eq!(guess(1, 1, 60), Ok(()), "the minute is over");
    assert_eq!(limits.throttled.guess.get(), 2);
}

#[test]
fn servers_allow_their_parts_of_wrong_secrets_codes_and_sign_ins() {
    for (servers, part) in [(1, 10), (3, 4), (30, 3)] {
        let (limits, at) = limits(Rates::default());
        limits.share(servers);
        let allowed = |one: &dyn Fn() -> bool| (0..20).filter(|_| one()).count();
        let secret = || limits.guess(source(1), id(1), true, at(0)).is_ok();
        assert_eq!(allowed(&secret), part, "{servers}");
        assert_eq!(allowed(&|| limits.sign_in(source(1), at(0)).is_ok()), part, "{servers}");
        assert_eq!(allowed(&|| limits.forged_report(source(1), at(0)).is_ok()), part, "{servers}");
        let person = PersonId::from_number(4_567_890_123).unwrap();
        let code = |is_right| limits.code(person, is_right, at(0));
        // The last one that is wrong is refused for that, and all after it.
        assert_eq!(allowed(&|| code(false).is_ok()), part - 1, "{servers}");
        assert!(code(true).is_err(), "{servers}");
    }
}

#[test]
fn throttling_that_a_further_server_brings_forward_is_reported_once() {
    let (limits, at) = limits(Rates::default());
    let guess = || limits.guess(source(1), id(1), true, at(0));
    for _ in 0..8 {
        assert_eq!(guess(), Ok(()));
    }
    limits.share(3);
    let begins = |it: Result<(), TooMany>| it.map_err(|it| it.begins);
    assert_eq!(begins(guess()), Err(true));
    assert_eq!(begins(guess()), Err(false));
}

// ---- the surge limit

const TEN_MINUTES: u64 = 600 * SECOND;

fn rule(issues: u32) -> SurgeRule {
    SurgeRule { issues: whole(issues), window: TEN_MINUTES, cooldown: TEN_MINUTES }
}

/// Requests a slot and uses it at once, like clients one after the other.
fn issue(
    surge: &mut Surge,
    group: Option<&Group>,
    rule: SurgeRule,
    now: u64,
) -> Result<(), LimitExceeded> {
    let held = surge.ask(group, rule, now, &mut Vec::new())?;
    surge.settle(&held, true);
    Ok(())
}

#[test]
fn the_surge_limits_count_is_exact_at_its_edges() {
    let (mut surge, rule) = (Surge::new(7), rule(10_000));
    for number in 0..10_000 {
        assert_eq!(issue(&mut surge, None, rule, 7 + number), Ok(()));
    }
    let last = 7 + TEN_MINUTES - 1;
    assert_eq!(
        issue(&mut surge, None, rule, last),
        Err(LimitExceeded(600)),
        "the 10,001st begins a cooldown"
    );
    let ends = last + TEN_MINUTES;
    assert_eq!(issue(&mut surge, None, rule, ends - 1), Err(LimitExceeded(1)));
    assert_eq!(issue(&mut surge, None, rule, ends), Ok(()));

    let mut surge = Surge::new(7);
    for _ in 0..10_000 {
        assert_eq!(issue(&mut surge, None, rule, 7), Ok(()));
    }
    assert_eq!(issue(&mut surge, None, rule, 7 + TEN_MINUTES), Ok(()), "a new window");
}

#[test]
fn a_failed_issue_returns_its_slot_and_begins_no_cooldown() {
    let (mut surge, rule, mut begun) = (Surge::new(0), rule(2), Vec::new());
    let first = surge.ask(None, rule, 0, &mut begun).unwrap();
    let second = surge.ask(None, rule, 0, &mut begun).unwrap();
    // Both slots are held, and it is not known whether they will be used.
    assert_eq!(surge.ask(None, rule, 0, &mut begun), Err(LimitExceeded(1)));
    surge.settle(&first, false);
    surge.settle(&second, true);
    issue(&mut surge, None, rule, 0).unwrap();
    assert!(begun.is_empty());
    assert_eq!(surge.ask(None, rule, 0, &mut begun), Err(LimitExceeded(600)));
    assert_eq!(begun, [Cooldown { who: Who::Group(None), until: TEN_MINUTES }]);
}

#[test]
fn a_surge_spread_over_made_up_groups_is_stopped_too() {
    let (mut surge, rule) = (Surge::new(0), rule(1_000));
    let passed = (0..20_000).filter(|&it| issue(&mut surge, Some(&name(it)), rule, 0).is_ok());
    // The first hundred groups, and all later ones as one.
    assert_eq!(passed.count(), 1_000);
    assert!(surge.cooldowns(0).any(|cooldown| cooldown.who == Who::Others));
}

/// One request: its group, the time since the last one, and whether its token is issued.
fn asks(groups: u64) -> impl Strategy<Value = Vec<(u64, u64, bool)>> {
    let ask = (0..groups, 0_u64..TEN_MINUTES / 20, prop::bool::weighted(0.8));
    prop::collection::vec(ask, 1..400)
}

proptest! {
    #[test]
    fn no_window_holds_more_issues_of_a_group_than_the_rule_allows(
        most in 1_u32..12,
        asks in asks(4),
    ) {
        let (mut surge, rule, mut now) = (Surge::new(0), rule(most), 0);
        let mut windows = HashMap::new();
        for (group, later, happens) in asks {
            now += later;
            let Ok(held) = surge.ask(Some(&name(group)), rule, now, &mut Vec::new()) else {
                continue;
            };
            surge.settle(&held, happens);
            // At most twice the limit in any ten minutes: at the boundary of two windows,
            // or of a window and the count after a cooldown.
            let times: &mut Vec<u64> = windows.entry(group).or_default();
            times.extend(happens.then_some(now));
            let recent = times.iter().filter(|&&it| now - it < TEN_MINUTES).count();
            prop_assert!(recent <= 2 * most as usize);
        }
    }

    #[test]
    fn a_groups_surge_leaves_the_other_groups_issues_alone(
        most in 2_u32..40,
        others in 1_u64..5,
        asks in asks(5),
    ) {
        // A group that requests no more than its part of a window is never denied,
        // whatever the others do, and whether their requests succeed or not.
        let part = u64::from(most) / (others + 1);
        let (mut surge, rule, mut now, mut held_back) = (Surge::new(0), rule(most), 0, Vec::new());
        let mut quiet = Vec::<u64>::new();
        for (group, later, happens) in asks {
            now += later;
            let recent = quiet.iter().filter(|&&it| now - it < 2 * TEN_MINUTES).count() as u64;
            if recent < part {
                let asked = surge.ask(None, rule, now, &mut Vec::new());
                prop_assert!(asked.is_ok(), "{:?}", surge);
                surge.settle(&asked.unwrap(), true);
                quiet.push(now);
            }
            for _ in 0..most {
                let group = name(group % others);
                if let Ok(held) = surge.ask(Some(&group), rule, now, &mut Vec::new()) {
                    if happens {
                        surge.settle(&held, true);
                    } else {
                        held_back.push(held);
                    }
                }
            }
            if later % 3 == 0 {
                held_back.drain(..).for_each(|held| surge.settle(&held, later % 2 == 0));
            }
        }
    }
}

// ---- bounds

#[test]
fn a_million_keys_of_every_sort_take_bounded_memory_and_push_out_no_throttled_entry() {
    const MILLION: u64 = 1_000_000;
    let (limits, at) = limits(Rates::default());
    let hot = id(MILLION + 7);
    for _ in 0..11 {
        let _ = limits.guess(source(7), hot, true, at(0));
    }
    // One issue and a cooldown: of no more weight than what follows, and older.
    let (one, begun) = (rule(1), &mut Vec::new());
    for _ in 0..2 {
        limits
            .surges
            .with(
                (hot, Kind::V21),
                0,
                || Surge::new(0),
                |it| it.ask(None, one, 0, begun).map(|held| it.settle(&held, true)),
            )
            .unwrap_or_default();
    }
    assert_eq!(begun.len(), 1);
    let rule = rule(5);

    for number in 0..MILLION {
        // Sources for one channel, and made-up channels of one source.
        let _ = limits.guess(source(1_000 + number as u32), hot, true, at(0));
        let _ = limits.guess(source(7), id(number), false, at(0));
        // Channels that issue, and one with made-up groups.
        let _ = limits.take_of(Operation::KeyIds, id(number), whole(2_000), at(0));
        let one = |it: &mut Surge| issue(it, Some(&name(number)), rule, 0);
        let _ = limits.surges.with((id(number), Kind::V21), 0, || Surge::new(0), one);
        let _ = limits.surges.with((hot, Kind::ShortLived), 0, || Surge::new(0), one);
    }
    assert!(limits.guesses.len() <= GUESSERS);
    assert!(limits.made_up.len() <= GUESSERS);
    assert!(limits.buckets.len() <= BUCKETS);
    // Only cooldowns may exceed the size.
    assert!(limits.surges.len() <= SURGES + limits.active_cooldowns(at(0)));
    let groups = |it: &mut Surge| it.len();
    let groups = limits.surges.with_existing(&(hot, Kind::ShortLived), groups).unwrap();
    assert!(groups <= 102, "{groups}");

    let still = limits.guess(source(7), hot, true, at(0)).unwrap_err();
    assert!(!still.begins, "a throttled source stays throttled");
    let usual = ChannelLimits::default();
    let cooldowns = limits.cooldowns_of(hot, &usual, at(0));
    assert_eq!(cooldowns.iter().filter(|it| it.kind == Kind::V21).count(), 1);
    limits.tidy(at(2_000_000));
    let left =
        [limits.guesses.len(), limits.made_up.len(), limits.buckets.len(), limits.surges.len()];
    assert_eq!(left, [0; 4], "entries that are over take no memory");
}

#[test]
fn a_surge_limit_that_is_disabled_leaves_no_cooldown() {
    let (limits, at) = limits(Rates::default());
    let (channel, one) = (id(1), rule(1));
    let issue_again = |it: &mut Surge| {
        let _ = issue(it, None, one, 0);
        issue(it, None, one, 0)
    };
    let asked = limits.surges.with((channel, Kind::V21), 0, || Surge::new(0), issue_again);
    assert!(asked.is_err());
    let own = |surge_limit| ChannelLimits { surge_limit, ..ChannelLimits::default() };
    assert_eq!(limits.cooldowns_of(channel, &own(None), at(0)).len(), 1);
    assert_eq!(limits.cooldowns_of(channel, &own(Some(0)), at(0)), []);
    assert_eq!(limits.active_cooldowns(at(0)), 0, "nor does it count");
}

#[test]
fn a_full_set_drops_the_entry_of_least_weight_and_never_a_pinned_one() {
    struct Weight(u64);
    impl TableEntry for Weight {
        fn is_expired(&self, _: u64) -> bool {
            false
        }
        fn weight(&self) -> u64 {
            self.0
        }
        fn is_pinned(&self, _: u64) -> bool {
            self.0 == 99
        }
    }
    let table = Table::<u64, Weight>::new(16);
    for key in 0..16 {
        table.with(key, 0, || Weight(if key == 3 { 1 } else { 5 }), |_| ());
    }
    table.with(16, 0, || Weight(2), |_| ());
    assert!(table.with_existing(&3, |_| ()).is_none(), "the entry of least weight was dropped");
    table.with(17, 0, || Weight(5), |_| ());
    assert!(table.with_existing(&16, |_| ()).is_none());
    for key in 100..140 {
        table.with(key, 0, || Weight(99), |_| ());
    }
    assert_eq!(table.len(), 40, "all pinned entries stay");
}

// ---- reports of leaked tokens

#[test]
fn a_source_sends_sixty_reports_at_once_and_one_more_each_second() {
    let (limits, at) = limits(Rates::default());
    let sent = |from, now| (0..100).filter(|_| limits.report(source(from), now).is_ok()).count();
    assert_eq!((sent(1, at(0)), sent(1, at(900))), (60, 0));
    assert_eq!((sent(1, at(3_100)), sent(2, at(3_100))), (3, 60), "another source is not limited");
    assert_eq!(sent(1, at(200_000)), 60);
    assert_eq!(limits.report(source(1), at(200_000)), Err(LimitExceeded(1)));
}

#[test]
fn a_source_of_forged_reports_is_throttled_after_ten_and_named_once() {
    let (limits, at) = limits(Rates::default());
    let forge = |now| limits.forged_report(source(1), now);
    assert!((0..10).all(|n| forge(at(n)).is_ok()));
    let first = forge(at(100)).unwrap_err();
    assert!(first.begins && !forge(at(200)).unwrap_err().begins);
    assert!(limits.report(source(1), at(200)).is_ok(), "reports without a signature are apart");
    assert!(forge(at(60_001)).is_ok(), "the next minute");
}

#[test]
fn a_known_leak_is_new_again_after_an_hour() {
    let (limits, at) = limits(Rates::default());
    let token = tegata_token::id::TokenId([1; 16]);
    assert!(!limits.is_known_leak(token, false, at(0)));
    limits.note_leak(token, false, at(0));
    assert!(limits.is_known_leak(token, false, at(3_599_000)));
    assert!(
        !limits.is_known_leak(token, true, at(3_599_000)),
        "a signed report has more to record"
    );
    assert!(!limits.is_known_leak(token, false, at(3_600_000)));
    limits.note_leak(token, true, at(0));
    assert!(limits.is_known_leak(token, true, at(3_599_000)));
}

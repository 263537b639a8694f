//! The token rules case by case: which requests [`admit`] denies, what it evicts, and
//! what the change log records; then every reason for which [`authorize`] denies.

use crate::{
    channel::{
        ID, NOW, SECRET, assertion, authorized, channel, grant, group, live, registered, request,
        secret, usual_credential,
    },
    signer::{OTHER, OWN},
};
use tegata_policy::{
    admit::{Admit, Live, MAX_SINGLE_REVOCATIONS, admit},
    assertion::{AssertionRules, BadAssertion, UnverifiedAssertion},
    authorize::{Credential, Grant},
    channel::{Channel, GroupRule, GroupSettings, Secret},
    denied::Denied,
    rules::{Authentication, ChannelType, GROUPS, RULES, TokenRules, WhenFull},
};
use tegata_token::{
    id::Serial,
    kind::{Kind, Lifetime},
    view::{ChannelChange, ChannelRevocations, ChannelState, Cutoff, RevokedToken, Scope},
};

/// The serial of the next token in all of these cases.
const NEXT: Serial = Serial(1_000);

fn ask(grant: &Grant, live: &[Live]) -> Result<Admit, Denied> {
    admit(grant, live, 0, NEXT, NOW)
}

/// The log entry of an issue that revokes nothing.
const NOTHING: [u64; 0] = [];

fn revoked(admit: &Admit) -> Vec<u64> {
    admit.ends.iter().map(|token| token.serial.0).collect()
}

fn legacy() -> Channel {
    Channel { rules: TokenRules::Legacy2020, ..channel() }
}

/// Active tokens of the kind with the serials `from..=to`, without a group.
fn lives(kind: Kind, serials: std::ops::RangeInclusive<u64>) -> Vec<Live> {
    serials.map(|serial| live(kind, serial, None)).collect()
}

fn with_rule(cap: usize, when_full: WhenFull) -> Channel {
    Channel { group_rule: GroupRule { cap, when_full }, ..channel() }
}

// ---- the channel's cap

#[test]
fn the_30th_v2_1_token_is_admitted_and_the_31st_denied() {
    let grant = grant(Kind::V21, None, channel());
    assert_eq!(revoked(&ask(&grant, &lives(Kind::V21, 1..=29)).unwrap()), NOTHING);
    assert_eq!(ask(&grant, &lives(Kind::V21, 1..=30)), Err(Denied::Full(Kind::V21)));
}

#[test]
fn the_30th_short_lived_token_evicts_nothing_and_the_31st_evicts_the_oldest() {
    let grant = grant(Kind::ShortLived, None, channel());
    assert_eq!(revoked(&ask(&grant, &lives(Kind::ShortLived, 1..=29)).unwrap()), NOTHING);
    let admit = ask(&grant, &lives(Kind::ShortLived, 1..=30)).unwrap();
    assert_eq!((revoked(&admit), admit.serial, admit.reissue), (vec![1], NEXT, false));
}

#[test]
fn the_oldest_is_the_one_with_the_smallest_serial_in_any_order() {
    let mut shuffled = lives(Kind::ShortLived, 1..=30);
    shuffled.reverse();
    shuffled.swap(3, 17);
    let grant = grant(Kind::ShortLived, None, channel());
    assert_eq!(revoked(&ask(&grant, &shuffled).unwrap()), [1]);
}

#[test]
fn kinds_are_counted_apart() {
    let mut full = lives(Kind::V21, 1..=30);
    full.extend(lives(Kind::LongLived, 31..=31));
    let grant = grant(Kind::ShortLived, None, channel());
    assert_eq!(revoked(&ask(&grant, &full).unwrap()), NOTHING);
}

#[test]
fn stateless_tokens_have_no_limit() {
    let grant = grant(Kind::Stateless, None, channel());
    assert_eq!(revoked(&ask(&grant, &lives(Kind::Stateless, 1..=500)).unwrap()), NOTHING);
}

#[test]
fn an_excess_left_by_a_change_of_the_rules_is_evicted_by_the_next_issue() {
    let grant = grant(Kind::ShortLived, None, channel());
    let admit = ask(&grant, &lives(Kind::ShortLived, 1..=33)).unwrap();
    assert_eq!(revoked(&admit), [1, 2, 3, 4]);
}

// ---- groups

#[test]
fn a_third_token_of_a_group_evicts_only_the_groups_oldest() {
    let living = [
        live(Kind::ShortLived, 1, Some("b")),
        live(Kind::ShortLived, 2, None),
        live(Kind::ShortLived, 3, Some("a")),
        live(Kind::V21, 4, Some("a")),
        live(Kind::ShortLived, 5, Some("a")),
    ];
    let grant = grant(Kind::ShortLived, Some("a"), channel());
    assert_eq!(revoked(&ask(&grant, &living).unwrap()), [3]);
    assert_eq!(
        revoked(&ask(&grant, &living[..4]).unwrap()),
        NOTHING,
        "two of a kind may be active"
    );
}

#[test]
fn a_group_rotates_v2_1_tokens_in_the_same_way() {
    let living = [live(Kind::V21, 1, Some("a")), live(Kind::V21, 2, Some("a"))];
    let grant = grant(Kind::V21, Some("a"), channel());
    assert_eq!(revoked(&ask(&grant, &living).unwrap()), [1]);
}

#[test]
fn a_third_token_of_a_group_is_denied_where_the_channel_is_set_to_deny() {
    let living = [live(Kind::V21, 1, Some("a")), live(Kind::V21, 2, Some("a"))];
    let grant = grant(Kind::V21, Some("a"), with_rule(2, WhenFull::Deny));
    assert_eq!(ask(&grant, &living), Err(Denied::GroupFull(Kind::V21)));
    assert!(ask(&grant, &living[..1]).is_ok());
}

#[test]
fn a_groups_own_settings_override_the_channels() {
    let own = GroupSettings { cap: Some(1), when_full: Some(WhenFull::Deny), contact: None };
    let mut channel = channel();
    channel.groups.insert(group("a"), own);
    let living = [live(Kind::V21, 1, Some("a")), live(Kind::V21, 2, Some("b"))];
    let of_a = grant(Kind::V21, Some("a"), channel.clone());
    let of_b = grant(Kind::V21, Some("b"), channel);
    assert_eq!(ask(&of_a, &living), Err(Denied::GroupFull(Kind::V21)));
    assert_eq!(revoked(&ask(&of_b, &living).unwrap()), NOTHING);
}

#[test]
fn a_group_with_a_cap_of_0_gets_no_token() {
    for when_full in [WhenFull::Deny, WhenFull::EvictOldest] {
        let grant = grant(Kind::V21, Some("a"), with_rule(0, when_full));
        assert_eq!(ask(&grant, &[]), Err(Denied::GroupFull(Kind::V21)));
    }
}

/// Thirty short-lived tokens: 1 and 2 of group "a", 3 and 4 of "b", the others of
/// groups that no case uses.
fn full_of_groups() -> Vec<Live> {
    let name = |serial: u64| match serial {
        1 | 2 => "a".to_owned(),
        3 | 4 => "b".to_owned(),
        _ => format!("g{}", serial / 2),
    };
    (1..=30).map(|serial| live(Kind::ShortLived, serial, Some(&name(serial)))).collect()
}

#[test]
fn a_full_channel_evicts_the_oldest_of_the_requesting_group() {
    let mut living = full_of_groups();
    living[1].group = Some(group("elsewhere"));
    // Below the group's cap, so that the channel's cap applies.
    let grant = grant(Kind::ShortLived, Some("a"), with_rule(9, WhenFull::EvictOldest));
    assert_eq!(revoked(&ask(&grant, &living).unwrap()), [1]);
    living.rotate_left(1);
    assert_eq!(revoked(&ask(&grant, &living).unwrap()), [1]);
}

#[test]
fn the_groups_cap_applies_first_and_the_channels_cap_to_what_remains() {
    // The third of "a" evicts the first of "a": 29 remain, so the channel's cap evicts none.
    let grant = grant(Kind::ShortLived, Some("a"), channel());
    assert_eq!(revoked(&ask(&grant, &full_of_groups()).unwrap()), [1]);
}

#[test]
fn a_full_channel_evicts_the_oldest_without_a_group_for_a_request_without_one() {
    let mut living = full_of_groups();
    living[20].group = None;
    living[25].group = None;
    let grant = grant(Kind::ShortLived, None, channel());
    assert_eq!(revoked(&ask(&grant, &living).unwrap()), [21]);
}

#[test]
fn a_full_channel_denies_a_group_that_has_nothing_to_evict() {
    for asker in [None, Some("new")] {
        let grant = grant(Kind::ShortLived, asker, channel());
        assert_eq!(ask(&grant, &full_of_groups()), Err(Denied::Full(Kind::ShortLived)));
    }
}

#[test]
fn a_full_channel_denies_a_group_that_has_too_little_to_evict() {
    let mut living = full_of_groups();
    living.push(live(Kind::ShortLived, 31, Some("b")));
    living[0].group = Some(group("elsewhere"));
    let grant = grant(Kind::ShortLived, Some("a"), with_rule(9, WhenFull::EvictOldest));
    assert_eq!(ask(&grant, &living), Err(Denied::Full(Kind::ShortLived)), "two must go");
}

#[test]
fn a_full_channel_denies_v2_1_also_to_a_group_that_has_one() {
    let mut living = lives(Kind::V21, 1..=30);
    living[0].group = Some(group("a"));
    let grant = grant(Kind::V21, Some("a"), channel());
    assert_eq!(ask(&grant, &living), Err(Denied::Full(Kind::V21)));
}

#[test]
fn the_101st_group_is_denied() {
    let grant = grant(Kind::V21, Some("a"), channel());
    assert!(admit(&grant, &[], GROUPS - 1, NEXT, NOW).is_ok());
    assert_eq!(admit(&grant, &[], GROUPS, NEXT, NOW), Err(Denied::TooManyGroups));
    let without = crate::channel::grant(Kind::V21, None, channel());
    assert!(admit(&without, &[], GROUPS, NEXT, NOW).is_ok(), "takes no group's place");
}

// ---- the rules `legacy-2020`

#[test]
fn legacy_2020_counts_short_and_long_lived_tokens_together_and_evicts_the_oldest_of_both() {
    let mut living = lives(Kind::LongLived, 1..=10);
    living.extend(lives(Kind::ShortLived, 11..=30));
    for kind in [Kind::ShortLived, Kind::LongLived] {
        let admit = ask(&grant(kind, None, legacy()), &living).unwrap();
        assert_eq!((revoked(&admit), admit.reissue), (vec![1], false));
        assert_eq!(revoked(&ask(&grant(kind, None, legacy()), &living[1..]).unwrap()), NOTHING);
    }
}

#[test]
fn under_legacy_2020_several_long_lived_tokens_are_active() {
    let admit = ask(&grant(Kind::LongLived, None, legacy()), &lives(Kind::LongLived, 1..=3));
    assert_eq!(revoked(&admit.unwrap()), NOTHING);
}

#[test]
fn legacy_2020_treats_v2_1_as_current_does() {
    let grant = grant(Kind::V21, None, legacy());
    assert_eq!(ask(&grant, &lives(Kind::V21, 1..=30)), Err(Denied::Full(Kind::V21)));
}

#[test]
fn legacy_2020_too_evicts_no_other_groups_token() {
    let admin = grant(Kind::LongLived, None, legacy());
    assert_eq!(ask(&admin, &full_of_groups()), Err(Denied::Full(Kind::LongLived)));
}

// ---- reissue

fn reissue(delay: i64) -> Grant {
    let request = request(Kind::LongLived, Credential::Administrator { delay }, None);
    authorized(request, channel()).unwrap()
}

fn cutoffs(admit: &Admit, live: &[Live]) -> Vec<Cutoff> {
    match admit.change(&ChannelRevocations::default(), live, NOW) {
        Some(ChannelChange::Cutoff { cutoffs }) => cutoffs,
        other => panic!("not cutoffs: {other:?}"),
    }
}

#[test]
fn a_reissue_without_delay_revokes_the_current_token_at_once() {
    let living = lives(Kind::LongLived, 7..=7);
    let admit = ask(&reissue(0), &living).unwrap();
    assert_eq!((revoked(&admit), admit.ends_later, admit.reissue), (vec![7], None, true));
    let cutoffs = cutoffs(&admit, &living);
    assert_eq!(cutoffs.len(), 1);
    assert_eq!((cutoffs[0].below, cutoffs[0].from), (NEXT, None));
    assert_eq!(cutoffs[0].scope, Scope::Kind { kind: Kind::LongLived });
}

#[test]
fn a_reissue_with_a_delay_keeps_the_current_token_active_that_long() {
    let living = lives(Kind::LongLived, 7..=7);
    let admit = ask(&reissue(3_600), &living).unwrap();
    assert_eq!(revoked(&admit), NOTHING);
    assert_eq!(admit.ends_later, Some((Serial(7), NOW.plus(3_600))));
    let later = cutoffs(&admit, &living).pop().unwrap();
    assert_eq!((later.below, later.from), (NEXT, Some(NOW.plus(3_600))));
}

#[test]
fn a_reissue_within_a_running_delay_revokes_all_but_the_direct_predecessor_at_once() {
    let living = lives(Kind::LongLived, 7..=8);
    let admit = ask(&reissue(60), &living).unwrap();
    assert_eq!(revoked(&admit), [7]);
    assert_eq!(admit.ends_later, Some((Serial(8), NOW.plus(60))));
    let cutoffs = cutoffs(&admit, &living);
    assert_eq!((cutoffs[0].below, cutoffs[0].from), (Serial(8), None));
    assert_eq!((cutoffs[1].below, cutoffs[1].from), (NEXT, Some(NOW.plus(60))));
}

#[test]
fn the_first_long_lived_token_revokes_nothing_and_logs_nothing() {
    for delay in [0, 3_600] {
        let admit = ask(&reissue(delay), &[]).unwrap();
        assert_eq!(admit.change(&ChannelRevocations::default(), &[], NOW), None);
    }
}

#[test]
fn a_reissue_leaves_other_kinds_alone() {
    let mut living = lives(Kind::ShortLived, 1..=30);
    living.extend(lives(Kind::V21, 31..=60));
    assert_eq!(revoked(&ask(&reissue(0), &living).unwrap()), NOTHING);
}

/// Reissued every day for years, the long-lived token leaves no more in the view than
/// after the second reissue.
#[test]
fn reissues_with_a_delay_do_not_accumulate_in_the_view() {
    let mut revocations = ChannelRevocations::default();
    let mut now = NOW;
    for serial in 1..=500 {
        // The delay of the token before the predecessor is over by now.
        now = now.plus(86_400);
        let living = lives(Kind::LongLived, serial..=serial);
        let admit = admit(&reissue(60), &living, 0, Serial(serial + 1), now).unwrap();
        revocations.apply(&admit.change(&revocations, &living, now).unwrap());
        assert!(revocations.cutoffs.len() <= 2, "{} cutoffs", revocations.cutoffs.len());
    }
}

// ---- the log entry of an eviction

#[test]
fn an_issue_that_revokes_nothing_is_not_in_the_log() {
    let admit = ask(&grant(Kind::ShortLived, None, channel()), &[]).unwrap();
    assert_eq!(admit.change(&ChannelRevocations::default(), &[], NOW), None);
}

#[test]
fn a_few_evictions_are_logged_one_by_one_and_more_are_compacted() {
    let grant = grant(Kind::ShortLived, None, channel());
    let mut revocations = ChannelRevocations::default();
    for serial in 1..=MAX_SINGLE_REVOCATIONS as u64 + 1 {
        let living = lives(Kind::ShortLived, serial..=serial + 29);
        let admit = admit(&grant, &living, 0, Serial(serial + 30), NOW).unwrap();
        let change = admit.change(&revocations, &living, NOW).unwrap();
        revocations.apply(&change);
        match change {
            ChannelChange::Revoked { tokens } => {
                let named = RevokedToken::Stored { kind: Kind::ShortLived, serial: Serial(serial) };
                assert_eq!(tokens.iter().map(|it| &it.token).collect::<Vec<_>>(), [&named]);
                assert!(serial <= MAX_SINGLE_REVOCATIONS as u64);
            }
            ChannelChange::Cutoff { cutoffs } => {
                assert_eq!(serial, MAX_SINGLE_REVOCATIONS as u64 + 1);
                assert_eq!(cutoffs[0].below, Serial(serial + 30), "the new one is above it");
                assert!(cutoffs[0].except.iter().map(|it| it.0).eq(serial + 1..=serial + 29));
            }
            other => panic!("neither: {other:?}"),
        }
    }
    assert_eq!(
        (revocations.singles.len(), revocations.cutoffs.len()),
        (0, 1),
        "the cutoff covers them all"
    );
}

// ---- authorize: every denial

fn denied(request: tegata_policy::authorize::IssueRequest, channel: Channel) -> Denied {
    authorized(request, channel).expect_err("granted")
}

fn usual(kind: Kind) -> tegata_policy::authorize::IssueRequest {
    request(kind, usual_credential(kind), None)
}

#[test]
fn every_kind_is_granted_for_its_credentials_with_the_lifetime_of_the_rules() {
    for rule in &RULES {
        let grant = authorized(usual(rule.kind), channel()).unwrap();
        let life = match rule.life {
            Lifetime::Fixed(life) => life,
            Lifetime::Requested { .. } => 86_400,
        };
        assert_eq!((grant.kind(), grant.parameters().0), (rule.kind, life));
    }
}

#[test]
fn no_kind_is_granted_for_a_credential_that_the_rules_do_not_name() {
    for rule in &RULES {
        for (method, credential) in [
            (Authentication::Secret, Credential::Secret(secret(SECRET))),
            (Authentication::Assertion, assertion()),
            (Authentication::Administrator, Credential::Administrator { delay: 0 }),
        ] {
            let said = authorized(request(rule.kind, credential, None), channel()).map(|_| ());
            let expected = match rule.authentication.contains(&method) {
                true => Ok(()),
                false => Err(Denied::AuthenticationNotForKind(rule.kind)),
            };
            assert_eq!(said, expected, "{method:?} for {}", rule.kind);
        }
    }
}

#[test]
fn no_kind_is_granted_to_a_type_of_channel_that_the_rules_do_not_name() {
    for rule in &RULES {
        for channel_type in
            [ChannelType::MessagingApi, ChannelType::LineLogin, ChannelType::MiniApp]
        {
            let channel = Channel { channel_type, ..channel() };
            let said = authorized(usual(rule.kind), channel).map(|_| ());
            let expected = match rule.channel_types.contains(&channel_type) {
                true => Ok(()),
                false => Err(Denied::KindNotForChannel(rule.kind)),
            };
            assert_eq!(said, expected, "{} for {channel_type:?}", rule.kind);
        }
    }
}

#[test]
fn a_wrong_secret_is_denied() {
    for wrong in ["", "0123456789ABCDEF0123456789ABCDEF", " 0123456789abcdef0123456789abcdef"] {
        let request = request(Kind::ShortLived, Credential::Secret(secret(wrong)), None);
        assert_eq!(denied(request, channel()), Denied::WrongSecret);
    }
}

#[test]
fn the_previous_secret_is_accepted_until_its_time_and_no_longer() {
    let at = |until| {
        let mut channel = channel();
        channel.secrets[0].until = Some(until);
        channel.secrets.insert(0, Secret { hash: secret("new").hash(), until: None });
        authorized(usual(Kind::ShortLived), channel).map(|_| ())
    };
    assert_eq!(at(NOW.plus(1)), Ok(()));
    assert_eq!(at(NOW), Err(Denied::WrongSecret));
}

#[test]
fn a_suspended_or_deleted_channel_gets_no_token_of_any_kind_for_any_credential() {
    for rule in &RULES {
        let suspended = Channel { state: ChannelState::Suspended, ..channel() };
        let deleted = Channel { state: ChannelState::Deleted, ..channel() };
        assert_eq!(denied(usual(rule.kind), suspended), Denied::Suspended);
        assert_eq!(denied(usual(rule.kind), deleted), Denied::UnknownChannel);
    }
}

#[test]
fn the_client_is_authenticated_before_the_state_of_the_channel_is_read() {
    let suspended = Channel { state: ChannelState::Suspended, ..channel() };
    let wrong = request(Kind::ShortLived, Credential::Secret(secret("wrong")), None);
    assert_eq!(denied(wrong, suspended), Denied::WrongSecret);
}

#[test]
fn an_assertion_of_a_key_that_is_not_registered_is_denied() {
    let mut channel = channel();
    channel.assertion_keys = vec![registered(&OTHER, None)];
    assert_eq!(denied(usual(Kind::V21), channel), Denied::UnknownAssertionKey);
}

#[test]
fn an_assertion_that_breaks_a_rule_is_denied_by_that_rule() {
    // Another key, registered under the same id.
    let mut channel = channel();
    channel.assertion_keys[0].key = OTHER.key();
    let why = Denied::Assertion(BadAssertion::Signature);
    assert_eq!(denied(usual(Kind::V21), channel), why);
}

#[test]
fn a_v2_1_token_requires_token_exp_and_a_stateless_one_does_not() {
    let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"}}"#, OWN.id);
    let claims = format!(
        r#"{{"iss":"{ID}","sub":"{ID}","aud":"https://api.line.me/","exp":{}}}"#,
        NOW.0 + 60
    );
    let without =
        UnverifiedAssertion::parse(&OWN.jws(&header, &claims), AssertionRules::Line).unwrap();
    let ask = |kind| request(kind, Credential::Assertion(without.clone()), None);
    let why = Denied::Assertion(BadAssertion::TokenExpiry);
    assert_eq!(denied(ask(Kind::V21), channel()), why);
    assert!(authorized(ask(Kind::Stateless), channel()).is_ok());
}

#[test]
fn a_key_bound_to_a_group_gives_only_that_groups_tokens() {
    let mut channel = channel();
    channel.assertion_keys = vec![registered(&OWN, Some(group("a")))];
    for kind in [Kind::V21, Kind::Stateless] {
        let ask = |name: Option<&str>| request(kind, assertion(), name.map(group));
        for name in [None, Some("a")] {
            let grant = authorized(ask(name), channel.clone()).unwrap();
            assert_eq!(grant.group(), Some(&group("a")));
        }
        assert_eq!(denied(ask(Some("b")), channel.clone()), Denied::OtherGroupsKey);
    }
}

#[test]
fn a_key_of_the_channel_at_large_gives_tokens_of_any_group() {
    let ask = |name: Option<&str>| request(Kind::V21, assertion(), name.map(group));
    assert_eq!(authorized(ask(Some("b")), channel()).unwrap().group(), Some(&group("b")));
    assert_eq!(authorized(ask(None), channel()).unwrap().group(), None);
}

/// Otherwise a cutoff of the group would cover a token that outlasts the cutoff.
#[test]
fn a_long_lived_token_has_no_group_even_if_one_is_named() {
    for channel in [channel(), legacy()] {
        assert_eq!(grant(Kind::LongLived, Some("a"), channel).group(), None);
    }
}

#[test]
fn a_delay_is_0_to_86400_seconds() {
    let ask = |delay| request(Kind::LongLived, Credential::Administrator { delay }, None);
    for delay in [-1, 86_401, i64::MIN, i64::MAX] {
        assert_eq!(denied(ask(delay), channel()), Denied::DelayOutOfRange);
    }
    for delay in [0, 1, 86_400] {
        assert_eq!(authorized(ask(delay), channel()).unwrap().parameters().1, delay);
    }
}

#[test]
fn legacy_2020_allows_no_delay() {
    let ask = |delay| request(Kind::LongLived, Credential::Administrator { delay }, None);
    assert_eq!(denied(ask(1), legacy()), Denied::DelayUnderLegacyRules);
    assert!(authorized(ask(0), legacy()).is_ok());
}

#[test]
fn a_grant_is_authorized_again_with_a_newer_snapshot_by_the_same_rules() {
    let grant = grant(Kind::ShortLived, None, channel());
    let mut rotated = channel();
    rotated.secrets[0].hash = secret("new").hash();
    assert_eq!(
        grant.clone().authorize_again(rotated.into(), NOW).unwrap_err(),
        Denied::WrongSecret
    );
    assert!(grant.authorize_again(channel().into(), NOW).is_ok());
}

#[test]
fn a_stateless_token_carries_the_bulk_serial_of_the_snapshot_that_authorized_it() {
    let channel = Channel { bulk_serial: Serial(41), ..channel() };
    let grant = grant(Kind::Stateless, None, channel);
    let key = tegata_token::id::SigningKeyId([0; 8]);
    let claims = grant.stateless_claims(tegata_token::id::TokenId([0; 16]), key, NOW);
    assert_eq!((claims.serial, claims.expires_at), (Serial(41), NOW.plus(900)));
}

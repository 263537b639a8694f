//! The messages of the feed: what one side writes, the other reads, and what cannot be
//! read is reported as what it is.

use crate::{
    channel::{NOW, group, id},
    revocations::cutoff,
};
use serde_json::{Value, json};
use std::{sync::LazyLock, time::Duration};
use tegata_token::{
    feed::{
        ChangesQuery, ChangesResponse, FeedQuery, InstanceId, LoggedChange, OnStale, ResponseHead,
        Snapshot, SnapshotResponse, TokenUse, Unreadable, UsageMinute, UsageReport,
    },
    id::{AssertionKeyId, ChannelId, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey},
    kind::Kind,
    time::UnixTime,
    view::{
        ChannelChange, ChannelState, Cutoff, FeedChange, Providers, RevokedToken, Scope,
        SingleRevocation, View, ViewKey,
    },
};

const ISSUER: &str = "https://tokens.example";

fn provider(number: u64) -> ProviderId {
    ProviderId::from_number(number).unwrap()
}

fn other_channel() -> ChannelId {
    "9876543210".parse().unwrap()
}

fn at(number: u64) -> Position {
    Position { epoch: 3, number }
}

/// One change of each type and each scope, of two providers.
static CHANGES: LazyLock<Vec<FeedChange>> = LazyLock::new(|| {
    let key = |seed, state| {
        let key = SigningKey::from_seed(&[seed; 32]).unwrap().public().clone();
        FeedChange::SigningKey(ViewKey { key, state })
    };
    let of = |change| FeedChange::Channel { provider: provider(1), channel: id(), change };
    let scopes = [
        Scope::Kind { kind: Kind::V21 },
        Scope::KindGroup { kind: Kind::V21, group: Some(group("a")) },
        Scope::KindGroup { kind: Kind::V21, group: None },
        Scope::Group { group: group("b") },
        Scope::AssertionKey { key: AssertionKeyId([9; 16]) },
        Scope::Secret,
    ];
    let single = |token| SingleRevocation { token, until: NOW.plus(600) };
    let stored = |serial| RevokedToken::Stored { kind: Kind::ShortLived, serial: Serial(serial) };
    let spared = Cutoff {
        scope: Scope::Channel,
        below: Serial(u64::MAX),
        from: None,
        except: [Serial(u64::MAX - 1)].into(),
        until: NOW.plus(600),
    };
    let mut changes = vec![
        key(1, KeyState::Retired { issued_before: None }),
        key(2, KeyState::Retired { issued_before: Some(NOW) }),
        key(3, KeyState::Active),
        key(4, KeyState::Pending),
        key(5, KeyState::Revoked),
        of(ChannelChange::Revoked {
            tokens: vec![
                single(stored(7)),
                single(RevokedToken::Stateless { id: TokenId([8; 16]) }),
                single(stored(9_007_199_254_740_993)),
            ],
        }),
        of(ChannelChange::Revoked { tokens: vec![] }),
        of(ChannelChange::Cutoff { cutoffs: vec![spared] }),
        of(ChannelChange::State { state: ChannelState::Suspended }),
        of(ChannelChange::Forget { expired_by: NOW }),
        FeedChange::Channel {
            provider: provider(2),
            channel: other_channel(),
            change: ChannelChange::State { state: ChannelState::Deleted },
        },
    ];
    changes.extend(scopes.map(|scope| of(cutoff(scope, 10, Some(NOW.plus(60))))));
    changes
});

fn view(provider: Providers) -> View {
    View::new(provider).after(&*CHANGES, at(CHANGES.len() as u64))
}

fn written(view: &View, provider: Option<ProviderId>) -> String {
    Snapshot::write(view, provider, ISSUER)
}

fn head() -> ResponseHead {
    ResponseHead {
        seq: Some("7".to_owned()),
        age: Duration::from_millis(12),
        time_ms: 1_790_000_000_123,
    }
}

fn response(changes: &[FeedChange]) -> ChangesResponse {
    let logged = changes.iter().zip(1..);
    let logged = logged.map(|(change, number)| LoggedChange {
        position: at(number),
        change: Some(change.clone()),
    });
    let (after, through) = (at(0), at(changes.len() as u64));
    ChangesResponse { head: head(), after, through, changes: logged.collect() }
}

// ---- snapshots

#[test]
fn a_view_is_the_same_after_its_journey_as_a_snapshot() {
    let text = written(&view(Providers::All), None);
    let (before, after) = SnapshotResponse::around(&head());
    let read = SnapshotResponse::parse(format!("{before}{text}{after}").as_bytes()).unwrap();
    assert_eq!(read.head, head());
    assert_eq!((&*read.snapshot.issuer, read.snapshot.provider), (ISSUER, None));
    assert_eq!(read.snapshot.view.position(), at(CHANGES.len() as u64));
    assert_eq!(read.snapshot.view.keys(), view(Providers::All).keys());
    for channel in [id(), other_channel()] {
        assert_eq!(read.snapshot.view.channel(channel), view(Providers::All).channel(channel));
    }
    assert_eq!(written(&read.snapshot.view, None), text, "the same view gives the same bytes");
}

#[test]
fn a_snapshot_for_one_provider_names_no_channel_of_another() {
    let text = written(&view(Providers::All), Some(provider(1)));
    assert!(text.contains(&id().to_string()) && !text.contains(&other_channel().to_string()));
    let snapshot = Snapshot::parse(text.as_bytes()).unwrap();
    assert_eq!(snapshot.provider, Some(provider(1)));
    assert_eq!(snapshot.view.channels(), 1);
    assert_eq!(snapshot.view.keys().len(), 5, "signing keys concern every provider");
}

#[test]
fn a_snapshot_that_contradicts_itself_is_malformed() {
    let good: Value = serde_json::from_str(&written(&view(Providers::All), None)).unwrap();
    let mut cases = Vec::new();
    for list in ["keys", "channels"] {
        let mut twice = good.clone();
        let first = twice[list][0].clone();
        twice[list].as_array_mut().unwrap().push(first);
        cases.push((twice, "twice"));
    }
    let mut renamed = good.clone();
    renamed["keys"][0]["kid"] = good["keys"][1]["kid"].clone();
    cases.push((renamed, "is listed as"));
    let mut no_cutoffs = good.clone();
    no_cutoffs["channels"][0].as_object_mut().unwrap().remove("cutoffs");
    cases.push((no_cutoffs, "missing field `cutoffs`"));
    let mut other_members = good.clone();
    other_members["channels"][0]["cutoffs"][0]["kind"] = json!("v2.1");
    other_members["channels"][0]["cutoffs"][0]["type"] = json!("channel");
    cases.push((other_members, "other members than its type"));
    let mut number = good.clone();
    number["channels"][0]["cutoffs"][0]["below"] = json!(10);
    cases.push((number, "expected"));
    for (value, problem) in cases {
        let error = Snapshot::parse(value.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, Unreadable::Malformed(_)), "{error}");
        assert!(error.to_string().contains(problem), "{error} does not say {problem:?}");
    }
}

// ---- changes

#[test]
fn changes_are_the_same_after_their_journey_and_each_member_has_a_type() {
    let response = response(&CHANGES);
    let text = response.write();
    assert_eq!(ChangesResponse::parse(text.as_bytes()).unwrap(), reordered(response));
    let text: Value = serde_json::from_str(&text).unwrap();
    let mut objects = 0;
    each_object(&text["changes"], &mut |name, object| {
        // The envelope of a change has fixed members.
        if name != "changes" {
            assert!(object.get("type").is_some_and(Value::is_string), "{object}");
        }
        objects += 1;
    });
    assert!(objects > 2 * CHANGES.len());
}

/// Stored tokens come before stateless ones on the wire.
fn reordered(mut response: ChangesResponse) -> ChangesResponse {
    for it in &mut response.changes {
        if let Some(FeedChange::Channel { change: ChannelChange::Revoked { tokens }, .. }) =
            &mut it.change
        {
            tokens.sort_by_key(|it| matches!(it.token, RevokedToken::Stateless { .. }));
        }
    }
    response
}

fn each_object(value: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    fn walk(name: &str, value: &Value, visit: &mut dyn FnMut(&str, &Value)) {
        match value {
            Value::Array(items) => items.iter().for_each(|it| walk(name, it, visit)),
            Value::Object(members) => {
                visit(name, value);
                members.iter().for_each(|(name, it)| walk(name, it, visit));
            }
            _ => {}
        }
    }
    walk("changes", value, visit);
}

#[test]
fn applying_changes_twice_equals_applying_them_once() {
    let read = ChangesResponse::parse(response(&CHANGES).write().as_bytes()).unwrap();
    let changes: Vec<_> = read.changes.into_iter().filter_map(|it| it.change).collect();
    let once = View::new(Providers::All).after(&changes, read.through);
    let twice = once.after(&changes, read.through);
    assert_eq!(written(&once, None), written(&twice, None));
    assert_eq!(written(&once, None), written(&view(Providers::All), None));
}

#[test]
fn a_change_of_another_provider_is_not_seen() {
    let seen = |provider| {
        let all = response(&CHANGES);
        ChangesResponse::project(all.head, all.after, all.through, all.changes, provider)
    };
    assert_eq!(seen(None), response(&CHANGES));
    assert_eq!(seen(Some(provider(1))).changes.len(), CHANGES.len() - 1);
    let other = seen(Some(provider(2)));
    assert_eq!(other.changes.len(), 6, "its own and the keys");
    assert!(!other.write().contains(&id().to_string()));
}

#[test]
fn a_verifier_of_all_providers_sees_the_next_position_even_if_nothing_changed_there() {
    let mut log = response(&CHANGES).changes;
    for silent in [0, 1, 4] {
        log[silent].change = None;
    }
    let through = at(CHANGES.len() as u64);
    let seen = |log: &[LoggedChange], provider| {
        let log = log.to_vec();
        let seen = ChangesResponse::project(head(), at(0), through, log, provider);
        assert_eq!(ChangesResponse::parse(seen.write().as_bytes()), Ok(reordered(seen.clone())));
        seen.changes.iter().map(|it| it.position.number).take(4).collect::<Vec<_>>()
    };
    assert_eq!(seen(&log, None), [1, 3, 4, 6], "the first one and those that change something");
    assert_eq!(seen(&log, Some(provider(1))), [3, 4, 6, 7]);
    assert_eq!(seen(&log[..2], None), [] as [u64; 0], "a bookmark");
}

#[test]
fn an_unknown_type_is_something_that_the_follower_does_not_speak() {
    let good: Value = serde_json::from_str(&response(&CHANGES).write()).unwrap();
    for (pointer, member) in [
        ("/changes/0/change", "change"),
        ("/changes/0/change/key", "key"),
        ("/changes/5/change/revoked/0", "revoked"),
        ("/changes/5/change/revoked_ids/0", "revoked_ids"),
        ("/changes/7/change/cutoffs/0", "cutoffs"),
    ] {
        let mut other = good.clone();
        // A later version may give the other members another form as well.
        *other.pointer_mut(pointer).unwrap() = json!({ "type": "from-2031", "kind": 7 });
        let error = ChangesResponse::parse(other.to_string().as_bytes()).unwrap_err();
        assert_eq!(error, Unreadable::UnknownType { member, name: "from-2031".to_owned() });
    }
    let mut newer = good.clone();
    newer["feed"] = json!(2);
    newer["changes"] = json!({});
    let error = ChangesResponse::parse(newer.to_string().as_bytes()).unwrap_err();
    assert_eq!(error, Unreadable::Version(2));
    let mut more = good;
    more["new_member"] = json!([1]);
    assert!(ChangesResponse::parse(more.to_string().as_bytes()).is_ok(), "more members are fine");
}

#[test]
fn changes_out_of_order_or_beyond_their_response_are_malformed() {
    let good = response(&CHANGES);
    let broken = |change: &dyn Fn(&mut ChangesResponse)| {
        let mut it = good.clone();
        change(&mut it);
        let error = ChangesResponse::parse(it.write().as_bytes()).unwrap_err();
        assert!(matches!(error, Unreadable::Malformed(_)), "{error}");
    };
    broken(&|it| it.changes.swap(2, 3));
    broken(&|it| it.changes[3].position = it.changes[2].position);
    broken(&|it| it.through.number -= 1);
    broken(&|it| it.through.epoch += 1);
    broken(&|it| it.changes[3].position.epoch += 1);
    broken(&|it| it.after.number = it.through.number + 1);
}

#[test]
fn an_age_is_rounded_up() {
    let head = ResponseHead { age: Duration::from_micros(1_001), ..head() };
    let text = ChangesResponse { head, ..response(&[]) }.write();
    let read = ChangesResponse::parse(text.as_bytes()).unwrap();
    assert_eq!(read.head.age, Duration::from_millis(2));
}

// ---- parameters

fn query() -> ChangesQuery {
    let common = FeedQuery {
        instance: InstanceId::from_random([7; 16]),
        staleness: Duration::from_secs(5),
        on_stale: OnStale::Ask,
        seq: Some("a-1".to_owned()),
    };
    let (after, hold) = (at(7), Duration::from_millis(1_500));
    ChangesQuery { common, after, hold, cannot: Some("no type `x`".to_owned()), bye: true }
}

fn parsed(pairs: &[(&str, String)]) -> Result<ChangesQuery, String> {
    let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
    ChangesQuery::parse(pairs).map_err(|it| it.to_string())
}

#[test]
fn the_parameters_are_the_same_after_their_journey() {
    for it in [query(), ChangesQuery { cannot: None, bye: false, ..query() }] {
        assert_eq!(parsed(&it.pairs()), Ok(it));
    }
    let seq = None;
    let common = FeedQuery { seq, ..query().common };
    let pairs = common.pairs();
    let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(FeedQuery::parse(pairs.chain([("later", "1")])), Ok(common));
}

#[test]
fn a_missing_repeated_or_malformed_parameter_is_named() {
    for missing in ["instance", "staleness", "on_stale", "speaks", "after", "hold"] {
        let pairs: Vec<_> = query().pairs().into_iter().filter(|it| it.0 != missing).collect();
        assert_eq!(parsed(&pairs), Err(format!("parameter `{missing}` is missing")));
    }
    let mut twice = query().pairs();
    twice.extend(query().common.pairs().into_iter().take(1));
    assert_eq!(parsed(&twice), Err("parameter `instance` is repeated".to_owned()));
    let long = "x".repeat(101);
    for (name, value) in [
        ("instance", "short"),
        ("instance", "with a space at the 22nd"),
        ("staleness", "499"),
        ("staleness", "86400001"),
        ("staleness", "+5000"),
        ("staleness", "5s"),
        ("on_stale", "Deny"),
        ("speaks", "2"),
        ("seq", ""),
        ("seq", "a b"),
        ("after", "7"),
        ("hold", "-1"),
        ("hold", ""),
        ("cannot", ""),
        ("cannot", "two\nlines"),
        ("cannot", &long),
        ("bye", "yes"),
    ] {
        let mut pairs = query().pairs();
        let place = pairs.iter_mut().find(|it| it.0 == name).unwrap();
        place.1 = value.to_owned();
        let error = parsed(&pairs).unwrap_err();
        assert!(error.starts_with(&format!("parameter `{name}` ")), "{value:?}: {error}");
    }
}

// ---- usage

#[test]
fn a_usage_report_is_the_same_after_its_journey_and_its_bounds_hold() {
    let token = TokenUse {
        token_id: TokenId([1; 16]),
        channel: id(),
        count: 3,
        source: "192.0.2.1".to_owned(),
    };
    let minute = UsageMinute { minute: UnixTime(1_790_000_040), uses: vec![token], dropped: 2 };
    let report = UsageReport { instance: InstanceId::from_random([7; 16]), minutes: vec![minute] };
    assert_eq!(UsageReport::parse(report.write().as_bytes()), Ok(report.clone()));
    let rejected = |change: &dyn Fn(&mut UsageMinute)| {
        let mut report = report.clone();
        change(&mut report.minutes[0]);
        UsageReport::parse(report.write().as_bytes()).unwrap_err().to_string()
    };
    assert!(rejected(&|it| it.minute.0 += 1).contains("1790000041"));
    assert!(rejected(&|it| it.uses[0].source.clear()).contains("source"));
    assert!(rejected(&|it| it.uses[0].source.push('\n')).contains("source"));
    assert!(rejected(&|it| it.uses[0].source = "x".repeat(2 << 20)).contains("at most"));
}

//! The single rules of `docs/feed.md`, those above all that few random schedules touch.

use std::time::Duration;
use tegata_token::{
    feed::{ChangesResponse, LoggedChange, OnStale, ResponseHead, Snapshot, SnapshotResponse},
    id::{ChannelId, Position, ProviderId},
    key::{KeyState, SigningKey},
    kind::Kind,
    time::UnixTime,
    verify::Signatures,
    view::{ChannelChange, ChannelState, FeedChange, Providers, View, ViewKey},
    wire,
};
use tegata_verifier::{
    clocks::{Clocks, Steady},
    follower::{Follower, Received, Request},
    standing::{Stale, Use, Verdict},
};

const TIME_MS: u64 = 1_790_000_000_000;

/// The clocks after this many milliseconds.
pub fn at(ms: i64) -> Clocks {
    let steady = Steady(1_000_000_000_000 + ms * 1_000_000);
    Clocks { steady, wall: 1_790_000_000_000_000_000 + steady.0 }
}

/// Both clocks after this many milliseconds, the wall clock set by some more.
fn set_by(ms: i64, more: i64) -> Clocks {
    Clocks { wall: at(ms).wall + more * 1_000_000, ..at(ms) }
}

fn ask(staleness: Duration, on_stale: OnStale) -> Use {
    Use { staleness, on_stale }
}

const SECOND: Duration = Duration::from_secs(1);

fn strict() -> Use {
    ask(3 * SECOND, OnStale::Deny)
}

fn strict_for_hours() -> Use {
    ask(7_200 * SECOND, OnStale::Deny)
}

/// A response of an authority whose clock shows this many milliseconds after the beginning.
fn at_time(body: &str, ms: u64) -> String {
    let new =
        body.replace(&format!("\"time_ms\":{TIME_MS}"), &format!("\"time_ms\":{}", TIME_MS + ms));
    assert!(ms == 0 || new != body);
    new
}

fn position(epoch: u64, number: u64) -> Position {
    Position { epoch, number }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn channel() -> ChannelId {
    ChannelId::from_number(1_234_567_890).unwrap()
}

fn provider() -> ProviderId {
    ProviderId::from_number(7).unwrap()
}

fn token(seed: u8) -> String {
    token_until(seed, 3_600)
}

/// A token that expires this many seconds after the beginning.
fn token_until(seed: u8, seconds: i64) -> String {
    let key = key(seed);
    let claims = tegata_token::claims::Claims {
        id: tegata_token::id::TokenId([1; 16]),
        kind: Kind::V21,
        provider: provider(),
        channel: channel(),
        group: None,
        assertion_key: None,
        serial: tegata_token::id::Serial(1),
        issued_at: UnixTime(1_790_000_000),
        expires_at: UnixTime(1_790_000_000 + seconds),
        key: key.public().id(),
    };
    wire::write(&claims, "https://tokens.example", &key)
}

fn state(state: ChannelState) -> FeedChange {
    let change = ChannelChange::State { state };
    FeedChange::Channel { provider: provider(), channel: channel(), change }
}

fn view(position: Position, changes: &[FeedChange]) -> View {
    let key = ViewKey { key: key(1).public().clone(), state: KeyState::Active };
    let changes = [vec![FeedChange::SigningKey(key)], changes.to_vec()].concat();
    View::new(Providers::All).after(&changes, position)
}

fn head(request: &Request, age_ms: u64) -> ResponseHead {
    let seq = Some(request.id.to_string());
    ResponseHead { seq, age: Duration::from_millis(age_ms), time_ms: TIME_MS }
}

fn snapshot(request: &Request, age_ms: u64, view: &View) -> String {
    assert_eq!(request.path, "/feed/snapshot");
    let (before, after) = SnapshotResponse::around(&head(request, age_ms));
    format!("{before}{}{after}", Snapshot::write(view, None, "https://tokens.example"))
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    request.query.iter().find(|it| it.0 == name).map(|it| it.1.clone())
}

/// The response to a request, up to `through`.
fn changes(request: &Request, through: u64, changes: Vec<(u64, FeedChange)>) -> String {
    let after: Position = parameter(request, "after").unwrap().parse().unwrap();
    let logged = |(number, change)| LoggedChange {
        position: Position { number, ..after },
        change: Some(change),
    };
    let through = Position { number: through, ..after };
    let changes = changes.into_iter().map(logged).collect();
    ChangesResponse { head: head(request, 0), after, through, changes }.write()
}

struct Tested {
    follower: Follower,
    signatures: Signatures,
}

impl Tested {
    fn new(wanted: Use) -> Self {
        let follower = Follower::new("i".repeat(22).parse().unwrap(), wanted, at(0).steady);
        Self { follower, signatures: Signatures::new(16) }
    }

    /// A follower with a view at position 1-5, asked for at 0 ms.
    fn with_view(wanted: Use) -> Self {
        let mut it = Self::new(wanted);
        let request = it.only(at(0));
        it.respond(&request, at(0), 200, &snapshot(&request, 0, &view(position(1, 5), &[])));
        it
    }

    fn requests(&mut self, clocks: Clocks) -> Vec<Request> {
        self.follower.next(clocks, 0.5).requests
    }

    /// The only request that is sent now.
    fn only(&mut self, clocks: Clocks) -> Request {
        let mut all = self.requests(clocks);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn respond(&mut self, request: &Request, clocks: Clocks, status: u16, body: &str) {
        let body = body.as_bytes();
        let outcome = Received::Response { status, retry_after: None, body };
        self.follower.receive(request.id, &outcome, clocks, 0.5);
    }

    fn verify(&mut self, began: i64, clocks: Clocks, wanted: Use, token: &str) -> Verdict {
        let standing = self.follower.standing();
        let found = standing.consult(token.as_bytes(), clocks.steady, &self.signatures);
        standing.conclude(found, at(began).steady, clocks, wanted)
    }

    /// Why the view is stale, if the token of the key 1 is not active.
    fn stale(&mut self, clocks: Clocks, wanted: Use) -> Option<Stale> {
        match self.verify(0, clocks, wanted, &token(1)) {
            Verdict::Active { stale: None, .. } => None,
            Verdict::Unknown(stale) => Some(stale),
            other => panic!("{other:?}"),
        }
    }

    /// Whether a token that expires this many seconds after the beginning is active.
    fn accepts(&mut self, ms: i64, seconds: i64) -> bool {
        match self.verify(ms, at(ms), strict_for_hours(), &token_until(1, seconds)) {
            Verdict::Active { .. } => true,
            Verdict::Invalid(_) => false,
            other => panic!("{other:?}"),
        }
    }

    fn number(&self) -> u64 {
        self.follower.standing().view().unwrap().position().number
    }
}

// ---- age and clocks

#[test]
fn the_age_counts_from_the_request_and_includes_the_age_of_the_response() {
    let mut it = Tested::new(strict());
    let request = it.only(at(0));
    it.respond(&request, at(900), 200, &snapshot(&request, 600, &view(position(1, 5), &[])));
    assert_eq!(it.stale(at(2_400), strict()), None);
    let age = Duration::from_millis(3_001);
    let stale = Stale::Age { age, staleness: 3 * SECOND };
    assert_eq!(it.stale(at(2_401), strict()), Some(stale));
}

#[test]
fn the_age_of_changes_counts_as_well_and_never_makes_the_view_older() {
    let mut it = Tested::with_view(strict());
    let poll = it.only(at(1_000));
    let old = changes(&poll, 6, vec![]).replace(r#""age_ms":0"#, r#""age_ms":600"#);
    it.respond(&poll, at(1_900), 200, &old);
    assert_eq!(it.stale(at(3_400), strict()), None);
    assert!(it.stale(at(3_401), strict()).is_some());
    let poll = it.only(at(3_000));
    let older = changes(&poll, 7, vec![]).replace(r#""age_ms":0"#, r#""age_ms":2900"#);
    it.respond(&poll, at(3_001), 200, &older);
    assert_eq!(it.stale(at(3_400), strict()), None);
}

#[test]
fn a_clock_that_was_set_makes_the_view_stale_until_a_later_request_is_answered() {
    for more in [100, -100] {
        let mut it = Tested::with_view(strict());
        let before = it.only(at(10));
        assert_eq!(it.stale(set_by(20, more / 2), strict()), None);
        assert_eq!(it.stale(set_by(20, more), strict()), Some(Stale::Clocks));
        let clocks = set_by(30, more);
        it.respond(&before, clocks, 200, &changes(&before, 6, vec![]));
        assert_eq!(it.stale(clocks, strict()), Some(Stale::Clocks), "it was asked for before");
        let after = it.only(set_by(2_000, more));
        it.respond(&after, set_by(2_001, more), 200, &changes(&after, 6, vec![]));
        assert_eq!(it.stale(set_by(2_001, more), strict()), None);
    }
}

#[test]
fn after_a_clock_was_set_the_view_is_fresh_again_without_a_hold() {
    let mut it = Tested::with_view(strict());
    let held = it.only(at(10));
    assert!(it.requests(at(20)).is_empty());
    let now = set_by(30, 100);
    let poll = it.only(now);
    assert_eq!(parameter(&poll, "hold").as_deref(), Some("0"));
    assert!(!it.follower.awaits(held.id), "its response would leave the view stale");
    assert!(it.requests(now).is_empty(), "one is enough");
    it.respond(&poll, set_by(40, 100), 200, &changes(&poll, 6, vec![]));
    assert_eq!(it.stale(set_by(40, 100), strict()), None);
    let next = it.only(set_by(50, 100));
    assert_eq!(parameter(&next, "hold").as_deref(), Some("1000"));

    // A snapshot goes on, and the poll after it is not held.
    let mut it = Tested::new(strict());
    let request = it.only(at(0));
    assert!(it.requests(now).is_empty());
    it.respond(&request, now, 200, &snapshot(&request, 0, &view(position(1, 5), &[])));
    assert_eq!(it.stale(now, strict()), Some(Stale::Clocks));
    assert_eq!(parameter(&it.only(now), "hold").as_deref(), Some("0"));
}

#[test]
fn only_a_response_that_was_applied_makes_the_view_younger() {
    for (status, body) in [
        (200, "{}"),
        (
            200,
            r#"{"feed":1,"seq":"other","after":"1-5","through":"1-6","age_ms":0,"time_ms":1,"changes":[]}"#,
        ),
        (410, ""),
        (503, ""),
        (500, ""),
        (302, ""),
    ] {
        let mut it = Tested::with_view(strict());
        let request = it.only(at(2_000));
        it.respond(&request, at(2_001), status, body);
        assert!(it.stale(at(3_001), strict()).is_some(), "{status} {body}");
    }
}

#[test]
fn a_rejected_request_makes_the_view_stale_at_once_also_for_a_lenient_use() {
    let lenient = ask(3 * SECOND, OnStale::Allow);
    for status in [400, 401, 403, 426] {
        let mut it = Tested::with_view(lenient);
        let request = it.only(at(10));
        it.respond(&request, at(11), status, "no such verifier");
        assert_eq!(it.stale(at(12), lenient), Some(Stale::Withdrawn), "{status}");
        let again = it.only(at(3_000));
        assert_eq!(parameter(&again, "hold").as_deref(), Some("0"), "{status}: answered at once");
        it.respond(&again, at(3_001), 200, &changes(&again, 5, vec![]));
        assert_eq!(it.stale(at(3_001), lenient), None);
    }
}

#[test]
fn after_a_rejected_question_the_request_that_is_held_is_made_anew() {
    let mut it = Tested::with_view(strict());
    let held = it.only(at(1));
    it.follower.want_question();
    let question = it.only(at(2));
    it.respond(&question, at(3), 403, "no such verifier");
    assert!(!it.follower.awaits(held.id));
    let again = it.only(at(3_000));
    assert_eq!(parameter(&again, "hold").as_deref(), Some("0"));
}

// ---- snapshots and changes

#[test]
fn a_snapshot_below_the_view_or_of_an_earlier_epoch_is_discarded_and_asked_for_again() {
    for (known, older) in [((2, 5), (2, 4)), ((2, 5), (1, 900))] {
        let mut it = Tested::new(strict());
        let request = it.only(at(0));
        let first = view(position(known.0, known.1), &[state(ChannelState::Deleted)]);
        it.respond(&request, at(1), 200, &snapshot(&request, 0, &first));
        let poll = it.only(at(2));
        it.respond(&poll, at(3), 410, "");
        let request = it.only(at(1_000));
        let body = snapshot(&request, 0, &view(position(older.0, older.1), &[]));
        it.respond(&request, at(1_001), 200, &body);
        assert_eq!(it.number(), 5);
        assert!(matches!(it.verify(0, at(1_002), strict(), &token(1)), Verdict::Invalid(_)));
        assert_eq!(it.only(at(3_000)).path, "/feed/snapshot");
    }
}

#[test]
fn a_snapshot_replaces_the_view_and_is_not_merged() {
    let mut it = Tested::with_view(strict());
    let poll = it.only(at(1));
    let suspend = vec![(6, state(ChannelState::Suspended))];
    it.respond(&poll, at(2), 200, &changes(&poll, 6, suspend));
    assert!(!matches!(it.verify(0, at(3), strict(), &token(1)), Verdict::Active { .. }));
    let poll = it.only(at(3));
    it.respond(&poll, at(4), 410, "");
    let request = it.only(at(1_000));
    it.respond(&request, at(1_001), 200, &snapshot(&request, 0, &view(position(1, 9), &[])));
    assert_eq!(it.stale(at(1_002), strict()), None);
}

#[test]
fn a_change_at_or_below_the_views_position_is_ignored() {
    let mut it = Tested::with_view(strict());
    let poll = it.only(at(1));
    it.follower.want_question();
    let question = it.only(at(2));
    let all = |request: &Request| {
        let suspend = vec![(6, state(ChannelState::Suspended)), (7, state(ChannelState::Active))];
        changes(request, 7, suspend)
    };
    it.respond(&question, at(3), 200, &all(&question));
    // The poll was answered earlier, and arrives later.
    let suspend = vec![(6, state(ChannelState::Suspended))];
    it.respond(&poll, at(4), 200, &changes(&poll, 6, suspend));
    assert_eq!(it.number(), 7);
    assert_eq!(it.stale(at(5), strict()), None);
}

#[test]
fn a_change_that_cannot_be_applied_leads_to_a_snapshot_and_then_to_a_report() {
    let mut it = Tested::with_view(strict());
    let poll = it.only(at(1));
    let unknown = changes(&poll, 6, vec![(6, state(ChannelState::Active))])
        .replace(r#""type":"state""#, r#""type":"merge""#);
    it.respond(&poll, at(2), 200, &unknown);
    assert_eq!(it.follower.cannot(), Some("does not speak the type `merge` of `change`"));
    let request = it.only(at(1_000));
    let body = snapshot(&request, 0, &view(position(1, 6), &[]));
    it.respond(&request, at(1_001), 200, &body.replace("ed25519", "ml-dsa"));
    let report = it.only(at(2_000));
    let reason = "does not speak the type `ml-dsa` of `keys`".to_owned();
    assert_eq!(parameter(&report, "cannot"), Some(reason));
    assert_eq!(parameter(&report, "after").as_deref(), Some("1-5"), "it acknowledges nothing");
    it.respond(&report, at(2_001), 200, &unknown);
    let request = it.only(at(4_000));
    it.respond(&request, at(4_001), 200, &snapshot(&request, 0, &view(position(1, 6), &[])));
    assert_eq!((it.follower.cannot(), it.number()), (None, 6));
}

#[test]
fn a_gap_before_the_first_change_leads_to_a_snapshot() {
    let mut it = Tested::with_view(strict());
    let poll = it.only(at(1));
    it.respond(&poll, at(2), 200, &changes(&poll, 8, vec![(7, state(ChannelState::Active))]));
    assert_eq!((it.number(), it.only(at(1_000)).path), (5, "/feed/snapshot"));
}

#[test]
fn three_responses_that_are_empty_and_early_lead_to_a_snapshot() {
    for asks_in_between in [false, true] {
        let mut it = Tested::with_view(strict());
        for number in 6..9 {
            let then = i64::try_from(number).unwrap() * 2_000;
            let poll = it.only(at(then));
            assert_eq!(poll.path, "/feed/changes");
            if asks_in_between {
                it.follower.want_question();
                let question = it.only(at(then + 1));
                it.respond(&question, at(then + 2), 200, &changes(&question, number - 1, vec![]));
            }
            it.respond(&poll, at(then + 10), 200, &changes(&poll, number, vec![]));
        }
        assert_eq!(it.only(at(20_000)).path, "/feed/snapshot", "asks: {asks_in_between}");
    }
}

// ---- requests

#[test]
fn a_poll_that_is_not_answered_ends_by_the_followers_own_clock() {
    let mut it = Tested::with_view(strict());
    let poll = it.only(at(0));
    assert_eq!(parameter(&poll, "hold").as_deref(), Some("1000"), "a third of the staleness");
    // The hold, and a third of the staleness.
    assert!(it.requests(at(1_999)).is_empty());
    assert!(it.requests(at(2_000)).is_empty(), "and then a random pause");
    let next = it.only(at(2_500));
    it.respond(&poll, at(2_501), 200, &changes(&poll, 6, vec![]));
    assert_eq!(it.number(), 5, "it was given up");
    it.respond(&next, at(2_502), 200, &changes(&next, 6, vec![]));
    assert_eq!(it.number(), 6);
}

#[test]
fn after_a_failure_the_view_is_young_again_without_a_hold() {
    type Fail = fn(&mut Tested, &Request);
    let fails: [(&str, Fail); 3] = [
        ("no response", |it, poll| {
            it.follower.receive(poll.id, &Received::Failed, at(100), 0.0);
        }),
        ("503", |it, poll| it.respond(poll, at(100), 503, "")),
        ("no response in time", |it, _| assert!(it.requests(at(2_000)).is_empty())),
    ];
    for (what, fail) in fails {
        let mut it = Tested::with_view(strict());
        let poll = it.only(at(0));
        fail(&mut it, &poll);
        let first = it.only(at(3_000));
        assert_eq!(parameter(&first, "hold").as_deref(), Some("0"), "{what}");
        it.respond(&first, at(3_010), 200, &changes(&first, 5, vec![]));
        assert_eq!(it.follower.standing().age(at(3_010).steady), Some(10 * SECOND / 1_000));
        let next = it.only(at(3_010));
        assert_eq!(parameter(&next, "hold").as_deref(), Some("1000"), "{what}");
    }
}

#[test]
fn a_snapshot_may_take_as_long_as_bytes_arrive() {
    let mut it = Tested::new(strict());
    let request = it.only(at(0));
    it.follower.progress(request.id, at(9_000).steady);
    assert!(it.requests(at(18_999)).is_empty());
    assert!(it.follower.awaits(request.id));
    assert!(it.requests(at(19_000)).is_empty());
    assert!(!it.follower.awaits(request.id));
}

#[test]
fn a_retry_waits_for_a_random_part_of_the_longest_pause_also_the_first_one() {
    for (random, wait) in [(0.0, 0), (0.25, 250), (0.999, 999)] {
        let mut it = Tested::with_view(strict());
        let poll = it.only(at(0));
        let outcome = Received::Failed;
        it.follower.receive(poll.id, &outcome, at(10), random);
        if wait > 0 {
            assert!(it.requests(at(10 + wait - 1)).is_empty());
        }
        assert_eq!(it.requests(at(10 + wait)).len(), 1);
    }
    // With a long staleness as well all followers are back within 1.5 s.
    let mut it = Tested::with_view(ask(60 * SECOND, OnStale::Deny));
    let poll = it.only(at(0));
    it.follower.receive(poll.id, &Received::Failed, at(10), 0.999_999);
    assert_eq!(it.requests(at(10 + 1_500)).len(), 1);
    let mut it = Tested::with_view(strict());
    let poll = it.only(at(0));
    let retry_after = Some(4 * SECOND);
    let outcome = Received::Response { status: 503, retry_after, body: b"" };
    it.follower.receive(poll.id, &outcome, at(10), 0.5);
    assert!(it.requests(at(4_509)).is_empty(), "not before the given time");
    assert_eq!(it.requests(at(4_510)).len(), 1);
}

#[test]
fn a_more_lenient_use_is_in_force_only_after_a_request_that_carried_it_is_answered() {
    let mut it = Tested::with_view(strict());
    let lenient = ask(60 * SECOND, OnStale::Allow);
    let before = it.only(at(1));
    it.follower.add_use(lenient);
    it.respond(&before, at(2), 200, &changes(&before, 6, vec![]));
    let Some(Stale::Age { staleness, .. }) = it.stale(at(3_500), lenient) else { panic!() };
    assert_eq!(staleness, 3 * SECOND);
    let after = it.only(at(4_000));
    assert_eq!(parameter(&after, "staleness").as_deref(), Some("60000"));
    assert_eq!(parameter(&after, "on_stale").as_deref(), Some("allow"));
    it.respond(&after, at(4_001), 200, &changes(&after, 6, vec![]));
    assert_eq!(it.stale(at(50_000), lenient), None);
    let verdict = it.verify(0, at(65_000), lenient, &token(1));
    assert!(matches!(verdict, Verdict::Active { stale: Some(Stale::Age { .. }), .. }));
    assert!(it.stale(at(50_000), strict()).is_some(), "a strict use stays strict");
}

#[test]
fn a_view_is_never_too_old_for_the_stricter_of_two_uses() {
    let mut it = Tested::with_view(ask(60 * SECOND, OnStale::Deny));
    let held = it.only(at(1));
    assert_eq!(parameter(&held, "hold").as_deref(), Some("20000"));
    let strict = ask(5 * SECOND, OnStale::Deny);
    it.follower.add_use(strict);
    // An authority without changes answers at the end of each hold.
    let mut due = Vec::new();
    let mut snapshots = 0;
    for ms in (2..60_000).step_by(2) {
        for request in it.requests(at(ms)) {
            assert_eq!(parameter(&request, "staleness").as_deref(), Some("60000"));
            let hold = parameter(&request, "hold").map(|it| it.parse::<i64>().unwrap());
            snapshots += usize::from(hold.is_none());
            assert!(hold < Some(1_667), "a third of the shorter staleness: {hold:?}");
            due.push((ms + hold.unwrap_or(0), request));
        }
        for (_, request) in due.extract_if(.., |it| it.0 <= ms).collect::<Vec<_>>() {
            it.respond(&request, at(ms), 200, &changes(&request, 5, vec![]));
        }
        assert_eq!(it.stale(at(ms), strict), None, "{ms}");
    }
    assert_eq!(snapshots, 0);
    // A laxer one changes nothing, and interrupts nothing.
    it.follower.add_use(ask(30 * SECOND, OnStale::Deny));
    assert!(it.requests(at(59_999)).is_empty());
}

#[test]
fn an_unknown_key_is_asked_about_once_more_and_at_most_once_a_second() {
    let mut it = Tested::with_view(strict());
    let _poll = it.only(at(0));
    assert!(matches!(it.verify(100, at(100), strict(), &token(2)), Verdict::Question));
    it.follower.want_question();
    let question = it.only(at(101));
    assert_eq!(parameter(&question, "hold").as_deref(), Some("0"));
    it.respond(&question, at(102), 200, &changes(&question, 5, vec![]));
    let known = it.verify(100, at(103), strict(), &token(2));
    assert!(matches!(known, Verdict::Invalid(_)), "{known:?}");
    assert!(matches!(it.verify(102, at(103), strict(), &token(2)), Verdict::Question));
    it.follower.want_question();
    assert!(it.requests(at(1_100)).is_empty(), "at most once a second");
    let question = it.only(at(1_101));
    let new = ViewKey { key: key(2).public().clone(), state: KeyState::Active };
    let body = changes(&question, 6, vec![(6, FeedChange::SigningKey(new))]);
    it.respond(&question, at(1_102), 200, &body);
    let known = it.verify(102, at(1_103), strict(), &token(2));
    assert!(matches!(known, Verdict::Active { .. }), "{known:?}");
}

#[test]
fn a_suspended_channel_needs_no_question_for_a_second() {
    let mut it = Tested::with_view(strict());
    let poll = it.only(at(0));
    let suspend = vec![(6, state(ChannelState::Suspended))];
    it.respond(&poll, at(1), 200, &changes(&poll, 6, suspend));
    assert!(matches!(it.verify(500, at(999), strict(), &token(1)), Verdict::Invalid(_)));
    assert!(matches!(it.verify(500, at(1_000), strict(), &token(1)), Verdict::Question));
    assert!(it.stale(at(3_001), strict()).is_some(), "nothing is known of a stale view");
}

#[test]
fn a_position_that_introspection_has_shown_makes_an_earlier_view_stale() {
    let mut it = Tested::with_view(strict());
    it.follower.note_position(position(1, 6));
    it.follower.note_position(position(1, 4));
    assert_eq!(it.stale(at(1), strict()), Some(Stale::Behind));
    let poll = it.only(at(1));
    it.respond(&poll, at(2), 200, &changes(&poll, 6, vec![]));
    assert_eq!(it.stale(at(3), strict()), None);
}

#[test]
fn a_stale_view_leads_to_an_introspection_if_the_use_asks() {
    let asks = ask(3 * SECOND, OnStale::Ask);
    let mut it = Tested::with_view(asks);
    assert!(matches!(it.verify(0, at(1), asks, &token(1)), Verdict::Active { .. }));
    let verdict = it.verify(0, at(3_001), asks, &token(1));
    assert!(matches!(verdict, Verdict::Introspect(_, Stale::Age { .. })), "{verdict:?}");
}

#[test]
fn what_a_stale_view_calls_revoked_is_invalid_and_not_unknown() {
    let mut it = Tested::with_view(strict());
    let poll = it.only(at(0));
    let delete = vec![(6, state(ChannelState::Deleted))];
    it.respond(&poll, at(1), 200, &changes(&poll, 6, delete));
    assert!(matches!(it.verify(0, at(900_000), strict(), &token(1)), Verdict::Invalid(_)));
}

// ---- the end, and a copy

#[test]
fn a_follower_that_says_bye_is_stale_before_it_does() {
    let mut it = Tested::with_view(ask(3 * SECOND, OnStale::Allow));
    let poll = it.only(at(1));
    it.follower.stop();
    let standing = it.follower.standing();
    assert!(standing.trouble(at(2), strict()) == Some(Stale::Withdrawn));
    let bye = it.only(at(2));
    assert_eq!(parameter(&bye, "bye").as_deref(), Some("1"));
    it.respond(&poll, at(3), 200, &changes(&poll, 6, vec![]));
    assert_eq!(it.follower.standing().trouble(at(3), strict()), Some(Stale::Withdrawn));
    it.respond(&bye, at(4), 503, "");
    assert!(!it.follower.has_stopped());
    let again = it.only(at(2_000));
    it.respond(&again, at(2_001), 200, "{}");
    assert!(it.follower.has_stopped() && it.requests(at(60_000)).is_empty());
}

#[test]
fn a_follower_that_resumes_uses_the_stricter_values_until_the_first_response() {
    let before = Tested::with_view(ask(10 * SECOND, OnStale::Deny));
    let copy = (*before.follower.standing()).clone();
    let lenient = ask(60 * SECOND, OnStale::Allow);
    let instance = "j".repeat(22).parse().unwrap();
    let follower = Follower::resumed(instance, lenient, at(5_000).steady, copy);
    let mut it = Tested { follower, signatures: Signatures::new(16) };
    assert_eq!(it.stale(at(10_000), lenient), None);
    assert!(it.stale(at(10_001), lenient).is_some());
    let poll = it.only(at(10_001));
    assert_eq!(parameter(&poll, "after").as_deref(), Some("1-5"));
    assert_eq!(
        parameter(&poll, "hold").as_deref(),
        Some("0"),
        "the copy may be as old as this one"
    );
    it.respond(&poll, at(10_002), 200, &changes(&poll, 6, vec![]));
    assert_eq!(it.stale(at(60_000), lenient), None);
}

#[test]
fn the_time_for_expiry_never_goes_back() {
    let mut it = Tested::with_view(ask(7_200 * SECOND, OnStale::Deny));
    let late = at(3_599_000);
    assert!(matches!(it.verify(0, late, strict(), &token(1)), Verdict::Unknown(_)));
    let poll = it.only(late);
    // The authority's clock was set back by an hour.
    it.respond(&poll, at(3_600_000), 200, &changes(&poll, 6, vec![]));
    assert!(matches!(it.verify(0, at(3_600_001), strict(), &token(1)), Verdict::Invalid(_)));
}

#[test]
fn a_time_that_was_ahead_stands_still_until_the_authoritys_has_caught_up() {
    let mut it = Tested::new(strict_for_hours());
    let request = it.only(at(0));
    let body = snapshot(&request, 0, &view(position(1, 5), &[]));
    it.respond(&request, at(0), 200, &at_time(&body, 3_600_000));
    assert!(!it.accepts(0, 3_600) && it.accepts(0, 3_610));
    // The authority's clock is right again.
    let poll = it.only(at(1_000));
    it.respond(&poll, at(1_000), 200, &at_time(&changes(&poll, 6, vec![]), 1_000));
    assert!(!it.accepts(1_000, 3_600), "what has expired stays so");
    assert!(it.accepts(3_590_000, 3_610), "time stands still");
    assert!(!it.accepts(3_610_000, 3_610), "and goes on once the real time is there");
    for minutes in (20..=120).step_by(20) {
        let poll = it.only(at(minutes * 60_000));
        // At the end of its hold.
        let ms = minutes * 60_000 + 25_000;
        let body = at_time(&changes(&poll, 6, vec![]), ms.unsigned_abs());
        it.respond(&poll, at(ms), 200, &body);
    }
    let ms = 7_200_000 + 30_000;
    assert!(it.accepts(ms, 7_200 + 600), "it is ahead no longer");
    assert!(!it.accepts(ms, 7_200));
}

#[test]
fn a_response_that_was_long_under_way_does_not_slow_the_time_down() {
    let mut it = Tested::with_view(strict_for_hours());
    let poll = it.only(at(1_000));
    it.respond(&poll, at(20_000), 200, &at_time(&changes(&poll, 6, vec![]), 1_000));
    assert!(it.accepts(25_000, 26) && !it.accepts(26_000, 26));
    // One that is shared by many was read before it was asked for.
    let poll = it.only(at(30_000));
    let body = at_time(&changes(&poll, 6, vec![]), 28_000);
    it.respond(&poll, at(30_000), 200, &body.replace(r#""age_ms":0"#, r#""age_ms":2000"#));
    assert!(it.accepts(35_000, 36) && !it.accepts(36_000, 36));
}

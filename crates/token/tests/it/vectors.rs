//! The vectors of the feed in `testdata/feed`: which answer a view gives about a token at
//! a time, and which view changes lead to. The answers are spelled out here; the tests
//! compare them with [`verify`], and the files with what is spelled out.
//!
//! `TEGATA_WRITE_VECTORS=1 cargo test -p tegata-token --test it vectors` writes the files.

use crate::channel::{group, id};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, time::Duration};
use tegata_token::{
    claims::Claims,
    feed::{ChangesResponse, LoggedChange, ResponseHead, Snapshot},
    id::{AssertionKeyId, ChannelId, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey},
    kind::Kind,
    time::{DAY, UnixTime},
    verify::{Invalid, Signatures, verify},
    view::{
        ChannelChange, ChannelState, Cutoff, FeedChange, Providers, RevokedToken, Scope,
        SingleRevocation, View, ViewKey,
    },
    wire,
};

const ISSUER: &str = "https://tokens.example";
/// When the tokens of the vectors were issued.
const ISSUED: UnixTime = UnixTime(1_790_000_000);
const NOW: UnixTime = UnixTime(ISSUED.0 + 600);

// ---- the parts of the vectors

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn key_in(seed: u8, state: KeyState) -> FeedChange {
    FeedChange::SigningKey(ViewKey { key: key(seed).public().clone(), state })
}

fn provider(number: u64) -> ProviderId {
    ProviderId::from_number(number).unwrap()
}

fn channel(number: u64) -> ChannelId {
    ChannelId::from_number(number).unwrap()
}

/// A token of key 1, provider 1 and the channel of the cases.
fn claims(kind: Kind, serial: u64) -> Claims {
    let lifetime = match kind {
        Kind::V21 => DAY,
        Kind::Stateless => 900,
        Kind::ShortLived => 30 * DAY,
        Kind::LongLived => 36_525 * DAY,
    };
    Claims {
        id: TokenId(u128::from(serial).to_be_bytes()),
        kind,
        provider: provider(1),
        channel: id(),
        group: None,
        assertion_key: None,
        serial: Serial(serial),
        issued_at: ISSUED,
        expires_at: ISSUED.plus(lifetime),
        key: key(1).public().id(),
    }
}

fn written(claims: &Claims) -> String {
    let key = (1..=9).map(key).find(|it| it.public().id() == claims.key).unwrap();
    wire::write(claims, ISSUER, &key)
}

fn of(change: ChannelChange) -> FeedChange {
    FeedChange::Channel { provider: provider(1), channel: id(), change }
}

fn cut(scope: Scope, below: u64, from: Option<UnixTime>) -> FeedChange {
    of(ChannelChange::Cutoff { cutoffs: vec![Cutoff::set(scope, Serial(below), from, ISSUED)] })
}

fn single(claims: &Claims) -> FeedChange {
    let token = match claims.kind {
        Kind::Stateless => RevokedToken::Stateless { id: claims.id },
        kind => RevokedToken::Stored { kind, serial: claims.serial },
    };
    let tokens = vec![SingleRevocation { token, until: claims.expires_at }];
    of(ChannelChange::Revoked { tokens })
}

fn state(state: ChannelState) -> FeedChange {
    of(ChannelChange::State { state })
}

/// The keys of every view of the cases: 1 is active, 2 pending, 3 retired, 4 retired for
/// tokens issued from [`ISSUED`] on, 5 revoked. Key 6 is unknown.
fn keys() -> Vec<FeedChange> {
    vec![
        key_in(1, KeyState::Active),
        key_in(2, KeyState::Pending),
        key_in(3, KeyState::Retired { issued_before: None }),
        key_in(4, KeyState::Retired { issued_before: Some(ISSUED) }),
        key_in(5, KeyState::Revoked),
    ]
}

fn view(providers: Providers, changes: &[FeedChange]) -> View {
    let all = [keys(), changes.to_vec()].concat();
    View::new(providers).after(&all, Position { epoch: 1, number: all.len() as u64 })
}

// ---- answers

/// The answer in the words of the vectors, and until when it holds if it is `active`.
fn answer(view: &View, token: &str, time: UnixTime) -> (&'static str, Option<i64>) {
    match verify(token.as_bytes(), time, view, &Signatures::new(16)) {
        Ok(active) => ("active", Some(active.until.0)),
        Err(Invalid::UnknownKey) => ("unknown-key", None),
        Err(Invalid::Suspended) => ("suspended", None),
        Err(_) => ("invalid", None),
    }
}

struct Case {
    name: &'static str,
    changes: Vec<FeedChange>,
    providers: Providers,
    token: String,
    time: UnixTime,
    answer: (&'static str, Option<i64>),
}

const INVALID: (&str, Option<i64>) = ("invalid", None);
const SUSPENDED: (&str, Option<i64>) = ("suspended", None);
const UNKNOWN_KEY: (&str, Option<i64>) = ("unknown-key", None);

fn active(claims: &Claims) -> (&'static str, Option<i64>) {
    ("active", Some(claims.expires_at.0))
}

fn case(
    name: &'static str,
    changes: impl IntoIterator<Item = FeedChange>,
    token: &Claims,
    answer: (&'static str, Option<i64>),
) -> Case {
    let changes = changes.into_iter().collect();
    let token = written(token);
    Case { name, changes, providers: Providers::All, token, time: NOW, answer }
}

fn cases() -> Vec<Case> {
    [cases_of_forms(), cases_of_keys_and_time(), cases_of_revocations(), cases_of_scopes()]
        .into_iter()
        .flatten()
        .collect()
}

fn cases_of_forms() -> Vec<Case> {
    let v21 = claims(Kind::V21, 7);
    let [stateless, short, long] =
        [Kind::Stateless, Kind::ShortLived, Kind::LongLived].map(|kind| claims(kind, 7));
    let mut grouped = claims(Kind::ShortLived, 7);
    grouped.group = Some(group("team-a"));
    let mut changed = written(&v21).into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let mut changed_opaque = written(&short);
    changed_opaque.replace_range(20..21, if &changed_opaque[20..21] == "A" { "B" } else { "A" });
    let mut last_bits = written(&v21);
    let last = last_bits.pop().unwrap();
    // The last character of a signature holds two unused bits.
    let other = if last == 'A' { 'B' } else { char::from(last as u8 + 1) };
    last_bits.push(other);
    let text = |name, token: String| Case { token, ..case(name, [], &v21, INVALID) };
    vec![
        case("a v2.1 token", [], &v21, active(&v21)),
        case("a stateless token", [], &stateless, active(&stateless)),
        case("a short-lived token", [], &short, active(&short)),
        case("a long-lived token", [], &long, active(&long)),
        case("an opaque token of a group", [], &grouped, active(&grouped)),
        text("an empty string", String::new()),
        text("another string", "not-a-token".to_owned()),
        text("a JWS with a changed character", String::from_utf8(changed).unwrap()),
        text("an opaque token with a changed character", changed_opaque),
        text("a JWS with another spelling of its last bits", last_bits),
        text("a JWS without its signature", written(&v21).rsplit_once('.').unwrap().0.to_owned()),
        text("a JWS with a space", format!("{} ", written(&v21))),
        text("a short-lived token as a long-lived one", written(&short).replacen('s', "l", 1)),
    ]
}

fn cases_of_keys_and_time() -> Vec<Case> {
    let v21 = claims(Kind::V21, 7);
    let by = |seed| Claims { key: key(seed).public().id(), ..v21.clone() };
    let earlier = Claims { issued_at: ISSUED.plus(-1), ..by(4) };
    let other = Claims { provider: provider(2), channel: channel(2_222_222_222), ..v21.clone() };
    let only = |it: Case| Case { providers: Providers::Only([provider(1)].into()), ..it };
    let at = |time: i64, it: Case| Case { time: UnixTime(time), ..it };
    let end = v21.expires_at.0;
    vec![
        case("by a pending key", [], &by(2), active(&v21)),
        case("by a retired key", [], &by(3), active(&v21)),
        case("by a key retired from its issue on", [], &by(4), INVALID),
        case("by a key retired after its issue", [], &earlier, active(&v21)),
        case("by a revoked key", [], &by(5), INVALID),
        case("by an unknown key", [], &by(6), UNKNOWN_KEY),
        at(end - 1, case("one second before its expiry", [], &v21, active(&v21))),
        at(end, case("at its expiry", [], &v21, INVALID)),
        at(
            end,
            case(
                "expired, of a suspended channel",
                [state(ChannelState::Suspended)],
                &v21,
                INVALID,
            ),
        ),
        case("of another provider, all covered", [], &other, active(&other)),
        only(case("of another provider, not covered", [], &other, INVALID)),
        only(case("of the provider that is covered", [], &v21, active(&v21))),
        only(case(
            "of another provider and an unknown key",
            [],
            &Claims { key: key(6).public().id(), ..other },
            UNKNOWN_KEY,
        )),
    ]
}

fn cases_of_revocations() -> Vec<Case> {
    let v21 = claims(Kind::V21, 7);
    let stateless = claims(Kind::Stateless, 7);
    let big = claims(Kind::ShortLived, 9_007_199_254_740_993);
    let near = claims(Kind::ShortLived, 9_007_199_254_740_992);
    let all = |below, from| cut(Scope::Channel, below, from);
    let sparing = |kind: Kind| {
        let mut cutoff = Cutoff::set(Scope::Kind { kind }, Serial(10), None, ISSUED);
        cutoff.except = [Serial(7)].into();
        of(ChannelChange::Cutoff { cutoffs: vec![cutoff] })
    };
    let later = Some(NOW.plus(60));
    let suspended = || state(ChannelState::Suspended);
    vec![
        case("revoked by its serial", [single(&v21)], &v21, INVALID),
        case("another serial is revoked", [single(&claims(Kind::V21, 8))], &v21, active(&v21)),
        case("revoked by its id", [single(&stateless)], &stateless, INVALID),
        case("the id of another kind", [single(&stateless)], &v21, active(&v21)),
        case("a serial beyond 2^53 is revoked", [single(&big)], &big, INVALID),
        case("the serial next to it", [single(&big)], &near, active(&near)),
        case("below a cutoff", [all(8, None)], &v21, INVALID),
        case("at a cutoff", [all(7, None)], &v21, active(&v21)),
        case("before a delayed cutoff", [all(8, later)], &v21, ("active", later.map(|it| it.0))),
        Case {
            time: NOW.plus(60),
            ..case("at the time of a delayed cutoff", [all(8, later)], &v21, INVALID)
        },
        case("spared by a cutoff", [sparing(Kind::V21)], &v21, active(&v21)),
        case(
            "a spared serial of a stateless token",
            [sparing(Kind::Stateless)],
            &stateless,
            INVALID,
        ),
        case("its channel is suspended", [suspended()], &v21, SUSPENDED),
        case(
            "its channel is suspended, and it is revoked",
            [suspended(), single(&v21)],
            &v21,
            INVALID,
        ),
        case("its channel is deleted", [state(ChannelState::Deleted)], &v21, INVALID),
    ]
}

fn cases_of_scopes() -> Vec<Case> {
    let assertion_key = AssertionKeyId([9; 16]);
    let v21 = Claims { assertion_key: Some(assertion_key), ..claims(Kind::V21, 7) };
    let grouped = Claims { group: Some(group("a")), ..v21.clone() };
    let short = claims(Kind::ShortLived, 7);
    let by_key = Claims { assertion_key: Some(assertion_key), ..claims(Kind::Stateless, 7) };
    let by_secret = claims(Kind::Stateless, 7);
    let kind = || cut(Scope::Kind { kind: Kind::V21 }, 10, None);
    let within = |name: Option<&str>| {
        cut(Scope::KindGroup { kind: Kind::V21, group: name.map(group) }, 10, None)
    };
    let of_group = || cut(Scope::Group { group: group("a") }, 10, None);
    let of_key = || cut(Scope::AssertionKey { key: assertion_key }, 10, None);
    let of_secret = || cut(Scope::Secret, 10, None);
    vec![
        case("a cutoff of its kind", [kind()], &v21, INVALID),
        case("a cutoff of another kind", [kind()], &short, active(&short)),
        case("a cutoff of its kind and group", [within(Some("a"))], &grouped, INVALID),
        case(
            "a cutoff of its kind and another group",
            [within(Some("b"))],
            &grouped,
            active(&grouped),
        ),
        case("a cutoff of its kind without a group", [within(None)], &v21, INVALID),
        case(
            "a cutoff of its kind without a group, of a group",
            [within(None)],
            &grouped,
            active(&grouped),
        ),
        case("a cutoff of its group", [of_group()], &grouped, INVALID),
        case("a cutoff of a group, without one", [of_group()], &v21, active(&v21)),
        case("a cutoff of its assertion key", [of_key()], &v21, INVALID),
        case(
            "a cutoff of an assertion key, for a secret",
            [of_key()],
            &by_secret,
            active(&by_secret),
        ),
        case("a cutoff of the secret, short-lived", [of_secret()], &short, INVALID),
        case("a cutoff of the secret, stateless", [of_secret()], &by_secret, INVALID),
        case(
            "a cutoff of the secret, for an assertion key",
            [of_secret()],
            &by_key,
            active(&by_key),
        ),
    ]
}

// ---- views after changes

struct Path {
    name: &'static str,
    before: Vec<FeedChange>,
    /// Each response's changes; `None` is a position that changes nothing.
    responses: Vec<Vec<Option<FeedChange>>>,
    probes: Vec<(Claims, (&'static str, Option<i64>))>,
}

fn paths() -> Vec<Path> {
    let [a, b] = [7, 8].map(|serial| claims(Kind::V21, serial));
    let by_new = Claims { key: key(6).public().id(), ..a.clone() };
    let forget = of(ChannelChange::Forget { expired_by: a.expires_at });
    let suspended = || state(ChannelState::Suspended);
    let one = |it: FeedChange| vec![vec![Some(it)]];
    let path = |name, before: Vec<_>, responses, probes| Path { name, before, responses, probes };
    vec![
        path(
            "a revocation",
            vec![],
            one(single(&a)),
            vec![(a.clone(), INVALID), (b.clone(), active(&b))],
        ),
        path("the same twice", vec![single(&a)], one(single(&a)), vec![(a.clone(), INVALID)]),
        path("a bookmark", vec![single(&a)], vec![vec![]], vec![(a.clone(), INVALID)]),
        path("nothing", vec![], vec![vec![None, Some(single(&a))]], vec![(a.clone(), INVALID)]),
        path(
            "suspended and resumed",
            vec![suspended()],
            one(state(ChannelState::Active)),
            vec![(a.clone(), active(&a))],
        ),
        path(
            "deleted and resumed",
            vec![state(ChannelState::Deleted)],
            one(state(ChannelState::Active)),
            vec![(a.clone(), INVALID)],
        ),
        path(
            "a new key",
            vec![],
            one(key_in(6, KeyState::Pending)),
            vec![(by_new.clone(), active(&by_new))],
        ),
        path(
            "a revoked key",
            vec![],
            one(key_in(1, KeyState::Revoked)),
            vec![(a.clone(), INVALID)],
        ),
        path("forgotten", vec![single(&a)], one(forget), vec![(a.clone(), active(&a))]),
        path(
            "two responses",
            vec![],
            vec![vec![Some(single(&a))], vec![Some(single(&b))]],
            vec![(a.clone(), INVALID), (b.clone(), INVALID)],
        ),
        path(
            "a cutoff adds to another",
            vec![cut(Scope::Channel, 8, None)],
            one(cut(Scope::Channel, 9, Some(NOW))),
            vec![(a, INVALID), (b, INVALID)],
        ),
    ]
}

fn responses(path: &Path, mut after: Position) -> Vec<ChangesResponse> {
    let respond = |changes: &Vec<Option<FeedChange>>| {
        let number = after.number + changes.len().max(1) as u64;
        let through = Position { number, ..after };
        let logged = changes.iter().zip(after.number + 1..).map(|(change, number)| LoggedChange {
            position: Position { number, ..after },
            change: change.clone(),
        });
        let age = Duration::from_millis(1);
        let head = ResponseHead { seq: None, age, time_ms: 1_000 * NOW.0.unsigned_abs() };
        let response = ChangesResponse::project(head, after, through, logged, None);
        after = through;
        response
    };
    path.responses.iter().map(respond).collect()
}

// ---- files

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn snapshot(view: &View, providers: &Providers) -> Value {
    let provider = match providers {
        Providers::All => None,
        Providers::Only(some) => some.first().copied(),
    };
    parsed(&Snapshot::write(view, provider, ISSUER))
}

fn probe(token: &str, time: UnixTime, (answer, until): (&str, Option<i64>)) -> Value {
    let mut value = json!({ "token": token, "time": time.0, "answer": answer });
    if let Some(until) = until {
        value["until"] = until.into();
    }
    value
}

fn verify_file() -> Value {
    let cases = cases().into_iter().map(|it| {
        let view = view(it.providers.clone(), &it.changes);
        let mut value = probe(&it.token, it.time, it.answer);
        value["name"] = it.name.into();
        value["snapshot"] = snapshot(&view, &it.providers);
        value
    });
    json!({ "cases": cases.collect::<Vec<_>>() })
}

fn changes_file() -> Value {
    let cases = paths().into_iter().map(|it| {
        let before = view(Providers::All, &it.before);
        let responses = responses(&it, before.position());
        let mut after = before.clone();
        for response in &responses {
            let changes: Vec<_> =
                response.changes.iter().filter_map(|it| it.change.clone()).collect();
            after = after.after(&changes, response.through);
        }
        let probes = it.probes.iter().map(|(claims, it)| probe(&written(claims), NOW, *it));
        json!({
            "name": it.name,
            "snapshot": snapshot(&before, &Providers::All),
            "responses": responses.iter().map(|it| parsed(&it.write())).collect::<Vec<_>>(),
            "result": snapshot(&after, &Providers::All),
            "probes": probes.collect::<Vec<_>>(),
        })
    });
    json!({ "cases": cases.collect::<Vec<_>>() })
}

#[test]
fn the_files_hold_the_vectors() {
    for (name, value) in [("verify.json", verify_file()), ("changes.json", changes_file())] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/feed");
        let file = folder.join(name);
        let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
        if std::env::var_os("TEGATA_WRITE_VECTORS").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let found = fs::read_to_string(&file).unwrap();
        assert!(
            found == text,
            "{name} is not what is spelled out; write it anew as described above"
        );
    }
}

#[test]
fn each_view_gives_the_answer_that_is_spelled_out() {
    for it in cases() {
        let text = snapshot(&view(it.providers.clone(), &it.changes), &it.providers).to_string();
        let view = Snapshot::parse(text.as_bytes()).unwrap().view;
        assert_eq!(answer(&view, &it.token, it.time), it.answer, "{}", it.name);
    }
}

#[test]
fn each_path_of_changes_leads_to_the_answers_that_are_spelled_out() {
    for it in paths() {
        let mut view = view(Providers::All, &it.before);
        for response in responses(&it, view.position()) {
            let read = ChangesResponse::parse(response.write().as_bytes()).unwrap();
            let changes: Vec<_> = read.changes.into_iter().filter_map(|it| it.change).collect();
            view = view.after(&changes, read.through);
        }
        for (claims, expected) in &it.probes {
            assert_eq!(answer(&view, &written(claims), NOW), *expected, "{}", it.name);
        }
    }
}

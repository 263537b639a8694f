//! The follower's requests over a network, and the layer.

use crate::authority::{Authority, channel, of_an_unknown_key, provider, stateless, token};
use axum::{Extension, Router, body::Body, http::Request, routing::get};
use std::{path::Path, time::Duration};
use tegata_token::{
    feed::{OnStale, TokenUse, UsageMinute},
    id::Serial,
    kind::Kind,
    time::UnixTime,
    verify::Invalid,
    view::{ChannelChange, ChannelState, FeedChange, RevokedToken, SingleRevocation},
};
use tegata_verifier::{
    FollowSettings, NotAccepted, TokenVerifier, VerifiedToken,
    layer::VerifyLayer,
    standing::{Stale, Use},
};
use tokio::{task::JoinSet, time::timeout};
use tower::ServiceExt;

const SECOND: Duration = Duration::from_secs(1);

pub fn settings(authority: &Authority, on_stale: OnStale) -> FollowSettings {
    let url = authority.url.parse().unwrap();
    let mut settings = FollowSettings::new(url, "canary-verifier-token").unwrap();
    settings.wanted = Use { staleness: SECOND, on_stale };
    settings
}

/// Waits until something is so, for at most ten seconds.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten seconds: {what}");
}

async fn started(authority: &Authority, on_stale: OnStale) -> TokenVerifier {
    let verifier = TokenVerifier::start(settings(authority, on_stale)).unwrap();
    until("fresh", async || verifier.health().stale.is_none()).await;
    verifier
}

fn of_channel(change: ChannelChange) -> FeedChange {
    FeedChange::Channel { provider: provider(), channel: channel(), change }
}

pub fn revoke(serial: u64) -> FeedChange {
    let token = RevokedToken::Stored { kind: Kind::V21, serial: Serial(serial) };
    let until = UnixTime(1_790_003_600);
    of_channel(ChannelChange::Revoked { tokens: vec![SingleRevocation { token, until }] })
}

#[tokio::test]
async fn a_revocation_reaches_the_verifier_and_is_acknowledged() {
    let authority = Authority::start().await;
    let verifier = started(&authority, OnStale::Deny).await;
    let (revoked, other) = (token(1), token(2));
    assert!(verifier.verify(revoked.as_bytes()).await.is_ok());
    authority.append(revoke(1));
    until("revoked", async || verifier.verify(revoked.as_bytes()).await.is_err()).await;
    let denied = verifier.verify(revoked.as_bytes()).await.unwrap_err();
    assert!(matches!(denied, NotAccepted::Invalid(Invalid::Revoked(_))), "{denied}");
    assert!(verifier.verify(other.as_bytes()).await.is_ok());
    until("acknowledged", async || authority.acknowledged().contains(&"1-2".to_owned())).await;
    let health = verifier.health();
    assert_eq!((health.revocations, health.channels, health.keys), (1, 1, 1));
    assert_eq!(health.position.unwrap().to_string(), "1-2");
    assert!(!format!("{:?}", settings(&authority, OnStale::Deny)).contains("canary"));
}

#[tokio::test]
async fn a_verifier_without_its_authority_is_stale_and_fresh_again_with_it() {
    let authority = Authority::start().await;
    let verifier = started(&authority, OnStale::Deny).await;
    authority.change(|it| it.status = Some(503));
    until("stale", async || verifier.health().stale.is_some()).await;
    let denied = verifier.verify(token(1).as_bytes()).await.unwrap_err();
    assert!(matches!(denied, NotAccepted::Unknown(Stale::Age { .. })), "{denied}");
    authority.change(|it| it.status = None);
    until("fresh", async || verifier.verify(token(1).as_bytes()).await.is_ok()).await;
    authority.change(|it| it.status = Some(401));
    until("rejected", async || verifier.health().rejected.is_some()).await;
    let denied = verifier.verify(token(1).as_bytes()).await.unwrap_err();
    assert_eq!(denied, NotAccepted::Unknown(Stale::Withdrawn));
}

#[tokio::test]
async fn a_stale_view_leads_to_introspection_or_is_allowed() {
    let authority = Authority::start().await;
    let asks = started(&authority, OnStale::Ask).await;
    let allows = started(&authority, OnStale::Allow).await;
    authority.change(|it| (it.status, it.active) = (Some(503), true));
    until("stale", async || [&asks, &allows].into_iter().all(|it| it.health().stale.is_some()))
        .await;
    let seen = authority.seen().introspected;
    assert!(asks.verify(token(1).as_bytes()).await.is_ok());
    assert_eq!(authority.seen().introspected, seen + 1);
    let allowed = allows.verify(token(1).as_bytes()).await.unwrap();
    assert!(allowed.stale.is_some(), "it says that the view is stale");
    authority.change(|it| it.active = false);
    assert_eq!(asks.verify(token(1).as_bytes()).await.unwrap_err(), NotAccepted::Inactive);
}

#[tokio::test]
async fn an_introspection_is_waited_for_no_longer_than_its_answer_would_count() {
    let authority = Authority::start().await;
    let asks = started(&authority, OnStale::Ask).await;
    authority.change(|it| (it.status, it.active) = (Some(503), true));
    until("stale", async || asks.health().stale.is_some()).await;
    authority.answers_arrive(false);
    let text = token(1);
    let denied = timeout(60 * SECOND, asks.verify(text.as_bytes())).await.expect("an answer");
    assert_eq!(denied.unwrap_err(), NotAccepted::Unknown(Stale::Unanswered));
    authority.answers_arrive(true);
    until("answered", async || asks.verify(text.as_bytes()).await.is_ok()).await;
}

#[tokio::test]
async fn an_answer_that_arrives_after_a_newer_view_was_acknowledged_accepts_nothing() {
    let authority = Authority::start().await;
    let asks = started(&authority, OnStale::Ask).await;
    authority.change(|it| (it.status, it.active) = (Some(503), true));
    until("stale", async || asks.health().stale.is_some()).await;
    authority.answers_arrive(false);
    let verifying = tokio::spawn({
        let asks = asks.clone();
        async move { asks.verify(token(1).as_bytes()).await }
    });
    until("asked", async || authority.seen().introspected == 1).await;
    authority.append(revoke(1));
    authority.change(|it| it.status = None);
    until("acknowledged", async || authority.acknowledged().contains(&"1-2".to_owned())).await;
    authority.answers_arrive(true);
    let denied = verifying.await.unwrap().unwrap_err();
    // On a slow machine it came too late for any use.
    let is_late = denied == NotAccepted::Unknown(Stale::Unanswered);
    assert!(is_late || matches!(denied, NotAccepted::Invalid(Invalid::Revoked(_))), "{denied}");
}

#[tokio::test]
async fn a_suspended_channel_is_asked_about_before_its_token_is_rejected() {
    let authority = Authority::start().await;
    let mut settings = settings(&authority, OnStale::Deny);
    settings.wanted.staleness = 30 * SECOND;
    let verifier = TokenVerifier::start(settings).unwrap();
    until("fresh", async || verifier.health().stale.is_none()).await;
    authority.append(of_channel(ChannelChange::State { state: ChannelState::Suspended }));
    let token = token(1);
    until("suspended", async || verifier.verify(token.as_bytes()).await.is_err()).await;
    until("an age of a second", async || verifier.health().age.unwrap() > SECOND).await;
    let before = authority.seen().queries.len();
    let denied = verifier.verify(token.as_bytes()).await.unwrap_err();
    assert_eq!(denied, NotAccepted::Invalid(Invalid::Suspended));
    let asked = &authority.seen().queries[before..];
    let is_question = |it: &&Vec<_>| it.contains(&("hold".to_owned(), "0".to_owned()));
    assert_eq!(asked.iter().filter(is_question).count(), 1);
    // What cannot be learned is not known.
    until("an age of a second", async || verifier.health().age.unwrap() > SECOND).await;
    authority.change(|it| it.status = Some(503));
    let denied = verifier.verify(token.as_bytes()).await.unwrap_err();
    assert_eq!(denied, NotAccepted::Unknown(Stale::Unanswered));
}

#[tokio::test]
async fn so_many_verifications_wait_for_the_authority_and_no_more() {
    let authority = Authority::start().await;
    let mut settings = settings(&authority, OnStale::Deny);
    settings.wanted.staleness = 60 * SECOND;
    let verifier = TokenVerifier::start(settings).unwrap();
    until("fresh", async || verifier.health().stale.is_none()).await;
    authority.change(|it| it.status = Some(503));
    let mut waiting = JoinSet::new();
    for _ in 0..1_030 {
        let verifier = verifier.clone();
        waiting.spawn(async move {
            let Err(unknown) = verifier.verify(of_an_unknown_key().as_bytes()).await else {
                panic!()
            };
            unknown
        });
    }
    let all = waiting.join_all().await;
    let count = |stale| all.iter().filter(|it| **it == NotAccepted::Unknown(stale)).count();
    assert_eq!((count(Stale::Unanswered), count(Stale::Busy)), (1_024, 6));
    authority.change(|it| it.status = None);
    until("there is room again, and an answer", async || {
        let denied = verifier.verify(of_an_unknown_key().as_bytes()).await.unwrap_err();
        denied == NotAccepted::Invalid(Invalid::UnknownKey)
    })
    .await;
}

#[tokio::test]
async fn a_verifier_that_stops_says_bye_and_knows_nothing_more() {
    let authority = Authority::start().await;
    let verifier = started(&authority, OnStale::Allow).await;
    verifier.stop(10 * SECOND).await.unwrap();
    let denied = verifier.verify(token(1).as_bytes()).await.unwrap_err();
    assert_eq!(denied, NotAccepted::Unknown(Stale::Withdrawn));
    let last = authority.seen().queries.pop().unwrap();
    assert!(last.contains(&("bye".to_owned(), "1".to_owned())), "{last:?}");
}

// ---- the copy on disk

/// A verifier with a copy, once no other one holds its lock.
async fn with_copy(authority: &Authority, file: &Path) -> TokenVerifier {
    with_copy_and(settings(authority, OnStale::Deny), file).await
}

async fn with_copy_and(mut settings: FollowSettings, file: &Path) -> TokenVerifier {
    settings.copy = Some(file.to_owned());
    settings.wanted.staleness = 30 * SECOND;
    let mut started = None;
    until("the lock", async || {
        started = TokenVerifier::start(settings.clone()).ok();
        started.is_some()
    })
    .await;
    started.unwrap()
}

#[tokio::test]
async fn a_process_begins_with_the_copy_of_the_last_one() {
    let authority = Authority::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy");
    let first = with_copy(&authority, &file).await;
    until("fresh", async || first.health().stale.is_none()).await;
    authority.append(revoke(1));
    until("acknowledged", async || authority.acknowledged().contains(&"1-2".to_owned())).await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(r#""position":"1-2""#), "it is on disk before it is acknowledged");
    assert!(!text.contains("canary"));
    let mut second = settings(&authority, OnStale::Deny);
    second.copy = Some(file.clone());
    let error = TokenVerifier::start(second).err().unwrap();
    assert!(error.to_string().contains("another process uses the copy"), "{error}");
    drop(first);
    authority.change(|it| it.status = Some(503));
    let other = FollowSettings::new(authority.url.parse().unwrap(), "another-token").unwrap();
    let other = with_copy_and(other, &file).await;
    let unknown = other.verify(token(2).as_bytes()).await.unwrap_err();
    assert_eq!(unknown, NotAccepted::Unknown(Stale::NoView), "the copy is another verifier's");
    drop(other);
    let second = with_copy(&authority, &file).await;
    assert!(second.verify(token(2).as_bytes()).await.is_ok(), "the authority is not there");
    assert!(second.verify(token(1).as_bytes()).await.is_err());
    authority.change(|it| it.status = None);
    second.stop(10 * SECOND).await.unwrap();
    assert!(!file.exists(), "the copy is deleted before bye, and not written again");
    let last = authority.seen().queries.pop().unwrap();
    assert!(last.contains(&("bye".to_owned(), "1".to_owned())), "{last:?}");
}

// ---- usage

#[tokio::test]
async fn uses_reach_the_authority_once_their_minute_is_over() {
    let authority = Authority::start().await;
    let mut settings = settings(&authority, OnStale::Deny);
    settings.usage_interval = Some(Duration::from_millis(100));
    let verifier = TokenVerifier::start(settings).unwrap();
    until("fresh", async || verifier.health().stale.is_none()).await;
    let verified = verifier.verify(token(1).as_bytes()).await.unwrap();
    verifier.record_use(&verified.claims, Some("192.0.2.1".parse().unwrap()));
    // A stateless one has no record at the authority, and takes no room in a report.
    let of_no_row = verifier.verify(stateless().as_bytes()).await.unwrap();
    verifier.record_use(&of_no_row.claims, None);
    authority.change(|it| it.later = 60);
    let uses = || -> Vec<_> {
        let reports = authority.seen().reports.clone();
        assert!(reports.iter().all(|it| it.instance == verifier.health().instance));
        reports.into_iter().flat_map(|it| it.minutes).flat_map(|it| it.uses).collect()
    };
    until("a report", async || !uses().is_empty()).await;
    let shown = |it: &TokenUse| (it.token_id, it.count, it.source.clone());
    let once = (verified.claims.id, 1, "192.0.2.1".to_owned());
    assert_eq!(uses().iter().map(shown).collect::<Vec<_>>(), vec![once.clone()]);

    // The minute in which the process stops is never over for it.
    verifier.record_use(&verified.claims, Some("192.0.2.1".parse().unwrap()));
    verifier.stop(Duration::from_secs(10)).await.unwrap();
    assert_eq!(uses().iter().map(shown).collect::<Vec<_>>(), [once.clone(), once]);
}

#[tokio::test]
async fn only_204_and_400_settle_a_report_and_what_is_lost_is_counted() {
    let authority = Authority::start().await;
    let mut settings = settings(&authority, OnStale::Deny);
    settings.usage_interval = Some(Duration::from_millis(20));
    let verifier = TokenVerifier::start(settings).unwrap();
    until("fresh", async || verifier.health().stale.is_none()).await;
    let verified = verifier.verify(token(1).as_bytes()).await.unwrap();
    let minutes = || {
        let reports = authority.seen().reports.into_iter().flat_map(|it| it.minutes);
        reports.map(|it| (it.uses.iter().map(|it| it.count).sum::<u64>(), it.dropped))
    };
    for (number, status) in (1..).zip([429, 404, 502]) {
        authority.change(|it| it.refusals = vec![status, status]);
        verifier.record_use(&verified.claims, None);
        authority.change(|it| it.later += 60);
        until("a failure", async || verifier.health().usage_failure.is_some()).await;
        until("a report", async || minutes().map(|it| it.0).sum::<u64>() == number).await;
        assert!(minutes().all(|it| it.1 == 0), "{status}");
        until("no failure", async || verifier.health().usage_failure.is_none()).await;
    }
    authority.change(|it| it.refusals = vec![400]);
    verifier.record_use(&verified.claims, None);
    authority.change(|it| it.later += 60);
    until("a failure", async || verifier.health().usage_failure.is_some()).await;
    authority.change(|it| it.later += 60);
    until("the count", async || minutes().any(|it| it == (0, 1))).await;
    assert_eq!(minutes().map(|it| it.0).sum::<u64>(), 3);
}

#[test]
fn a_minute_without_uses_is_reported_once_and_lost_uses_are_counted() {
    let usage = tegata_verifier::usage::Usage::default();
    let instance = tegata_token::feed::InstanceId::from_random([3; 16]);
    let at = |minute: i64| UnixTime(1_790_000_040 + minute * 60);
    let report = usage.report(at(1), &instance).unwrap();
    let [minute] = &report.minutes[..] else { panic!("{report:?}") };
    assert_eq!((minute.minute, minute.uses.len(), minute.dropped), (at(0), 0, 0));
    usage.arrived(&report);
    assert_eq!(usage.report(at(1), &instance), None, "reported before");
    for minute in 1..8 {
        usage.record(at(minute), tegata_token::id::TokenId([1; 16]), channel(), None);
    }
    let report = usage.report(at(9), &instance).unwrap();
    let short: Vec<_> = report.minutes.iter().map(|it| (it.uses.len(), it.dropped)).collect();
    assert_eq!(short, [(1, 2), (1, 0), (1, 0), (1, 0), (1, 0), (0, 0)]);
}

#[test]
fn uses_of_an_authority_whose_clock_went_back_are_of_the_time_that_it_has_now() {
    let usage = tegata_verifier::usage::Usage::default();
    let instance = tegata_token::feed::InstanceId::from_random([3; 16]);
    let id = tegata_token::id::TokenId([1; 16]);
    let at = |seconds: i64| UnixTime(1_790_000_040 + seconds);
    let minutes = |now: i64| -> Vec<_> {
        let report = usage.report(at(now), &instance);
        let minutes = report.iter().flat_map(|it| &it.minutes);
        let count = |it: &UsageMinute| it.uses.iter().map(|it| it.count).sum::<u64>();
        let found = minutes.map(|it| (it.minute.since(at(0)), count(it))).collect();
        report.iter().for_each(|it| usage.arrived(it));
        found
    };
    usage.record(at(3_600), id, channel(), None);
    usage.record(at(3_600), id, channel(), None);
    usage.record(at(5), id, channel(), None);
    assert_eq!(minutes(61), [(0, 3)]);
    assert_eq!(minutes(3_661), [(3_600, 0)]);
    // Back by less than a minute.
    usage.record(at(3_659), id, channel(), None);
    assert_eq!(minutes(3_721), [(3_660, 1)]);
    assert_eq!(minutes(121), [(60, 0)], "back by an hour: minutes are reported again");
}

#[tokio::test]
async fn uses_are_summed_up_by_minute_and_the_most_used_are_reported() {
    let usage = tegata_verifier::usage::Usage::default();
    let instance = tegata_token::feed::InstanceId::from_random([3; 16]);
    let id = |number: u128| tegata_token::id::TokenId(number.to_be_bytes());
    let at = |seconds: i64| UnixTime(1_790_000_040 + seconds);
    for _ in 0..3 {
        usage.record(at(5), id(1), channel(), Some("192.0.2.1".parse().unwrap()));
    }
    usage.record(at(59), id(1), channel(), None);
    let early = usage.report(at(59), &instance).unwrap();
    assert!(early.minutes.iter().all(|it| it.uses.is_empty()), "the minute is not over");
    for number in 0..30_000 {
        usage.record(at(61), id(number), channel(), None);
    }
    let report = usage.report(at(120), &instance).unwrap();
    let [first, second] = &report.minutes[..] else { panic!() };
    let counts: Vec<_> = first.uses.iter().map(|it| (it.count, it.source.as_str())).collect();
    assert_eq!(counts, [(3, "192.0.2.1"), (1, instance.as_str())]);
    assert_eq!(second.uses.len() as u64 + second.dropped, 30_000);
    assert!(second.dropped > 0);
    let text = report.write();
    assert_eq!(tegata_token::feed::UsageReport::parse(text.as_bytes()), Ok(report.clone()));
    usage.arrived(&report);
    assert_eq!(usage.report(at(120), &instance), None);
}

// ---- the layer

#[tokio::test]
async fn the_layer_puts_the_claims_into_the_request_and_rejects_all_others() {
    let authority = Authority::start().await;
    let verifier = started(&authority, OnStale::Deny).await;
    let handler =
        async |Extension(verified): Extension<VerifiedToken>| verified.claims.channel.to_string();
    let layer = VerifyLayer::new(verifier.clone()).kind(Kind::V21);
    let narrow = layer.clone().group("team".parse().unwrap());
    let app = Router::new().route("/", get(handler)).layer(layer);
    let narrow = Router::new().route("/", get(handler)).layer(narrow);
    let call = async |app: &Router, values: &[&str]| {
        let mut request = Request::builder().uri("/");
        for value in values {
            request = request.header("authorization", *value);
        }
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let header = |name| response.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
        let (status, challenge) = (response.status().as_u16(), header("www-authenticate"));
        let retry = header("retry-after");
        let body = axum::body::to_bytes(response.into_body(), 9_999).await.unwrap();
        (status, challenge.or(retry), String::from_utf8(body.to_vec()).unwrap())
    };
    let good = format!("Bearer {}", token(1));
    assert_eq!(call(&app, &[&good]).await, (200, None, "1234567890".to_owned()));
    for bad in [vec![], vec!["Basic abc"], vec!["Bearer abc"], vec![&*good, &*good]] {
        let (status, challenge, body) = call(&app, &bad).await;
        assert_eq!(status, 401, "{bad:?}");
        assert_eq!(challenge.as_deref(), Some(r#"Bearer error="invalid_token""#));
        assert!(body.starts_with(r#"{"message":""#), "{body}");
    }
    assert_eq!(call(&app, &[&format!("Bearer {}", "x".repeat(8_193))]).await.0, 400);
    assert_eq!(call(&narrow, &[&good]).await.0, 403);
    authority.append(revoke(1));
    until("401", async || call(&app, &[&good]).await.0 == 401).await;
    authority.change(|it| it.status = Some(503));
    let other = format!("Bearer {}", token(2));
    until("503", async || call(&app, &[&other]).await.0 == 503).await;
    assert_eq!(call(&app, &[&other]).await.1.as_deref(), Some("1"));
    assert_eq!(call(&app, &[&good]).await.0, 401, "what is revoked stays so");
}

//! Rate and surge limits, and the source that a request is counted under.

use crate::world::{Channel, HttpResponse, World};
use std::{num::NonZeroU32, sync::Arc, time::Duration};
use tegata_server::{config::Settings, http::proxies::TrustedProxies};
use tegata_store::{AuditFilter, AuditRow, ChannelPatch, LimitsPatch, Page, TokenFilter};
use tegata_token::kind::Kind;

fn behind_a_proxy(settings: &mut Settings) {
    settings.trusted_proxies = TrustedProxies::new(vec!["127.0.0.1".parse().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_guesses_count_by_the_source_that_it_names() {
    let world = World::with(behind_a_proxy).await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let guess = async |from: &str| {
        let headers = [("x-forwarded-for", from)];
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &*id),
            ("client_secret", "not the secret"),
        ];
        world.post_with("/v2/oauth/accessToken", &headers, &fields).await.status
    };
    for number in 0..10 {
        // What the client itself sent precedes the proxy's entry, and has no effect.
        assert_eq!(guess(&format!("198.51.100.{number}, 192.0.2.1")).await, 400);
    }
    assert_eq!(guess("192.0.2.1").await, 429);
    assert_eq!(guess("192.0.2.2").await, 400, "another source");
    assert_eq!(guess("what is that?").await, 400, "the proxy itself");
    world.issue(&shop, Kind::ShortLived).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_names_the_source_that_a_trusted_proxy_names_and_trusts_no_other() {
    for (trusted, expected) in [(true, "192.0.2.1"), (false, "127.0.0.1")] {
        let world = World::with(|it| {
            if trusted {
                behind_a_proxy(it)
            }
        })
        .await;
        let shop = world.channel("shop").await;
        let token = world.issue(&shop, Kind::ShortLived).await;
        let fields = [("access_token", &*token)];
        let headers = [("x-forwarded-for", "192.0.2.1")];
        assert_eq!(world.post_with("/v2/oauth/revoke", &headers, &fields).await.status, 200);
        let page = Page { before: None, most: 1 };
        let audit = world.admin().audit(AuditFilter::of(shop.id), page).await.unwrap();
        assert_eq!(audit[0].source.as_deref(), Some(expected));
    }
}

const TOO_FAST: &str = r#"{"message":"The API rate limit has been exceeded. Try again later."}"#;

fn surge_of(issues: u32) -> impl Fn(&mut Settings) {
    move |settings| settings.rates.surge.issues = NonZeroU32::new(issues)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cooldown_applies_to_its_group_and_kind_alone_and_is_reported_everywhere() {
    let world = World::with(surge_of(4)).await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let issue = async |group: &str| world.short_lived(&shop, &[("group", group)]).await;
    for _ in 0..4 {
        issue("loop").await.token();
    }
    let cooldowns = issue("loop").await;
    cooldowns.is(429, TOO_FAST);
    assert_eq!(cooldowns.header("retry-after"), "600");
    issue("quiet").await.token();
    world.issue_to(&shop, Kind::V21, "loop").await;
    world.issue(&other, Kind::ShortLived).await;
    world.issue(&shop, Kind::Stateless).await;

    let cooldowns =
        world.authority().cooldowns(shop.id, &tegata_policy::channel::ChannelLimits::default());
    assert_eq!(cooldowns.len(), 1);
    assert!((597..=600).contains(&cooldowns[0].1.since(world.authority().now())));
    let metrics = world.get("/metrics").await.text;
    for line in [
        "tegata_throttled_total{limit=\"surge\"} 1",
        "tegata_cooldowns_total 1",
        "tegata_cooldowns_active 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert_eq!(issue("loop").await.status, 429);
    let events = audited(&world, &shop, "issuing.cooldown").await;
    assert_eq!(events.len(), 1, "once for each cooldown");
    assert_eq!(events[0].detail["kind"], "short-lived");
    assert_eq!(events[0].detail["group"], "loop");
    // The clock that tests advance does not apply to the limits.
    world.advance(601).await;
    assert_eq!(issue("loop").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_under_its_key_does_not_count_for_the_surge_limit() {
    let world = World::with(surge_of(2)).await;
    let shop = world.channel("shop").await;
    for _ in 0..5 {
        world.issue_once(&shop, Kind::ShortLived, "one").await;
    }
    world.issue_once(&shop, Kind::ShortLived, "two").await;
    let headers = [("idempotency-key", "three")];
    let third = world.post_with("/v2/oauth/accessToken", &headers, &shop.by_secret()).await;
    third.is(429, TOO_FAST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_before_its_response_counts_for_the_surge_limit() {
    let world = World::with(surge_of(3)).await;
    let shop = world.channel("shop").await;
    let disk = rusqlite::Connection::open(world.folder.path().join("tegata.db")).unwrap();
    for _ in 0..3 {
        // The issue waits for the disk when its client disconnects.
        disk.execute_batch("BEGIN IMMEDIATE").unwrap();
        let asked = world.try_issue(&shop, Kind::ShortLived);
        let hung_up = tokio::time::timeout(Duration::from_secs(1), asked).await;
        assert!(hung_up.is_err(), "it was answered: {hung_up:?}");
        disk.execute_batch("ROLLBACK").unwrap();
        world.authority().is_writable().await.unwrap();
    }
    let page = Page { before: None, most: 10 };
    let issued = world.admin().tokens(shop.id, TokenFilter::default(), page).await.unwrap().len();
    assert_eq!(issued, 3, "they were issued anyway");
    world.short_lived(&shop, &[]).await.is(429, TOO_FAST);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_clients_get_no_more_than_the_surge_limit_allows() {
    let world = Arc::new(World::with(surge_of(20)).await);
    let shop = Arc::new(world.channel("shop").await);
    let race = (0..60).map(|_| {
        let (world, shop) = (world.clone(), shop.clone());
        tokio::spawn(async move { world.try_issue(&shop, Kind::ShortLived).await })
    });
    let mut passed = 0;
    for racer in race.collect::<Vec<_>>() {
        passed += usize::from(racer.await.unwrap().is_ok());
    }
    assert_eq!(passed, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channels_own_limits_apply_to_it_alone_and_survive_a_restart() {
    let mut world = World::new().await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let limits = LimitsPatch { surge_limit: Some(Some(1)), ..LimitsPatch::default() };
    world.change(&shop, ChannelPatch { limits, ..ChannelPatch::default() }).await;
    for _ in 0..2 {
        world.issue(&shop, Kind::ShortLived).await;
        world.short_lived(&shop, &[]).await.is(429, TOO_FAST);
        world.issue(&other, Kind::ShortLived).await;
        world.issue(&other, Kind::ShortLived).await;
        // The counts are in the memory of the process.
        world.restart().await;
    }
    let limits = LimitsPatch { surge_limit: Some(None), ..LimitsPatch::default() };
    world.change(&shop, ChannelPatch { limits, ..ChannelPatch::default() }).await;
    for _ in 0..3 {
        world.issue(&shop, Kind::ShortLived).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_has_its_own_rate_and_verification_has_one_only_if_it_is_set() {
    let one = NonZeroU32::new(1).unwrap();
    let world = World::with(|it| (it.rates.other, it.rates.check) = (one, Some(one))).await;
    let free = World::with(|it| it.rates.other = one).await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::V21).await;
    let opaque = world.issue(&shop, Kind::ShortLived).await;
    let assertion = shop.assertion(world.now());
    assert!(is_limited(async || world.verify_jws(&token).await).await);
    assert!(is_limited(async || world.verify_opaque(&opaque).await).await);
    assert!(is_limited(async || world.key_ids(&assertion).await).await);
    assert!(!is_limited(async || world.gateway(&token, "").await).await, "no operation of LINE's");

    let shop = free.channel("shop").await;
    let token = free.issue(&shop, Kind::V21).await;
    assert!(!is_limited(async || free.verify_jws(&token).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channels_own_verification_rate_applies_to_it_alone_and_survives_a_restart() {
    let mut world = World::new().await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let mut tokens = Vec::new();
    for channel in [&shop, &other] {
        tokens.push(world.issue(channel, Kind::V21).await);
    }
    let rate = |rate| LimitsPatch { verify_rate: Some(rate), ..LimitsPatch::default() };
    let patch = |rate| ChannelPatch { limits: rate, ..ChannelPatch::default() };
    world.change(&shop, patch(rate(NonZeroU32::new(1)))).await;
    for _ in 0..2 {
        assert!(is_limited(async || world.verify_jws(&tokens[0]).await).await);
        assert!(!is_limited(async || world.verify_jws(&tokens[1]).await).await);
        world.restart().await;
    }
    world.change(&shop, patch(rate(None))).await;
    assert!(!is_limited(async || world.verify_jws(&tokens[0]).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_revoked_token_does_not_count_for_the_rate_limit() {
    let world = World::with(|it| it.rates.other = NonZeroU32::new(1).unwrap()).await;
    let shop = world.channel("shop").await;
    let first = world.issue(&shop, Kind::ShortLived).await;
    let second = world.issue(&shop, Kind::ShortLived).await;
    world.revoke(&shop, &first).await;
    for _ in 0..20 {
        world.revoke(&shop, &first).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
    world.revoke(&shop, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_guesses_are_audited_once_and_never_for_channels_that_do_not_exist() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    for id in [shop.id.to_string(), "9999999999".to_owned()] {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &*id),
            ("client_secret", "not the secret"),
        ];
        for number in 0..14 {
            let response = world.post("/oauth2/v3/token", &fields).await;
            assert_eq!(response.status, if number < 10 { 400 } else { 429 }, "{id}");
        }
    }
    let events = audited(&world, &shop, "secret.throttle").await;
    assert!(events[0].provider.is_some(), "a search by provider finds it");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].source.as_deref(), Some("127.0.0.1"));
    let page = Page { before: None, most: 100 };
    let all = world.admin().audit(AuditFilter::default(), page).await.unwrap();
    assert_eq!(all.iter().filter(|row| row.act == "secret.throttle").count(), 1);
    assert!(world.get("/metrics").await.text.contains("tegata_throttled_total{limit=\"guess\"} 8"));
}

/// Sends requests until one is throttled; at one a second, about the third is.
async fn is_limited(ask: impl AsyncFn() -> HttpResponse) -> bool {
    for _ in 0..10 {
        let response = ask().await;
        if response.status == 429 {
            response.is(429, TOO_FAST);
            assert_eq!(response.header("retry-after"), "1");
            return true;
        }
        assert_eq!(response.status, 200, "{}", response.text);
    }
    false
}

/// The audit events of a channel with that act, which are written after the response.
async fn audited(world: &World, shop: &Channel, act: &str) -> Vec<AuditRow> {
    for _ in 0..100 {
        let page = Page { before: None, most: 100 };
        let mut rows = world.admin().audit(AuditFilter::of(shop.id), page).await.unwrap();
        rows.retain(|row| row.act == act);
        if !rows.is_empty() {
            return rows;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no {act} was audited");
}

async fn acts(world: &World) -> Vec<(String, Option<String>)> {
    let page = Page { before: None, most: 1_000 };
    let rows = world.admin().audit(AuditFilter::default(), page).await.unwrap();
    let events = rows.into_iter().filter(|row| row.act.starts_with("admin"));
    events.map(|row| (row.act, row.source)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_administrators_tokens_are_audited_and_lock_no_administrator_out() {
    let world = World::with(behind_a_proxy).await;
    let file = world.running().admin_token_file.clone().unwrap();
    let token = format!("Bearer {}", std::fs::read_to_string(file).unwrap().trim());
    let ask = async |token: &str, from: &str| {
        let headers = [("authorization", token), ("x-forwarded-for", from)];
        world.get_with("/admin/v1/providers", &headers).await.status
    };
    for _ in 0..10 {
        assert_eq!(ask("Bearer wrong", "192.0.2.1").await, 401);
    }
    assert_eq!(acts(&world).await, [], "a few are mistakes");
    for _ in 0..30 {
        assert_eq!(ask("Bearer wrong", "192.0.2.1").await, 401);
    }
    assert_eq!(ask(&token, "192.0.2.1").await, 200);
    let expected = ("admin-token.throttle".to_owned(), Some("192.0.2.1".to_owned()));
    // The event is written after the response.
    for _ in 0..100 {
        if !acts(&world).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(acts(&world).await, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_of_the_administrators_token_under_a_running_server_is_in_the_audit() {
    let world = World::new().await;
    let file = world.running().admin_token_file.clone().unwrap();
    world.advance(60).await;
    assert_eq!(acts(&world).await, []);
    tegata_server::authority::admin_token::replace(&file, &file, None).unwrap();
    world.advance(60).await;
    world.advance(60).await;
    assert_eq!(acts(&world).await, [("admin.reset".to_owned(), None)]);
}

//! What applies to every channel, and what is counted over channels.

use crate::world::World;
use http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn the_token_rules_and_the_effective_limits_are_readable() {
    let world = World::new().await;
    let rules = world.get("/token-rules").await.expect(200);
    let of = |rules: &Value, kind: &str| {
        rules.as_array().unwrap().iter().find(|it| it["kind"] == kind).unwrap().clone()
    };
    let current = of(&rules["current"], "short-lived");
    assert_eq!((&current["cap"], &current["when_full"]), (&json!(30), &json!("evict-oldest")));
    assert_eq!(of(&rules["current"], "long-lived")["longest_seconds"], Value::Null);
    assert_eq!(of(&rules["current"], "v2.1")["longest_seconds"], 2_592_000);
    assert_eq!(of(&rules["current"], "stateless")["cap"], Value::Null);
    let legacy = of(&rules["legacy-2020"], "long-lived");
    assert_eq!(legacy["counted_with"], json!(["short-lived", "long-lived"]));
    let settings = world.get("/settings").await.expect(200);
    assert_eq!(settings["public_url"], "http://tegata.test");
    assert_eq!(settings["issue_rate_short_lived"], 370);
    assert_eq!(
        (&settings["verify_rate"], &settings["token_idle_after_seconds"]),
        (&Value::Null, &json!(900))
    );
    let human = world.human("new-here", json!({})).await;
    world.call(&human.session, Method::GET, "/settings", Value::Null).await.expect(200);
}

#[tokio::test]
async fn what_expires_first_is_found_over_all_channels_that_are_seen() {
    let world = World::new().await;
    let (one, two) = (world.channel().await, world.channel().await);
    let (key, kid) = world.key(&one, None).await;
    world.short_lived(&two, None).await;
    world.v21(&one, &key, &kid).await;
    world.authority.advance_clock(60).await.unwrap();
    world.short_lived(&one, None).await;
    world.long_lived(&one, 0).await;
    let now = world.authority.now();
    let at = |days: i64| jiff::Timestamp::from_second(now.0 + days * 86_400).unwrap().to_string();
    let list = async |path: String| world.get(&path).await.expect(200);
    let all = list(format!("/tokens?expires_before={}", at(40))).await;
    let short = |it: &Value| (it["kind"].clone(), it["channel_id"].clone());
    let shown: Vec<_> = all["tokens"].as_array().unwrap().iter().map(short).collect();
    let expected = [("v2.1", &one), ("short-lived", &two), ("short-lived", &one)];
    assert_eq!(shown, expected.map(|(kind, shop)| (json!(kind), json!(shop.id))), "{all:#}");
    let soon = list(format!("/tokens?expires_before={}", at(1))).await;
    assert_eq!(soon["tokens"].as_array().unwrap().len(), 1);

    let (mut pages, mut path) = (Vec::new(), format!("/tokens?expires_before={}&limit=1", at(40)));
    let first = path.clone();
    loop {
        let page = list(path).await;
        pages.extend(page["tokens"].as_array().unwrap().iter().map(short));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("{first}&after={next}");
    }
    assert_eq!(pages, shown);
    let all = list("/tokens".to_owned()).await;
    assert_eq!(all["tokens"].as_array().unwrap().len(), 4, "the long-lived one, too");
    world.get("/tokens?expires_before=soon").await.expect_problem(400, "invalid-member");

    // Those of a key, and of one channel's people.
    let of_key = list(one.at(&format!("/tokens?assertion_key={kid}"))).await;
    assert_eq!(of_key["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(of_key["tokens"][0]["assertion_key"], kid);
    let role = json!({ "channel_id": two.id, "channel_role": "admin" });
    let human = world.human("two-admin", role).await;
    let path = format!("/tokens?expires_before={}", at(40));
    let seen = world.call(&human.session, Method::GET, &path, Value::Null).await.expect(200);
    let seen: Vec<_> = seen["tokens"].as_array().unwrap().iter().map(short).collect();
    assert_eq!(seen, [(json!("short-lived"), json!(two.id))]);
}

#[tokio::test]
async fn a_provider_counts_its_channels_and_their_active_tokens() {
    let world = World::new().await;
    let shop = world.channel().await;
    let other = world.channel_of(&shop.provider, "line-login").await;
    for _ in 0..3 {
        world.short_lived(&shop, None).await;
    }
    world.short_lived(&other, None).await;
    world.channel().await;
    let path = format!("/providers/{}", shop.provider);
    let shown = world.get(&path).await.expect(200);
    assert_eq!((&shown["channels"], &shown["active_tokens"]), (&json!(2), &json!(4)));
    world.delete(&format!("/channels/{}", other.id)).await.expect(200);
    world.post(&shop.at("/revocations"), json!({ "all": true })).await.expect(201);
    let shown = world.get(&path).await.expect(200);
    assert_eq!((&shown["channels"], &shown["active_tokens"]), (&json!(1), &json!(0)));
    let listed = world.get("/providers").await.expect(200);
    let counts: Vec<_> =
        listed["providers"].as_array().unwrap().iter().map(|it| it["channels"].clone()).collect();
    assert_eq!(counts, [json!(1), json!(1)]);
}

#[tokio::test]
async fn the_last_verification_of_the_audit_and_the_minutes_of_the_day_are_kept() {
    let world = World::new().await;
    let last = world.get("/audit/last-verification").await.expect(200);
    assert_eq!((&last["verified_at"], &last["ok"]), (&Value::Null, &Value::Null));
    let report = world.get("/audit/verify").await.expect(200);
    let last = world.get("/audit/last-verification").await.expect(200);
    assert!(last["verified_at"].is_string(), "{last}");
    assert_eq!(last["ok"], report["ok"]);

    assert_eq!(world.get("/activity").await.expect(200)["minutes"], json!([]));
    let shop = world.channel().await;
    let token = world.short_lived(&shop, None).await;
    let counts = &world.metrics.verifications_gateway;
    counts.count(&world.authority.verify(token.as_bytes(), None).await.unwrap());
    counts.count(&world.authority.verify(b"wrong", None).await.unwrap());
    world.metrics.issues(tegata_token::kind::Kind::ShortLived).issued.inc();
    world.authority.note_activity();
    let minutes = world.get("/activity").await.expect(200)["minutes"].clone();
    let minute = &minutes[0];
    assert_eq!(minutes.as_array().unwrap().len(), 1);
    assert_eq!((&minute["verified"], &minute["rejected"]), (&json!(1), &json!(1)), "{minutes}");
    assert_eq!(minute["issued"], 1);
    assert!(minute["minute"].as_str().unwrap().ends_with(":00Z"));
}

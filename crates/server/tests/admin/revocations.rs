//! Revoking tokens by every selector.

use crate::world::World;
use serde_json::{Value, json};
use std::sync::Arc;
use tegata_store::{Error, Store};
use tegata_token::time::UnixTime;

#[tokio::test]
async fn each_selector_revokes_exactly_what_it_names() {
    let world = World::new().await;
    let shop = world.channel().await;
    let (key, kid) = world.key(&shop, None).await;
    let plain = world.short_lived(&shop, None).await;
    let kitchen = world.short_lived(&shop, Some("kitchen")).await;
    let v21 = world.v21(&shop, &key, &kid).await;
    let (long_lived, long_lived_id) = world.long_lived(&shop, 0).await;
    let stateless = world.stateless(&shop).await;

    let revoke = async |what: Value, count: u64| {
        let mut dry = what.clone();
        dry["dry_run"] = true.into();
        let response = world.post(&shop.at("/revocations"), dry).await.expect(200);
        assert_eq!(response["revoked"], count, "dry run of {what}");
        assert_eq!(response["dry_run"], true);
        assert_eq!(response["tokens"].as_array().map(Vec::len), Some(count as usize), "{what}");
        let done = world.post(&shop.at("/revocations"), what.clone()).await.expect(201);
        assert_eq!(done["revoked"], count, "{what}");
        assert!(done.get("dry_run").is_none());
        assert!(done["position"].is_string());
        assert_eq!(
            (&done["receipt"]["state"], &done["receipt"]["position"]),
            (&json!("complete"), &done["position"])
        );
        let again = world.post(&shop.at("/revocations"), what.clone()).await.expect(201);
        assert_eq!(again["revoked"], 0, "{what} again");
        assert_ne!(again["position"], done["position"], "an act without effects has a position");
    };
    revoke(json!({ "access_token": stateless, "wait_seconds": 5 }), 1).await;
    assert_eq!(world.state(&stateless).await, "revoked");
    revoke(json!({ "token_id": long_lived_id, "reason": "old" }), 1).await;
    assert_eq!(world.state(&long_lived).await, "revoked");
    revoke(json!({ "group": "kitchen" }), 1).await;
    assert_eq!(world.state(&kitchen).await, "revoked");
    assert_eq!(world.state(&plain).await, "active");
    revoke(json!({ "assertion_key": kid }), 1).await;
    assert_eq!(world.state(&v21).await, "revoked");
    revoke(json!({ "kind": "short-lived" }), 1).await;
    assert_eq!(world.state(&plain).await, "revoked");
    world.short_lived(&shop, None).await;
    world.v21(&shop, &key, &kid).await;
    revoke(json!({ "all": true }), 2).await;
}

#[tokio::test]
async fn a_target_that_does_not_exist_is_not_found_and_nothing_is_written() {
    let world = World::new().await;
    let shop = world.channel().await;
    let login = world.channel_of(&shop.provider, "line-login").await;
    let (_, kid) = world.key(&shop, None).await;
    world.short_lived(&shop, Some("red")).await;
    world.stateless_of(&shop, Some("blue")).await;
    let audit = async || world.get("/audit").await.expect(200)["events"].clone();
    let before = audit().await;
    let position = world.authority.view().position();
    let other = "00000000-0000-4000-8000-000000000000";
    for (shop, what, detail) in [
        (&shop, json!({ "group": "blu" }), "no such group; there are blue, red".to_owned()),
        (&login, json!({ "group": "blue" }), "no such group; the channel has none".to_owned()),
        (
            &shop,
            json!({ "assertion_key": other }),
            format!("no such assertion key; there is {kid}"),
        ),
        (
            &login,
            json!({ "assertion_key": kid }),
            "no such assertion key; the channel has none".to_owned(),
        ),
    ] {
        for dry_run in [true, false] {
            let mut what = what.clone();
            what["dry_run"] = dry_run.into();
            let refused = world.post(&shop.at("/revocations"), &what).await;
            assert_eq!(refused.body["detail"], detail, "{what}");
            refused.expect_problem(404, "not-found");
        }
    }
    let never = json!({ "kind": "v2.1" });
    world.post(&login.at("/revocations"), never).await.expect_problem(409, "kind-not-for-channel");
    for query in ["", "?dry_run=true"] {
        let refused = world.delete(&shop.at(&format!("/groups/blu{query}"))).await;
        assert_eq!(refused.body["detail"], "no such group; there are blue, red");
        refused.expect_problem(404, "not-found");
        let refused = world.delete(&shop.at(&format!("/assertion-keys/{other}{query}"))).await;
        refused.expect_problem(404, "not-found");
    }
    for anywhere in [
        json!({ "provider_id": "1234567890", "dry_run": true }),
        json!({ "provider_id": "1234567890" }),
        json!({ "signing_key": "AAAAAAAAAAA", "dry_run": true }),
        json!({ "signing_key": "AAAAAAAAAAA" }),
    ] {
        world.post("/revocations", anywhere).await.expect_problem(404, "not-found");
    }
    assert_eq!(audit().await, before);
    assert_eq!(world.authority.view().position(), position);
}

#[tokio::test]
async fn stateless_tokens_of_a_target_are_reported_as_included() {
    let world = World::new().await;
    let shop = world.channel().await;
    let token = world.stateless_of(&shop, Some("blue")).await;
    let path = shop.at("/revocations");
    let by_text = json!({ "access_token": token, "dry_run": true });
    let response = world.post(&path, by_text).await.expect(200);
    assert_eq!((&response["revoked"], response.get("stateless_too")), (&json!(1), None));
    for (what, too) in [
        (json!({ "kind": "v2.1" }), None),
        (json!({ "kind": "stateless" }), Some(&json!(true))),
        (json!({ "all": true }), Some(&json!(true))),
        (json!({ "group": "blue" }), Some(&json!(true))),
    ] {
        for dry_run in [true, false] {
            let mut what = what.clone();
            what["dry_run"] = dry_run.into();
            let response = world.post(&path, &what).await;
            assert_eq!(response.body.get("stateless_too"), too, "{what}");
        }
    }
    assert_eq!(world.state(&token).await, "revoked");
    let everything = json!({ "all": true, "dry_run": true });
    let response = world.post("/revocations", everything).await.expect(200);
    assert_eq!(response["stateless_too"], true);
}

#[tokio::test]
async fn exactly_one_selector_is_accepted_and_no_dry_run_revokes_anything() {
    let world = World::new().await;
    let shop = world.channel().await;
    let token = world.short_lived(&shop, None).await;
    let path = shop.at("/revocations");
    world.post(&path, json!({})).await.expect_problem(400, "missing-member");
    for wrong in [
        json!({ "all": true, "group": "a" }),
        json!({ "all": false }),
        json!({ "all": "true" }),
        json!({ "kind": "v2" }),
        json!({ "all": true, "wait_seconds": 61 }),
        json!({ "all": true, "dry_run": null }),
        json!({ "all": true, "reason": "a\u{0}b" }),
    ] {
        world.post(&path, wrong).await.expect_problem(400, "invalid-member");
    }
    let typo = json!({ "all": true, "dryrun": true });
    world.post(&path, typo).await.expect_problem(400, "unknown-member");
    let none = json!({ "token_id": "AAAAAAAAAAAAAAAAAAAAAA" });
    world.post(&path, none).await.expect_problem(404, "not-found");
    world.post(&path, json!({ "all": true, "dry_run": true })).await.expect(200);
    assert_eq!(world.state(&token).await, "active");
}

#[tokio::test]
async fn a_token_of_another_channel_is_left_alone() {
    let world = World::new().await;
    let shop = world.channel().await;
    let other = world.channel_of(&shop.provider, "messaging-api").await;
    let token = world.short_lived(&other, None).await;
    let one = json!({ "access_token": token });
    world.post(&shop.at("/revocations"), one.clone()).await.expect_problem(404, "not-found");
    assert_eq!(world.state(&token).await, "active");
    assert_eq!(world.post("/revocations", one).await.expect(201)["revoked"], 1);
    assert_eq!(world.state(&token).await, "revoked");
    let nonsense = json!({ "access_token": "nonsense" });
    world.post("/revocations", nonsense).await.expect_problem(404, "not-our-token");
}

#[tokio::test]
async fn a_provider_is_revoked_with_all_its_channels_and_no_other() {
    let world = World::new().await;
    let shop = world.channel().await;
    let second = world.channel_of(&shop.provider, "line-login").await;
    let foreign = world.channel().await;
    let mine = [world.short_lived(&shop, None).await, world.stateless(&second).await];
    let theirs = world.short_lived(&foreign, None).await;
    let what = json!({ "provider_id": shop.provider, "dry_run": true });
    assert_eq!(world.post("/revocations", what).await.expect(200)["revoked"], 1);
    assert_eq!(world.state(&mine[0]).await, "active");
    let what = json!({ "provider_id": shop.provider });
    assert_eq!(world.post("/revocations", what).await.expect(201)["revoked"], 1);
    for token in &mine {
        assert_eq!(world.state(token).await, "revoked");
    }
    assert_eq!(world.state(&theirs).await, "active");
    let unknown = json!({ "provider_id": "1234567890" });
    world.post("/revocations", unknown).await.expect_problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_revocation_of_a_provider_is_answered_also_if_another_server_takes_its_last_step() {
    let world = World::new().await;
    let shop = world.channel().await;
    // More than are revoked in one step.
    for _ in 0..120 {
        world.channel_of(&shop.provider, "mini-app").await;
    }
    let what = json!({ "provider_id": shop.provider });
    let other = tokio::spawn(go_on_with_jobs(world.store.clone()));
    // Both go on at their own speed: who takes the last step is not known before.
    let mut by_another = 0;
    for round in 0.. {
        assert!(round < 200, "the other server never took the last step");
        let token = world.short_lived(&shop, None).await;
        let done = world.post("/revocations", what.clone()).await.expect(201);
        assert_eq!(world.state(&token).await, "revoked");
        assert_eq!(done["receipt"]["state"], "complete");
        let receipt = format!("/receipts/{}", done["position"].as_str().unwrap());
        assert_eq!(world.get(&receipt).await.expect(200)["position"], done["position"]);
        assert_eq!(world.store.provider_revocations().await.unwrap(), []);
        match done["revoked"].as_u64() {
            Some(tokens) => assert_eq!(tokens, 1),
            None => by_another += 1,
        }
        if by_another == 3 {
            break;
        }
    }
    assert!(!other.is_finished());
    other.abort();
}

/// Goes on with each revocation of a provider's tokens that it finds, as a server does with those
/// that were interrupted.
async fn go_on_with_jobs(store: Arc<dyn Store>) {
    loop {
        for it in store.provider_revocations().await.unwrap() {
            let step =
                async || store.continue_provider_revocation(it.job, 1_000, UnixTime(0)).await;
            let end = loop {
                match step().await {
                    Ok((_, false)) => {}
                    end => break end,
                }
            };
            assert!(matches!(end, Ok(_) | Err(Error::NotFound(_))), "{end:?}");
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_revoked_signing_key_revokes_what_it_signed_and_all_revokes_every_token() {
    let world = World::new().await;
    let shop = world.channel().await;
    let token = world.short_lived(&shop, None).await;
    let keys = world.get("/signing-keys").await.expect(200);
    let kid = keys["signing_keys"][0]["kid"].clone();
    let dry = json!({ "signing_key": kid, "dry_run": true });
    assert_eq!(world.post("/revocations", dry).await.expect(200)["revoked"], 1);
    assert_eq!(world.state(&token).await, "active");
    let done = world.post("/revocations", json!({ "signing_key": kid })).await.expect(201);
    assert_eq!(done["revoked"], 1);
    let response = world.explain(&token).await;
    assert_eq!((&response["state"], &response["cause"]), (&json!("revoked"), &json!("requested")));
    assert!(response["why"].as_str().unwrap().contains(kid.as_str().unwrap()));

    let next = world.short_lived(&shop, None).await;
    let dry = json!({ "all": true, "dry_run": true });
    assert_eq!(world.post("/revocations", dry).await.expect(200)["revoked"], 1);
    assert_eq!(world.state(&next).await, "active");
    world.post("/revocations", json!({ "all": true, "reason": "stolen" })).await.expect(201);
    assert_eq!(world.state(&next).await, "revoked");
    let last = world.short_lived(&shop, None).await;
    assert_eq!(world.state(&last).await, "active");
    let unknown = json!({ "signing_key": "AAAAAAAAAAA" });
    world.post("/revocations", unknown).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_token_is_explained_by_its_own_revocation_and_not_by_a_wider_one_before_its_issue() {
    let world = World::new().await;
    let shop = world.channel().await;
    // In the second in which the token is issued, most of the time.
    let wider = json!({ "kind": "stateless", "reason": "first" });
    world.post(&shop.at("/revocations"), wider).await.expect(201);
    let token = world.stateless(&shop).await;
    let own = json!({ "access_token": token, "reason": "second" });
    world.post(&shop.at("/revocations"), own).await.expect(201);
    assert_eq!(world.explain(&token).await["reason"], "second");
}

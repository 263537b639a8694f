//! Providers, channels, secrets, groups, and their audit events.

use crate::world::{PEER, World};
use serde_json::{Value, json};

#[tokio::test]
async fn a_channel_shows_its_secret_once_and_its_settings_always() {
    let world = World::new().await;
    let provider = world.provider("Company").await;
    let body = json!({ "name": "shop", "type": "messaging-api" });
    let path = format!("/providers/{provider}/channels");
    let made = world.post(&path, body).await.expect(201);
    assert_eq!(made["channel_secret"].as_str().unwrap().len(), 32);
    let created_at = made["created_at"].as_str().unwrap();
    created_at.parse::<jiff::Timestamp>().unwrap();

    let id = made["channel_id"].as_str().unwrap();
    assert_eq!(id.len(), 10);
    let shown = world.get(&format!("/channels/{id}")).await.expect(200);
    assert_eq!(
        shown,
        json!({
            "channel_id": id, "provider_id": provider, "name": "shop", "type": "messaging-api",
            "state": "active", "rules": "current", "group_cap": 2, "group_when_full": "evict-oldest",
            "own_audience_only": false, "single_use_assertions": false, "on_leak": "revoke",
            "created_at": created_at,
            "limits": {
                "issue_rate_short_lived": null, "issue_rate": null, "verify_rate": null,
                "surge_limit": null,
                "surge_window_seconds": null, "surge_cooldown_seconds": null,
            },
            "secrets": [{ "valid_until": null, "last_used_at": null }], "cooldowns": [],
        })
    );
    let mut row = shown;
    for alone in ["secrets", "cooldowns"] {
        row.as_object_mut().unwrap().remove(alone);
    }
    let list = world.get(&path).await.expect(200);
    assert_eq!(list, json!({ "channels": [row], "next": null }));
    let wrong = json!({ "name": "a", "type": "bot" });
    world.post(&path, wrong).await.expect_problem(400, "invalid-member");
}

#[tokio::test]
async fn every_setting_of_a_channel_can_be_changed_and_is_checked() {
    let world = World::new().await;
    let shop = world.channel().await;
    let changes = json!({
        "name": "店", "rules": "legacy-2020", "state": "suspended", "group_cap": 5,
        "group_when_full": "deny", "own_audience_only": true, "single_use_assertions": true,
        "on_leak": "flag",
        "limits": {
            "issue_rate_short_lived": 10, "issue_rate": 20, "verify_rate": 30,
            "surge_limit": 0,
            "surge_window_seconds": 60, "surge_cooldown_seconds": 30,
        },
    });
    let changed = world.patch(&shop.at(""), changes.clone()).await.expect(200);
    for (name, value) in changes.as_object().unwrap() {
        assert_eq!(&changed[name], value, "{name}");
    }
    let own = |mut it: Value| {
        for name in ["revoked", "stateless_too", "position", "receipt"] {
            it.as_object_mut().unwrap().remove(name);
        }
        it
    };
    let changed = own(changed);
    assert_eq!(world.get(&shop.at("")).await.expect(200), changed);
    let before = world.authority.view().position();
    let same = world.patch(&shop.at(""), json!({})).await.expect(200);
    assert_eq!(own(same), changed);
    assert_eq!(world.authority.view().position(), before, "no change is no act");
    for wrong in [
        json!({ "state": "deleted" }),
        json!({ "rules": "2019" }),
        json!({ "group_cap": 0 }),
        json!({ "group_cap": 31 }),
        json!({ "group_cap": 2.5 }),
        json!({ "group_when_full": "end" }),
        json!({ "own_audience_only": "true" }),
        json!({ "on_leak": "ignore" }),
        json!({ "limits": 5 }),
        json!({ "limits": { "issue_rate": 0 } }),
        json!({ "limits": { "verify_rate": 0 } }),
        json!({ "limits": { "issue_rate": 1_000_001 } }),
        json!({ "limits": { "surge_limit": -1 } }),
        json!({ "limits": { "surge_cooldown_seconds": 86_401 } }),
    ] {
        world.patch(&shop.at(""), wrong).await.expect_problem(400, "invalid-member");
    }
    let unknown = json!({ "limits": { "verify_rat": 5 } });
    world.patch(&shop.at(""), unknown).await.expect_problem(400, "unknown-member");
    let back = json!({ "limits": { "issue_rate": null, "surge_limit": 7 } });
    let limits = world.patch(&shop.at(""), back).await.expect(200)["limits"].take();
    assert_eq!(limits["issue_rate"], json!(null), "null restores the server's");
    assert_eq!(
        (&limits["surge_limit"], &limits["issue_rate_short_lived"]),
        (&json!(7), &json!(10))
    );
    world.patch(&shop.at(""), json!({ "type": "x" })).await.expect_problem(400, "unknown-member");
}

#[tokio::test]
async fn a_deleted_channel_is_deleted_with_its_tokens() {
    let world = World::new().await;
    let shop = world.channel().await;
    let token = world.short_lived(&shop, None).await;
    let leaked = world.short_lived(&shop, None).await;
    let revoke = json!({ "access_token": leaked, "reason": "in a log" });
    world.post(&shop.at("/revocations"), revoke).await.expect(201);
    assert_eq!(world.delete(&shop.at("")).await.expect(200)["revoked"], 1);
    world.get(&shop.at("")).await.expect_problem(404, "not-found");
    world.delete(&shop.at("")).await.expect_problem(404, "not-found");
    let list = world.get(&format!("/providers/{}/channels", shop.provider)).await.expect(200);
    assert_eq!(list["channels"], json!([]));
    let explained = world.explain(&token).await;
    assert_eq!(explained["state"], "revoked");
    let why = explained["why"].as_str().unwrap();
    assert!(why.starts_with("Its channel was deleted. By administrator from 192.0.2.7"), "{why}");
    // The act that revoked a token first stays its explanation.
    let explained = world.explain(&leaked).await;
    assert_eq!((&explained["code"], &explained["reason"]), (&json!("revoked"), &json!("in a log")));
    assert!(explained["why"].as_str().unwrap().contains("token.revoke"), "{explained}");
}

#[tokio::test]
async fn a_rotation_may_keep_the_previous_secret_for_a_time_and_may_revoke_all_tokens() {
    let world = World::new().await;
    let shop = world.channel().await;
    let token = world.short_lived(&shop, None).await;
    let made = world.post(&shop.at("/secret"), json!({})).await.expect(201);
    assert_ne!(made["channel_secret"], json!(shop.secret));
    assert_eq!(made["previous_valid_until"], json!(null));
    assert_eq!(world.state(&token).await, "active");

    let how = json!({ "keep_previous_seconds": 86_400, "revoke_tokens": "all" });
    let made = world.post(&shop.at("/secret"), how).await.expect(201);
    assert!(made["previous_valid_until"].as_str().unwrap().ends_with('Z'));
    let secrets = |made: &Value| {
        json!([
            { "valid_until": null, "last_used_at": null },
            { "valid_until": made["previous_valid_until"], "last_used_at": null },
        ])
    };
    assert_eq!(world.get(&shop.at("")).await.expect(200)["secrets"], secrets(&made));
    // A rotation within the overlap leaves two secrets, never three.
    let how = json!({ "keep_previous_seconds": 60 });
    let again = world.post(&shop.at("/secret"), how).await.expect(201);
    assert_eq!(world.get(&shop.at("")).await.expect(200)["secrets"], secrets(&again));
    assert_eq!(world.state(&token).await, "revoked");

    let too_long = json!({ "keep_previous_seconds": 86_401 });
    world.post(&shop.at("/secret"), too_long).await.expect_problem(400, "invalid-member");
}

#[tokio::test]
async fn a_rotation_can_revoke_the_tokens_of_the_secret_and_keep_those_of_keys() {
    let world = World::new().await;
    let shop = world.channel().await;
    let (short, stateless) = (world.short_lived(&shop, None).await, world.stateless(&shop).await);
    let (key, kid) = world.key(&shop, None).await;
    let signed = world.v21(&shop, &key, &kid).await;
    let how = |dry_run| json!({ "revoke_tokens": "by-secret", "dry_run": dry_run });
    let found = world.post(&shop.at("/secret"), how(true)).await.expect(200);
    assert_eq!((&found["revoked"], &found["stateless_too"]), (&json!(1), &json!(true)));
    world.post(&shop.at("/secret"), how(false)).await.expect(201);
    assert_eq!(world.state(&short).await, "revoked");
    assert_eq!(world.state(&stateless).await, "revoked");
    assert_eq!(world.state(&signed).await, "active");
    let why = world.explain(&stateless).await["why"].as_str().unwrap().to_owned();
    assert!(why.contains("channel.rotate-secret"), "{why}");
    for wrong in [json!(true), json!("some"), json!(null)] {
        let refused = world.post(&shop.at("/secret"), json!({ "revoke_tokens": wrong })).await;
        refused.expect_problem(400, "invalid-member");
    }
}

#[tokio::test]
async fn the_previous_secret_can_be_deleted_alone_and_a_dry_run_says_whether_it_is_in_use() {
    let world = World::new().await;
    let shop = world.channel().await;
    let previous = shop.at("/secret/previous");
    world.delete(&previous).await.expect_problem(404, "not-found");
    world.delete(&format!("{previous}?dry_run=true")).await.expect_problem(404, "not-found");
    let in_use = async || {
        let dry = json!({ "dry_run": true });
        world.post(&shop.at("/secret"), dry).await.expect(200)["previous_in_use"].clone()
    };
    world.short_lived(&shop, None).await;
    assert_eq!(in_use().await, false, "the present secret is not the previous one");
    let how = json!({ "keep_previous_seconds": 86_400 });
    world.post(&shop.at("/secret"), how).await.expect(201);
    world.short_lived(&shop, None).await;
    assert_eq!(in_use().await, true);
    world.authority.flush_last_used().await.unwrap();
    assert_eq!(in_use().await, true);
    let found = world.delete(&format!("{previous}?dry_run=true")).await.expect(200);
    assert_eq!((&found["previous_in_use"], &found["revoked"]), (&json!(true), &json!(0)));
    world.authority.advance_clock(3_601).await.unwrap();
    assert_eq!(in_use().await, false);

    world.delete(&previous).await.expect(200);
    let secrets = world.get(&shop.at("")).await.expect(200)["secrets"].clone();
    assert_eq!(secrets.as_array().unwrap().len(), 1);
    world.delete(&previous).await.expect_problem(404, "not-found");
    let path = format!("/audit?channel={}", shop.id);
    let events = world.get(&path).await.expect(200);
    assert_eq!(events["events"][0]["act"], "channel.delete-previous-secret");
}

#[tokio::test]
async fn a_group_gets_its_own_settings_and_is_deleted_with_its_tokens() {
    let world = World::new().await;
    let shop = world.channel().await;
    let token = world.short_lived(&shop, Some("kitchen")).await;
    let other = world.short_lived(&shop, Some("bar")).await;
    let rules = json!({ "cap": 3, "when_full": "deny", "contact": "chef@example.com" });
    let set = world.patch(&shop.at("/groups/kitchen"), rules).await.expect(200);
    let kitchen = json!({
        "group": "kitchen", "cap": 3, "when_full": "deny", "contact": "chef@example.com",
        "active_tokens": 1, "assertion_keys": 0,
    });
    assert_eq!(set, kitchen);
    let listed = world.get(&shop.at("/groups")).await.expect(200);
    assert_eq!(listed["groups"].as_array().unwrap().len(), 2);
    assert!(listed["groups"].as_array().unwrap().contains(&kitchen));

    let reset = json!({ "cap": null });
    let set = world.patch(&shop.at("/groups/kitchen"), reset).await.expect(200);
    assert_eq!((&set["cap"], &set["when_full"]), (&json!(null), &json!("deny")));
    let wrong = world.patch(&shop.at("/groups/kitchen"), json!({ "cap": 0 })).await;
    wrong.expect_problem(400, "invalid-member");

    world.delete(&shop.at("/groups/kitchen")).await.expect(200);
    assert_eq!(world.state(&token).await, "revoked");
    assert_eq!(world.state(&other).await, "active");
    let listed = world.get(&shop.at("/groups")).await.expect(200);
    assert_eq!(listed["groups"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_audit_names_the_actor_the_source_the_act_and_the_reason() {
    let world = World::new().await;
    let shop = world.channel().await;
    let other = world.channel_of(&shop.provider, "line-login").await;
    world.patch(&shop.at(""), json!({ "state": "suspended" })).await.expect(200);
    let why = json!({ "all": true, "reason": "leaked" });
    world.post(&shop.at("/revocations"), why).await.expect(201);
    world.patch(&other.at(""), json!({ "name": "b" })).await.expect(200);

    let path = format!("/audit?channel={}", shop.id);
    let events = world.get(&path).await.expect(200)["events"].take();
    let acts: Vec<_> = events.as_array().unwrap().iter().map(|it| &it["act"]).collect();
    assert_eq!(acts, ["token.revoke", "channel.suspend", "channel.create"]);
    let revoked = &events[0];
    assert_eq!(revoked["actor"], "administrator");
    assert_eq!(revoked["source"], PEER);
    assert_eq!(revoked["reason"], "leaked");
    assert_eq!(revoked["channel_id"], json!(shop.id));
    assert_eq!(revoked["provider_id"], json!(shop.provider));
    revoked["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();

    let first = world.get("/audit?limit=1").await.expect(200);
    assert_eq!(first["events"][0]["act"], "channel.set");
    let next = first["next"].as_str().unwrap();
    let second = world.get(&format!("/audit?limit=1&after={next}")).await.expect(200);
    assert_eq!(second["events"][0]["act"], "token.revoke");
    world.get("/audit?channel=1").await.expect_problem(400, "invalid-member");
}

#[tokio::test]
async fn channels_of_all_providers_are_listed_and_searched_by_name_or_id() {
    let world = World::new().await;
    let (shop, other) = (world.channel().await, world.channel().await);
    world.patch(&other.at(""), json!({ "name": "Night 100% kitchen" })).await.expect(200);
    let ids = async |path: String| -> (Vec<String>, serde_json::Value) {
        let page = world.get(&path).await.expect(200);
        let rows = page["channels"].as_array().unwrap();
        let ids = rows.iter().map(|it| it["channel_id"].as_str().unwrap().to_owned()).collect();
        (ids, page["next"].clone())
    };
    let found = async |path: &str| ids(path.to_owned()).await.0;
    assert_eq!(found("/channels").await, [other.id.clone(), shop.id.clone()]);
    let (first, next) = ids("/channels?limit=1".to_owned()).await;
    assert_eq!(first, [other.id.as_str()]);
    let path = format!("/channels?limit=1&after={}", next.as_str().unwrap());
    assert_eq!(ids(path).await, (vec![shop.id.clone()], json!(null)));
    assert_eq!(found("/channels?search=night").await, [other.id.as_str()]);
    assert_eq!(found("/channels?search=0%25").await, [other.id.as_str()]);
    assert_eq!(found("/channels?search=_").await.len(), 0, "no pattern");
    assert_eq!(found(&format!("/channels?search={}", &shop.id[..9])).await, [shop.id.as_str()]);
    let path = format!("/providers/{}/channels?search=night", shop.provider);
    assert_eq!(found(&path).await.len(), 0);
    world.delete(&other.at("")).await.expect(200);
    assert_eq!(found("/channels").await, [shop.id.as_str()]);
    world.get("/channels?search=").await.expect_problem(400, "invalid-member");
}

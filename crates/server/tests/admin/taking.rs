//! Every act that takes something away is alike: its reason, its dry run, its receipt.

use crate::world::{HttpResponse, Shop, World};
use http::Method;
use serde_json::{Value, json};

/// One of the acts, on a channel of its own.
struct Act {
    method: Method,
    path: String,
    /// Its own members.
    members: Value,
    /// How many of the channel's three stored tokens become invalid.
    revoked: usize,
    /// Its audit event.
    event: &'static str,
}

impl Act {
    /// Sends it with further members: in the query of a deletion, else in the body.
    async fn send(&self, world: &World, more: &[(&str, Value)]) -> HttpResponse {
        let mut members = self.members.clone();
        for (name, value) in more {
            members[name] = value.clone();
        }
        if self.method != Method::DELETE {
            let body = members.to_string();
            return world.send(world.request(self.method.clone(), &self.path, body)).await;
        }
        let text =
            |it: &Value| it.as_str().map_or_else(|| it.to_string(), |it| it.replace(' ', "+"));
        let members = members.as_object().unwrap();
        let query: Vec<_> =
            members.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
        let path = format!("{}?{}", self.path, query.join("&"));
        world.send(world.request(Method::DELETE, &path, "")).await
    }
}

/// A channel with a short-lived token of the group `kitchen`, a long-lived one, a v2.1 one
/// of the key, and a previous secret.
async fn full_channel(world: &World) -> (Shop, String) {
    let shop = world.channel().await;
    world.short_lived(&shop, Some("kitchen")).await;
    world.long_lived(&shop, 0).await;
    let (key, kid) = world.key(&shop, None).await;
    world.v21(&shop, &key, &kid).await;
    let body = json!({ "keep_previous_seconds": 600 });
    world.post(&shop.at("/secret"), body).await.expect(201);
    (shop, kid)
}

const ACTS: usize = 13;

async fn act(world: &World, number: usize) -> (Shop, Act) {
    let (shop, kid) = full_channel(world).await;
    let key = world.get("/signing-keys").await.expect(200)["signing_keys"][0]["kid"].clone();
    let (method, path, members, revoked, event) = match number {
        0 => (Method::POST, shop.at("/revocations"), json!({ "all": true }), 3, "token.revoke"),
        1 => (
            Method::POST,
            shop.at("/revocations"),
            json!({ "group": "kitchen" }),
            1,
            "token.revoke",
        ),
        2 => (Method::POST, shop.at("/secret"), json!({}), 0, "channel.rotate-secret"),
        3 => {
            let all = json!({ "revoke_tokens": "all" });
            (Method::POST, shop.at("/secret"), all, 3, "channel.rotate-secret")
        }
        4 => {
            let event = "channel.delete-previous-secret";
            (Method::DELETE, shop.at("/secret/previous"), json!({}), 0, event)
        }
        5 => (Method::PATCH, shop.at(""), json!({ "state": "suspended" }), 3, "channel.suspend"),
        6 => (Method::POST, shop.at("/long-lived-token"), json!({}), 1, "token.issue"),
        7 => (Method::DELETE, shop.at(""), json!({}), 3, "channel.delete"),
        8 => (Method::DELETE, shop.at("/groups/kitchen"), json!({}), 1, "group.delete"),
        9 => {
            let path = shop.at(&format!("/assertion-keys/{kid}"));
            (Method::DELETE, path, json!({ "revoke_tokens": true }), 1, "key.delete")
        }
        10 => {
            let path = shop.at(&format!("/assertion-keys/{kid}"));
            (Method::DELETE, path, json!({}), 0, "key.delete")
        }
        11 => {
            let what = json!({ "provider_id": shop.provider });
            (Method::POST, "/revocations".to_owned(), what, 3, "provider.revoke")
        }
        _ => {
            let what = json!({ "signing_key": key });
            (Method::POST, "/revocations".to_owned(), what, 3, "signing-key.revoke")
        }
    };
    (shop, Act { method, path, members, revoked, event })
}

#[tokio::test]
async fn every_act_lists_first_what_it_takes_and_then_takes_it_with_a_receipt() {
    for number in 0..ACTS {
        let world = World::new().await;
        let (shop, act) = act(&world, number).await;
        let what = format!("{} {} {}", act.method, act.path, act.members);
        let before = world.get(&shop.at("/tokens?state=active")).await.expect(200);
        let position = world.authority.view().position();

        let found = act.send(&world, &[("dry_run", true.into())]).await.expect(200);
        assert_eq!(found["dry_run"], true, "{what}");
        assert_eq!((&found["revoked"], &found["more"]), (&json!(act.revoked), &json!(0)), "{what}");
        assert!(found.get("receipt").is_none(), "nothing happened that could be acknowledged");
        let rows = found["tokens"].as_array().unwrap();
        assert_eq!(rows.len(), act.revoked, "{what}");
        for row in rows {
            let mut row = row.clone();
            let channel = row.as_object_mut().unwrap().remove("channel_id");
            let spans = act.path == "/revocations";
            assert_eq!(channel, spans.then(|| json!(shop.id)), "{what}");
            assert!(before["tokens"].as_array().unwrap().contains(&row), "{what}: {row}");
        }
        assert_eq!(world.authority.view().position(), position, "{what} as a dry run");
        assert_eq!(world.get(&shop.at("/tokens?state=active")).await.expect(200), before);

        let options = [("reason", "left the company".into()), ("wait_seconds", 60.into())];
        let done = act.send(&world, &options).await;
        assert!([200, 201].contains(&done.status), "{what}: {}", done.body);
        let done = done.body;
        assert_eq!(done["revoked"], act.revoked, "{what}");
        assert_eq!(done["position"], world.authority.view().position().to_string(), "{what}");
        assert_ne!(world.authority.view().position(), position, "{what}");
        let receipt = &done["receipt"];
        assert_eq!(
            (&receipt["state"], &receipt["position"], &receipt["verifiers"]),
            (&json!("complete"), &done["position"], &json!([])),
            "{what}"
        );
        assert!(receipt["effective_at"].is_string(), "{what}");

        let audit = world.get(&format!("/audit?act={}", act.event)).await.expect(200);
        assert_eq!(audit["events"][0]["reason"], "left the company", "{what}: {audit}");
        if act.event == "channel.delete" {
            continue;
        }
        let rows = world.get(&shop.at("/tokens?state=revoked")).await.expect(200);
        for row in rows["tokens"].as_array().unwrap() {
            let said = (&row["reason"], &row["revoked_by"]);
            assert_eq!(said, (&json!("left the company"), &json!("administrator")), "{what}");
        }
    }
}

#[tokio::test]
async fn a_delayed_reissue_takes_effect_after_the_delay() {
    let world = World::new().await;
    let shop = world.channel().await;
    world.long_lived(&shop, 0).await;
    let body = json!({ "delay_seconds": 600, "reason": "yearly" });
    let made = world.post(&shop.at("/long-lived-token"), body).await.expect(201);
    assert_eq!(made["revoked"], 1);
    assert_eq!(made["receipt"]["effective_at"], made["previous_valid_until"]);
}

#[tokio::test]
async fn a_reason_is_read_like_a_name() {
    for number in 0..ACTS {
        let world = World::new().await;
        let (_, act) = act(&world, number).await;
        let long = "x".repeat(501);
        for wrong in ["", "a\u{7}b", "a\u{202e}b", " ", &long] {
            let encoded = wrong.replace('\u{7}', "%07").replace('\u{202e}', "%E2%80%AE");
            let wrong = if act.method == Method::DELETE { &encoded } else { wrong };
            let refused = act.send(&world, &[("reason", wrong.into())]).await;
            refused.expect_problem(400, "invalid-member");
        }
    }
}

#[tokio::test]
async fn a_dry_run_lists_a_hundred_tokens_and_counts_the_rest() {
    let world = World::new().await;
    let shop = world.channel().await;
    for _ in 0..3 {
        let other = world.channel_of(&shop.provider, "messaging-api").await;
        for _ in 0..30 {
            world.short_lived(&other, None).await;
        }
    }
    for _ in 0..15 {
        world.short_lived(&shop, None).await;
    }
    for what in [json!({ "provider_id": shop.provider }), json!({ "all": true })] {
        let mut what = what;
        what["dry_run"] = true.into();
        let found = world.post("/revocations", &what).await.expect(200);
        assert_eq!((&found["revoked"], &found["more"]), (&json!(105), &json!(5)), "{what}");
        let rows = found["tokens"].as_array().unwrap();
        assert_eq!(rows.len(), 100, "{what}");
        assert!(rows.iter().all(|row| row["channel_id"].is_string()), "{what}");
    }
}

#[tokio::test]
async fn a_member_of_the_other_revocation_is_unknown_and_named() {
    let world = World::new().await;
    let shop = world.channel().await;
    let here = json!({ "provider_id": shop.provider });
    let refused = world.post(&shop.at("/revocations"), here).await;
    assert!(refused.expect_problem(400, "unknown-member").contains("`provider_id`"));
    let anywhere = world.post("/revocations", json!({ "kind": "v2.1", "all": true })).await;
    assert!(anywhere.expect_problem(400, "unknown-member").contains("`kind`"));
}

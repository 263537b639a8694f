//! What an actor created within a time: found, listed and revoked.

use crate::world::{Channel, World};
use serde_json::{Value, json};
use tegata_token::{kind::Kind, time::UnixTime};

fn time(at: i64) -> String {
    jiff::Timestamp::from_second(UnixTime(at).0).unwrap().to_string()
}

/// Asks for what the administrator created from `since` on.
async fn revoke(world: &World, since: i64, more: Value) -> Value {
    let mut created_by = json!({ "actor": "administrator", "since": time(since) });
    created_by
        .as_object_mut()
        .unwrap()
        .extend(more["created_by"].as_object().cloned().unwrap_or_default());
    let mut body = json!({ "created_by": created_by });
    if more["dry_run"] == true {
        body["dry_run"] = true.into();
    }
    world.admin_client().post(&["revocations"], &body).await.unwrap()
}

async fn long_lived(world: &World, shop: &Channel) -> String {
    let path = ["channels", &shop.id.to_string(), "long-lived-token"];
    let issued = world.admin_client().post(&path, &json!({})).await.unwrap();
    issued["access_token"].as_str().unwrap().to_owned()
}

fn kids(response: &Value) -> Vec<String> {
    let keys = response["keys"].as_array().unwrap().iter();
    keys.map(|it| it["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_actor_created_since_a_time_is_listed_and_revoked_and_nothing_else() {
    let world = World::new().await;
    let (old, new) = (world.channel("old").await, world.channel("new").await);
    let kept = [
        world.issue(&old, Kind::V21).await,
        long_lived(&world, &old).await,
        world.issue(&new, Kind::ShortLived).await,
    ];
    world.advance(3_600).await;
    let since = world.now();
    let thief = world.channel("made by the thief").await;
    let gone = [world.issue(&thief, Kind::V21).await, long_lived(&world, &new).await];
    let by_secret = world.issue(&thief, Kind::ShortLived).await;

    let dry = revoke(&world, since, json!({ "dry_run": true })).await;
    assert_eq!((&dry["revoked"], &dry["stateless_too"]), (&json!(2), &json!(true)), "{dry}");
    assert_eq!(dry["tokens"].as_array().unwrap().len(), 2, "{dry}");
    let listed = kids(&dry);
    assert_eq!(listed.len(), 1, "{dry}");
    assert!(world.is_good(&gone[0]).await, "a dry run changes nothing");

    let done = revoke(&world, since, json!({})).await;
    assert_eq!((&done["revoked"], kids(&done)), (&json!(2), listed), "{done}");
    assert!(done["position"].is_string() && done["receipt"]["state"] == "complete", "{done}");
    for token in &gone {
        assert!(!world.is_good(token).await);
    }
    for token in kept.iter().chain([&by_secret]) {
        assert!(world.is_good(token).await);
    }
    let path = ["channels", &thief.id.to_string(), "assertion-keys"];
    let keys = world.admin_client().rows(&path, "assertion_keys").await.unwrap();
    assert!(keys.is_empty(), "the key is deleted");
    let again = revoke(&world, since, json!({})).await;
    assert_eq!(again["revoked"], 0, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn source_and_end_of_the_time_narrow_what_is_revoked() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let (since, token) = (world.now() - 60, world.issue(&shop, Kind::V21).await);
    world.advance(3_600).await;
    let of = |more: Value| {
        let mut created_by = json!({ "actor": "administrator", "since": time(since - 3_600) });
        created_by.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        json!({ "created_by": created_by })
    };
    let head = world.running().authority.view().position();
    for nothing in [
        json!({ "source": "192.0.2.1" }),
        json!({ "until": time(since) }),
        json!({ "actor": "Administrator" }),
        json!({ "actor": "channel 1234567890" }),
    ] {
        let denied = world.admin_client().post(&["revocations"], &of(nothing)).await;
        let denied = denied.unwrap_err().to_string();
        assert!(denied.contains("the audit shows how actors are named"), "{denied}");
    }
    assert_eq!(world.running().authority.view().position(), head, "nothing is written");
    assert!(world.is_good(&token).await);
    let here = json!({ "created_by": { "until": time(world.now()) }, "dry_run": true });
    assert_eq!(kids(&revoke(&world, since, here).await).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_a_channel_requested_are_found_by_the_time_of_their_issue() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let before = world.issue(&shop, Kind::ShortLived).await;
    let long = long_lived(&world, &shop).await;
    world.advance(3_600).await;
    let since = world.now();
    let stolen = world.issue(&shop, Kind::ShortLived).await;
    let actor = json!({ "created_by": { "actor": format!("channel {}", shop.id) } });
    assert_eq!(revoke(&world, since, actor).await["revoked"], 1);
    assert!(!world.is_good(&stolen).await);
    assert!(world.is_good(&before).await && world.is_good(&long).await);
    let actor = format!("channel {}", shop.id);
    let body =
        json!({ "created_by": { "actor": actor, "since": time(since), "source": "192.0.2.1" } });
    let denied = world.admin_client().post(&["revocations"], &body).await.unwrap_err().to_string();
    assert!(denied.contains("leave `source` out"), "{denied}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_over_all_channels_by_id_group_and_channel() {
    let world = World::new().await;
    let (a, b) = (world.channel("Café Blau").await, world.channel("shop").await);
    let admin = world.admin_client();
    let find = async |query: &[(&str, &str)]| -> Vec<Value> {
        let page = admin.get(&["assertion-keys"], &query).await.unwrap();
        page["assertion_keys"].as_array().unwrap().clone()
    };
    let all = find(&[]).await;
    let channels: Vec<_> = all.iter().map(|it| it["channel_id"].clone()).collect();
    assert_eq!(channels, [json!(b.id), json!(a.id)], "newest first: {all:?}");
    let kid = all[1]["kid"].as_str().unwrap();
    for query in
        [("kid", kid), ("search", &kid[4..20]), ("search", "blau"), ("search", &*a.id.to_string())]
    {
        let found = find(&[query]).await;
        assert_eq!((found.len(), &found[0]["kid"]), (1, &json!(kid)), "{query:?}: {found:?}");
        assert_eq!(found[0]["channel_name"], "Café Blau");
    }
    assert!(find(&[("search", "nothing")]).await.is_empty());
    let page = admin.get(&["assertion-keys"], &[("limit", "1")]).await.unwrap();
    let rest = find(&[("after", page["next"].as_str().unwrap())]).await;
    assert_eq!(rest[0]["kid"], kid);
    let providers = async |search: &[(&str, &str)]| {
        let page = admin.get(&["providers"], &search).await.unwrap();
        page["providers"].as_array().unwrap().clone()
    };
    let first = providers(&[]).await.remove(0);
    for member in ["provider_id", "name"] {
        let found = providers(&[("search", first[member].as_str().unwrap())]).await;
        assert!(found.contains(&first), "{member}: {found:?}");
    }
    assert!(providers(&[("search", "no such")]).await.is_empty());
}

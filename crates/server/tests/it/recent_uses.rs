//! From where a token was used: collected in memory, written by a job, and shown.

use crate::world::{Channel, World};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use tegata_server::http::proxies::TrustedProxies;
use tegata_token::{id::TokenId, kind::Kind};
use tokio::task::JoinSet;

/// A world whose requests come from the addresses that they name.
async fn behind_a_proxy() -> World {
    World::with(|settings| {
        settings.trusted_proxies = TrustedProxies::new(vec!["127.0.0.1".parse().unwrap()]);
    })
    .await
}

/// A token, and its id.
async fn token_of(world: &World, shop: &Channel) -> (String, TokenId) {
    let token = world.issue(shop, Kind::ShortLived).await;
    let id = world.admin().explain(&token).await.unwrap().token.id;
    (token, id)
}

async fn uses(world: &World, shop: &Channel, id: TokenId) -> Vec<Value> {
    let path = ["channels", &shop.id.to_string(), "tokens", &id.to_string()];
    let shown = world.admin_client().get(&path, &()).await.unwrap();
    shown["recent_uses"].as_array().unwrap().clone()
}

/// The addresses and counts.
fn short(uses: &[Value]) -> Vec<(&str, u64)> {
    let short = |it: &'_ Value| it["count"].as_u64().unwrap();
    uses.iter().map(|it| (it["source"].as_str().unwrap_or("others"), short(it))).collect()
}

async fn verify_from(world: &World, token: &str, source: &str, status: u16) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer), ("x-forwarded-for", source)];
    assert_eq!(world.get_with("/gateway/verify", &headers).await.status, status);
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_are_shown_by_address_and_minute_at_once_and_after_a_restart() {
    let mut world = behind_a_proxy().await;
    let shop = world.channel("shop").await;
    let (token, id) = token_of(&world, &shop).await;
    assert!(uses(&world, &shop, id).await.is_empty());
    for source in ["192.0.2.1", "192.0.2.1", "2001:db8::7"] {
        verify_from(&world, &token, source, 200).await;
    }
    let sum = |uses: &[Value]| short(uses).iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(sum(&uses(&world, &shop, id).await), 3, "not written yet");
    world.restart().await;
    let stored = uses(&world, &shop, id).await;
    assert_eq!(sum(&stored), 3, "{stored:?}");
    assert!(short(&stored).iter().any(|(source, _)| *source == "2001:db8::7"), "{stored:?}");
    assert!(stored[0]["minute"].as_str().unwrap().ends_with(":00Z"), "{stored:?}");

    // Each minute counts anew, and what is invalid is no use.
    world.advance(60).await;
    verify_from(&world, &token, "192.0.2.9", 200).await;
    world.revoke(&shop, &token).await;
    verify_from(&world, &token, "192.0.2.66", 401).await;
    let shown = uses(&world, &shop, id).await;
    assert_eq!(short(&shown)[0], ("192.0.2.9", 1), "{shown:?}");
    let explained =
        world.admin_client().post(&["explain"], &json!({ "access_token": token })).await;
    assert_eq!(explained.unwrap()["recent_uses"], Value::Array(shown));
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_are_dropped_after_a_week_and_bounded_before() {
    let world = behind_a_proxy().await;
    let shop = world.channel("shop").await;
    let (token, id) = token_of(&world, &shop).await;
    for n in 0..40 {
        verify_from(&world, &token, &format!("192.0.2.{n}"), 200).await;
        if n % 5 == 0 {
            world.advance(60).await;
        }
    }
    assert_eq!(uses(&world, &shop, id).await.len(), 16);
    let conn = rusqlite::Connection::open(world.folder.path().join("tegata.db")).unwrap();
    let rows = || -> usize {
        conn.query_row("SELECT count(*) FROM token_use", [], |row| row.get(0)).unwrap()
    };
    world.advance(60).await;
    assert_eq!(rows(), 1);
    world.advance(9 * 86_400).await;
    assert_eq!((uses(&world, &shop, id).await.len(), rows()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_use_is_counted_once_while_uses_are_being_written() {
    let world = behind_a_proxy().await;
    let shop = world.channel("shop").await;
    let (token, id) = token_of(&world, &shop).await;
    let authority = &world.running().authority;
    let done = AtomicBool::new(false);
    let writing = async {
        while !done.load(Ordering::Relaxed) {
            authority.flush_last_used().await.unwrap();
        }
    };
    let serial = world.admin().token(shop.id, id).await.unwrap().0.serial;
    let using = async {
        for n in 1..=100 {
            verify_from(&world, &token, "192.0.2.1", 200).await;
            // So many that some ask memory before the job takes uses out, and the store after it
            // has written them.
            for _ in 0..3 {
                let read = |_| {
                    let (authority, channel) = (authority.clone(), shop.id);
                    async move { authority.recent_uses(channel, serial).await }
                };
                let readers: JoinSet<_> = (0..32).map(read).collect();
                for shown in readers.join_all().await {
                    let counts: u32 = shown.unwrap().iter().map(|it| it.count).sum();
                    assert_eq!(counts, n, "of {n} uses");
                }
            }
            let row = world.admin().token(shop.id, id).await.unwrap().0;
            assert!(row.last_used_at.is_some(), "after {n} uses");
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(writing, using);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_no_address_is_recorded() {
    let world = World::with(|settings| settings.recent_uses = false).await;
    let shop = world.channel("shop").await;
    let (token, id) = token_of(&world, &shop).await;
    verify_from(&world, &token, "192.0.2.1", 200).await;
    world.advance(60).await;
    assert!(uses(&world, &shop, id).await.is_empty());
    assert!(world.admin().token(shop.id, id).await.unwrap().0.last_used_at.is_some());
}

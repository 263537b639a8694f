//! Warnings of what expires soon, by channel, page by page.

use crate::world::World;
use serde_json::json;

#[tokio::test]
async fn warnings_are_listed_by_channel_with_the_contact() {
    let world = World::new().await;
    let shops = [world.channel().await, world.channel().await, world.channel().await];
    for shop in &shops {
        world.short_lived(shop, Some("blue")).await;
        let contact = json!({ "contact": "blue@example.com" });
        world.patch(&format!("/channels/{}/groups/blue", shop.id), contact).await.expect(200);
    }
    assert_eq!(world.get("/warnings").await.expect(200)["warnings"], json!([]));
    world.authority.advance_clock(8 * 86_400).await.unwrap();

    let one = world.get(&format!("/warnings?channel={}", shops[0].id)).await.expect(200);
    let warning = &one["warnings"][0];
    assert_eq!(one["warnings"].as_array().unwrap().len(), 1, "{one}");
    assert_eq!(warning["type"], "token.unused");
    assert_eq!(warning["group"], "blue");
    assert_eq!(warning["contact"], "blue@example.com");
    assert_eq!(warning["kid"], json!(null));

    let (mut seen, mut path) = (Vec::new(), "/warnings?limit=1".to_owned());
    loop {
        let page = world.get(&path).await.expect(200);
        let rows = page["warnings"].as_array().unwrap();
        seen.extend(rows.iter().map(|row| row["channel_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/warnings?limit=1&after={next}");
    }
    let mut ids = shops.map(|shop| shop.id.to_string());
    ids.sort();
    assert_eq!(seen, ids);
    world.get("/warnings?after=nowhere").await.expect_problem(400, "invalid-member");
    world.get("/warnings?channel=0000000000").await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn warnings_are_filtered_and_sorted_by_time() {
    let world = World::new().await;
    let (first, second) = (world.channel().await, world.channel().await);
    world.short_lived(&first, Some("blue")).await;
    world.authority.advance_clock(86_400).await.unwrap();
    world.short_lived(&second, Some("red")).await;
    let (_, kid) = world.key(&second, None).await;
    world.authority.advance_clock(8 * 86_400).await.unwrap();
    let list = async |query: &str| {
        let found = world.get(&format!("/warnings?{query}")).await.expect(200);
        let rows = found["warnings"].as_array().unwrap().clone();
        let short = |it: &serde_json::Value| {
            let part = |name: &str| it[name].as_str().unwrap().to_owned();
            (part("type"), part("channel_id"))
        };
        (rows.iter().map(short).collect::<Vec<_>>(), found)
    };
    let of = |kind: &str, shop: &crate::world::Shop| (kind.to_owned(), shop.id.clone());
    let (unused, key) = ("token.unused", "assertion-key.unused");
    let (all, found) = list("order=time").await;
    assert_eq!(all.len(), 3, "{found}");
    assert_eq!(all[2], of(unused, &first), "the oldest is last");
    let since = found["warnings"][2]["since"].as_str().unwrap();
    let newer = found["warnings"][1]["since"].as_str().unwrap();
    assert!(since < newer, "{found}");
    assert_eq!(list(&format!("order=time&until={newer}")).await.0, [of(unused, &first)]);
    assert_eq!(list(&format!("since={newer}")).await.0.len(), 2);
    assert_eq!(list(&format!("type={key}")).await.0, [of(key, &second)]);
    assert_eq!(list(&format!("type={key}")).await.1["warnings"][0]["kid"], kid);
    assert_eq!(list(&format!("provider={}", first.provider)).await.0, [of(unused, &first)]);
    world.get("/warnings?type=nothing").await.expect_problem(400, "invalid-member");
    world.get("/warnings?order=size").await.expect_problem(400, "invalid-member");

    // Page by page it is the same list.
    let (mut seen, mut query) = (Vec::new(), "order=time&limit=1".to_owned());
    loop {
        let (rows, page) = list(&query).await;
        seen.extend(rows);
        let Some(next) = page["next"].as_str() else { break };
        query = format!("order=time&limit=1&after={next}");
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_nearly_full_channel_and_an_overdue_signing_key_are_warnings() {
    let world = World::new().await;
    let shop = world.channel().await;
    world.patch(&shop.at(""), json!({ "group_cap": 30 })).await.expect(200);
    for _ in 0..26 {
        world.short_lived(&shop, None).await;
    }
    let path = "/warnings?type=channel.nearly-full";
    assert_eq!(world.get(path).await.expect(200)["warnings"], json!([]));
    world.short_lived(&shop, None).await;
    let found = world.get(path).await.expect(200);
    let warning = &found["warnings"][0];
    assert_eq!((&warning["active"], &warning["cap"]), (&json!(27), &json!(30)), "{found}");
    assert_eq!(
        (&warning["kind"], &warning["channel_id"]),
        (&json!("short-lived"), &json!(shop.id))
    );

    assert_eq!(found["authority"], json!([]));
    let of_key = "/warnings?type=signing-key.overdue";
    assert_eq!(world.get(of_key).await.expect(200)["authority"], json!([]));
    world.authority.advance_clock(91 * 86_400).await.unwrap();
    let own = world.get(of_key).await.expect(200)["authority"][0].clone();
    assert_eq!(own["runbook"], "signing-key-overdue");
    let keys = world.get("/signing-keys").await.expect(200);
    assert_eq!(own["kid"], keys["signing_keys"][0]["kid"]);
    // Only whom the authority's own state concerns sees it.
    let role = json!({ "channel_id": shop.id, "channel_role": "admin" });
    let human = world.human("shop-admin", role).await;
    let shown = world.call(&human.session, http::Method::GET, "/warnings", json!(null)).await;
    assert_eq!(shown.expect(200)["authority"], json!([]));
}

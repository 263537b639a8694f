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

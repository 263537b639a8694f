//! Providers: renamed, and deleted once their channels are.

use crate::world::World;
use serde_json::json;

#[tokio::test]
async fn a_provider_is_renamed_and_deleted_after_its_channels() {
    let world = World::new().await;
    let shop = world.channel().await;
    let path = format!("/providers/{}", shop.provider);
    let position = world.authority.view().position();
    let changed = world.patch(&path, json!({ "name": "Other" })).await.expect(200);
    assert_eq!(changed["name"], "Other");
    assert_ne!(world.authority.view().position(), position, "other processes learn of it");
    assert_eq!(world.get(&path).await.expect(200), changed);
    world.patch(&path, json!({ "name": " " })).await.expect_problem(400, "invalid-member");
    let same = world.patch(&path, json!({})).await.expect(200);
    assert_eq!(same, changed, "nothing was changed");

    for query in ["?dry_run=true", ""] {
        let refused = world.delete(&format!("{path}{query}")).await;
        let detail = refused.expect_problem(409, "conflict");
        assert!(detail.starts_with("the provider has 1 channel that is not deleted"), "{detail}");
    }
    let token = world.short_lived(&shop, None).await;
    world.delete(&shop.at("")).await.expect(200);
    let found = world.delete(&format!("{path}?dry_run=true")).await.expect(200);
    assert_eq!((&found["revoked"], &found["tokens"]), (&json!(0), &json!([])));
    let gone = world.delete(&format!("{path}?reason=merged")).await.expect(200);
    assert_eq!(gone["receipt"]["state"], "complete");
    assert_eq!(world.state(&token).await, "revoked", "its deleted channel is still known");

    for query in ["", "?dry_run=true"] {
        world.delete(&format!("{path}{query}")).await.expect_problem(404, "not-found");
    }
    world.get(&path).await.expect_problem(404, "not-found");
    world.patch(&path, json!({ "name": "X" })).await.expect_problem(404, "not-found");
    world.get(&format!("{path}/channels")).await.expect_problem(404, "not-found");
    let new = json!({ "name": "shop", "type": "mini-app" });
    world.post(&format!("{path}/channels"), new).await.expect_problem(404, "not-found");
    let revoke = json!({ "provider_id": shop.provider });
    world.post("/revocations", revoke).await.expect_problem(404, "not-found");
    assert_eq!(world.get("/providers").await.expect(200)["providers"], json!([]));
    let audit = world.get(&format!("/audit?provider={}", shop.provider)).await.expect(200);
    let acts: Vec<_> = audit["events"].as_array().unwrap().iter().map(|it| &it["act"]).collect();
    assert_eq!(
        acts,
        ["provider.delete", "channel.delete", "provider.set", "channel.create", "provider.create"]
    );
    assert_eq!(audit["events"][0]["reason"], "merged");
}

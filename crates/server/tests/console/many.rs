//! The overview of many channels: it shows what the last search found, and what has changed
//! since.

use crate::shop::Shop;
use tegata_policy::{permission::OperatorRole, rules::ChannelType};
use tegata_server::authority::admin::{ActOptions, InChannel};

/// Moves the clock, after which the jobs run.
async fn advance(shop: &Shop, seconds: i64) {
    let body = serde_json::json!({ "advance_seconds": seconds });
    let url = format!("http://{}/dev/clock", shop.world.running.address).parse().unwrap();
    let http = tegata_system::http::client_for(&url).build().unwrap();
    let answer = http.post(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn the_overview_shows_what_was_found_without_what_is_over() {
    let shop = Shop::new().await;
    let root = shop.world.root();
    for number in 0..25 {
        let name = format!("Bot {number}");
        root.create_channel(shop.provider, &name, ChannelType::MessagingApi).await.unwrap();
    }
    let (blue, green) = (shop.token("blue").await, shop.token("green").await);
    // A day before the expiry.
    advance(&shop, 29 * 86_400 + 60).await;
    let browser = shop.browser_of("jun", OperatorRole::OnCall).await;
    let page = browser.get("/console").await.shows(200, "4 warnings, most urgent first.");
    assert!(page.text.contains("2 tokens expire in the next 30 days"), "{}", page.text);
    shop.world.authority().advance_clock(120).await.unwrap();
    browser.get("/console").await.shows(200, "All channels were searched 2 minutes ago.");
    assert!(shop.accepts(&green).await);
    browser.get("/console").await.shows(200, "3 warnings, most urgent first.");
    let id = shop.id_of(&blue).await.parse().unwrap();
    let token = InChannel::Stored(id);
    root.revoke_in_channel(shop.id, token, &ActOptions::default()).await.unwrap();
    let page = browser.get("/console").await.shows(200, "1 warning.");
    assert!(page.text.contains("green") && !page.text.contains("(<bdi>blue"), "{}", page.text);
    assert!(page.text.contains(&shop.id_of(&green).await));
    root.delete_channel(shop.id, &ActOptions::default()).await.unwrap();
    browser.get("/console").await.shows(200, "No warnings.");
}

#[tokio::test]
async fn a_page_of_a_store_that_has_grown_since_the_search_makes_another_one_begin() {
    let shop = Shop::new().await;
    let browser = shop.browser_of("jun", OperatorRole::OnCall).await;
    for number in 0..25 {
        let name = format!("Bot {number}");
        let root = shop.world.root();
        root.create_channel(shop.provider, &name, ChannelType::MessagingApi).await.unwrap();
    }
    // Each page that has no search to show asks for one, which ends at some time after it.
    for _ in 0..500 {
        shop.world.authority().advance_clock(30).await.unwrap();
        if browser.get("/console").await.text.contains("All channels were searched") {
            return;
        }
    }
    panic!("no page of 500 shows a search");
}

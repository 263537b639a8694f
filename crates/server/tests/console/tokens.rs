//! The tokens of a channel.

use crate::shop::{SHOWN, Shop};

#[tokio::test]
async fn an_empty_channel_says_how_to_issue_a_token() {
    let shop = Shop::new().await;
    let page = shop.get("/tokens").await.shows(200, "No tokens yet").shows(200, SHOWN);
    page.shows_command("tegata token issue --channel");
}

#[tokio::test]
async fn the_tokens_of_a_channel_are_counted_drawn_and_listed() {
    let shop = Shop::new().await;
    let (blue, green) = (shop.token("blue").await, shop.token("green").await);
    let page = shop.get("/tokens").await;
    for token in [&blue, &green] {
        let id = shop.id_of(token).await;
        assert!(page.text.contains(&format!("<span class=\"id\">{id}</span>")), "{}", page.text);
        assert!(!page.text.contains(token.as_str()));
    }
    let page = page.shows(200, "aria-label=\"2 of 30 tokens\"");
    let page = page.shows(200, "aria-label=\"blue: 1 active token; expires in");
    page.shows(200, "channel secret");
    let page = shop.get("/tokens?group=blue").await.shows(200, &shop.id_of(&blue).await);
    let rows = page.text.matches("<th role=\"rowheader\"").count();
    assert_eq!(rows, 1, "the filter leaves the other group out");
    shop.get("/tokens?state=revoked").await.shows(200, "No token matches this filter.");
    for query in ["kind=x", "state=x", "after=x", "group=a%20b"] {
        assert_eq!(shop.get(&format!("/tokens?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn further_tokens_are_on_the_next_page_which_keeps_the_filter() {
    let shop = Shop::new().await;
    for number in 0..26 {
        shop.token(&format!("g{number}")).await;
    }
    let page = shop.get("/tokens?kind=short-lived").await;
    let next = crate::shop::link(&page, &shop.at("/tokens?after="));
    assert!(next.ends_with("&kind=short-lived"), "{next}");
    let page = shop.browser.get(&next).await;
    assert_eq!(page.text.matches("<th role=\"rowheader\"").count(), 1);
    assert!(!page.text.contains("rel=\"next\""));
}

#[tokio::test]
async fn the_page_of_a_token_shows_who_used_it_lately() {
    let shop = Shop::new().await;
    let token = shop.token("blue").await;
    let other = shop.token("blue").await;
    assert!(shop.accepts(&token).await);
    let id = shop.id_of(&token).await;
    let page = shop.get(&format!("/tokens/{id}")).await;
    let page = page.shows(200, "127.0.0.1").shows(200, &shop.id_of(&other).await);
    page.shows_command(&format!("tegata token revoke --channel {} --token-id {id}", shop.id));
    shop.get("/tokens/AAAAAAAAAAAAAAAAAAAAAA").await.shows(404, "");
    shop.browser.get("/console/channels/1234567890/tokens").await.shows(404, "");
}

#[tokio::test]
async fn the_pages_are_in_japanese_for_a_browser_that_prefers_it() {
    let shop = Shop::new().await;
    let id = shop.id_of(&shop.token("blue").await).await;
    let paths = [
        shop.at("/tokens"),
        shop.at(&format!("/tokens/{id}")),
        shop.at("/revoke?what=group&which=blue"),
        "/console/leak-desk".to_owned(),
    ];
    for path in paths {
        let headers = [("accept-language", "ja")];
        let page = shop.browser.request(reqwest::Method::GET, &path, &headers, None).await;
        page.shows(200, "<html lang=\"ja\"").shows(200, "トークン");
    }
}

#[tokio::test]
async fn the_list_is_filtered_by_the_key_that_tokens_were_issued_for() {
    let shop = Shop::new().await;
    let id = shop.id_of(&shop.token("blue").await).await;
    let key = shop.world.key(shop.id).await;
    let page = shop.get("/tokens").await.shows(200, &format!("<option>{key}</option>"));
    assert!(page.text.contains(&id), "{}", page.text);
    let page = shop.get(&format!("/tokens?key={key}")).await;
    page.shows(200, "No token matches this filter.").shows(200, "<option selected>");
    assert_eq!(shop.get("/tokens?key=x").await.status, 400);
}

//! Pages that are kept in memory: what they show is never older than the request.

use crate::{browser::Browser, shop::Shop};
use reqwest::Method;
use tegata_policy::permission::{ChannelRole, OperatorRole, RoleChange};
use tegata_server::authority::admin::ActOptions;
use tegata_store::{ChannelPatch, GroupPatch};
use tegata_token::view::ChannelState;

/// The clock goes on by so many seconds and stands still for ten minutes or longer, so that
/// all requests are made in one second, for which a page is kept.
fn stand_still(shop: &Shop, after: i64) {
    let clock = shop.world.authority().clock();
    clock.not_before(clock.now().plus(after));
}

async fn still() -> Shop {
    let shop = Shop::new().await;
    stand_still(&shop, 3_600);
    shop
}

/// Gives the channel another name behind the server's back, so that only a page that is
/// rendered anew shows it.
fn rename_in_file(shop: &Shop, name: &str) {
    let file = shop.world.folder.path().join("tegata.db");
    let conn = rusqlite::Connection::open(file).unwrap();
    let renamed = conn.execute("UPDATE channel SET name = ?1", [name]).unwrap();
    assert_eq!(renamed, 1);
}

/// The page of tokens does not show this text, is kept without it, and shows it after the act.
async fn shows_after(shop: &Shop, text: &str, act: impl AsyncFnOnce()) {
    for _ in 0..2 {
        let page = shop.get("/tokens").await.shows(200, "<main");
        assert!(!page.text.contains(text), "{text} was there before: {}", page.text);
    }
    act().await;
    shop.get("/tokens").await.shows(200, text);
}

#[tokio::test]
async fn a_page_is_kept_for_its_address_and_settings_until_the_store_changes() {
    let shop = still().await;
    shop.get("/tokens").await.shows(200, crate::shop::SHOWN);
    rename_in_file(&shop, "Renamed");
    shop.get("/tokens").await.shows(200, crate::shop::SHOWN);
    shop.get("/tokens?state=revoked").await.shows(200, "Renamed");
    shop.world.root().create_provider("Other").await.unwrap();
    shop.get("/tokens").await.shows(200, "Renamed");
    // Neither for longer than a second, during which no text of a page changes.
    rename_in_file(&shop, "Once more");
    shop.get("/tokens").await.shows(200, "Renamed");
    stand_still(&shop, 1);
    shop.get("/tokens").await.shows(200, "Once more");
}

#[tokio::test]
async fn what_is_issued_used_and_revoked_shows_at_once() {
    let shop = still().await;
    let token = shop.token("blue").await;
    let id = shop.id_of(&token).await;
    shows_after(&shop, "<bdi>green</bdi>", async || drop(shop.token("green").await)).await;
    shows_after(&shop, "just now", async || assert!(shop.accepts(&token).await)).await;
    stand_still(&shop, 60);
    shows_after(&shop, "just now", async || assert!(shop.accepts(&token).await)).await;
    // The time is in the store from now on, and no more in memory.
    shop.world.authority().flush_last_used().await.unwrap();
    shop.get("/tokens").await.shows(200, "just now");
    shows_after(&shop, "tag inactive", async || {
        let path = "/v2/oauth/revoke";
        let fields = [("access_token", &*token)];
        let done = shop.outside.request(Method::POST, path, &[], Some(&fields)).await;
        done.shows(200, "");
    })
    .await;
    shop.get("/tokens?state=revoked").await.shows(200, &id);
}

#[tokio::test]
async fn changes_of_the_channel_show_at_once() {
    let shop = still().await;
    shop.token("blue").await;
    shows_after(&shop, "Two words", async || {
        let done = shop.browser.send(&shop.at("/name"), &[("name", "Two words")]).await;
        assert_eq!(done.status, 303, "{}", done.text);
    })
    .await;
    shows_after(&shop, "<option>kitchen</option>", async || {
        let patch = GroupPatch { cap: Some(Some(2)), ..GroupPatch::default() };
        let group = "kitchen".parse().unwrap();
        shop.world.root().change_group(shop.id, group, patch).await.unwrap();
    })
    .await;
    shows_after(&shop, "class=\"tag warn\"", async || {
        let suspended = Some(ChannelState::Suspended);
        let patch = ChannelPatch { state: suspended, ..ChannelPatch::default() };
        let options = ActOptions::default();
        shop.world.root().change_channel(shop.id, patch, &options).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_token_expires_on_the_page_when_its_time_is_over() {
    let shop = still().await;
    let root = shop.world.root();
    for _ in 0..2 {
        // The one before is accepted for ten minutes more.
        root.reissue(shop.id, 600, None, &ActOptions::default()).await.unwrap();
    }
    shop.get("/tokens").await.shows(200, "in 10 minutes");
    stand_still(&shop, 540);
    shop.get("/tokens").await.shows(200, "in 1 minute");
    stand_still(&shop, 59);
    shop.get("/tokens").await.shows(200, "in less than a minute");
    stand_still(&shop, 1);
    let page = shop.get("/tokens").await;
    assert!(!page.text.contains("in less than a minute"), "{}", page.text);
}

#[tokio::test]
async fn two_people_never_get_the_same_page() {
    let shop = still().await;
    shop.token("blue").await;
    let auditor = shop.browser_of("jun", OperatorRole::Auditor).await;
    let path = shop.at("/tokens");
    for _ in 0..2 {
        let own = shop.browser.get(&path).await.shows(200, "<bdi>mika</bdi>");
        assert!(own.text.contains("btn danger"), "{}", own.text);
        let theirs = auditor.get(&path).await.shows(200, "<bdi>jun</bdi>");
        assert!(!theirs.text.contains("btn danger"), "{}", theirs.text);
    }
    // Nor does a browser without a session.
    assert_eq!(shop.outside.get(&path).await.status, 303);
}

#[tokio::test]
async fn languages_and_colours_have_pages_of_their_own() {
    let shop = still().await;
    let path = shop.at("/tokens");
    let japanese = async |browser: &Browser| {
        browser.request(Method::GET, &path, &[("accept-language", "ja")], None).await
    };
    for _ in 0..2 {
        shop.browser.get(&path).await.shows(200, "<html lang=\"en\">");
        japanese(&shop.browser).await.shows(200, "<html lang=\"ja\">");
    }
    for (field, value, shown) in
        [("language", "ja", "<html lang=\"ja\">"), ("theme", "dark", "data-theme=\"dark\"")]
    {
        let set = [(field, value), ("next", &*path)];
        assert_eq!(shop.browser.send("/console/settings", &set).await.status, 303);
        shop.browser.get(&path).await.shows(200, shown);
    }
}

#[tokio::test]
async fn a_notice_is_shown_once_and_on_its_own_page_alone() {
    let shop = still().await;
    shop.get("/tokens").await.shows(200, "<main");
    let done = shop.browser.send(&shop.at("/name"), &[("name", "Other")]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let first = shop.get("/tokens").await.shows(200, "class=\"note ok\"");
    assert!(first.headers.contains_key("set-cookie"));
    let second = shop.get("/tokens").await.shows(200, "Other");
    assert!(!second.text.contains("class=\"note ok\""), "{}", second.text);
    assert!(!second.headers.contains_key("set-cookie"));
    // A notice is shown though the page is kept.
    let done = shop.browser.send(&shop.at("/name"), &[("name", "Other")]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    shop.get("/tokens").await.shows(200, "class=\"note ok\"");
}

#[tokio::test]
async fn a_kept_page_has_the_headers_of_every_page() {
    let shop = still().await;
    let mut pages = [shop.get("/tokens").await, shop.get("/tokens").await].map(|page| {
        let mut headers = page.headers;
        let id = headers.remove("x-line-request-id");
        headers.remove("date");
        (page.text, headers, id)
    });
    assert_ne!(pages[0].2, pages[1].2, "each request has an id of its own");
    pages.iter_mut().for_each(|page| page.2 = None);
    assert_eq!(pages[0], pages[1]);
}

#[tokio::test]
async fn a_role_that_is_taken_away_takes_the_kept_page_away() {
    let shop = still().await;
    let admin = RoleChange::Channel { channel: shop.id, role: Some(ChannelRole::Admin) };
    let human = shop.world.human("aoi", Some(admin)).await;
    let browser = shop.world.browser_of(&human).await;
    let path = shop.at("/tokens");
    for _ in 0..2 {
        browser.get(&path).await.shows(200, "<bdi>aoi</bdi>");
    }
    let none = RoleChange::Channel { channel: shop.id, role: None };
    shop.world.root().set_role(human.id, none).await.unwrap();
    browser.get(&path).await.shows(404, "Page not found");
    shop.world.root().set_role(human.id, admin).await.unwrap();
    for _ in 0..2 {
        browser.get(&path).await.shows(200, "<bdi>aoi</bdi>");
    }
    shop.world.root().change_person(human.id, None, Some(true), None).await.unwrap();
    assert_eq!(browser.get(&path).await.status, 303, "the session is over");
}

#[tokio::test]
async fn a_session_that_ends_takes_the_kept_page_away() {
    let shop = still().await;
    let path = shop.at("/tokens");
    for _ in 0..2 {
        shop.browser.get(&path).await.shows(200, "<main");
    }
    let cookies = shop.browser.cookies.lock().unwrap().clone();
    assert_eq!(shop.browser.send("/console/sign-out", &[]).await.status, 303);
    // The cookie that the browser had before.
    *shop.browser.cookies.lock().unwrap() = cookies;
    assert_eq!(shop.browser.get(&path).await.status, 303);
}

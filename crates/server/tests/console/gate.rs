//! What is in front of every page.

use crate::browser::World;
use reqwest::Method;
use tegata_policy::permission::OperatorRole;

#[tokio::test]
async fn a_form_of_another_site_is_rejected() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let own = format!("http://{}", world.running.address);
    let foreign: &[&[(&str, &str)]] = &[
        &[],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", &own.replace("http:", "https:").replace("127", "128"))],
        &[("origin", &format!("{own}.evil.example"))],
        &[("origin", &own), ("sec-fetch-site", "same-site")],
        &[("origin", &own), ("sec-fetch-site", "cross-site")],
    ];
    for headers in foreign {
        let path = "/console/sign-out";
        let answer = browser.request(Method::POST, path, headers, Some(&[])).await;
        answer.shows(403, "Request from another site");
    }
    // It would have ended the session.
    browser.get("/console").await.shows(200, "Overview");
    let same = [("origin", &*own), ("sec-fetch-site", "same-origin")];
    let done = browser.request(Method::POST, "/console/sign-out", &same, Some(&[])).await;
    assert_eq!((done.status, done.location()), (303, "/console/sign-in"));
    assert_eq!(browser.get("/console").await.status, 303);
}

#[tokio::test]
async fn a_form_of_the_address_of_the_settings_is_accepted_though_a_proxy_replaces_the_host() {
    let own = ["https://console.example.com", "https://tokens.example.com"];
    let world = World::with(|it| {
        it.console_url = Some(format!("{}/", own[0]));
        it.public_url = Some(format!("{}/line", own[1]));
    });
    let world = world.await;
    let settings = async |origin: &str| {
        let headers = [("origin", origin), ("host", "tegata.internal")];
        let (path, browser) = ("/console/settings", world.browser());
        browser.request(Method::POST, path, &headers, Some(&[("theme", "dark")])).await.status
    };
    for origin in own {
        assert_eq!(settings(origin).await, 303, "{origin}");
    }
    for other in ["http://console.example.com", "https://console.example.com:444", "null"] {
        assert_eq!(settings(other).await, 403, "{other}");
    }
}

#[tokio::test]
async fn the_address_of_the_server_alone_leads_a_browser_to_the_console_and_a_program_nowhere() {
    let world = World::new().await;
    let browser = world.browser();
    let html = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let answer = browser.request(Method::GET, "/", &html, None).await;
    assert_eq!((answer.status, answer.location()), (303, "/console"));
    for (method, path, headers) in [
        (Method::GET, "/", &[("accept", "*/*")][..]),
        (Method::GET, "/", &[]),
        (Method::POST, "/", &html),
        (Method::GET, "/nothing", &html),
    ] {
        let answer = browser.request(method, path, headers, None).await;
        answer.shows(404, "{\"message\":\"Not found\"}");
    }
}

#[tokio::test]
async fn every_response_has_the_headers_of_the_console() {
    let world = World::new().await;
    let browser = world.browser();
    for path in ["/console/sign-in", "/console", "/console/nothing/there"] {
        let page = browser.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_is_as_one_that_may_not_be_seen() {
    let world = World::new().await;
    let browser = world.browser();
    let answer = browser.get("/console/nothing?x=1").await;
    let sign_in = "/console/sign-in?next=%2Fconsole%2Fnothing%3Fx%3D1";
    assert_eq!((answer.status, answer.location()), (303, sign_in));
    let human = world.operator("mika", OperatorRole::Auditor).await;
    let browser = world.browser_of(&human).await;
    browser.get("/console/nothing").await.shows(404, "Page not found");
    let slash = browser.get("/console/").await;
    assert_eq!((slash.status, slash.location()), (303, "/console"));
}

#[tokio::test]
async fn a_form_that_is_too_long_gets_a_page() {
    let world = World::new().await;
    let long = "x".repeat(70_000);
    let page = world.browser().send("/console/sign-in", &[("login", &long)]).await;
    let page = page.shows(413, "Request not understood");
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
}

#[tokio::test]
async fn a_person_who_is_locked_out_reads_the_command_that_makes_a_link_and_replaces_no_token() {
    let world = World::new().await;
    let page = world.browser().get("/console/sign-in").await;
    page.shows_command("tegata admin invite NAME --store STORE");
    assert!(!page.text.contains("admin reset"), "{}", page.text);
}

#[tokio::test]
async fn the_style_sheet_is_kept_until_it_changes() {
    let world = World::new().await;
    let browser = world.browser();
    let page = browser.get("/console/sign-in").await;
    let at = page.text.find("/console/assets/style-").unwrap();
    let path = page.text[at..].split('"').next().unwrap();
    let style = browser.get(path).await.shows(200, "--paper");
    assert!(style.header("cache-control").contains("immutable"));
    let tag = [("if-none-match", style.header("etag"))];
    assert_eq!(browser.request(Method::GET, path, &tag, None).await.status, 304);
    assert_eq!(browser.get("/console/assets/style-old.css").await.status, 404);
}

#[tokio::test]
async fn the_language_and_the_colours_are_the_browsers_choice() {
    let world = World::new().await;
    let browser = world.browser();
    let japanese = [("accept-language", "ja,en;q=0.5")];
    let page = browser.request(Method::GET, "/console/sign-in", &japanese, None).await;
    page.shows(200, "<html lang=\"ja\">");
    let next = ("next", "/console/sign-in?next=%2Fconsole");
    let set = browser.send("/console/settings", &[("language", "ja"), next]).await;
    assert_eq!((set.status, set.location()), (303, next.1));
    browser.send("/console/settings", &[("theme", "dark"), next]).await;
    browser.get("/console/sign-in").await.shows(200, "<html lang=\"ja\" data-theme=\"dark\">");
    let evil = browser.send("/console/settings", &[("next", "https://evil.example")]).await;
    assert_eq!(evil.location(), "/console");
}

//! Attacks on the people of the console, by other sites, other people and their data.
//! `gate` and `signing_in` have those on a single request's headers.

use crate::browser::{Browser, PASSWORD, Page, World};
use data_encoding::BASE32_NOPAD;
use reqwest::Method;
use tegata_policy::permission::OperatorRole::Administrator;
use tegata_server::authority::admin::NewPerson;

/// The routes as the router has them.
const ROUTERS: [&str; 2] = [
    include_str!("../../src/api/console/mod.rs"),
    include_str!("../../src/api/console/channel/mod.rs"),
];

const MARKUP: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'";

/// The paths with this method, from the routers' source; their parameters are ids that do not
/// exist.
fn paths(method: &str) -> Vec<String> {
    let mut found = Vec::new();
    for router in ROUTERS {
        let routes = router.split_once("ROUTES: &[").unwrap().1.split("\n];").next().unwrap();
        for route in routes.split("|it|").filter(|it| it.contains("\"/")) {
            if route.contains(&format!("{method}(")) {
                let path = route.split_once("\"/").unwrap().1.split('"').next().unwrap();
                let parts = path.split('/').map(|it| match it {
                    "{channel}" | "{provider}" | "{person}" => "1234567890",
                    _ if it.starts_with('{') => "1",
                    _ => it,
                });
                let parts = parts.collect::<Vec<_>>().join("/");
                found.push(format!("/console/{parts}").trim_end_matches('/').to_owned());
            }
        }
    }
    found
}

async fn signs_in(browser: &Browser, login: &str, password: &str, code: &str) -> Page {
    let fields = [("login", login), ("password", password), ("code", code)];
    browser.send("/console/sign-in", &fields).await
}

#[tokio::test]
async fn every_form_of_the_router_rejects_other_sites() {
    let world = World::new().await;
    let human = world.operator("mika", Administrator).await;
    let browser = world.browser_of(&human).await;
    let forms = paths("post");
    assert!(forms.len() > 2 && forms.contains(&"/console/sign-out".to_owned()), "{forms:?}");
    for path in forms {
        for headers in [&[][..], &[("origin", "https://evil.example")], &[("origin", "null")]] {
            let fields = [("name", "planted"), ("language", "ja")];
            let answer = browser.request(Method::POST, &path, headers, Some(&fields)).await;
            assert_eq!(answer.status, 403, "{path} {headers:?}");
            assert_eq!(answer.header("set-cookie"), "", "{path} {headers:?}");
        }
    }
    browser.get("/console").await.shows(200, "mika");
}

#[tokio::test]
async fn a_session_that_was_planted_is_never_the_session_of_who_signs_in() {
    let world = World::new().await;
    let attacker = world.operator("attacker", Administrator).await;
    let planted = world.browser_of(&attacker).await.cookies.lock().unwrap().clone();
    let human = world.operator("mika", Administrator).await;
    let browser = world.browser();
    browser.cookies.lock().unwrap().clone_from(&planted);
    let done = signs_in(&browser, "mika", PASSWORD, &world.code(&human.totp, 0)).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert_ne!(browser.cookies.lock().unwrap()["tegata-session"], planted["tegata-session"]);
    browser.get("/console").await.shows(200, "mika");
    // What was planted is of no use to the attacker either.
    let other = world.browser();
    other.cookies.lock().unwrap().clone_from(&planted);
    assert_eq!(other.get("/console").await.status, 303);
}

#[tokio::test]
async fn a_session_that_was_signed_out_stays_signed_out() {
    let world = World::new().await;
    let human = world.operator("mika", Administrator).await;
    let browser = world.browser_of(&human).await;
    let stolen = browser.cookies.lock().unwrap().clone();
    browser.send("/console/sign-out", &[]).await;
    let other = world.browser();
    other.cookies.lock().unwrap().clone_from(&stolen);
    assert_eq!(other.get("/console").await.status, 303);
}

#[tokio::test]
async fn no_page_can_be_shown_in_a_frame() {
    let world = World::new().await;
    let human = world.operator("mika", Administrator).await;
    let browser = world.browser_of(&human).await;
    for path in paths("get") {
        let page = browser.get(&path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
    }
}

#[tokio::test]
async fn no_page_repeats_markup_from_its_address_or_its_form() {
    let world = World::new().await;
    let human = world.operator("mika", Administrator).await;
    let (signed_in, stranger) = (world.browser_of(&human).await, world.browser());
    let escaped = |page: &Page, at: &str| {
        for raw in ["<script>alert", "<img src=x", "\"><"] {
            // The templates have `"><` between their own tags.
            let theirs = raw == "\"><" && !page.text.contains("\"><script>alert");
            assert!(theirs || !page.text.contains(raw), "{at}: {raw} in {}", page.text);
        }
    };
    let markup: String = form_urlencoded::byte_serialize(MARKUP.as_bytes()).collect();
    let names = ["next", "search", "kind", "group", "state", "after", "what", "which", "login"];
    let pairs: Vec<String> = names.iter().map(|name| format!("{name}={markup}")).collect();
    for path in paths("get") {
        for query in pairs.iter().chain([&pairs.join("&")]) {
            for browser in [&signed_in, &stranger] {
                let at = format!("{path}?{query}");
                escaped(&browser.get(&at).await, &at);
            }
        }
    }
    let page = signs_in(&stranger, MARKUP, "x", "x").await;
    assert!(page.text.contains("&#"), "it keeps what was entered: {}", page.text);
    escaped(&page, "sign-in");
}

#[tokio::test]
async fn signing_in_leads_to_this_console_only() {
    let world = World::new().await;
    for (at, next) in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/console@evil.example",
        "/console.evil.example",
        "/console/..//evil.example",
        "/console/\t/evil.example",
        "javascript:alert(1)",
        "/console\r\nset-cookie: tegata-session=planted",
    ]
    .into_iter()
    .enumerate()
    {
        let human = world.operator(&format!("person-{at}"), Administrator).await;
        let browser = world.browser();
        let encoded: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let form = browser.get(&format!("/console/sign-in?next={encoded}")).await;
        form.shows(200, "name=\"next\" value=\"/console\"");
        let code = world.code(&human.totp, 0);
        let fields =
            [("login", &*human.login), ("password", PASSWORD), ("code", &code), ("next", next)];
        let done = browser.send("/console/sign-in", &fields).await;
        assert_eq!((done.status, done.location()), (303, "/console"), "{next:?}");
    }
}

#[tokio::test]
async fn guessing_a_password_is_stopped_after_ten_attempts() {
    let world = World::new().await;
    let human = world.operator("mika", Administrator).await;
    let browser = world.browser();
    let mut statuses = Vec::new();
    for guess in 0..12 {
        let code = world.code(&human.totp, 0);
        let page = signs_in(&browser, "mika", &format!("a wrong guess {guess}"), &code).await;
        statuses.push(page.status);
    }
    assert_eq!(statuses[..10], [422; 10], "{statuses:?}");
    assert_eq!(statuses[10..], [429; 2], "{statuses:?}");
    let page = signs_in(&browser, "mika", "another guess", "000000").await;
    page.shows(429, "Too many attempts");
    assert!(browser.cookies.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_code_and_a_recovery_code_sign_in_once() {
    let world = World::new().await;
    let human = world.operator("mika", Administrator).await;
    let code = world.code(&human.totp, 0);
    for once in [&code, &human.recovery[0]] {
        assert_eq!(signs_in(&world.browser(), "mika", PASSWORD, once).await.status, 303);
        let again = signs_in(&world.browser(), "mika", PASSWORD, once).await;
        again.shows(422, "A code works once");
    }
}

#[tokio::test]
async fn an_invitation_is_accepted_once() {
    let world = World::new().await;
    let new = NewPerson { login: "mika".to_owned(), name: "Mika".to_owned(), role: None };
    let invited = world.root().invite(new).await.unwrap();
    let invitation = invited.invitation.reveal().to_owned();
    let opened = world.authority().open_invitation(&invited.invitation).await.unwrap();
    let secret = opened.totp_secret.reveal().to_owned();
    let totp = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let browser = world.browser();
    let accept = |password: &'static str, steps: i64| {
        let code = world.code(&totp, steps);
        let (browser, invitation, secret) = (&browser, &invitation, &secret);
        async move {
            let fields = [
                ("invitation", invitation.as_str()),
                ("totp_secret", secret),
                ("password", password),
                ("code", &code),
            ];
            browser.send("/console/invitation/accept", &fields).await
        }
    };
    accept(PASSWORD, -1).await.shows(200, "Recovery codes");
    accept("another password of an attacker", 0).await.shows(422, "There is no such invitation");
    let again = browser.send("/console/invitation", &[("invitation", &invitation)]).await;
    again.shows(422, "There is no such invitation");
    let code = world.code(&totp, 0);
    let stranger = world.browser();
    let attacker = signs_in(&stranger, "mika", "another password of an attacker", &code).await;
    assert_eq!(attacker.status, 422);
    assert_eq!(signs_in(&world.browser(), "mika", PASSWORD, &code).await.status, 303);
}

#[tokio::test]
async fn a_page_takes_no_token_from_its_address() {
    let world = World::new().await;
    let human = world.operator("mika", Administrator).await;
    let browser = world.browser_of(&human).await;
    let session = browser.cookies.lock().unwrap()["tegata-session"].clone();
    let other = world.browser();
    for name in ["session", "token", "access_token", "text", "invitation", "tegata-session"] {
        for path in paths("get") {
            let at = format!("{path}?{name}={session}");
            let page = other.get(&at).await;
            assert!(!page.text.contains("mika"), "{at} is a session");
            let own = browser.get(&at).await;
            let shown = own.text.replace(&format!("?{name}={session}"), "");
            assert!(!shown.contains(&session), "{at} shows what its address has");
        }
    }
}

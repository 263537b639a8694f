//! Signing in and out.

use crate::browser::{PASSWORD, World};
use reqwest::Method;
use tegata_policy::permission::OperatorRole;

#[tokio::test]
async fn a_sign_in_begins_a_session_with_a_new_token() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser();
    // A token that another site or another person has planted is not taken over.
    browser.cookies.lock().unwrap().insert("tegata-session".into(), "tgc_planted".into());
    let code = world.code(&human.totp, 0);
    let fields = [("login", "mika"), ("password", PASSWORD), ("code", &code), ("next", "//evil")];
    let done = browser.send("/console/sign-in", &fields).await;
    assert_eq!((done.status, done.location()), (303, "/console"));
    let cookie = done.header("set-cookie").to_owned();
    assert!(cookie.starts_with("tegata-session=tgc_") && !cookie.contains("planted"), "{cookie}");
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    browser.get("/console").await.shows(200, "mika");
}

#[tokio::test]
async fn a_wrong_password_or_code_is_refused_and_what_was_entered_is_kept() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser();
    let code = world.code(&human.totp, 0);
    for (password, code) in [("wrong password", &*code), (PASSWORD, "000000")] {
        let fields = [("login", "mika"), ("password", password), ("code", code)];
        let page = browser.send("/console/sign-in", &fields).await.shows(422, "value=\"mika\"");
        assert!(!page.text.contains(password), "{}", page.text);
    }
    assert!(browser.cookies.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_that_no_person_can_have_is_refused_as_an_unknown_one_is() {
    let world = World::new().await;
    let browser = world.browser();
    for login in ["unknown-name", "mi\0ka", "\0", "Mika", "\u{1b}[2J", &"m".repeat(65)] {
        let fields = [("login", login), ("password", PASSWORD), ("code", "000000")];
        let page = browser.send("/console/sign-in", &fields).await;
        assert_eq!(page.status, 422, "{login:?}: {}", page.text);
    }
}

#[tokio::test]
async fn a_search_for_a_control_character_finds_what_the_rest_finds() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    browser.get("/console?q=none%00such").await.shows(200, "value=\"nonesuch\"");
}

#[tokio::test]
async fn a_personal_token_is_no_session() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let session = browser.cookies.lock().unwrap()["tegata-session"].clone();
    let session = tegata_policy::secret::PlainSecret::from_caller(session);
    let admin = world.authority().admin_by(&session, None).unwrap();
    let until = world.authority().now().plus(3_600);
    let full = tegata_policy::permission::Rights::Full;
    let (_, token) = admin.create_admin_token("ci".to_owned(), full, until).await.unwrap();
    let other = world.browser();
    let token = token.reveal().to_owned();
    other.cookies.lock().unwrap().insert("tegata-session".into(), token);
    assert_eq!(other.get("/console").await.status, 303);
}

#[tokio::test]
async fn codes_are_right_as_authenticators_show_them_and_as_people_write_them() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let code = world.code(&human.totp, 0);
    let shown = format!(" {} {}", &code[..3], &code[3..]);
    let recovery = format!("{} ", human.recovery[0].to_uppercase());
    for code in [shown, recovery] {
        let fields = [("login", "mika"), ("password", PASSWORD), ("code", &*code)];
        let done = world.browser().send("/console/sign-in", &fields).await;
        assert_eq!(done.status, 303, "{code}: {}", done.text);
    }
}

#[tokio::test]
async fn a_browser_with_a_session_of_before_tls_can_sign_in_and_out() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    // By TLS a form counts the cookie of TLS alone, and the browser has the other one.
    let origin = browser.base.replace("http://", "https://");
    let fields = [("language", "ja")];
    let headers = [("origin", &*origin), ("sec-fetch-site", "same-origin")];
    let page = browser.request(Method::POST, "/console/sign-out", &headers, Some(&fields)).await;
    assert!(page.location().starts_with("/console/sign-in"), "{}", page.location());
    // Both are forgotten, so the form is shown.
    assert!(browser.cookies.lock().unwrap().get("tegata-session").is_none_or(String::is_empty));
    browser.get("/console/sign-in").await.shows(200, "name=\"login\"");
}

//! Signing in by npm's provider.

use super::{Linked, begins, goes_on, has_session, parameter, settings};
use crate::browser::{PASSWORD, World};
use http::Method;
use tegata_policy::permission::OperatorRole;
use tegata_server::authority::openid_settings::SecondFactorFrom;

#[tokio::test]
async fn a_linked_person_signs_in_by_the_provider_and_the_code() {
    let it = Linked::linked(SecondFactorFrom::Tegata).await;
    let browser = it.world.browser();
    browser.get("/console/sign-in").await.shows(200, "Sign in with single sign-on");
    let to = begins(&browser).await;
    assert_eq!(parameter(&to, "code_challenge_method"), "S256");
    let back = it.signs_in_at_provider(&to, "mika-1").await;
    let asked = browser.get(&back).await;
    assert_eq!((asked.status, asked.location()), (303, "/console/sign-in/identity/code"));
    assert!(!has_session(&browser), "the second factor is missing");
    let page = browser.get(asked.location()).await.shows(200, "mika-1 at the provider");
    assert!(page.text.contains("one-time-code"));

    let wrong = browser.send(asked.location(), &[("code", "000000")]).await;
    wrong.shows(422, "one-time-code");
    assert!(!has_session(&browser));
    // A session that another site or person has planted is not taken over.
    browser.cookies.lock().unwrap().insert("tegata-session".into(), "tgc_planted".into());
    let done = browser.send(asked.location(), &[("code", &it.code(1))]).await;
    assert_eq!((done.status, done.location()), (303, "/console/audit"), "{}", done.text);
    let cookies = browser.cookies.lock().unwrap().clone();
    assert!(cookies["tegata-session"].starts_with("tgc_") && cookies.len() == 1, "{cookies:?}");
    assert_ne!(cookies["tegata-session"], "tgc_planted");
    let audit = browser.get("/console/audit").await.shows(200, "person.sign-in");
    assert!(audit.text.contains(&it.provider.issuer), "the event names the provider");
}

#[tokio::test]
async fn a_provider_that_is_trusted_with_the_second_factor_signs_in_at_once() {
    let it = Linked::linked(SecondFactorFrom::IdentityProvider).await;
    let browser = it.world.browser();
    let back = it.signs_in_at_provider(&begins(&browser).await, "mika-1").await;
    let done = browser.get(&back).await;
    assert_eq!((done.status, done.location()), (303, "/console/audit"), "{}", done.text);
    browser.get("/console").await.shows(200, "mika");
}

#[tokio::test]
async fn an_account_that_is_linked_to_no_person_or_to_a_disabled_one_does_not_sign_in() {
    let it = Linked::linked(SecondFactorFrom::IdentityProvider).await;
    let other = it.world.operator("aoi", OperatorRole::Administrator).await;
    let disable = it.world.root().change_person(it.mika.id, None, Some(true), None).await;
    assert!(disable.is_ok() && other.id != it.mika.id);
    // The name of a person is not an account of the person.
    for account in ["mika", "aoi", "mika-1", "MIKA-1"] {
        let browser = it.world.browser();
        let back = it.signs_in_at_provider(&begins(&browser).await, account).await;
        browser.get(&back).await.shows(422, "not linked to a person who can sign in");
        assert!(!has_session(&browser), "{account}");
    }
    assert!(it.world.root().change_person(it.mika.id, None, Some(false), None).await.is_ok());
    let browser = it.world.browser();
    let back = it.signs_in_at_provider(&begins(&browser).await, "mika-1").await;
    assert_eq!(browser.get(&back).await.status, 303);
}

#[tokio::test]
async fn a_return_counts_once_and_in_the_browser_that_began_alone() {
    let it = Linked::linked(SecondFactorFrom::IdentityProvider).await;
    let browser = it.world.browser();
    let back = it.signs_in_at_provider(&begins(&browser).await, "mika-1").await;
    let ticket = browser.cookies.lock().unwrap().clone();

    let other = it.world.browser();
    other.get(&back).await.shows(409, "not begun in this browser");
    // One that has begun another sign-in: its person is not signed in by another's account.
    begins(&other).await;
    other.get(&back).await.shows(409, "not begun in this browser");
    assert!(!has_session(&other));

    let state = parameter(&back, "state");
    let another = if state.starts_with('A') { "B" } else { "A" };
    let changed = back.replace(&state, &format!("{another}{}", &state[1..]));
    browser.get(&changed).await.shows(409, "not begun in this browser");
    // The ticket is gone with the first return. The browser that keeps it has one code only.
    browser.get(&back).await.shows(409, "not begun in this browser");
    *browser.cookies.lock().unwrap() = ticket.clone();
    assert_eq!(browser.get(&back).await.status, 303);
    let again = it.world.browser();
    *again.cookies.lock().unwrap() = ticket;
    again.get(&back).await.shows(409, "not begun in this browser");
    assert!(has_session(&browser) && !has_session(&again));
}

#[tokio::test]
async fn a_person_who_declines_at_the_provider_is_not_signed_in() {
    let it = Linked::linked(SecondFactorFrom::IdentityProvider).await;
    let browser = it.world.browser();
    let to = begins(&browser).await;
    let back = it.answers_provider(&to, &[("name", "mika-1"), ("cancel", "yes")]).await;
    assert_eq!(parameter(&back, "error"), "access_denied");
    let page = browser.get(&back).await.shows(422, "did not sign you in");
    assert!(!page.text.contains("<b>no</b>") && !has_session(&browser));
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_leaves_the_password() {
    // Nothing listens there: the port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let issuer = format!("http://127.0.0.1:{port}");
    let world = World::with(|it| it.openid = Some(settings(&issuer))).await;
    let mika = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser();
    let page = browser.send("/console/sign-in/identity", &[("next", "/console/audit")]).await;
    let page = page.shows(503, "cannot be used at the moment");
    assert!(page.text.contains("value=\"/console/audit\""), "the password leads there, too");
    let code = world.code(&mika.totp, 0);
    let fields = [("login", "mika"), ("password", PASSWORD), ("code", &*code)];
    assert_eq!(browser.send("/console/sign-in", &fields).await.status, 303);
}

#[tokio::test]
async fn a_provider_that_goes_down_while_a_person_is_there_leaves_the_password() {
    let it = Linked::linked(SecondFactorFrom::IdentityProvider).await;
    let browser = it.world.browser();
    let back = it.signs_in_at_provider(&begins(&browser).await, "mika-1").await;
    drop(it.provider);
    browser.get(&back).await.shows(503, "cannot be used at the moment");
    assert!(!has_session(&browser));
}

#[tokio::test]
async fn another_site_begins_no_sign_in_and_none_leads_to_another_site() {
    let it = Linked::linked(SecondFactorFrom::IdentityProvider).await;
    let browser = it.world.browser();
    for headers in [&[][..], &[("origin", "https://evil.example")]] {
        let page = browser.request(Method::POST, "/console/sign-in/identity", headers, Some(&[]));
        assert_eq!(page.await.status, 403);
    }
    assert!(browser.cookies.lock().unwrap().is_empty());
    for next in ["//evil.example", "https://evil.example", "/console/../..//evil"] {
        let page = browser.send("/console/sign-in/identity", &[("next", next)]).await;
        let back = it.signs_in_at_provider(&goes_on(&page), "mika-1").await;
        let done = browser.get(&back).await;
        assert_eq!((done.status, done.location()), (303, "/console"), "{next}");
    }
}

#[tokio::test]
async fn the_ticket_is_bound_to_the_host_and_tls_where_browsers_use_it() {
    let it = Linked::new(SecondFactorFrom::Tegata).await;
    let openid = settings(&it.provider.issuer);
    let world = World::with(|it| {
        it.openid = Some(openid);
        it.console_url = Some("https://tegata.example.com".to_owned());
    });
    let world = world.await;
    let browser = world.browser();
    let page = browser.send("/console/sign-in/identity", &[]).await;
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("__Host-tegata-ticket="), "{cookie}");
    for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=600;"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    let to = goes_on(&page);
    let redirect = "https://tegata.example.com/console/sign-in/identity/return";
    assert_eq!(parameter(&to, "redirect_uri"), redirect);
    // What was sent with it is readable by the server alone.
    assert!(!cookie.contains(&parameter(&to, "state")));
}

#[tokio::test]
async fn returns_are_limited_like_other_attempts_to_sign_in() {
    let it = Linked::new(SecondFactorFrom::Tegata).await;
    let browser = it.world.browser();
    let to = begins(&browser).await;
    let ticket = browser.cookies.lock().unwrap().clone();
    let state = parameter(&to, "state");
    let path = format!("/console/sign-in/identity/return?error=x&state={state}&iss=x");
    for _ in 0..10 {
        *browser.cookies.lock().unwrap() = ticket.clone();
        browser.get(&path).await.shows(422, "not valid");
    }
    *browser.cookies.lock().unwrap() = ticket;
    browser.get(&path).await.shows(429, "Too many attempts");
}

#[tokio::test]
async fn without_an_identity_provider_there_is_nothing_to_sign_in_by() {
    let world = World::new().await;
    let browser = world.browser();
    let page = browser.get("/console/sign-in").await;
    assert!(!page.text.contains("single sign-on"), "{}", page.text);
    browser.send("/console/sign-in/identity", &[]).await.shows(404, "");
}

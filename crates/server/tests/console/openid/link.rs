//! Linking an account at npm's provider with a person, and unlinking it.

use super::{Linked, begins, goes_on, has_session};
use http::Method;
use tegata_policy::permission::OperatorRole;
use tegata_server::authority::openid_settings::SecondFactorFrom;

const LINK: &str = "/console/account/identity/link";
const CONFIRM: &str = "/console/account/identity/confirm";
const UNLINK: &str = "/console/account/identity/unlink";

#[tokio::test]
async fn a_person_links_an_account_after_a_recent_sign_in_and_sees_which_one() {
    let it = Linked::new(SecondFactorFrom::Tegata).await;
    let browser = it.world.browser_of(&it.mika).await;
    it.world.authority().advance_clock(700).await.unwrap();
    browser.get(LINK).await.shows(200, "one-time-code");
    let refused = browser.send(LINK, &[("code", "000000")]).await.shows(422, "one-time-code");
    assert!(!refused.text.contains("url="));
    let page = browser.send(LINK, &[("code", &it.code(0))]).await;
    let back = it.signs_in_at_provider(&goes_on(&page), "mika-1").await;
    assert_eq!(browser.get(&back).await.location(), CONFIRM);
    let page = browser.get(CONFIRM).await.shows(200, "mika-1 at the provider");
    assert!(page.text.contains(&it.provider.issuer));
    let linked = async || it.world.root().person(it.mika.id).await.unwrap().identity;
    assert!(linked().await.is_none(), "nothing is linked before it is confirmed");
    // Another site sends no form.
    let foreign = [("origin", "https://evil.example")];
    let page = browser.request(Method::POST, CONFIRM, &foreign, Some(&[])).await;
    assert_eq!((page.status, linked().await), (403, None));

    let done = browser.send(CONFIRM, &[]).await;
    assert_eq!((done.status, done.location()), (303, "/console/account"), "{}", done.text);
    let found = linked().await.unwrap().identity;
    assert_eq!((&*found.subject, &*found.issuer), ("mika-1", &*it.provider.issuer));
    browser.get("/console/account").await.shows(200, "mika-1");
    let audit = browser.get("/console/audit").await.shows(200, "person.link-identity");
    assert!(audit.text.contains("mika-1"));
}

#[tokio::test]
async fn a_proof_links_for_the_person_who_asked_alone_and_signs_no_person_in() {
    let it = Linked::new(SecondFactorFrom::IdentityProvider).await;
    let aoi = it.world.operator("aoi", OperatorRole::Administrator).await;
    let (mikas, aois) = (it.world.browser_of(&it.mika).await, it.world.browser_of(&aoi).await);
    let page = mikas.send(LINK, &[]).await;
    let back = it.signs_in_at_provider(&goes_on(&page), "mika-1").await;
    assert_eq!(mikas.get(&back).await.location(), CONFIRM);
    let ticket = mikas.cookies.lock().unwrap()["tegata-ticket"].clone();
    aois.cookies.lock().unwrap().insert("tegata-ticket".into(), ticket.clone());
    aois.send(CONFIRM, &[]).await.shows(409, "not begun in this browser");
    let other = it.world.browser();
    other.cookies.lock().unwrap().insert("tegata-ticket".into(), ticket);
    other.send("/console/sign-in/identity/code", &[("code", "123456")]).await.shows(409, "begun");
    assert!(!has_session(&other));
    // The other way round: a proof for a sign-in links nothing.
    let page = aois.send("/console/sign-in/identity", &[]).await;
    goes_on(&page);
    aois.send(CONFIRM, &[]).await.shows(409, "not begun in this browser");
    assert!(it.world.root().person(aoi.id).await.unwrap().identity.is_none());
}

#[tokio::test]
async fn an_account_is_linked_to_one_person_and_a_person_to_one_account() {
    let it = Linked::linked(SecondFactorFrom::Tegata).await;
    let aoi = it.world.operator("aoi", OperatorRole::Administrator).await;
    let browser = it.world.browser_of(&aoi).await;
    let page = browser.send(LINK, &[]).await;
    let back = it.signs_in_at_provider(&goes_on(&page), "mika-1").await;
    browser.get(&back).await;
    browser.send(CONFIRM, &[]).await.shows(409, "linked to another person, or");
    assert!(it.world.root().person(aoi.id).await.unwrap().identity.is_none());
}

#[tokio::test]
async fn unlinking_ends_the_way_in_and_the_sessions_that_may_have_begun_with_it() {
    let it = Linked::linked(SecondFactorFrom::IdentityProvider).await;
    let by_provider = it.world.browser();
    let back = it.signs_in_at_provider(&begins(&by_provider).await, "mika-1").await;
    assert_eq!(by_provider.get(&back).await.status, 303);
    it.world.authority().advance_clock(700).await.unwrap();

    let browser = it.world.browser_of(&it.mika).await;
    it.world.authority().advance_clock(700).await.unwrap();
    browser.get(UNLINK).await.shows(200, "one-time-code");
    browser.send(UNLINK, &[]).await.shows(422, "one-time-code");
    let done = browser.send(UNLINK, &[("code", &it.code(0))]).await;
    assert_eq!((done.status, done.location()), (303, "/console/account"), "{}", done.text);
    browser.get("/console/account").await.shows(200, "Link account");
    assert_eq!(by_provider.get("/console").await.status, 303, "the session has ended");
    browser.get("/console/audit").await.shows(200, "person.unlink-identity");

    let again = it.world.browser();
    let back = it.signs_in_at_provider(&begins(&again).await, "mika-1").await;
    again.get(&back).await.shows(422, "not linked to a person");
    browser.get(UNLINK).await.shows(404, "");
}

#[tokio::test]
async fn an_administrator_unlinks_a_person_and_an_auditor_does_not() {
    let it = Linked::linked(SecondFactorFrom::IdentityProvider).await;
    let path = format!("/console/people/{}/unlink", it.mika.id);
    let auditor = it.world.operator("rin", OperatorRole::Auditor).await;
    let browser = it.world.browser_of(&auditor).await;
    assert_eq!(browser.get(&path).await.status, 403);
    assert_eq!(browser.send(&path, &[]).await.status, 403);
    let on_call = it.world.operator("ren", OperatorRole::OnCall).await;
    let browser = it.world.browser_of(&on_call).await;
    let person = format!("/console/people/{}", it.mika.id);
    browser.get(&person).await.shows(200, "Unlink account");
    browser.get(&path).await.shows(200, "tegata person unlink");
    assert_eq!(browser.send(&path, &[("reason", "left the company")]).await.status, 303);
    let page = browser.get(&person).await;
    assert!(!page.text.contains("Unlink account"), "{}", page.text);
    assert!(it.world.root().person(it.mika.id).await.unwrap().identity.is_none());
}

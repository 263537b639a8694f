//! Daily work: groups and their rotations, verifiers, signing keys.

use crate::shop::{Shop, link};
use tegata_policy::permission::OperatorRole;

#[tokio::test]
async fn a_group_shows_its_slots_and_the_steps_of_its_rotation() {
    let shop = Shop::new().await;
    shop.get("/groups").await.shows(200, "No groups yet");
    let older = shop.token("blue").await;
    let page = shop.get("/groups").await.shows(200, "class=\"slot free\"");
    let (of, group) = (format!("--channel {}", shop.id), "--group blue");
    let secret = "--kind short-lived --secret-file SECRET-FILE";
    page.shows_command(&format!("tegata token issue {of} {group} {secret}"));
    page.shows_command(&format!("tegata token list {of} {group} --state active"));
    page.shows_command(&format!("tegata token revoke {of} --token-id TOKEN-ID"));
    shop.world.authority().advance_clock(60).await.unwrap();
    let newer = shop.token("blue").await;
    let page = shop.get("/groups/blue").await.shows(200, "Rotation in progress");
    let page = page.shows(200, "The newer token has never been used. Deploy it.");
    let (older, newer) = (shop.id_of(&older).await, shop.id_of(&newer).await);
    let places = [&older, &newer].map(|id| page.text.find(id.as_str()).unwrap());
    assert!(places[0] < places[1], "the older token comes first");
    let review = link(&page, &shop.at("/revoke?what=token"));
    assert!(review.ends_with(&older), "the last step revokes the older one: {review}");
    shop.get("/groups/green").await.shows(404, "");
}

#[tokio::test]
async fn the_settings_of_a_group_are_saved_and_mistakes_are_marked() {
    let shop = Shop::new().await;
    shop.token("blue").await;
    let path = shop.at("/groups/blue");
    let fields = [("contact", "#team <b>"), ("cap", "3"), ("when_full", "deny")];
    assert_eq!(shop.browser.send(&path, &fields).await.location(), path);
    let page = shop.get("/groups/blue").await.shows(200, "Contact: <bdi>#team &lt;b&gt;</bdi>");
    page.shows(200, "Up to 3 tokens of each kind; one more is denied. Group setting.");
    for (cap, contact) in [("0", ""), ("31", ""), ("x", ""), ("", "turn \u{202E}around")] {
        let page = shop.browser.send(&path, &[("cap", cap), ("contact", contact)]).await;
        page.shows(422, "aria-invalid=\"true");
    }
    let page = shop.get("/groups/blue").await;
    page.shows(200, "Up to 3 tokens of each kind; one more is denied. Group setting.");
    assert_eq!(shop.browser.send(&path, &[("cap", ""), ("contact", "")]).await.status, 303);
    let page = shop.get("/groups/blue").await.shows(200, "No contact");
    page.shows(200, "Up to 2 tokens of each kind; one more evicts the oldest. Channel default.");
}

#[tokio::test]
async fn a_group_is_deleted_after_a_page_that_lists_its_tokens() {
    let shop = Shop::new().await;
    let (blue, green) = (shop.token("blue").await, shop.token("green").await);
    let review = shop.get("/groups/blue/delete").await;
    let review = review.shows(200, "Delete group <bdi>blue</bdi> and revoke 1 token?");
    let review = review.shows(200, &shop.id_of(&blue).await);
    assert!(!review.text.contains(&shop.id_of(&green).await));
    assert!(shop.accepts(&blue).await, "the page alone deletes nothing");
    let done = shop.browser.send(&shop.at("/groups/blue/delete"), &[("reason", "gone")]).await;
    assert!(done.location().starts_with("/console/receipts/"), "{done:?}");
    assert_eq!((shop.accepts(&blue).await, shop.accepts(&green).await), (false, true));
}

#[tokio::test]
async fn a_verifier_is_created_its_credential_shown_once_and_it_is_deleted() {
    let shop = Shop::new().await;
    shop.browser.get("/console/verifiers").await.shows(200, "No verifiers yet");
    let path = "/console/verifiers/new";
    shop.browser.get(path).await.shows(200, "name=\"staleness\"");
    for (name, provider, staleness) in
        [("", "", "60"), ("edge", "1", "60"), ("edge", "1234567890", "60"), ("edge", "", "0")]
    {
        let fields = [("name", name), ("provider", provider), ("staleness", staleness)];
        shop.browser.send(path, &fields).await.shows(422, "aria-invalid=\"true");
    }
    shop.browser.get("/console/verifiers").await.shows(200, "No verifiers yet");
    let fields = [("name", "edge <b>"), ("staleness", "30")];
    let made = shop.browser.send(path, &fields).await;
    let page = shop.browser.get(made.location()).await.shows(200, "edge &lt;b&gt;");
    let at = page.text.find("tgv_").unwrap();
    let token = &page.text[at..at + 68];
    let authority = shop.world.authority().issuer();
    page.shows_command(&format!("tegata verify-proxy --authority {authority}"));
    shop.feed(token, "snapshot?").await;
    let again = shop.browser.get(made.location()).await;
    assert_eq!((again.status, again.location()), (303, "/console/verifiers"), "only once");
    let list = shop.browser.get("/console/verifiers").await.shows(200, "follows");
    let list = list.shows(200, "one___________________").shows(200, "30 seconds");
    assert!(!list.text.contains(token));

    let id = made.location().split('/').nth(3).unwrap().to_owned();
    let delete = link(&list, &format!("/console/verifiers/{id}/delete"));
    let instance = format!("/console/verifiers/{id}/instances/one___________________/remove");
    shop.browser.get(&instance).await.shows(200, "no receipt waits for it");
    assert_eq!(shop.browser.send(&instance, &[]).await.status, 303);
    shop.browser.get(&instance).await.shows(404, "");
    shop.browser.get(&delete).await.shows(200, "Delete verifier <bdi>edge &lt;b&gt;</bdi>");
    assert_eq!(shop.browser.send(&delete, &[]).await.status, 303);
    shop.browser.get("/console/verifiers").await.shows(200, "No verifiers yet");
    shop.browser.get(&delete).await.shows(404, "");
}

#[tokio::test]
async fn a_signing_key_is_rotated_and_revoked_after_pages_that_explain_it() {
    let shop = Shop::new().await;
    let token = shop.token("blue").await;
    let list = shop.browser.get("/console/signing-keys").await.shows(200, "Signs all new tokens.");
    let revoke = link(&list, "/console/signing-keys/");
    let page = shop.browser.get("/console/signing-keys/rotate").await;
    let page = page.shows(200, "no token is revoked");
    assert!(!page.text.contains("btn danger"), "it takes nothing away: {}", page.text);
    let done = shop.browser.send("/console/signing-keys/rotate", &[]).await;
    assert_eq!(done.location(), "/console/signing-keys");
    let list = shop.browser.get("/console/signing-keys").await;
    list.shows(200, "A rotation is in progress").shows(200, "pending");
    assert!(shop.accepts(&token).await);
    let again = shop.browser.send("/console/signing-keys/rotate", &[]).await;
    assert_eq!(again.status, 409);

    let review = shop.browser.get(&revoke).await.shows(200, "and 1 token?");
    let review = review.shows(200, "btn danger");
    review.shows(200, &shop.id_of(&token).await);
    let done = shop.browser.send(&revoke, &[("reason", "stolen")]).await;
    assert!(done.location().starts_with("/console/receipts/"), "{done:?}");
    assert!(!shop.accepts(&token).await);
    shop.browser.get("/console/signing-keys/AAAAAAAAAAA/revoke").await.shows(404, "");
}

#[tokio::test]
async fn an_act_long_after_the_sign_in_asks_for_a_code() {
    let shop = Shop::new().await;
    let token = shop.token("blue").await;
    let id = shop.id_of(&token).await;
    shop.world.authority().advance_clock(601).await.unwrap();
    let query = format!("/revoke?what=token&which={id}");
    shop.get(&query).await.shows(200, "name=\"code\"");
    let fields = [("what", "token"), ("which", &*id), ("code", "000000")];
    let page = shop.browser.send(&shop.at("/revoke"), &fields).await;
    assert!(page.text.contains("aria-invalid=\"true") && shop.accepts(&token).await, "{page:?}");
}

#[tokio::test]
async fn people_without_the_role_do_not_see_verifiers_and_auditors_change_nothing() {
    let shop = Shop::new().await;
    shop.token("blue").await;
    let auditor = shop.browser_of("aki", OperatorRole::Auditor).await;
    for path in ["/console/verifiers", "/console/signing-keys", &shop.at("/groups/blue")] {
        assert_eq!(auditor.get(path).await.status, 200, "{path}");
    }
    for path in [
        "/console/verifiers/new",
        "/console/signing-keys/rotate",
        &shop.at("/groups/blue"),
        &shop.at("/groups/blue/delete"),
    ] {
        let answer = auditor.send(path, &[("name", "edge"), ("staleness", "60")]).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    let human = shop.world.human("yui", None).await;
    let nothing = shop.world.browser_of(&human).await;
    for path in ["/console/verifiers", "/console/signing-keys"] {
        assert_eq!(nothing.get(path).await.status, 403, "{path}");
    }
    for path in [shop.at("/tokens"), shop.at("/groups"), shop.at("/revoke?what=all")] {
        assert_eq!(nothing.get(&path).await.status, 404, "{path}");
    }
}

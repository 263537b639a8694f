//! From a leaked token to the receipt of its revocation.

use crate::shop::{SHOWN, Shop, link};
use reqwest::Method;
use tegata_policy::permission::{ChannelRole, OperatorRole, RoleChange};

#[tokio::test]
async fn a_leaked_token_is_pasted_identified_revoked_and_has_a_receipt() {
    let shop = Shop::new().await;
    let verifier = shop.verifier("edge-tokyo").await;
    let snapshot = shop.feed(&verifier, "snapshot?").await;
    let position = snapshot["snapshot"]["position"].as_str().unwrap().to_owned();
    let token = shop.token("blue").await;
    let other = shop.token("blue").await;
    assert!(shop.accepts(&token).await);

    let text = format!("GET /v2/bot/info\nAuthorization: Bearer {token}\n");
    let found = shop.browser.send("/console/leak-desk", &[("text", &text)]).await;
    let found = found.shows(200, "Active token").shows(200, "still accepted").shows(200, SHOWN);
    let found = found.shows(200, "<bdi>blue</bdi>").shows(200, "<bdi>Harbour Foods</bdi>");
    let found = found.shows(200, &shop.id_of(&other).await);
    assert!(!found.text.contains(&token), "the token itself is not repeated");
    assert!(!found.text.contains(&token[..40]), "nor a part that is as good as it");

    let id = shop.id_of(&token).await;
    let href = link(&found, &shop.at(&format!("/revoke?what=token&amp;which={id}")));
    let review =
        shop.browser.get(&href).await.shows(200, &format!("Revoke token <span class=\"id\">{id}"));
    let command = format!("tegata token revoke --channel {} --token-id {id}", shop.id);
    review.shows_command(&command);
    assert!(review.text.contains("name=\"reason\"") && shop.accepts(&token).await);

    let fields = [("what", "token"), ("which", &*id), ("reason", "found in a log"), ("wait", "0")];
    let done = shop.browser.send(&shop.at("/revoke"), &fields).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert!(!shop.accepts(&token).await && shop.accepts(&other).await);

    let receipt = done.location().to_owned();
    assert!(receipt.starts_with("/console/receipts/"), "{receipt}");
    let page = shop.browser.get(&receipt).await.shows(200, "Pending").shows(200, "waiting");
    page.shows(200, "<bdi>edge-tokyo</bdi>").shows(200, "1 token revoked.");
    shop.catch_up(&verifier, &position).await;
    let page = shop.browser.get(&receipt).await.shows(200, "Complete").shows(200, "acknowledged");
    assert!(!page.text.contains("data-follow"), "there is nothing to follow any more");
    assert!(!page.text.contains("1 token revoked."), "a notice is shown once");

    let signed = shop.browser.get(&format!("{receipt}/signed")).await;
    assert_eq!(signed.header("content-type"), "application/jwt");
    assert!(signed.header("content-disposition").starts_with("attachment"), "{signed:?}");
    assert_eq!(signed.text.split('.').count(), 3, "{}", signed.text);

    let shown = shop.get(&format!("/tokens/{id}")).await.shows(200, "found in a log");
    shown.shows(200, "<bdi>person ").shows(200, "revoked");
}

#[tokio::test]
async fn a_receipt_sends_an_event_that_holds_the_page_as_it_is_now() {
    let shop = Shop::new().await;
    let token = shop.token("blue").await;
    let id = shop.id_of(&token).await;
    let done = shop.browser.send(&shop.at("/revoke"), &[("what", "token"), ("which", &id)]).await;
    let event = shop.browser.get(&format!("{}/events", done.location())).await;
    assert_eq!(event.header("content-type"), "text/event-stream");
    let data = event.text.split("event: receipt\ndata: ").nth(1).unwrap();
    let data: serde_json::Value = serde_json::from_str(data.trim_end()).unwrap();
    assert_eq!(data["complete"], true);
    assert!(data["html"].as_str().unwrap().contains("Complete"), "{data}");
    let without = shop.outside.get(&format!("{}/events", done.location())).await;
    assert_eq!(without.status, 303, "each event needs the session");
    shop.browser.get("/console/receipts/1-99999999").await.shows(404, "");
    shop.browser.get("/console/receipts/nonsense").await.shows(404, "");
}

#[tokio::test]
async fn each_scope_lists_what_goes_and_revokes_exactly_that() {
    let shop = Shop::new().await;
    let (blue, green) = (shop.token("blue").await, shop.token("green").await);
    let stateless = shop.stateless("blue").await;
    let review = shop.get("/revoke?what=group&which=blue").await;
    let review = review.shows(200, "Revoke 1 token of group <bdi>blue</bdi>?");
    let review =
        review.shows(200, &shop.id_of(&blue).await).shows(200, "Stateless tokens are revoked, too");
    assert!(!review.text.contains(&shop.id_of(&green).await), "another group's token stays");
    let fields = [("what", "group"), ("which", "blue")];
    assert_eq!(shop.browser.send(&shop.at("/revoke"), &fields).await.status, 303);
    let accepted = [shop.accepts(&blue).await, shop.accepts(&stateless).await];
    assert_eq!((accepted, shop.accepts(&green).await), ([false, false], true));
    shop.get("/revoke?what=kind&which=short-lived").await.shows(200, &shop.id_of(&green).await);
    let fields = [("what", "all"), ("which", "")];
    shop.get("/revoke?what=all&which=").await.shows(200, "--all");
    assert_eq!(shop.browser.send(&shop.at("/revoke"), &fields).await.status, 303);
    assert!(!shop.accepts(&green).await);
}

#[tokio::test]
async fn a_stateless_token_is_revoked_alone_by_its_id() {
    let shop = Shop::new().await;
    let (one, other) = (shop.stateless("blue").await, shop.stateless("blue").await);
    let found = shop.browser.send("/console/leak-desk", &[("text", &one)]).await;
    let found = found.shows(200, "Uses of stateless tokens are not recorded.");
    let href = link(&found, &shop.at("/revoke?what=stateless"));
    let review = shop.browser.get(&href).await.shows(200, "A stateless token");
    assert!(!review.text.contains(&one), "{}", review.text);
    let which = href.split("which=").nth(1).unwrap();
    let fields = [("what", "stateless"), ("which", which)];
    let done = shop.browser.send(&shop.at("/revoke"), &fields).await;
    assert!(done.location().starts_with("/console/receipts/"), "{done:?}");
    assert_eq!((shop.accepts(&one).await, shop.accepts(&other).await), (false, true));
}

#[tokio::test]
async fn a_text_with_several_tokens_shows_each_once_and_other_secrets_by_kind() {
    let shop = Shop::new().await;
    let (one, other) = (shop.token("blue").await, shop.token("green").await);
    let last = if one.ends_with('A') { 'E' } else { 'A' };
    let foreign = format!("{}{last}", &one[..one.len() - 1]);
    let verifier = format!("tgv_{}", "ab".repeat(32));
    let text = format!("{one}\n{other}\n{one}\n{foreign}\n{verifier}");
    let page = shop.browser.send("/console/leak-desk", &[("text", &text)]).await;
    let page = page.shows(200, "2 tokens found").shows(200, "found 2 times");
    let page = page.shows(200, "A verifier’s token");
    for secret in [&one, &other, &foreign, &verifier] {
        assert!(!page.text.contains(secret.as_str()), "a secret is not repeated");
    }
    let none = shop.browser.send("/console/leak-desk", &[("text", "tgs_ and <b>eyJ")]).await;
    none.shows(200, "No token found").shows(200, "(15 characters)");
}

#[tokio::test]
async fn a_token_that_the_person_may_not_read_does_not_hide_the_others() {
    let shop = Shop::new().await;
    let other = shop.channel("Kiosk").await;
    let role = |channel, role| RoleChange::Channel { channel, role: Some(role) };
    let human = shop.world.human("sora", Some(role(shop.id, ChannelRole::Admin))).await;
    let tester = role(other.id, ChannelRole::Tester);
    shop.world.root().set_role(human.id, tester).await.unwrap();
    let browser = shop.world.browser_of(&human).await;
    let (own, theirs) = (shop.token("blue").await, shop.token_of(&other, "red").await);
    let text = format!("{theirs}\n{own}\n");
    let page = browser.send("/console/leak-desk", &[("text", &text)]).await;
    let page = page.shows(200, "Active token").shows(200, &shop.id_of(&own).await);
    let page = page.shows(200, "1 token is of a channel whose tokens you may not read");
    assert!(!page.text.contains(&shop.id_of(&theirs).await), "{}", page.text);
    let alone = browser.send("/console/leak-desk", &[("text", &theirs)]).await;
    let alone = alone.shows(200, "1 token is of a channel whose tokens you may not read");
    assert!(!alone.text.contains("No token found"), "{}", alone.text);
}

#[tokio::test]
async fn a_text_of_one_mebibyte_is_searched_and_a_longer_one_is_not() {
    let shop = Shop::new().await;
    let token = shop.token("blue").await;
    // A letter that takes three bytes in a form.
    let filled = |length: usize| format!("{token}{}", "\n".repeat(length - token.len()));
    let page = shop.browser.send("/console/leak-desk", &[("text", &filled(1 << 20))]).await;
    page.shows(200, "Active token");
    let page = shop.browser.send("/console/leak-desk", &[("text", &filled((1 << 20) + 1))]).await;
    page.shows(422, "The text is longer than 1 MiB");
}

#[tokio::test]
async fn another_channels_token_and_what_is_no_scope_are_not_found() {
    let shop = Shop::new().await;
    let id = shop.id_of(&shop.token("blue").await).await;
    let root = shop.world.root();
    let made =
        root.create_channel(shop.provider, "other", tegata_policy::rules::ChannelType::LineLogin);
    let (other, _) = made.await.unwrap();
    let path = format!("/console/channels/{}/revoke", other.id);
    shop.browser.get(&format!("{path}?what=token&which={id}")).await.shows(404, "");
    let fields = [("what", "token"), ("which", &*id)];
    assert_eq!(shop.browser.send(&path, &fields).await.status, 404);
    for query in ["", "what=nothing", "what=token", "what=token&which=short"] {
        let page = shop.get(&format!("/revoke?{query}")).await;
        assert_eq!(page.status, 400, "{query}");
    }
    shop.get("/revoke?what=group&which=blau").await.shows(422, "There is: blue.");
    shop.get("/revoke?what=kind&which=x").await.shows(422, "There is: v2.1, ");
}

#[tokio::test]
async fn a_reason_that_cannot_be_accepted_is_shown_again_and_revokes_nothing() {
    let shop = Shop::new().await;
    let token = shop.token("blue").await;
    let id = shop.id_of(&token).await;
    for reason in ["a".repeat(501), "turn \u{202E}around".to_owned()] {
        let fields = [("what", "token"), ("which", &*id), ("reason", &*reason)];
        let page = shop.browser.send(&shop.at("/revoke"), &fields).await;
        page.shows(422, "aria-invalid").shows(422, &reason);
    }
    assert!(shop.accepts(&token).await);
}

#[tokio::test]
async fn an_auditor_sees_whose_a_token_is_and_may_not_revoke_it() {
    let shop = Shop::new().await;
    let token = shop.token("blue").await;
    let id = shop.id_of(&token).await;
    let auditor = shop.browser_of("aki", OperatorRole::Auditor).await;
    auditor.send("/console/leak-desk", &[("text", &token)]).await.shows(200, "Active token");
    let fields = [("what", "token"), ("which", &*id)];
    assert_eq!(auditor.send(&shop.at("/revoke"), &fields).await.status, 403);
    assert!(shop.accepts(&token).await);
    let oncall = shop.browser_of("ren", OperatorRole::OnCall).await;
    assert_eq!(oncall.send(&shop.at("/revoke"), &fields).await.status, 303);
    let page = shop.outside.request(Method::GET, &shop.at("/tokens"), &[], None).await;
    assert_eq!(page.status, 303, "without a session there is the sign-in");
}

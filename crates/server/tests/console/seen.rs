//! What a page shows to whom, and that a change is made to what the person saw.

use crate::{pages::Company, shop::Shop};
use tegata_policy::permission::{ChannelRole, OperatorRole, RoleChange};
use tegata_server::authority::admin::ActOptions;
use tegata_store::ChannelPatch;

/// The tag of the settings that a form shows, the form being the one that goes there.
fn seen(text: &str, action: &str) -> String {
    let form = text.split(&format!("action=\"{action}")).nth(1).unwrap();
    let rest = form.split("name=\"seen\" value=\"").nth(1).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn settings_that_were_changed_meanwhile_are_not_overwritten() {
    let shop = Shop::new().await;
    shop.token("blue").await;
    let provider = format!("/console/providers/{}", shop.provider);
    let of_group = shop.at("/groups/blue");
    let limits = [("rules", "current"), ("group_cap", "3"), ("when_full", "deny")];
    let forms = [
        (shop.at(""), shop.at("/name"), vec![("name", "One")], vec![("name", "Two")]),
        (shop.at("/security"), shop.at("/security"), limits.to_vec(), vec![("group_cap", "4")]),
        (of_group.clone(), of_group, vec![("cap", "3")], vec![("cap", "4")]),
        (provider.clone(), format!("{provider}/name"), vec![("name", "One")], vec![("name", "2")]),
    ];
    for (page, action, first, second) in forms {
        let text = shop.browser.get(&page).await.shows(200, "<form").text;
        let tag = seen(&text, &action);
        let with =
            |fields: &[(&'static str, &'static str)]| [&[("seen", tag.as_str())], fields].concat();
        let done = shop.browser.send(&action, &with(&first)).await;
        assert_eq!(done.status, 303, "{action}: {}", done.text);
        // Another person has the page of before.
        let late = shop.browser.send(&action, &with(&second)).await;
        late.shows(409, "was changed");
        let tag = seen(&shop.browser.get(&page).await.text, &action);
        let fields = [&[("seen", tag.as_str())], &second[..]].concat();
        assert_eq!(shop.browser.send(&action, &fields).await.status, 303, "{action}");
    }
}

#[tokio::test]
async fn what_else_was_chosen_stays_when_something_is_wrong() {
    let shop = Shop::new().await;
    let security = shop.at("/security");
    let tag = seen(&shop.get("/security").await.text, &security);
    // Another person changes the channel meanwhile.
    let patch = ChannelPatch { name: Some("Other".to_owned()), ..ChannelPatch::default() };
    shop.world.root().change_channel(shop.id, patch, &ActOptions::default()).await.unwrap();
    let choices = [
        ("seen", &*tag),
        ("rules", "legacy-2020"),
        ("group_cap", "3"),
        ("when_full", "deny"),
        ("own_audience_only", "on"),
        ("single_use_assertions", "on"),
        ("on_leak", "flag"),
    ];
    let wrong = [&choices[..], &[("verify_rate", "x"), ("issue_rate", "7")]].concat();
    let page = shop.browser.send(&security, &wrong).await.shows(422, "aria-invalid");
    for chosen in [
        "name=\"rules\" value=\"legacy-2020\" checked",
        "name=\"when_full\" value=\"deny\" checked",
        "name=\"own_audience_only\" value=\"on\" checked",
        "name=\"single_use_assertions\" value=\"on\" checked",
        "name=\"on_leak\" value=\"flag\" checked",
        "value=\"7\"",
    ] {
        assert!(page.text.contains(chosen), "no {chosen} in {}", page.text);
    }
    // The other person's change is not overwritten once it is right.
    assert_eq!(seen(&page.text, &security), tag);
    shop.browser.send(&security, &choices).await.shows(409, "was changed");
}

#[tokio::test]
async fn a_name_that_was_wrong_does_not_replace_one_that_was_given_meanwhile() {
    let shop = Shop::new().await;
    let provider = format!("/console/providers/{}", shop.provider);
    for (page, action, name) in [
        (shop.at(""), shop.at("/name"), "One"),
        (provider.clone(), format!("{provider}/name"), "Two"),
    ] {
        let tag = seen(&shop.browser.get(&page).await.text, &action);
        let root = shop.world.root();
        let name = name.to_owned();
        let patch = ChannelPatch { name: Some(name.clone()), ..ChannelPatch::default() };
        root.change_channel(shop.id, patch, &ActOptions::default()).await.unwrap();
        root.change_provider(shop.provider, Some(name)).await.unwrap();
        let wrong = shop.browser.send(&action, &[("seen", &tag), ("name", " ")]).await;
        let tag = seen(&wrong.shows(422, "").text, &action);
        let fields = [("seen", &*tag), ("name", "Mine")];
        shop.browser.send(&action, &fields).await.shows(409, "was changed");
    }
}

#[tokio::test]
async fn a_role_is_changed_after_a_page_that_asks() {
    let shop = Shop::new().await;
    let human = shop.world.human("aoi", None).await;
    let role = RoleChange::Channel { channel: shop.id, role: Some(ChannelRole::Member) };
    shop.world.root().set_role(human.id, role).await.unwrap();
    let person = shop.at(&format!("/roles/{}", human.id));
    let page = shop.get("/roles").await.shows(200, &format!("method=\"get\" action=\"{person}\""));
    assert!(page.text.contains("Change…"), "{}", page.text);
    let ask = shop.browser.get(&format!("{person}?role=admin")).await;
    let ask = ask.shows(200, "Change the role of <bdi>aoi</bdi> to Admin?");
    let ask = ask.shows(200, "Everything in the channel");
    let tag = seen(&ask.text, &person);
    let fields = [("role", "admin"), ("seen", &*tag), ("reason", "on leave")];
    assert_eq!(shop.browser.send(&person, &fields).await.location(), shop.at("/roles"));
    // A page that asks about the Member does not change the Admin.
    let fields = [("role", "tester"), ("seen", &*tag)];
    shop.browser.send(&person, &fields).await.shows(409, "was changed");
    let ask = shop.browser.get(&format!("{person}?role=none")).await;
    ask.shows(200, "Remove <bdi>aoi</bdi>’s role?");
    shop.browser.get(&format!("{person}?role=king")).await.shows(400, "");
    assert_eq!(shop.browser.send(&person, &[("role", "none")]).await.status, 303);
    let roles = shop.world.root().channel_roles(shop.id).await.unwrap();
    assert!(roles.is_empty());
    let own = format!("/console/people/{}/role", human.id);
    let ask = shop.browser.get(&format!("{own}?role=auditor")).await;
    ask.shows(200, "Change the role of <bdi>aoi</bdi> to Auditor?");
    assert_eq!(shop.browser.send(&own, &[("role", "auditor")]).await.status, 303);
    let found = shop.world.root().person(human.id).await.unwrap();
    assert_eq!(found.person.operator, Some(OperatorRole::Auditor));
}

#[tokio::test]
async fn an_auditor_sees_no_buttons_for_what_is_not_permitted() {
    let shop = Shop::new().await;
    let token = shop.token("blue").await;
    let id = shop.id_of(&token).await;
    shop.verifier("Gate").await;
    let auditor = shop.browser_of("jun", OperatorRole::Auditor).await;
    let pages = [
        shop.at("/tokens"),
        shop.at(&format!("/tokens/{id}")),
        shop.at("/groups"),
        shop.at("/groups/blue"),
        shop.at(""),
        shop.at("/roles"),
        "/console/verifiers".to_owned(),
        "/console/signing-keys".to_owned(),
        "/console/people".to_owned(),
    ];
    for path in pages {
        let page = auditor.get(&path).await.shows(200, "<main");
        for act in ["/revoke", "/delete\"", "/remove", "/rotate", "/new\"", "btn danger"] {
            assert!(!page.text.contains(act), "{path} offers {act}: {}", page.text);
        }
    }
    let page = auditor.send("/console/leak-desk", &[("text", &token)]).await;
    let page = page.shows(200, &id);
    assert!(!page.text.contains("/revoke"), "{}", page.text);
    auditor.get("/console/verifiers/new").await.shows(403, "Permission required");
    // The on-call person takes away, and creates nothing.
    let on_call = shop.browser_of("ren", OperatorRole::OnCall).await;
    let page = on_call.get("/console/verifiers").await.shows(200, "/delete\"");
    assert!(!page.text.contains("/verifiers/new"), "{}", page.text);
    on_call.get(&shop.at("/tokens")).await.shows(200, "/revoke?what=token");
    let page = on_call.get(&shop.at("/groups/blue")).await.shows(200, "/delete\"");
    assert!(!page.text.contains("name=\"cap\""), "{}", page.text);
}

#[tokio::test]
async fn an_act_that_verifiers_must_learn_leads_to_its_receipt() {
    let shop = Shop::new().await;
    shop.token("blue").await;
    let company = Company::new(&shop.world, "company").await;
    let key = company.path("/channels/{channel}/keys/{kid}/delete");
    let channel = company.path("/channels/{channel}/delete");
    let acts = [
        (shop.at("/suspend"), vec![]),
        (key, vec![("tokens", "revoke")]),
        (channel, vec![]),
        (shop.at("/delete"), vec![]),
    ];
    for (path, mut fields) in acts {
        fields.push(("reason", "a drill"));
        let done = shop.browser.send(&path, &fields).await;
        assert!(done.location().starts_with("/console/receipts/"), "{path}: {done:?}");
        shop.browser.get(done.location()).await.shows(200, "Receipt");
    }
}

#[tokio::test]
async fn acts_on_verifiers_and_signing_keys_record_their_reason() {
    let shop = Shop::new().await;
    let id = shop.world.verifier("Gate").await;
    let path = format!("/console/verifiers/{id}/delete");
    shop.browser.get(&path).await.shows(200, "name=\"reason\"");
    shop.browser.get("/console/signing-keys/rotate").await.shows(200, "name=\"reason\"");
    assert_eq!(shop.browser.send(&path, &[("reason", "moved away")]).await.status, 303);
    let fields = [("reason", "a yearly drill")];
    let done = shop.browser.send("/console/signing-keys/rotate", &fields).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let page = shop.browser.get("/console/audit").await;
    page.shows(200, "moved away").shows(200, "a yearly drill");
}

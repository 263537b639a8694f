//! A form that is sent twice, as by a double click or by going back and sending it again,
//! creates one thing. One test per sort of thing.

use crate::{
    browser::{Browser, Human, PASSWORD, Page, World, jwk},
    pages::{Company, administered},
};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use tegata_policy::{
    acts::MOST_SESSIONS,
    permission::{ChannelRole, OperatorRole, RoleChange},
    secret::PlainSecret,
};

/// What a form creates, seen from outside: the audit event of its creation.
struct Form<'a> {
    /// The page with the form, and where the form goes.
    page: &'a str,
    action: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    /// The act of the audit event.
    act: &'a str,
    /// Whether the page that follows shows a secret.
    secret: bool,
}

/// The token of the page's forms.
fn token(page: &Page) -> String {
    let rest = page.text.split("name=\"request\" value=\"").nth(1).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

fn secret(page: &Page) -> Option<String> {
    let found = page.text.split("id=\"secret\"").nth(1)?.split_once('>')?.1;
    Some(found.split('<').next().unwrap().trim().to_owned())
}

/// How many events of this act there are.
async fn count(world: &World, act: &str) -> usize {
    let page = tegata_store::Page { before: None, most: 1_000 };
    let rows = world.root().audit(Default::default(), page).await.unwrap();
    rows.iter().filter(|it| it.act == act).count()
}

/// Sends the form at once twice, later once more, and then from a page that was loaded anew.
async fn check(world: &World, browser: &Browser, form: Form<'_>) {
    let before = count(world, form.act).await;
    let page = browser.get(form.page).await.shows(200, "<form");
    let token = token(&page);
    let fields = [&[("request", token.as_str())][..], &form.fields[..]].concat();
    let send = async || browser.send(form.action, &fields).await;
    let (one, other) = tokio::join!(send(), send());
    assert_eq!((one.status, other.status), (303, 303), "{} {}", one.text, other.text);
    assert_eq!(one.location(), other.location());
    assert_eq!(count(world, form.act).await, before + 1, "{}", form.action);
    let shown = secret(&browser.get(one.location()).await);
    assert_eq!(shown.is_some(), form.secret, "{}", form.action);
    let later = send().await;
    assert_eq!(later.location(), one.location(), "{}", later.text);
    assert_eq!(secret(&browser.get(later.location()).await), shown, "the same secret");
    assert_eq!(count(world, form.act).await, before + 1, "{}", form.action);
}

#[tokio::test]
async fn a_provider_is_created_once() {
    let (world, browser, _) = administered().await;
    let form = Form {
        page: "/console/providers/new",
        action: "/console/providers",
        fields: vec![("name", "Harbour")],
        act: "provider.create",
        secret: false,
    };
    check(&world, &browser, form).await;
    // The form of a page that was loaded anew creates another one.
    let token = token(&browser.get("/console/providers/new").await);
    let fields = [("request", token.as_str()), ("name", "Harbour")];
    assert_eq!(browser.send("/console/providers", &fields).await.status, 303);
    // And so does one with other fields.
    let fields = [("request", token.as_str()), ("name", "Lighthouse")];
    assert_eq!(browser.send("/console/providers", &fields).await.status, 303);
    assert_eq!(count(&world, "provider.create").await, 4, "one is of the company");
}

#[tokio::test]
async fn a_channel_is_created_once_and_its_secret_shown_again() {
    let (world, browser, company) = administered().await;
    let form = Form {
        page: &company.path("/providers/{provider}/channels/new"),
        action: &company.path("/providers/{provider}/channels"),
        fields: vec![("name", "Bot"), ("type", "messaging-api")],
        act: "channel.create",
        secret: true,
    };
    check(&world, &browser, form).await;
}

#[tokio::test]
async fn a_secret_is_rotated_once() {
    let (world, browser, company) = administered().await;
    let path = company.path("/channels/{channel}/secret/rotate");
    let form = Form {
        page: &path,
        action: &path,
        fields: vec![("keep", "3600"), ("revoke", "none")],
        act: "channel.rotate-secret",
        secret: true,
    };
    check(&world, &browser, form).await;
}

#[tokio::test]
async fn what_is_taken_away_is_taken_once_and_the_second_click_goes_where_the_first_one_does() {
    let (world, browser, company) = administered().await;
    let person = company.path("/people/{person}").rsplit('/').next().unwrap().parse().unwrap();
    let role = RoleChange::Channel { channel: company.channel, role: Some(ChannelRole::Member) };
    world.root().set_role(person, role).await.unwrap();
    let made = [("name", "laptop"), ("rights", "read"), ("days", "1")];
    browser.send("/console/account/tokens", &made).await;
    let account = browser.get("/console/account").await.text;
    let own_token = account.split("/console/account/tokens/").nth(1).unwrap();
    let own_token = format!("/account/tokens/{}", own_token.split('"').next().unwrap());
    let no_fields = Vec::new;
    for (path, fields, act) in [
        ("/channels/{channel}/keys/{kid}/delete", no_fields(), "key.delete"),
        ("/channels/{channel}/groups/{group}/delete", no_fields(), "group.delete"),
        ("/channels/{channel}/roles/{person}", vec![("role", "tester")], "person.set-role"),
        ("/channels/{channel}/roles/{person}", vec![("role", "none")], "person.set-role"),
        ("/people/{person}/role", vec![("role", "auditor")], "person.set-role"),
        ("/people/{person}/delete", no_fields(), "person.delete"),
        (&own_token, no_fields(), "admin-token.delete"),
        ("/verifiers/{verifier}/delete", no_fields(), "verifier.delete"),
        ("/channels/{channel}/delete", no_fields(), "channel.delete"),
        ("/providers/{provider}/delete", no_fields(), "provider.delete"),
    ] {
        let action = company.path(path);
        let query: Vec<_> = fields.iter().filter(|it| it.0 == "role").collect();
        let page = query.iter().fold(action.clone(), |page, it| format!("{page}?role={}", it.1));
        let form = Form { page: &page, action: &action, fields, act, secret: false };
        check(&world, &browser, form).await;
    }
}

/// A browser in a session that began more than ten minutes ago, and another one with its cookies,
/// as the second of two clicks has them: it gets none of the answer to the first.
async fn long_after_the_sign_in() -> (World, Human, [Browser; 2], Company) {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let company = Company::new(&world, "company").await;
    let browsers = [world.browser_of(&human).await, world.browser()];
    *browsers[1].cookies.lock().unwrap() = browsers[0].cookies.lock().unwrap().clone();
    world.authority().advance_clock(601).await.unwrap();
    (world, human, browsers, company)
}

#[tokio::test]
async fn a_secret_is_rotated_once_by_two_clicks_with_a_code() {
    let (world, human, [one, other], company) = long_after_the_sign_in().await;
    let path = company.path("/channels/{channel}/secret/rotate");
    let token = token(&one.get(&path).await.shows(200, "name=\"code\""));
    let code = world.code(&human.totp, 0);
    let fields = [("request", &*token), ("keep", "3600"), ("revoke", "none"), ("code", &*code)];
    let (first, second) = tokio::join!(one.send(&path, &fields), other.send(&path, &fields));
    assert_eq!((first.status, second.status), (303, 303), "{} {}", first.text, second.text);
    assert_eq!(count(&world, "channel.rotate-secret").await, 1);
    let shown = secret(&other.get(second.location()).await).unwrap();
    let later = other.send(&path, &fields).await;
    assert_eq!(secret(&other.get(later.location()).await).unwrap(), shown, "the same secret");
    // The code is used for this page alone.
    let other_page = company.path("/channels/{channel}/suspend");
    world.authority().advance_clock(601).await.unwrap();
    other.send(&other_page, &fields).await.shows(422, "The code is wrong");
    other.send(&path, &fields).await.shows(422, "The code is wrong");
}

#[tokio::test]
async fn a_second_click_on_a_revocation_with_a_code_neither_fails_nor_ends_the_session() {
    let (world, human, [one, other], company) = long_after_the_sign_in().await;
    let path = company.path("/channels/{channel}/revoke");
    let token = token(&one.get(&format!("{path}?what=all")).await.shows(200, "name=\"code\""));
    let code = world.code(&human.totp, 0);
    let fields = [("request", &*token), ("what", "all"), ("code", &*code)];
    assert_eq!(one.send(&path, &fields).await.status, 303);
    let again = other.send(&path, &fields).await;
    assert_eq!(again.status, 303, "{}", again.text);
    other.get(again.location()).await.shows(200, "<title>Receipt");
}

#[tokio::test]
async fn a_code_is_accepted_in_the_oldest_of_as_many_sessions_as_a_person_can_have() {
    let (world, human, [browser, _], company) = long_after_the_sign_in().await;
    for _ in 1..MOST_SESSIONS {
        world.authority().advance_clock(30).await.unwrap();
        let password = PlainSecret::from_caller(PASSWORD.to_owned());
        let code = PlainSecret::from_caller(world.code(&human.totp, 0));
        let session = world.authority().sign_in("mika".to_owned(), password, &code, None).await;
        assert!(session.is_ok());
    }
    world.authority().advance_clock(30).await.unwrap();
    let path = company.path("/channels/{channel}/suspend");
    let code = world.code(&human.totp, 0);
    let done = browser.send(&path, &[("code", &code)]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    browser.get(&path).await.shows(200, "company");
}

#[tokio::test]
async fn an_assertion_key_is_registered_once() {
    let (world, browser, company) = administered().await;
    let key = jwk(&KeyPair::generate(KeySize::Rsa2048).unwrap()).to_string();
    let form = Form {
        page: &company.path("/channels/{channel}"),
        action: &company.path("/channels/{channel}/keys"),
        fields: vec![("key", &key)],
        act: "key.register",
        secret: false,
    };
    check(&world, &browser, form).await;
}

#[tokio::test]
async fn a_token_that_is_revoked_at_once_is_reissued_once() {
    let (world, browser, company) = administered().await;
    let path = company.path("/channels/{channel}/messaging-api/reissue");
    let act = "token.issue";
    let form = Form { page: &path, action: &path, fields: vec![], act, secret: true };
    check(&world, &browser, form).await;
}

#[tokio::test]
async fn a_verifier_is_created_once() {
    let (world, browser, _) = administered().await;
    let form = Form {
        page: "/console/verifiers/new",
        action: "/console/verifiers/new",
        fields: vec![("name", "Gate"), ("staleness", "60")],
        act: "verifier.create",
        secret: true,
    };
    check(&world, &browser, form).await;
}

#[tokio::test]
async fn an_invitation_is_made_once_in_each_place() {
    let (world, browser, company) = administered().await;
    let places = [
        ("/people", "auditor", "one"),
        ("/providers/{provider}/roles", "member", "two"),
        ("/channels/{channel}/roles", "tester", "three"),
    ];
    for (page, role, login) in places {
        let page = company.path(page);
        let form = Form {
            page: &page,
            action: &format!("{page}/invitations"),
            fields: vec![("login", login), ("role", role)],
            act: "person.invite",
            secret: true,
        };
        check(&world, &browser, form).await;
    }
}

#[tokio::test]
async fn a_person_is_reset_once() {
    let (world, browser, company) = administered().await;
    let path = company.path("/people/{person}/reset");
    let form =
        Form { page: &path, action: &path, fields: vec![], act: "person.reset", secret: true };
    check(&world, &browser, form).await;
}

#[tokio::test]
async fn a_personal_token_is_created_once() {
    let (world, browser, _) = administered().await;
    let form = Form {
        page: "/console/account",
        action: "/console/account/tokens",
        fields: vec![("name", "laptop"), ("rights", "read"), ("days", "30")],
        act: "admin-token.create",
        secret: true,
    };
    check(&world, &browser, form).await;
}

#[tokio::test]
async fn a_signing_key_is_made_once() {
    let (world, browser, _) = administered().await;
    let path = "/console/signing-keys/rotate";
    let act = "signing-key.rotate";
    let form =
        Form { page: path, action: path, fields: vec![("reason", "a drill")], act, secret: false };
    check(&world, &browser, form).await;
}

#[tokio::test]
async fn a_form_of_another_person_with_the_same_token_is_another_request() {
    let (world, browser, _) = administered().await;
    let token = token(&browser.get("/console/account").await);
    let fields =
        [("request", token.as_str()), ("name", "laptop"), ("rights", "read"), ("days", "1")];
    assert_eq!(browser.send("/console/account/tokens", &fields).await.status, 303);
    let own = secret(&browser.get("/console/account").await).unwrap();
    let human = world.operator("jun", OperatorRole::Administrator).await;
    let other = world.browser_of(&human).await;
    assert_eq!(other.send("/console/account/tokens", &fields).await.status, 303);
    assert_ne!(secret(&other.get("/console/account").await).unwrap(), own);
    assert_eq!(count(&world, "admin-token.create").await, 2);
}

#[tokio::test]
async fn what_can_be_needed_again_is_done_again_by_a_form_that_the_browser_has_kept() {
    let (world, browser, company) = administered().await;
    let suspend = company.path("/channels/{channel}/suspend");
    let page = browser.get(&suspend).await;
    let token = token(&page);
    for times in 1..=2 {
        let done = browser.send(&suspend, &[("request", &token)]).await;
        assert_eq!(done.status, 303, "{}", done.text);
        assert_eq!(count(&world, "channel.suspend").await, times);
        browser.send(&company.path("/channels/{channel}/resume"), &[]).await;
    }
}

#[tokio::test]
async fn a_role_that_was_given_again_is_taken_again_by_a_form_that_the_browser_has_kept() {
    let (world, browser, company) = administered().await;
    let person = company.path("/people/{person}").rsplit('/').next().unwrap().parse().unwrap();
    let role = Some(ChannelRole::Member);
    let role = RoleChange::Channel { channel: company.channel, role };
    let action = company.path("/channels/{channel}/roles/{person}");
    world.root().set_role(person, role).await.unwrap();
    let page = browser.get(&format!("{action}?role=none")).await.shows(200, "<form");
    let token = token(&page);
    for times in 1..=2 {
        let before = count(&world, "person.set-role").await;
        let done = browser.send(&action, &[("request", &token), ("role", "none")]).await;
        assert_eq!(done.status, 303, "{}", done.text);
        assert_eq!(count(&world, "person.set-role").await, before + 1, "{times}");
        world.root().set_role(person, role).await.unwrap();
    }
}

//! Each page, for each role. The list of pages comes from the router, so that a new page is
//! covered by itself.

use crate::browser::{Browser, Human, World};
use reqwest::Method;
use tegata_policy::{
    permission::{ChannelRole, OperatorRole, ProviderRole, RoleChange},
    rules::ChannelType,
};
use tegata_server::{
    api::console::paths,
    authority::admin::{ActOptions, InChannel, NewPerson, Outcome},
};
use tegata_token::id::{ChannelId, ProviderId};

/// A provider with an object of every sort.
pub struct Company {
    pub provider: ProviderId,
    pub channel: ChannelId,
    /// The name of each id in a path, and the object's own.
    ids: Vec<(&'static str, String)>,
}

/// A world with a company in it, and the browser of an operator who may do everything.
pub async fn administered() -> (World, Browser, Company) {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let company = Company::new(&world, "company").await;
    (world, browser, company)
}

impl Company {
    pub async fn new(world: &World, name: &str) -> Self {
        let root = world.root();
        let provider = root.create_provider(name).await.unwrap().id;
        let made = root.create_channel(provider, name, ChannelType::MessagingApi).await;
        let channel = made.unwrap().0.id;
        let kid = world.key(channel).await;
        let options = ActOptions::default();
        let done = root.reissue(channel, 0, None, &options).await.unwrap();
        let Outcome::Done(token, _) = done else { panic!("it was no dry run") };
        let kind = InChannel::Kind(tegata_token::kind::Kind::V21);
        let done = root.revoke_in_channel(channel, kind, &options).await.unwrap();
        let Outcome::Done((), taken) = done else { panic!("it was no dry run") };
        let verifier = world.verifier(name).await;
        let new = NewPerson { login: format!("{name}-tester"), name: name.to_owned(), role: None };
        let person = root.invite(new).await.unwrap().person.id;
        let group = world.group(channel).await;
        let key = root.signing_keys().await.unwrap()[0].id;
        let ids = vec![
            ("{provider}", provider.to_string()),
            ("{channel}", channel.to_string()),
            ("{kid}", kid.to_string()),
            ("{token}", token.claims.id.to_string()),
            ("{group}", group),
            ("{position}", taken.receipt.position.to_string()),
            ("{verifier}", verifier),
            ("{instance}", "AAECAwQFBgcICQoLDA0ODw".to_owned()),
            ("{key}", key.to_string()),
            ("{person}", person.to_string()),
            ("{admin_token}", "1000000009".to_owned()),
            ("{name}", "style.css".to_owned()),
        ];
        Self { provider, channel, ids }
    }

    /// The path of a page of this company; `None` if it has no object of its sort.
    pub fn path(&self, path: &str) -> String {
        let path = self.ids.iter().fold(path.to_owned(), |path, (name, id)| path.replace(name, id));
        assert!(!path.contains('{'), "give {path} an object of its sort here");
        format!("/console{}", path.trim_end_matches('/'))
    }
}

/// Pages that need no sign-in.
const OPEN: [&str; 8] = [
    "/assets/{name}",
    "/sign-in",
    "/sign-in/identity",
    "/sign-in/identity/return",
    "/sign-in/identity/code",
    "/invitation",
    "/invitation/accept",
    "/settings",
];

/// The pages of one's own account, which has no id in its path.
fn is_own(path: &str) -> bool {
    path.starts_with("/account") || path == "/sign-out"
}

async fn in_channel(world: &World, login: &str, company: &Company, role: ChannelRole) -> Human {
    let channel = company.channel;
    world.human(login, Some(RoleChange::Channel { channel, role: Some(role) })).await
}

/// A form that passes the checks in front of the act, as far as one fits all pages.
const FIELDS: [(&str, &str); 8] = [
    ("name", "Other"),
    ("role", "admin"),
    ("type", "messaging-api"),
    ("login", "elsewhere"),
    ("person", "1000000001"),
    ("rights", "read"),
    ("days", "1"),
    ("what", "all"),
];

#[tokio::test]
async fn every_page_is_there_for_an_administrator_in_both_languages() {
    let world = World::new().await;
    let company = Company::new(&world, "company").await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let mut shown = 0;
    for language in ["en", "ja"] {
        browser.send("/console/settings", &[("language", language)]).await;
        for path in paths(Method::GET).filter(|it| *it != "/assets/{name}") {
            let page = browser.get(&company.path(path)).await;
            let what = format!("{path}: {} {}", page.status, page.text);
            // There is no previous secret and no such personal token; the provider has a
            // channel; a page that is for others goes on elsewhere.
            let expected: &[u16] = match path {
                "/channels/{channel}/secret/previous/delete" => &[404],
                "/account/tokens/{admin_token}/delete" => &[404],
                // There is no identity provider, and so no linked account.
                "/people/{person}/unlink" => &[404],
                _ if path.contains("/identity/") => &[404],
                // The person has no role there.
                "/channels/{channel}/roles/{person}" => &[404],
                "/providers/{provider}/roles/{person}" => &[404],
                "/verifiers/{verifier}/instances/{instance}/remove" => &[200, 404],
                "/providers/{provider}/delete" => &[409],
                // An operator has no role there to give up.
                "/channels/{channel}/leave" => &[403],
                "/channels/{channel}/revoke" => &[200, 400],
                // The credential of a verifier is shown once.
                "/sign-in" | "/verifiers/{verifier}/created" => &[303],
                _ => &[200],
            };
            assert!(expected.contains(&page.status), "{what}");
            let is_html = page.header("content-type").starts_with("text/html");
            if page.status == 200 && is_html {
                assert!(page.text.contains(&format!("<html lang=\"{language}\"")), "{what}");
                assert!(!page.text.contains(" style=") && !page.text.contains("<style"), "{what}");
                shown += 1;
            }
        }
    }
    assert!(shown > 40, "only {shown} pages");
    browser.get(&company.path("/channels/{channel}/revoke?what=all")).await.shows(200, "<main");
}

#[tokio::test]
async fn a_person_of_one_provider_sees_and_changes_nothing_of_another() {
    let world = World::new().await;
    let (ours, theirs) = (Company::new(&world, "ours").await, Company::new(&world, "theirs").await);
    let provider = ours.provider;
    let role = RoleChange::Provider { provider, role: Some(ProviderRole::Admin) };
    let human = world.human("mika", Some(role)).await;
    let channel = RoleChange::Channel { channel: ours.channel, role: Some(ChannelRole::Admin) };
    world.root().set_role(human.id, channel).await.unwrap();
    let browser = world.browser_of(&human).await;
    let before = world.events().await;
    let mut tried = 0;
    for method in [Method::GET, Method::POST] {
        let all = paths(method.clone()).filter(|it| !OPEN.contains(it) && it.contains('{'));
        for path in all.filter(|it| !is_own(it)) {
            let at = theirs.path(path);
            let page = match method {
                Method::GET => browser.get(&at).await,
                _ => browser.send(&at, &FIELDS).await,
            };
            // A form that is none of the page's is rejected before.
            let incomplete = method == Method::POST || path == "/channels/{channel}/revoke";
            let is_hidden = page.status == 404 || incomplete && page.status == 400;
            // What is about the whole authority is no secret, and forbidden.
            let is_forbidden = page.status == 403 && at.contains("/signing-keys");
            assert!(is_hidden || is_forbidden, "{method} {at}: {} {}", page.status, page.text);
            // What the person has asked for is no news.
            let ids = [theirs.provider.to_string(), theirs.channel.to_string()];
            let ids = ids.into_iter().filter(|it| !at.contains(it));
            for secret in ids.chain(["theirs".to_owned()]) {
                assert!(!page.text.contains(&secret), "{method} {at} shows {secret}");
            }
            tried += 1;
        }
    }
    assert!(tried > 40, "only {tried} requests");
    browser.get(&theirs.path("/channels/{channel}/revoke?what=all")).await.shows(404, "");
    for page in ["/console", "/console/audit", "/console/account"] {
        let shown = browser.get(page).await.shows(200, "<main");
        let id = theirs.channel.to_string();
        assert!(!shown.text.contains(&id) && !shown.text.contains("theirs"), "{page}");
    }
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn a_member_of_a_channel_sees_it_and_may_change_nothing() {
    let world = World::new().await;
    let company = Company::new(&world, "company").await;
    let human = in_channel(&world, "mika", &company, ChannelRole::Member).await;
    let browser = world.browser_of(&human).await;
    let page = browser.get(&company.path("/channels/{channel}")).await;
    let page = page.shows(200, "company");
    for act in ["/delete", "/suspend", "/secret/rotate", "Register key"] {
        assert!(!page.text.contains(act), "{act}");
    }
    let before = world.events().await;
    let of_channel = paths(Method::POST).filter(|it| it.starts_with("/channels/"));
    // The one thing that a member may do.
    let of_channel = of_channel.filter(|it| !it.ends_with("/leave"));
    for path in of_channel {
        let page = browser.send(&company.path(path), &FIELDS).await;
        // A form with something wrong is shown again before the act is asked for.
        let refused = [400, 403, 404, 422].contains(&page.status);
        assert!(refused, "{path}: {} {}", page.status, page.text);
    }
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn no_form_of_another_site_is_taken_on_any_page() {
    let world = World::new().await;
    let company = Company::new(&world, "company").await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let before = world.events().await;
    let mut tried = 0;
    for path in paths(Method::POST) {
        for headers in [&[][..], &[("origin", "https://evil.example")]] {
            let at = company.path(path);
            let page = browser.request(Method::POST, &at, headers, Some(&FIELDS)).await;
            assert_eq!(page.status, 403, "{path}: {}", page.text);
            tried += 1;
        }
    }
    assert!(tried > 40, "only {tried} requests");
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn a_page_that_needs_a_sign_in_asks_for_one() {
    let world = World::new().await;
    let company = Company::new(&world, "company").await;
    let browser: Browser = world.browser();
    for method in [Method::GET, Method::POST] {
        for path in paths(method.clone()).filter(|it| !OPEN.contains(it)) {
            let at = company.path(path);
            let page = match method {
                Method::GET => browser.get(&at).await,
                _ => browser.send(&at, &FIELDS).await,
            };
            let leads = page.location().starts_with("/console/sign-in?next=");
            assert!(page.status == 303 && leads, "{method} {at}: {}", page.status);
        }
    }
}

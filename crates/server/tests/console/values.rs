//! What people enter: control characters are accepted nowhere, and markup is shown as text.

use crate::{
    browser::{Page, World},
    pages::{Company, administered},
};
use reqwest::Method;
use tegata_policy::permission::{ChannelRole, OperatorRole, RoleChange};
use tegata_server::api::console::paths;

/// A form: where it goes, the field with the text, the others.
type Form = (String, &'static str, Vec<(&'static str, &'static str)>);

/// The forms that store a line of text.
fn forms(company: &Company) -> Vec<Form> {
    let at = |path: &str| company.path(path);
    vec![
        (at("/providers"), "name", vec![]),
        (at("/providers/{provider}/name"), "name", vec![]),
        (at("/providers/{provider}/channels"), "name", vec![("type", "mini-app")]),
        (at("/channels/{channel}/name"), "name", vec![]),
        (at("/channels/{channel}/groups/{group}"), "contact", vec![]),
        (at("/verifiers/new"), "name", vec![("staleness", "60")]),
        (at("/people/invitations"), "name", vec![("login", "aoi"), ("role", "auditor")]),
        (at("/account/tokens"), "name", vec![("rights", "read"), ("days", "1")]),
        (at("/channels/{channel}/suspend"), "reason", vec![]),
        (at("/verifiers/{verifier}/delete"), "reason", vec![]),
    ]
}

#[tokio::test]
async fn no_form_stores_control_characters() {
    let (world, browser, company) = administered().await;
    let before = world.events().await;
    let controls = [
        '\0', '\u{7}', '\u{8}', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{200e}',
        '\u{202e}', '\u{2066}', '\u{2028}', '\u{feff}',
    ];
    for (path, field, others) in forms(&company) {
        for control in controls {
            let text = format!("a{control}b");
            let fields = [&others[..], &[(field, text.as_str())]].concat();
            let page = browser.send(&path, &fields).await;
            let shown = format!("{path} {control:?}: {} {}", page.status, page.text);
            assert!([400, 422].contains(&page.status), "{shown}");
        }
    }
    // As other fields: what no list has, and ids.
    for (path, field) in [
        ("/channels/{channel}/keys", "group"),
        ("/people/invitations", "login"),
        ("/channels/{channel}/roles", "person"),
    ] {
        let fields = [(field, "a\u{1b}b"), ("key", "{}"), ("role", "auditor")];
        let page = browser.send(&company.path(path), &fields).await;
        assert!([400, 422].contains(&page.status), "{path}: {}", page.status);
    }
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn markup_that_was_stored_is_shown_as_text_on_every_page() {
    const MARKUP: &str = "\"><script>alert(1)</script><img src=x>'";
    let (world, browser, company) = administered().await;
    for (path, field, others) in forms(&company) {
        let fields = [&others[..], &[(field, MARKUP)]].concat();
        let page = browser.send(&path, &fields).await;
        assert_eq!(page.status, 303, "{path}: {}", page.text);
        // What follows shows it, too.
        let next = browser.get(page.location()).await;
        assert!(!next.text.contains("<script>alert") && !next.text.contains("<img"), "{path}");
    }
    let role = RoleChange::Channel { channel: company.channel, role: Some(ChannelRole::Admin) };
    let human = world.human("jun", Some(role)).await;
    let other = world.browser_of(&human).await;
    let mut escaped = 0;
    for browser in [&browser, &other] {
        for path in paths(Method::GET).filter(|it| *it != "/assets/{name}") {
            let page = browser.get(&company.path(path)).await;
            for raw in ["<script>alert", "<img src", "\"><script"] {
                assert!(!page.text.contains(raw), "{path}: {raw} in {}", page.text);
            }
            escaped += usize::from(page.text.contains("&lt;script&gt;alert"));
        }
    }
    assert!(escaped > 20, "only {escaped} pages show it");
}

#[tokio::test]
async fn the_page_of_what_is_not_permitted_names_the_admins_there() {
    let (world, _, company) = administered().await;
    let role = |role| RoleChange::Channel { channel: company.channel, role: Some(role) };
    world.human("aoi", Some(role(ChannelRole::Admin))).await;
    let member = world.human("ren", Some(role(ChannelRole::Member))).await;
    let member = world.browser_of(&member).await;
    let page = member.get(&company.path("/channels/{channel}/tokens")).await;
    let page = page.shows(403, "Admins here: <bdi>aoi</bdi>.");
    assert!(!page.text.contains("ren</bdi>."), "{}", page.text);
    // A page of the whole authority has none, and who sees nothing learns nothing.
    let page = member.get("/console/signing-keys").await.shows(403, "Permission required");
    assert!(!page.text.contains("aoi"), "{}", page.text);
    let stranger = world.human("yui", None).await;
    let stranger = world.browser_of(&stranger).await;
    let page = stranger.get(&company.path("/channels/{channel}/tokens")).await;
    assert!(!page.shows(404, "").text.contains("aoi"));
}

#[tokio::test]
async fn a_text_that_names_no_actor_finds_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(|settings| settings.place = crate::store::place(folder.path())).await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let own = format!("/console/audit?actor=person+{}", human.id);
    let shown = |page: &Page| page.text.matches("<code>person.sign-in</code>").count();
    assert!(shown(&browser.get(&own).await.shows(200, "")) > 0);
    for actor in ["person+%00", "a%1bb", &"x".repeat(101)] {
        let page = browser.get(&format!("/console/audit?actor={actor}")).await.shows(200, "");
        assert_eq!(shown(&page), 0, "{actor:?}: {}", page.text);
    }
}

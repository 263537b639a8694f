//! Invitations: their links, and what they set.

use crate::browser::{Browser, PASSWORD, Page, World};
use data_encoding::BASE32_NOPAD;
use reqwest::Method;
use tegata_policy::permission::OperatorRole;

/// The value of a field of the page's form.
fn field(page: &Page, name: &str) -> String {
    let found = page.text.split(&format!("name=\"{name}\"")).nth(1).unwrap();
    let value = found.split('>').next().unwrap().split("value=\"").nth(1).unwrap();
    value.split('"').next().unwrap().to_owned()
}

/// What a page shows once.
fn secret(page: &Page) -> String {
    let found = page.text.split("id=\"secret\">").nth(1).unwrap();
    found.split('<').next().unwrap().trim().to_owned()
}

/// An invitation that was opened in a browser.
struct Opened<'a> {
    browser: &'a Browser,
    invitation: String,
    totp_secret: String,
    /// The secret of the second factor.
    totp: Vec<u8>,
}

impl<'a> Opened<'a> {
    async fn by(browser: &'a Browser, invitation: &str) -> Self {
        let page = browser.send("/console/invitation", &[("invitation", invitation)]).await;
        let page = page.shows(200, "<svg class=\"qr\"");
        let (invitation, totp_secret) = (field(&page, "invitation"), field(&page, "totp_secret"));
        let totp = BASE32_NOPAD.decode(totp_secret.as_bytes()).unwrap();
        Self { browser, invitation, totp_secret, totp }
    }

    async fn accept(&self, password: &str, code: &str) -> Page {
        let fields = [
            ("invitation", &*self.invitation),
            ("totp_secret", &self.totp_secret),
            ("password", password),
            ("code", code),
        ];
        self.browser.send("/console/invitation/accept", &fields).await
    }
}

#[tokio::test]
async fn a_person_who_resets_the_own_sign_in_gets_the_link_and_sets_a_new_one() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let reset = format!("/console/people/{}/reset", human.id);
    browser.get(&reset).await.shows(200, "your sessions end, this one too");
    let page = browser.send(&reset, &[]).await.shows(200, "Set a new password");
    assert!(page.text.contains(&secret(&page)) && !page.text.contains("Your account"));
    assert!(browser.cookies.lock().unwrap().is_empty(), "no session is left");
    // The button sends it, without the address that a link would need.
    let opened = Opened::by(&browser, &field(&page, "invitation")).await;
    let password = "another horse and battery";
    opened.accept(password, &world.code(&opened.totp, -1)).await.shows(200, "Recovery codes");
    let code = world.code(&opened.totp, 0);
    let fields = [("login", "mika"), ("password", password), ("code", &code)];
    assert_eq!(browser.send("/console/sign-in", &fields).await.location(), "/console");
    let fields = [("login", "mika"), ("password", PASSWORD), ("code", &code)];
    world.browser().send("/console/sign-in", &fields).await.shows(422, "mika");
}

/// The link of a new invitation, for a browser that uses the console at this origin.
async fn link(world: &World, browser: &Browser, origin: &str, login: &str) -> String {
    let headers = [("origin", origin), ("host", origin.split_once("//").unwrap().1)];
    let fields = [("login", login), ("role", "auditor")];
    let path = "/console/people/invitations";
    let made = browser.request(Method::POST, path, &headers, Some(&fields)).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let link = secret(&browser.get(made.location()).await);
    let (at, invitation) = link.split_once("/console/invitation#").unwrap();
    Opened::by(&world.browser(), invitation).await;
    at.to_owned()
}

#[tokio::test]
async fn the_link_of_an_invitation_leads_to_the_console() {
    let (used, public) = ("http://127.0.0.1:9", "https://tokens.example.com");
    for (public_url, console_url, apart, expected) in [
        (None, None, false, used),
        (Some("https://tokens.example.com/line/"), None, false, public),
        // The console is at the other listener, whose address outside only the browser knows.
        (Some(public), None, true, used),
        (Some(public), Some("https://console.example.com/"), true, "https://console.example.com"),
    ] {
        let world = World::with(|it| {
            it.public_url = public_url.map(str::to_owned);
            it.console_url = console_url.map(str::to_owned);
            it.admin_listen = apart.then_some(([127, 0, 0, 1], 0).into());
        });
        let world = world.await;
        let human = world.operator("mika", OperatorRole::Administrator).await;
        let browser = world.browser_of(&human).await;
        let at = link(&world, &browser, used, "jun").await;
        assert_eq!(at, expected, "{public_url:?} {console_url:?} {apart}");
    }
}

//! Invitations: their links, and what they set.

use crate::browser::{Browser, PASSWORD, Page, World};
use data_encoding::BASE32_NOPAD;
use reqwest::Method;
use tegata_policy::permission::OperatorRole;
use tegata_server::authority::admin::NewPerson;

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
    codes: String,
    /// The secret of the second factor.
    totp: Vec<u8>,
}

impl<'a> Opened<'a> {
    async fn by(browser: &'a Browser, invitation: &str) -> Self {
        let page = browser.send("/console/invitation", &[("invitation", invitation)]).await;
        let page = page.shows(200, "<svg class=\"qr\"");
        let [invitation, totp_secret, codes] =
            ["invitation", "totp_secret", "codes"].map(|it| field(&page, it));
        let totp = BASE32_NOPAD.decode(totp_secret.as_bytes()).unwrap();
        Self { browser, invitation, totp_secret, codes, totp }
    }

    async fn accept(&self, password: &str, code: &str) -> Page {
        let fields = [
            ("invitation", &*self.invitation),
            ("totp_secret", &self.totp_secret),
            ("codes", &self.codes),
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

#[tokio::test]
async fn a_form_that_resets_the_own_sign_in_shows_the_same_link_however_often_it_is_sent() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    world.authority().advance_clock(601).await.unwrap();
    let reset = format!("/console/people/{}/reset", human.id);
    // Each page has an invitation of its own.
    let other = field(&browser.get(&reset).await, "drawn");
    let asked = browser.get(&reset).await;
    let [drawn, request] = ["drawn", "request"].map(|it| field(&asked, it));
    assert!(drawn != other && !asked.text.contains("reset?"), "it is in no address");
    let code = world.code(&human.totp, 0);
    let fields = [("drawn", &*drawn), ("request", &request), ("code", &code)];
    let (one, two) = tokio::join!(browser.send(&reset, &fields), browser.send(&reset, &fields));
    let link = secret(&one.shows(200, "Set a new password"));
    assert_eq!(secret(&two.shows(200, "Set a new password")), link);
    let later = browser.send(&reset, &fields).await.shows(200, "Set a new password");
    assert_eq!(secret(&later), link);
    assert!(!later.text.contains("/console/settings"), "no button leads away from the link");
    // It is shown to nothing else, and not once it was used.
    let others = [("drawn", &*other), ("request", &request), ("code", &code)];
    assert_eq!(browser.send(&reset, &others).await.status, 303);
    let opened = Opened::by(&browser, &field(&later, "invitation")).await;
    opened.accept(PASSWORD, &world.code(&opened.totp, 0)).await.shows(200, "Recovery codes");
    assert_eq!(browser.send(&reset, &fields).await.status, 303);
}

#[tokio::test]
async fn an_invitation_that_was_drawn_in_another_session_is_not_used() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let jun = world.operator("jun", OperatorRole::Administrator).await;
    let reset = |of: &crate::browser::Human| format!("/console/people/{}/reset", of.id);
    let theirs = world.browser_of(&jun).await;
    let there = theirs.get(&reset(&jun)).await;
    let browser = world.browser_of(&human).await;
    let drawn = field(&there, "drawn");
    let page = browser.send(&reset(&human), &[("drawn", &*drawn)]).await;
    page.shows(200, "Set a new password");
    let fields = [("drawn", &*drawn)];
    let before = world.browser().send(&reset(&jun), &fields).await;
    assert_eq!(before.status, 303, "nothing was reset with it: {}", before.text);
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

/// An invitation of a person without a role.
async fn invitation(world: &World, login: &str) -> String {
    let new = NewPerson { login: login.to_owned(), name: login.to_owned(), role: None };
    world.root().invite(new).await.unwrap().invitation.reveal().to_owned()
}

#[tokio::test]
async fn a_form_that_accepts_an_invitation_twice_shows_the_same_recovery_codes() {
    let world = World::new().await;
    let (browser, invitation) = (world.browser(), invitation(&world, "mika").await);
    let opened = Opened::by(&browser, &invitation).await;
    // A page that was opened at the same time has other codes.
    let other = Opened::by(&browser, &invitation).await;
    let code = world.code(&opened.totp, 0);
    let (one, twice) = tokio::join!(opened.accept(PASSWORD, &code), opened.accept(PASSWORD, &code));
    let codes = secret(&one.shows(200, "Recovery codes"));
    assert_eq!(secret(&twice.shows(200, "Recovery codes")), codes);
    let later = opened.accept(PASSWORD, &code).await.shows(200, "Recovery codes");
    assert_eq!((secret(&later), codes.lines().count()), (codes.clone(), 10));
    let unknown = "If you have just accepted it, sign in";
    let code_of_other = world.code(&other.totp, 0);
    other.accept(PASSWORD, &code_of_other).await.shows(422, unknown);
    opened.accept("another horse and battery", &code).await.shows(422, unknown);
    opened.accept(PASSWORD, "000000").await.shows(422, unknown);
    // They are those of the person.
    let first = codes.lines().next().unwrap();
    let fields = [("login", "mika"), ("password", PASSWORD), ("code", first)];
    assert_eq!(browser.send("/console/sign-in", &fields).await.status, 303);
    opened.accept(PASSWORD, &code).await.shows(422, unknown);
}

#[tokio::test]
async fn recovery_codes_are_shown_again_for_as_long_as_the_code_of_their_form_alone() {
    let world = World::new().await;
    let (browser, invitation) = (world.browser(), invitation(&world, "mika").await);
    let opened = Opened::by(&browser, &invitation).await;
    let code = world.code(&opened.totp, 0);
    opened.accept(PASSWORD, &code).await.shows(200, "Recovery codes");
    world.authority().advance_clock(60).await.unwrap();
    opened.accept(PASSWORD, &code).await.shows(422, "no such invitation");
}

//! Signing in by an identity provider, and linking an account there.

mod forged;
mod link;
mod node;
mod sign_in;

use crate::browser::{Browser, Human, Page, World};
use node::{CLIENT_ID, CLIENT_SECRET, NodeProvider};
use tegata_policy::{permission::OperatorRole, secret::PlainSecret};
use tegata_server::authority::openid_settings::{OpenIdSettings, SecondFactorFrom};

fn settings(issuer: &str) -> OpenIdSettings {
    OpenIdSettings {
        issuer: issuer.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(PlainSecret::from_caller(CLIENT_SECRET.to_owned())),
        second_factor: SecondFactorFrom::Tegata,
    }
}

/// A server with npm's provider, and a person who has no account there yet.
struct Linked {
    world: World,
    provider: NodeProvider,
    mika: Human,
}

impl Linked {
    async fn new(second_factor: SecondFactorFrom) -> Self {
        let mut provider = NodeProvider::start();
        let openid = OpenIdSettings { second_factor, ..settings(&provider.issuer) };
        let world = World::with(|it| it.openid = Some(openid)).await;
        provider.serves(&format!("http://{}", world.running.address));
        let mika = world.operator("mika", OperatorRole::Administrator).await;
        Self { world, provider, mika }
    }

    /// The same, with the person's account linked.
    async fn linked(second_factor: SecondFactorFrom) -> Self {
        let it = Self::new(second_factor).await;
        let browser = it.world.browser_of(&it.mika).await;
        let page = browser.send("/console/account/identity/link", &[]).await;
        let back = it.signs_in_at_provider(&goes_on(&page), "mika-1").await;
        let done = browser.get(&back).await;
        assert_eq!(done.location(), "/console/account/identity/confirm", "{}", done.text);
        let done = browser.send("/console/account/identity/confirm", &[]).await;
        assert_eq!((done.status, done.location()), (303, "/console/account"), "{}", done.text);
        it
    }

    /// Signs in at the provider, which sends the browser back to this path of the console.
    async fn signs_in_at_provider(&self, to: &str, name: &str) -> String {
        self.answers_provider(to, &[("name", name)]).await
    }

    async fn answers_provider(&self, to: &str, fields: &[(&str, &str)]) -> String {
        let issuer = &self.provider.issuer;
        let at = |url: &str| url.strip_prefix(issuer.as_str()).unwrap_or(url).to_owned();
        let browser = Browser::at(issuer.clone());
        let form = browser.get(&at(to)).await;
        assert!(form.location().starts_with("/interaction/"), "{} {}", form.status, form.text);
        let sent = browser.send(form.location(), fields).await;
        let back = browser.get(&at(sent.location())).await;
        let console = format!("http://{}", self.world.running.address);
        let path = back.location().strip_prefix(&console);
        path.unwrap_or_else(|| panic!("{} {}", back.status, back.text)).to_owned()
    }

    /// The code of the person's authenticator, so many steps from now.
    fn code(&self, steps: i64) -> String {
        self.world.code(&self.mika.totp, steps)
    }
}

/// The address to which a page goes on by itself.
fn goes_on(page: &Page) -> String {
    let (_, rest) = page.text.split_once("content=\"0; url=").unwrap_or_else(|| {
        panic!("{} goes nowhere: {}", page.status, page.text);
    });
    rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&")
}

/// Begins a sign-in, and returns the address at the provider.
async fn begins(browser: &Browser) -> String {
    let page = browser.send("/console/sign-in/identity", &[("next", "/console/audit")]).await;
    goes_on(&page.shows(200, "Continue"))
}

/// A parameter of an address.
fn parameter(address: &str, name: &str) -> String {
    let query = address.split_once('?').unwrap().1;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).unwrap().1.into_owned()
}

fn has_session(browser: &Browser) -> bool {
    browser.cookies.lock().unwrap().contains_key("tegata-session")
}

//! A development server with an administrator, and the browser of that person.

use crate::{
    browser::{Browser, Way},
    program::{ADMIN_TOKEN, Desk, Server},
};
use data_encoding::BASE32_NOPAD;
use fantoccini::{Locator, key::Key};
use serde_json::{Value, json};
use tegata_policy::totp;
use tegata_token::time::UnixTime;

pub const LOGIN: &str = "mika@example.com";
pub const PASSWORD: &str = "correct horse battery staple";

/// A store that a restart finds again.
pub const STORE: &[&str] = &["--store", "sqlite:tegata.db"];

pub struct Console {
    pub desk: Desk,
    authenticator: Authenticator,
}

/// The second factor of a person.
pub struct Authenticator(Vec<u8>);

impl Authenticator {
    pub fn of(secret: &str) -> Self {
        Self(BASE32_NOPAD.decode(secret.trim().as_bytes()).unwrap())
    }

    /// The code that it shows next. A code works once, so the server's clock goes forward.
    pub fn next_code(&self, desk: &Desk) -> String {
        let now = UnixTime(desk.server.advance(30));
        format!("{:06}", totp::code(&self.0, totp::step_at(now)))
    }
}

impl Console {
    /// Starts a server, and invites an administrator, who accepts by the API.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same, with more settings.
    pub fn with(settings: &[&str]) -> Self {
        let desk = Desk::with(&[STORE, settings].concat());
        let person =
            desk.json(&["person", "invite", LOGIN, "--operator", "--role", "administrator"]);
        let invitation = json!({ "invitation": person["invitation"] });
        let opened = post(&desk, "/admin/v1/invitations/open", &invitation);
        let secret = opened["totp_secret"].as_str().unwrap();
        let authenticator = Authenticator::of(secret);
        let code = authenticator.next_code(&desk);
        let accepted = json!({
            "invitation": person["invitation"], "password": PASSWORD,
            "totp_secret": secret, "code": code,
        });
        post(&desk, "/admin/v1/invitations/accept", &accepted);
        Self { desk, authenticator }
    }

    /// Stops the server, which records the uses of tokens, and starts it again.
    pub fn restarted(self) -> Self {
        let Self { desk: Desk { home, server }, authenticator } = self;
        assert!(server.stop().success());
        let words = [&["serve", "--dev", "--listen", "127.0.0.1:0"], STORE].concat();
        let server = Server::start(home.tegata(&words).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
        Self { desk: Desk { home, server }, authenticator }
    }

    pub fn code(&self) -> String {
        self.authenticator.next_code(&self.desk)
    }

    /// The assertion keys of the only channel that a journey has created.
    pub fn keys(&self) -> Vec<Value> {
        let channels = self.desk.json(&["channel", "list", "--search", "Order bot"]);
        let channel = channels["channels"][0]["channel_id"].as_str().unwrap();
        let keys = self.desk.json(&["key", "list", "--channel", channel]);
        keys["assertion_keys"].as_array().unwrap().clone()
    }

    /// A browser in which the administrator is signed in.
    pub fn browser(&self, way: Way) -> Browser {
        let browser = Browser::open(&self.desk.server.url, way);
        browser.goes_to("/console");
        self.signs_in(&browser);
        browser
    }

    pub fn signs_in(&self, browser: &Browser) {
        browser.sees("Sign in to Tegata");
        browser.fills("Sign-in name", LOGIN).fills("Password", PASSWORD);
        browser.fills("Code", &self.code()).presses("Sign in");
        browser.sees("Overview");
    }

    /// Signs in by the fields' names in the form.
    pub fn signs_in_whatever_the_language(&self, browser: &Browser) {
        browser.goes_to("/console/sign-in");
        for (field, text) in [("login", LOGIN), ("password", PASSWORD), ("code", &self.code())] {
            let field = Locator::Id(field);
            let field = browser.driver.wait(browser.driver.client.find(field));
            browser.driver.wait(field.send_keys(text));
        }
        browser.types_key(Key::Enter);
        browser.until("the overview", || (browser.path() == "/console").then_some(()));
    }
}

/// The response to a request of the API that must succeed.
fn post(desk: &Desk, path: &str, body: &Value) -> Value {
    let url: reqwest::Url = format!("{}{path}", desk.server.url).parse().unwrap();
    let http = tegata_system::http::client_for(&url).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let response = http.post(url).json(body).send().await.unwrap();
        response.error_for_status().unwrap().json().await.unwrap()
    })
}

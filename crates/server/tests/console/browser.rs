//! A running server, and a browser that keeps cookies and sends forms.

use aws_lc_rs::{
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use data_encoding::BASE32_NOPAD;
use reqwest::{Method, header::HeaderMap};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tegata_policy::{
    jwk::AssertionKey,
    permission::{OperatorRole, RoleChange},
    secret::PlainSecret,
    totp,
};
use tegata_server::{
    authority::{
        Authority,
        actor::Actor,
        admin::{Admin, NewPerson, VerifierSettings},
    },
    config::Settings,
    serve::{Running, serve},
};
use tegata_store::GroupPatch;
use tegata_system::http::client_for;
use tegata_token::id::{AssertionKeyId, ChannelId, Group};

pub const PASSWORD: &str = "correct horse battery staple";

/// A server on a free port of loopback, with a store of its own.
pub struct World {
    pub running: Running,
    pub folder: tempfile::TempDir,
}

/// A person who has accepted an invitation.
pub struct Human {
    pub id: tegata_token::id::PersonId,
    pub login: String,
    pub totp: Vec<u8>,
    pub recovery: Vec<String>,
}

/// A response, read whole.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

/// A browser: it keeps cookies, and sends `Origin` with its forms.
pub struct Browser {
    pub base: String,
    http: reqwest::Client,
    pub cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with other settings than usual.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loopback = ([127, 0, 0, 1], 0).into();
        let mut settings = Settings::new(loopback, folder.path().join("tegata.db"));
        settings.place = crate::store::place(folder.path());
        settings.dev = true;
        change(&mut settings);
        let running = serve(settings).await.unwrap();
        Self { running, folder }
    }

    pub fn authority(&self) -> &Arc<Authority> {
        &self.running.authority
    }

    /// Administration, as with the root administrator's token.
    pub fn root(&self) -> Admin {
        self.authority().admin(Actor::Root, None)
    }

    /// A code of an authenticator, so many steps from now.
    pub fn code(&self, secret: &[u8], steps: i64) -> String {
        format!("{:06}", totp::code(secret, totp::step_at(self.authority().now()) + steps))
    }

    /// A person with this role, who has set a password and a second factor.
    pub async fn human(&self, login: &str, role: Option<RoleChange>) -> Human {
        let new = NewPerson { login: login.to_owned(), name: login.to_owned(), role };
        let invited = self.root().invite(new).await.unwrap();
        let opened = self.authority().open_invitation(&invited.invitation).await.unwrap();
        let totp = BASE32_NOPAD.decode(opened.totp_secret.reveal().as_bytes()).unwrap();
        let code = PlainSecret::from_caller(self.code(&totp, -1));
        let password = PlainSecret::from_caller(PASSWORD.to_owned());
        let second = (&opened.totp_secret, &code);
        let accepted =
            self.authority().accept_invitation(&invited.invitation, password, second, None, None);
        let codes = accepted.await.unwrap().recovery_codes;
        let recovery = codes.iter().map(|it| it.reveal().to_owned()).collect();
        Human { id: invited.person.id, login: login.to_owned(), totp, recovery }
    }

    /// A person of the whole authority.
    pub async fn operator(&self, login: &str, role: OperatorRole) -> Human {
        self.human(login, Some(RoleChange::Operator { role: Some(role) })).await
    }

    pub fn browser(&self) -> Browser {
        Browser::at(format!("http://{}", self.running.admin_address))
    }

    /// A browser in which this person is signed in.
    pub async fn browser_of(&self, human: &Human) -> Browser {
        let browser = self.browser();
        let code = self.code(&human.totp, 0);
        let fields = [("login", &*human.login), ("password", PASSWORD), ("code", &code)];
        let answer = browser.send("/console/sign-in", &fields).await;
        assert_eq!((answer.status, answer.location()), (303, "/console"), "{}", answer.text);
        browser
    }
}

impl Page {
    /// Where it leads.
    pub fn location(&self) -> &str {
        self.header("location")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    /// Checks the status, and that the page shows this text.
    #[track_caller]
    pub fn shows(self, status: u16, text: &str) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(text), "no `{text}` in {}", self.text);
        self
    }

    /// Checks that the page shows this command, whose words are marked up.
    #[track_caller]
    pub fn shows_command(&self, command: &str) {
        let text = self.text.replace("<span>", "").replace("</span>", "").replace("<wbr>", "");
        assert!(text.contains(command), "no `{command}` in {text}");
    }
}

impl Browser {
    /// A browser that visits this site.
    pub fn at(base: String) -> Self {
        let http = client_for(&base.parse().unwrap());
        let http = http.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { base, http, cookies: Arc::default() }
    }

    /// The same browser, whose requests a load balancer sends to another server.
    pub fn balanced_to(&self, other: &World) -> Self {
        Self { cookies: self.cookies.clone(), ..other.browser() }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.request(Method::GET, path, &[], None).await
    }

    /// Sends a form, as a page of the console does.
    pub async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.request(Method::POST, path, &[("origin", &self.base)], Some(fields)).await
    }

    /// A request with exactly these headers, and the cookies.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        fields: Option<&[(&str, &str)]>,
    ) -> Page {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        let cookies = self.cookies.lock().unwrap().clone();
        if !cookies.is_empty() {
            let pairs: Vec<_> = cookies.iter().map(|(name, it)| format!("{name}={it}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(fields) = fields {
            request = request.form(fields);
        }
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let mut all = self.cookies.lock().unwrap();
            match rest.contains("Max-Age=0;") {
                true => all.remove(name),
                false => all.insert(name.to_owned(), value.to_owned()),
            };
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Page { status, headers, text: response.text().await.unwrap() }
    }
}

/// Objects for the pages.
impl World {
    /// An assertion key of a channel.
    pub async fn key(&self, channel: ChannelId) -> AssertionKeyId {
        // Takes longer on a busy machine than a server without its lease is patient.
        let pair = tokio::task::spawn_blocking(|| KeyPair::generate(KeySize::Rsa2048).unwrap());
        let pair = pair.await.unwrap();
        let key = AssertionKey::from_jwk(jwk(&pair).to_string().as_bytes()).unwrap();
        self.root().register_key(channel, key, None).await.unwrap()
    }

    /// A verifier's id.
    pub async fn verifier(&self, name: &str) -> String {
        let settings = VerifierSettings {
            name: name.to_owned(),
            provider: None,
            max_staleness: 60_000,
            allow: false,
        };
        self.root().create_verifier(settings).await.unwrap().0.id.to_string()
    }

    /// A group of a channel.
    pub async fn group(&self, channel: ChannelId) -> String {
        let group: Group = "kitchen".parse().unwrap();
        let patch = GroupPatch { cap: Some(Some(2)), ..GroupPatch::default() };
        self.root().change_group(channel, group.clone(), patch).await.unwrap();
        group.to_string()
    }

    /// The ids of all audit events: what an act would add to.
    pub async fn events(&self) -> Vec<i64> {
        let page = tegata_store::Page { before: None, most: 1_000 };
        let rows = self.root().audit(Default::default(), page).await.unwrap();
        rows.iter().map(|it| it.id).collect()
    }
}

/// The public JWK of a pair.
pub fn jwk(pair: &KeyPair) -> serde_json::Value {
    let modulus = pair.public_key().modulus().big_endian_without_leading_zero().to_owned();
    let n = URL_SAFE_NO_PAD.encode(modulus);
    serde_json::json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "e": "AQAB", "n": n })
}

//! Reports of leaked tokens: from any client, and from programmes that sign them.

mod forged;
mod limits;
mod programmes;

use crate::world::{Channel, HttpResponse, JSON, World};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tegata_policy::{channel::OnLeak, secret::PlainSecret};
use tegata_server::{
    authority::{
        admin::ActOptions,
        leaks::{KeysFile, LeakSettings, Programme},
    },
    config::Settings,
};
use tegata_store::{AuditFilter, AuditRow, ChannelPatch, Page};
use tegata_token::kind::Kind;

/// The token of the self-managed GitLab.
pub const GITLAB: &str = "a-token-that-gitlab-shares-with-the-operator";

/// A programme's key pair with its id.
pub struct Signer {
    pub id: String,
    pub pair: EcdsaKeyPair,
}

impl Signer {
    pub fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { id: id.to_owned(), pair }
    }

    /// The base64 of a signature of a body.
    pub fn sign(&self, body: &[u8]) -> String {
        STANDARD.encode(self.pair.sign(&SystemRandom::new(), body).unwrap())
    }

    /// The file of keys that the programme publishes.
    pub fn file(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        let der = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
        let key = json!({ "key_identifier": self.id, "key": pem, "is_current": true });
        json!({ "public_keys": [key] }).to_string()
    }
}

/// A server with the keys of both programmes, and a signer of each.
pub struct Desk {
    pub world: World,
    pub github: Signer,
    pub gitlab: Signer,
    /// Holds the files of keys.
    pub folder: tempfile::TempDir,
}

pub fn keys_file(folder: &Path, programme: Programme) -> PathBuf {
    folder.join(programme.name())
}

impl Desk {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let (github, gitlab) = (Signer::new("hub"), Signer::new("lab"));
        let folder = tempfile::tempdir().unwrap();
        let mut keys = Vec::new();
        for (programme, signer) in [(Programme::GitHub, &github), (Programme::GitLab, &gitlab)] {
            let file = keys_file(folder.path(), programme);
            std::fs::write(&file, signer.file()).unwrap();
            keys.push(KeysFile { programme, file });
        }
        let gitlab_token = Some(PlainSecret::from_caller(GITLAB.to_owned()));
        let world = World::with(|settings| {
            settings.leaks = LeakSettings { keys, gitlab_token };
            set(settings);
        });
        Self { world: world.await, github, gitlab, folder }
    }

    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> HttpResponse {
        self.world.send_bytes(Method::POST, path, headers, body.into()).await
    }

    /// A report that GitHub signs.
    pub async fn github(&self, body: &str) -> HttpResponse {
        let signature = self.github.sign(body.as_bytes());
        let headers = github_headers("hub", &signature);
        self.post("/leaks/github", &headers, body.to_owned()).await
    }

    /// A report that GitLab.com signs.
    pub async fn gitlab(&self, body: &str) -> HttpResponse {
        let signature = self.gitlab.sign(body.as_bytes());
        let headers = [
            JSON,
            ("gitlab-public-key-identifier", "lab"),
            ("gitlab-public-key-signature", &signature),
        ];
        self.post("/leaks/gitlab", &headers, body.to_owned()).await
    }

    /// A report of the self-managed GitLab.
    pub async fn self_managed(&self, body: &str) -> HttpResponse {
        let headers = [JSON, ("authorization", GITLAB)];
        self.post("/v1/revoke_tokens", &headers, body.to_owned()).await
    }

    /// A token of each kind.
    pub async fn tokens(&self, shop: &Channel) -> Vec<String> {
        let mut tokens = Vec::new();
        for kind in [Kind::V21, Kind::Stateless, Kind::ShortLived] {
            tokens.push(self.world.issue(shop, kind).await);
        }
        let admin = self.world.admin();
        let made = admin.reissue(shop.id, 0, None, &ActOptions::default()).await.unwrap();
        tokens.push(made.done().unwrap().0.reveal().to_owned());
        tokens
    }

    /// The newest events of the audit with this act.
    pub async fn events(&self, act: &str) -> Vec<AuditRow> {
        let page = Page { before: None, most: 1_000 };
        let rows = self.world.admin().audit(AuditFilter::default(), page).await.unwrap();
        rows.into_iter().filter(|it| it.act == act).collect()
    }
}

pub fn github_headers<'a>(id: &'a str, signature: &'a str) -> [(&'a str, &'a str); 3] {
    [JSON, ("github-public-key-identifier", id), ("github-public-key-signature", signature)]
}

/// A programme's report of these tokens.
pub fn array_of(tokens: &[impl AsRef<str>]) -> String {
    let url = "https://github.com/a/b/blob/main/c.env?x=y#L7";
    let entry =
        |token: &str| json!({ "token": token, "type": "tegata", "url": url, "source": "commit" });
    let all: Vec<Value> = tokens.iter().map(|it| entry(it.as_ref())).collect();
    json!(all).to_string()
}

pub fn flag() -> ChannelPatch {
    ChannelPatch { on_leak: Some(OnLeak::Flag), ..ChannelPatch::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_client_that_holds_a_token_of_any_kind_ends_it_at_once() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let other = desk.world.issue(&shop, Kind::ShortLived).await;
    for token in desk.tokens(&shop).await {
        assert!(desk.world.is_good(&token).await);
        let body = json!({ "token": token }).to_string();
        let reply = desk.post("/report", &[JSON], body).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        assert!(!desk.world.is_good(&token).await, "before the response was sent");
    }
    assert!(desk.world.is_good(&other).await, "a token that was not reported");
    let events = desk.events("leak.report").await;
    assert_eq!(events.len(), 4);
    for event in events {
        assert_eq!((event.actor.as_str(), event.channel), ("reporter", Some(shop.id)));
        assert_eq!(event.detail["on_leak"], "revoke");
        assert_eq!(event.detail["revoked"], 1);
        assert_eq!(event.detail["reason"], "reported as leaked");
        assert!(event.source.is_some() && event.detail["token_id"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_and_a_list_end_all_tokens_that_they_name() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let tokens = desk.tokens(&shop).await;
    let text = format!(
        "GET / HTTP/1.1\r\nauthorization: Bearer {}\r\n\r\n{{\"t\":\"{}\"}}",
        tokens[0], tokens[1]
    );
    let reply = desk.post("/report", &[("content-type", "text/plain")], text).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let body = json!({ "credentials": [&tokens[2], "ghp_other", &tokens[3]] }).to_string();
    let reply = desk.post("/credentials/revoke", &[JSON], body).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    for token in &tokens {
        assert!(!desk.world.is_good(token).await);
    }
    let events = desk.events("leak.report").await;
    assert_eq!(events.len(), 2, "one for each report and channel");
    let detail = &events[1].detail;
    assert_eq!(detail["token_ids"].as_array().unwrap().len(), 2);
    let audit = format!("{events:?}");
    assert!(tokens.iter().all(|it| !audit.contains(&it[..60])), "no token is in the audit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_signature_gets_one_answer_whatever_it_sends() {
    let desk = Desk::new().await;
    let (shop, flagged) = (desk.world.channel("shop").await, desk.world.channel("other").await);
    desk.world.change(&flagged, flag()).await;
    let active = desk.world.issue(&shop, Kind::V21).await;
    let stays = desk.world.issue(&flagged, Kind::V21).await;
    let revoked = desk.world.issue(&shop, Kind::ShortLived).await;
    desk.world.revoke(&shop, &revoked).await;
    let mut forged = active.clone().into_bytes();
    let at = forged.len() - 10;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let mut answers = Vec::new();
    for token in [&forged, "nothing", &revoked, &stays, &active, &active] {
        let list = json!({ "credentials": [token] }).to_string();
        let one = json!({ "token": token }).to_string();
        for (path, headers, body) in [
            ("/report", &[JSON], one),
            ("/report", &[("content-type", "text/plain")], token.to_owned()),
            ("/credentials/revoke", &[JSON], list),
        ] {
            let HttpResponse { status, mut headers, text } = desk.post(path, headers, body).await;
            headers.remove("x-line-request-id").unwrap();
            headers.remove("date");
            answers.push((status, format!("{headers:?}"), text));
        }
    }
    assert!(answers.iter().all(|it| *it == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, 202);
    assert!(!desk.world.is_good(&active).await && desk.world.is_good(&stays).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leak_in_a_channel_that_flags_is_recorded_once_and_the_token_stays_active() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    desk.world.change(&shop, flag()).await;
    let token = desk.world.issue_to(&shop, Kind::V21, "blue").await;
    for _ in 0..3 {
        let body = array_of(&[&token]);
        let reply = desk.github(&body).await;
        let said: Value = serde_json::from_str(&reply.text).unwrap();
        assert_eq!(said[0]["label"], "true_positive");
    }
    assert!(desk.world.is_good(&token).await);
    let events = desk.events("leak.report").await;
    assert_eq!(events.len(), 1, "a holder of the token cannot fill the audit");
    assert_eq!(events[0].detail["on_leak"], "flag");
    assert_eq!(
        (&events[0].detail["group"], &events[0].detail["revoked"]),
        (&json!("blue"), &json!(0))
    );

    // From now on the same report revokes it.
    let revoke = ChannelPatch { on_leak: Some(OnLeak::Revoke), ..ChannelPatch::default() };
    desk.world.change(&shop, revoke).await;
    desk.github(&array_of(&[&token])).await;
    assert!(!desk.world.is_good(&token).await);
    assert_eq!(desk.events("leak.report").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_suspended_channel_does_not_come_back_with_it() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let token = desk.world.issue(&shop, Kind::V21).await;
    let state = |state| ChannelPatch { state: Some(state), ..ChannelPatch::default() };
    desk.world.change(&shop, state(tegata_token::view::ChannelState::Suspended)).await;
    desk.post("/report", &[JSON], json!({ "token": token }).to_string()).await;
    desk.world.change(&shop, state(tegata_token::view::ChannelState::Active)).await;
    assert!(!desk.world.is_good(&token).await);
}

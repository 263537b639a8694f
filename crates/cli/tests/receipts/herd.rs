//! A herd of whole verifiers, whose authority is killed and started again at its address.
//! In the long mode there are two thousand.

use super::{
    World,
    process::{Server, http::Request, serve_at},
    states,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tegata_token::feed::OnStale;
use tegata_verifier::{FollowSettings, NotAccepted, TokenVerifier, standing::Use};

/// The default of a verifier: no view becomes stale meanwhile.
const STALENESS: Duration = Duration::from_secs(60);
/// What the verifiers of one credential may be at most.
const OF_A_VERIFIER: usize = 1_000;

/// Verifications of one token by all verifiers in turn, until it is dropped.
struct Verifications {
    over: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    /// Why verifiers refused, and how often.
    refused: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Verifications {
    fn start(herd: Vec<TokenVerifier>, token: String) -> Self {
        let it = Self { over: Arc::default(), made: Arc::default(), refused: Arc::default() };
        let (over, made, refused) = (it.over.clone(), it.made.clone(), it.refused.clone());
        tokio::spawn(async move {
            for verifier in herd.iter().cycle() {
                if over.load(SeqCst) {
                    return;
                }
                if let Err(why) = verifier.verify(token.as_bytes()).await {
                    *refused.lock().unwrap().entry(why.to_string()).or_default() += 1;
                }
                made.fetch_add(1, SeqCst);
                tokio::task::yield_now().await;
            }
        });
        it
    }
}

impl Drop for Verifications {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(240);
    while !is_so().await {
        assert!(Instant::now() < patience, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl World {
    async fn verifier_of_a_herd(&self, name: &str) -> String {
        let new = json!({ "name": name, "max_staleness": 60_000 });
        let made = self.server.create("/verifiers", new).await;
        made["verifier_token"].as_str().unwrap().to_owned()
    }

    async fn short_lived(&self) -> (String, String) {
        let path = format!("/providers/{}/channels", self.provider);
        let new = json!({ "name": "channel", "type": "messaging-api" });
        let made = self.server.create(&path, new).await;
        let (id, secret) = (&made["channel_id"], &made["channel_secret"]);
        let (id, secret) = (id.as_str().unwrap(), secret.as_str().unwrap());
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let request = Request::new("POST", "/v2/oauth/accessToken", &headers, &form);
        let issued = self.server.ask(&request).await;
        assert_eq!(issued.status, 200, "{}", issued.text());
        (id.to_owned(), issued.json()["access_token"].as_str().unwrap().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_verifier_of_a_herd_refuses_while_its_authority_is_killed_and_starts_again() {
    let count = if std::env::var_os("TEGATA_LONG").is_some() { 2_000 } else { 100 };
    let mut world = World::new().await;
    let address = world.server.address();
    let (channel, token) = world.short_lived().await;
    let mut herd = Vec::new();
    for begin in (0..count).step_by(OF_A_VERIFIER) {
        let credential = world.verifier_of_a_herd(&format!("herd-{begin}")).await;
        let authority = format!("http://{address}/").parse().unwrap();
        let mut settings = FollowSettings::new(authority, &credential).unwrap();
        settings.wanted = Use { staleness: STALENESS, on_stale: OnStale::Deny };
        settings.cached_tokens = 16;
        for _ in begin..count.min(begin + OF_A_VERIFIER) {
            herd.push(TokenVerifier::start(settings.clone()).unwrap());
        }
    }
    until("all have a view", async || herd.iter().all(|it| it.health().age.is_some())).await;
    let verifications = Verifications::start(herd.clone(), token.clone());
    for _ in 0..3 {
        let before = verifications.made.load(SeqCst);
        world.server.process.kill().unwrap();
        world.server.process.wait().unwrap();
        until("all verify without it", async || verifications.made.load(SeqCst) > before + count)
            .await;
        world.server = Server::start(serve_at(address, world.folder.path(), &[])).await;
        let other = world.channel().await;
        let revoked = world.revoke(&other, 60).await;
        assert_eq!(states(&revoked["receipt"], ["acknowledged"]), [count], "all are current");
    }
    let refused = verifications.refused.lock().unwrap().clone();
    assert!(refused.is_empty(), "of {:?}: {refused:?}", verifications.made);
    let revoked = world.revoke(&channel, 60).await;
    assert_eq!(revoked["receipt"]["state"], "complete");
    for verifier in &herd {
        let verified = verifier.verify(token.as_bytes()).await;
        assert!(matches!(verified, Err(NotAccepted::Invalid(_))), "{verified:?}");
    }
}

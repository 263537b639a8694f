//! A server that shares its store: without a lease it answers nothing from memory, and it
//! catches up before it says "unknown".

use crate::world::{Channel, HttpResponse, JSON, World, by_assertion};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tegata_server::config::Settings;
use tegata_store::{
    Error, Result,
    sqlite::{OtherServers, Others},
};
use tegata_token::{
    id::{AssertionKeyId, Position},
    kind::Kind,
    view::ChannelState,
};
use tokio::sync::Notify;

/// What another server does before this one has caught up.
type Act = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Other servers: this one's lease can be taken away, and catching up can fail.
#[derive(Default)]
pub struct Rivals {
    pub no_lease: AtomicBool,
    /// The lease has run out before every comparison, and is renewed in the moment before it.
    flaps: AtomicBool,
    lapses: AtomicUsize,
    unreachable: AtomicBool,
    caught_up: AtomicUsize,
    /// How often this server has waited until what it knows is in force everywhere.
    waited: AtomicUsize,
    /// How many seconds ago the lease was renewed.
    renewed_ago: AtomicUsize,
    /// Whether the others have not applied it yet.
    behind: AtomicBool,
    applied: Notify,
    act: Mutex<Option<Act>>,
}

#[async_trait]
impl OtherServers for Rivals {
    fn current(&self) -> bool {
        if self.flaps.load(SeqCst) {
            self.lapses.fetch_add(1, SeqCst);
        }
        !self.no_lease.load(SeqCst)
    }

    fn renewed_ago(&self) -> Duration {
        Duration::from_secs(self.renewed_ago.load(SeqCst) as u64)
    }

    fn lapses(&self) -> u64 {
        self.lapses.load(SeqCst) as u64
    }

    async fn in_force(&self, _: Position) {
        self.waited.fetch_add(1, SeqCst);
        while self.behind.load(SeqCst) {
            self.applied.notified().await;
        }
    }

    async fn catch_up(&self) -> Result<()> {
        self.caught_up.fetch_add(1, SeqCst);
        let act = self.act.lock().unwrap().take();
        if let Some(act) = act {
            act.await;
        }
        match self.unreachable.load(SeqCst) {
            true => Err(Error::Unavailable("the database is gone".into())),
            false => Ok(()),
        }
    }
}

/// A server that shares its store with others.
pub async fn shared(set: impl FnOnce(&mut Settings)) -> (World, Arc<Rivals>) {
    let rivals = Arc::new(Rivals::default());
    let others = Others(Some(rivals.clone()));
    let world = World::with(|settings| {
        settings.others = others;
        set(settings);
    });
    (world.await, rivals)
}

/// Every kind of answer that comes from memory, by its name.
async fn every_answer(world: &World, shop: &Channel, held: &Held) -> Vec<(String, HttpResponse)> {
    let root = format!("Bearer {}", held.root);
    let root = ("authorization", root.as_str());
    let verifier = format!("Bearer {}", held.verifier);
    let verifier = ("authorization", verifier.as_str());
    let mut all = Vec::new();
    let mut add = |name: &str, response| all.push((name.to_owned(), response));
    add("verify a JWS", world.verify_jws(&held.v21).await);
    add("verify an opaque token", world.verify_opaque(&held.short).await);
    add("verify a string", world.verify_opaque("tgs_none").await);
    add("forward authentication", world.gateway(&held.v21, "").await);
    add("the JWKS", world.get("/.well-known/jwks.json").await);
    add("introspect as a verifier", {
        world.post_with("/oauth2/introspect", &[verifier], &[("token", &held.short)]).await
    });
    let assertion = shop.assertion(world.now());
    add("introspect as a channel", {
        let fields = [&by_assertion(&assertion)[1..], &[("token", held.short.as_str())]].concat();
        world.post("/oauth2/introspect", &fields).await
    });
    add("a snapshot", world.get_with(&held.feed("snapshot", ""), &[verifier]).await);
    let after = format!("&after={}&hold=0", held.position);
    add("changes", world.get_with(&held.feed("changes", &after), &[verifier]).await);
    add("another's token", {
        world.get_with(&held.feed("snapshot", ""), &[("authorization", "Bearer tgv_none")]).await
    });
    add("issue a stateless token", world.stateless(shop, &[]).await);
    add("issue a short-lived token", world.short_lived(shop, &[]).await);
    add("issue a v2.1 token", world.v21(shop, &[]).await);
    add("issue by OAuth", world.post("/oauth2/token", &shop.by_secret()).await);
    add("the key ids", world.key_ids(&assertion).await);
    add("revoke a JWS", world.revoke_jws(shop, &held.v21).await);
    add("revoke an opaque token", world.revoke_opaque(&held.short).await);
    add("revoke by OAuth", {
        let fields = [&shop.by_secret()[..], &[("token", held.short.as_str())]].concat();
        world.post("/oauth2/revoke", &fields).await
    });
    add("explain", {
        let body = json!({ "access_token": held.long }).to_string();
        world.send(Method::POST, "/admin/v1/explain", &[JSON, root], body).await
    });
    for path in ["/admin/v1/channels", "/admin/v1/people", "/admin/v1/settings"] {
        add(path, world.get_with(path, &[root]).await);
    }
    add("an unauthenticated administrator", world.get("/admin/v1/channels").await);
    add("a page", world.get("/console/sign-in").await);
    all
}

/// What the requests need, made while there was a lease.
struct Held {
    root: String,
    verifier: String,
    v21: String,
    short: String,
    long: String,
    position: String,
}

impl Held {
    fn feed(&self, what: &str, more: &str) -> String {
        let instance = "i".repeat(22);
        format!("/feed/{what}?speaks=1&instance={instance}&staleness=5000&on_stale=deny{more}")
    }

    async fn of(world: &World, shop: &Channel) -> Self {
        let file = world.running().admin_token_file.as_ref().unwrap();
        let root = std::fs::read_to_string(file).unwrap().trim().to_owned();
        let bearer = format!("Bearer {root}");
        let headers = [JSON, ("authorization", bearer.as_str())];
        let body = json!({ "name": "gateway" }).to_string();
        let made = world.send(Method::POST, "/admin/v1/verifiers", &headers, body).await;
        let verifier = made.json()["verifier_token"].as_str().unwrap().to_owned();
        Self {
            root,
            verifier,
            v21: world.issue(shop, Kind::V21).await,
            short: world.issue(shop, Kind::ShortLived).await,
            long: world.issue(shop, Kind::ShortLived).await,
            position: world.authority().view().position().to_string(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_every_answer_from_memory_is_503() {
    let (world, rivals) = shared(|_| ()).await;
    let shop = world.channel("shop").await;
    let held = Held::of(&world, &shop).await;
    rivals.no_lease.store(true, SeqCst);
    for (name, response) in every_answer(&world, &shop, &held).await {
        assert_eq!(response.status, 503, "{name}: {}", response.text);
        assert_eq!(response.header("retry-after"), "1", "{name}");
    }
    for path in ["/livez", "/metrics"] {
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
    rivals.no_lease.store(false, SeqCst);
    assert!(world.is_good(&held.long).await);
    assert!(world.is_good(&held.v21).await, "nothing was revoked without a lease");
    for (name, response) in every_answer(&world, &shop, &held).await {
        assert_ne!(response.status, 503, "{name}: {}", response.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_before_the_lease_was_renewed_is_503_after_it() {
    let (world, rivals) = shared(|_| ()).await;
    let shop = world.channel("shop").await;
    let held = Held::of(&world, &shop).await;
    rivals.flaps.store(true, SeqCst);
    for (name, response) in every_answer(&world, &shop, &held).await {
        assert_eq!(response.status, 503, "{name}: {}", response.text);
    }
    rivals.flaps.store(false, SeqCst);
    for (name, response) in every_answer(&world, &shop, &held).await {
        assert_ne!(response.status, 503, "{name}: {}", response.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_or_suspended_is_503_if_the_server_cannot_catch_up() {
    let (world, rivals) = shared(|_| ()).await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let (good, suspended) =
        (world.issue(&shop, Kind::V21).await, world.issue(&other, Kind::ShortLived).await);
    world.set_state(&other, ChannelState::Suspended).await;
    rivals.unreachable.store(true, SeqCst);
    let stranger = Channel { id: "1999999999".parse().unwrap(), ..copy(&shop) };
    let wrong = Channel { secret: "w".repeat(32), ..copy(&shop) };
    let no_key = Channel { kid: AssertionKeyId([7; 16]), ..copy(&shop) };
    for (name, response) in [
        ("a suspended channel's token", world.verify_opaque(&suspended).await),
        ("an unknown channel", world.short_lived(&stranger, &[]).await),
        ("a wrong secret", world.stateless(&wrong, &[]).await),
        ("a wrong secret of OAuth", world.post("/oauth2/token", &wrong.by_secret()).await),
        ("an unknown assertion key", world.v21(&no_key, &[]).await),
        ("a suspended channel", world.short_lived(&other, &[]).await),
    ] {
        assert_eq!(response.status, 503, "{name}: {}", response.text);
    }
    // What is in memory needs no more than the lease.
    assert!(world.is_good(&good).await);
    world.stateless(&shop, &[]).await.token();
    assert_eq!(world.verify_opaque("tgs_none").await.status, 400, "no key could make it one");
}

fn copy(of: &Channel) -> Channel {
    Channel { id: of.id, secret: of.secret.clone(), kid: of.kid }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_server_has_added_counts_at_once() {
    let (world, rivals) = shared(|_| ()).await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    world.set_state(&shop, ChannelState::Suspended).await;
    let resume = {
        let (admin, id) = (world.admin(), shop.id);
        move || {
            let admin = admin.clone();
            let act: Act = Box::pin(async move {
                let state = Some(ChannelState::Active);
                let patch = tegata_store::ChannelPatch { state, ..Default::default() };
                admin.change_channel(id, patch, &Default::default()).await.unwrap();
            });
            act
        }
    };
    *rivals.act.lock().unwrap() = Some(resume());
    assert!(world.is_good(&token).await, "the channel was resumed before the request came");
    world.set_state(&shop, ChannelState::Suspended).await;
    *rivals.act.lock().unwrap() = Some(resume());
    world.stateless(&shop, &[]).await.token();
    let before = rivals.caught_up.load(SeqCst);
    assert!(world.is_good(&token).await);
    assert_eq!(rivals.caught_up.load(SeqCst), before, "what is active needs no question");
}

#[tokio::test]
async fn a_token_that_is_revoked_already_is_answered_when_it_is_revoked_everywhere() {
    let (world, rivals) = shared(|_| {}).await;
    let shop = world.channel("shop").await;
    let short = world.issue(&shop, Kind::ShortLived).await;
    let v21 = world.issue(&shop, Kind::V21).await;
    for token in [&short, &v21] {
        world.revoke(&shop, token).await;
    }
    assert_eq!(rivals.waited.load(SeqCst), 0, "the acts themselves have waited");
    // The act that revoked them is still waiting for another server, as far as that is known here.
    rivals.behind.store(true, SeqCst);
    let answered = AtomicUsize::new(0);
    let ask = async |token: &str| {
        world.revoke(&shop, token).await;
        answered.fetch_add(1, SeqCst);
    };
    let others = async {
        while rivals.waited.load(SeqCst) < 3 {
            assert_eq!(answered.load(SeqCst), 0, "without waiting");
            tokio::task::yield_now().await;
        }
        // It is not revoked everywhere, but other requests are answered.
        assert_eq!(world.verify_opaque(&short).await.status, 400);
        assert_eq!(answered.load(SeqCst), 0, "not before it is in force");
        rivals.behind.store(false, SeqCst);
        rivals.applied.notify_waiters();
    };
    let report = async {
        let body = json!({ "token": v21 }).to_string();
        let reply = world.send_bytes(Method::POST, "/report", &[JSON], body.into()).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        answered.fetch_add(1, SeqCst);
    };
    tokio::join!(ask(&short), ask(&v21), report, others);
    assert_eq!(answered.load(SeqCst), 3);
}

#[tokio::test]
async fn a_follower_gets_nothing_that_was_read_longer_ago_than_a_tenth_of_its_staleness() {
    let (world, rivals) = shared(|_| {}).await;
    let shop = world.channel("shop").await;
    let held = Held::of(&world, &shop).await;
    let verifier = format!("Bearer {}", held.verifier);
    rivals.renewed_ago.store(5, SeqCst);
    let after = format!("&after={}&hold=0", held.position);
    for path in [held.feed("snapshot", ""), held.feed("changes", &after)] {
        // An age in milliseconds, and how often the store was asked for it.
        let ask = async |staleness: &str| {
            let path = path.replace("staleness=5000", &format!("staleness={staleness}"));
            let before = rivals.caught_up.load(SeqCst);
            let got = world.get_with(&path, &[("authorization", &verifier)]).await;
            let age = got.json()["age_ms"].as_u64().unwrap_or_else(|| panic!("{}", got.text));
            (age, rivals.caught_up.load(SeqCst) - before)
        };
        let (age, asked) = ask("60000").await;
        assert!(age >= 5_000 && asked == 0, "{path}: {age} ms, asked {asked} times");
        let (age, asked) = ask("500").await;
        assert!(age < 5_000 && asked == 1, "{path}: {age} ms, asked {asked} times");
        // A store that does not answer makes nothing younger.
        rivals.unreachable.store(true, SeqCst);
        let (age, _) = ask("500").await;
        assert!(age >= 5_000, "{path}: {age} ms");
        rivals.unreachable.store(false, SeqCst);
    }
}

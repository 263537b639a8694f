//! Attacks on the real program: malformed requests, invalid assertions, tokens with a
//! flipped bit.
//!
//! For each: only the allowed responses; no bug, no hang, no growing memory; and an error
//! of Tegata's is JSON that says what to do. Tokens that a smuggled request would revoke
//! must stay active.

mod bits;
mod canary;
#[path = "../process/collector.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod collector;
mod jwt;
#[path = "../process/line.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod line;
#[path = "../process/mod.rs"]
mod process;
mod script;
mod wire;

use line::{Channel, With, provider, token_in, verify};
use process::{ADMIN_TOKEN, Server, http::Request, key::Key, serve};
use script::{Case, Expected};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::Semaphore, task::JoinSet};
use wire::{Exchange, exchange};

/// The corpus: its files and their texts.
const CORPUS: [(&str, &str); 4] = [
    ("forms", include_str!("requests/forms.txt")),
    ("heads", include_str!("requests/heads.txt")),
    ("smuggling", include_str!("requests/smuggling.txt")),
    ("admin", include_str!("requests/admin.txt")),
];

/// A server under attack, and the tokens that must stay active.
struct World {
    server: Server,
    key: Key,
    /// The attacker has a channel, too.
    attacker: Channel,
    victim: Channel,
    /// The victim's tokens, which must be active at the end.
    precious: [String; 3],
    _home: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let server = Server::start(serve(home.path(), &[])).await;
        let key = Key::generate();
        let provider = provider(&server).await;
        let attacker = Channel::create(&server, &provider, &key).await;
        let victim = Channel::create(&server, &provider, &key).await;
        let assertion = victim.assertion(&key, 0);
        let issues = [
            Channel::issue_v21(&assertion, With::default()),
            victim.issue_short_lived(With::default()),
            victim.issue_stateless(With::default()),
        ];
        let mut precious = [const { String::new() }; 3];
        for (token, issue) in precious.iter_mut().zip(&issues) {
            *token = token_in(&server.ask(issue).await);
        }
        Self { server, key, attacker, victim, precious, _home: home }
    }

    /// The names that the corpus may use.
    async fn names(&self) -> BTreeMap<&'static str, String> {
        let assertion = self.attacker.assertion(&self.key, 0);
        let v21 = self.server.ask(&Channel::issue_v21(&assertion, With::default())).await;
        let short = self.server.ask(&self.attacker.issue_short_lived(With::default())).await;
        let short = token_in(&short);
        let [victim_v21, victim_short, _] = self.precious.clone();
        let revoke_length = "access_token=".len() + victim_short.len();
        // The length of the smuggled request itself, as the size of a chunk.
        let smuggled = format!(
            "POST /v2/oauth/revoke HTTP/1.1\r\nhost: t\r\ncontent-type: \
             application/x-www-form-urlencoded\r\ncontent-length: {revoke_length}\r\n\r\n\
             access_token={victim_short}"
        );
        BTreeMap::from([
            ("id", self.attacker.id.clone()),
            ("secret", self.attacker.secret.clone()),
            ("admin", ADMIN_TOKEN.to_owned()),
            ("v21", token_in(&v21)),
            ("short_body", short["tgs_".len()..].to_owned()),
            ("short_cut", short[..short.len() - 1].to_owned()),
            ("short", short),
            ("victim_id", self.victim.id.clone()),
            ("victim_v21", victim_v21),
            ("victim_short", victim_short),
            ("revoke_length", revoke_length.to_string()),
            ("chunk", format!("{:x}", smuggled.len())),
        ])
    }

    async fn corpus(&self) -> Vec<Arc<Case>> {
        let names = self.names().await;
        let cases = CORPUS.iter().flat_map(|(file, text)| script::cases(file, text, &names));
        cases.map(Arc::new).collect()
    }

    /// Asserts that the victim's tokens are active, and that no request caused a bug.
    async fn assert_unharmed(&self) {
        for token in &self.precious {
            let response = self.server.ask(&verify(token)).await;
            assert_eq!(response.status, 200, "a precious token is lost: {}", response.text());
        }
        let metrics = self.server.ask(&Request::new("GET", "/metrics", &[], "")).await.text();
        assert!(metrics.contains("tegata_internal_errors_total 0\n"), "{metrics}");
    }

    /// The memory of the server's process, in KiB.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.server.process.id());
        let status = std::fs::read_to_string(path).expect("a process of ours");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.trim().parse().ok()).expect("a figure")
    }
}

/// Sends all cases, many at once, and returns the faults.
async fn throw(world: &World, cases: &[Arc<Case>]) -> Vec<String> {
    let places = Arc::new(Semaphore::new(32));
    let to = world.server.address();
    let mut thrown = JoinSet::new();
    for case in cases {
        let (case, places) = (case.clone(), places.clone());
        thrown.spawn(async move {
            let _place = places.acquire().await.expect("open");
            let head_only = case.bytes.starts_with(b"HEAD ");
            let responses = case.expected.responses.len();
            let exchange = exchange(to, &case.bytes, responses, head_only).await;
            fault(&case.expected, &exchange, head_only)
                .map(|fault| format!("{}: {fault}\n  {exchange:?}", case.name))
        });
    }
    thrown.join_all().await.into_iter().flatten().collect()
}

fn fault(expected: &Expected, exchange: &Exchange, head_only: bool) -> Option<String> {
    if exchange.hangs {
        return Some("it hangs".to_owned());
    }
    if !exchange.junk.is_empty() {
        return Some("bytes that are no response".to_owned());
    }
    if exchange.replies.len() != expected.responses.len() {
        return Some(format!("{} answers", exchange.replies.len()));
    }
    for (reply, status) in exchange.replies.iter().zip(&expected.responses) {
        if !status.any_of.contains(&reply.status) {
            return Some(format!("{} is not {:?}", reply.status, status.any_of));
        }
        if !reply.is_ours() && !status.bare && reply.status >= 200 {
            return Some("it does not come from us".to_owned());
        }
        if let Some(fault) = reply.fault(head_only) {
            return Some(fault);
        }
    }
    (expected.close && !exchange.closed).then(|| "the connection stays open".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_corpus_gets_an_allowed_response_and_does_no_harm() {
    let world = World::new().await;
    let cases = world.corpus().await;
    let faults = throw(&world, &cases).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_sent_repeatedly_takes_no_memory() {
    const ROUNDS: usize = 10;
    /// What an allocator may keep for itself, in KiB.
    const SLACK: u64 = 16 * 1024;
    let world = World::new().await;
    // Without the slow ones: ten seconds each would show nothing more.
    let is_quick = |case: &Arc<Case>| {
        let responses = &case.expected.responses;
        !responses.is_empty() && responses.iter().all(|it| !it.any_of.contains(&408))
    };
    let cases: Vec<_> = world.corpus().await.into_iter().filter(is_quick).collect();
    for _ in 0..3 {
        throw(&world, &cases).await;
    }
    let before = world.memory();
    for _ in 0..ROUNDS {
        throw(&world, &cases).await;
    }
    let after = world.memory();
    println!("{before} KiB before, {after} KiB after {ROUNDS} rounds of {} requests", cases.len());
    assert!(after < before + SLACK, "{before} KiB have become {after} KiB");
    world.assert_unharmed().await;
}

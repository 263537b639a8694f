//! Measures whether response times reveal what responses do not: for each pair of
//! classes, a million measurements that alternate between the two at random, and Welch's
//! t-test on them, after "Dude, is my code constant time?" (Reparaz, Balasch,
//! Verbauwhede, 2017). A |t| above 4.5 is a difference. `cargo xtask timing` runs it; its
//! results, and why some differences stay, are in `docs/timing.md`.

use std::{
    future::Future,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Instant,
};
use tegata_policy::{
    authorize::{Credential, IssueRequest},
    rules::ChannelType,
    secret::PlainSecret,
};
use tegata_server::{
    authority::{
        Authority,
        actor::Actor,
        admin::{ActOptions, InChannel},
        admin_token::AdminToken,
        random,
    },
    config::Settings,
    serve::serve,
};
use tegata_token::{id::ChannelId, kind::Kind};

/// The threshold from which a difference counts as visible (the paper's own).
const VISIBLE: f64 = 4.5;

#[tokio::main]
async fn main() {
    let wanted = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let samples: usize = wanted.unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings::new(([127, 0, 0, 1], 0).into(), folder.path().join("tegata.db"));
    let running = serve(settings).await.expect("a server");
    let authority = &running.authority;
    let scene = Scene::new(authority).await;

    println!("{samples} measurements of each pair, classes alternating at random");
    scene.null(samples).await;
    scene.secrets(authority, samples).await;
    scene.administrator(samples).await;
    scene.signatures(authority, samples).await;
    scene.channels(authority, samples).await;
    scene.tokens(authority, samples).await;
    let requests = samples / 10;
    println!("{requests} requests of each pair, over HTTP on loopback");
    let address = running.address;
    let http = std::thread::spawn(move || scene.http(address, requests));
    while !http.is_finished() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    http.join().expect("measured");
    running.stop().await;
}

/// A channel, and the credentials and tokens that the measurements use.
struct Scene {
    channel: ChannelId,
    unknown: ChannelId,
    wrong_first: String,
    wrong_last: String,
    /// A revoked token.
    revoked: String,
    /// Well-formed, with the `kid` of our key, and a signature that no key made.
    forged_first: String,
    forged_last: String,
}

impl Scene {
    async fn new(authority: &Arc<Authority>) -> Self {
        let admin = authority.admin(Actor::Root, None);
        let provider = admin.create_provider("timing").await.expect("a provider").id;
        let made = admin.create_channel(provider, "timing", ChannelType::MessagingApi);
        let (channel, secret) = made.await.expect("a channel");
        let request = IssueRequest {
            kind: Kind::ShortLived,
            credential: Credential::Secret(secret.clone()),
            group: None,
            idempotency: None,
            lifetime: None,
        };
        let token = authority.issue(request, channel.id, None).await.expect("a token");
        let one = InChannel::Token(token.reveal().to_owned());
        admin.revoke_in_channel(channel.id, one, &ActOptions::default()).await.expect("revoked");
        let token = token.reveal();
        let number = (channel.id.number() + 1) % 10_000_000_000;
        Self {
            channel: channel.id,
            unknown: ChannelId::from_number(number).expect("ten digits"),
            wrong_first: other_letter(secret.reveal(), 0),
            wrong_last: other_letter(secret.reveal(), secret.reveal().len() - 1),
            revoked: token.to_owned(),
            // The signature is the last 86 letters; its first half is a point of the
            // curve, so both changes are in its second.
            forged_first: other_letter(token, token.len() - 40),
            forged_last: other_letter(token, token.len() - 6),
        }
    }

    /// Compares a class with itself: what the method finds where there is no difference.
    async fn null(&self, samples: usize) {
        let secret = PlainSecret::from_caller(self.wrong_first.clone()).hash();
        compare("nothing: the same wrong secret in both classes", samples, async |_| {
            let shown = PlainSecret::from_caller(self.wrong_last.clone());
            timed(async || secret.is_of(&shown)).await
        })
        .await;
    }

    async fn secrets(&self, authority: &Authority, samples: usize) {
        compare("wrong secret: at its first or its last letter", samples, async |last| {
            let secret = if last { &self.wrong_last } else { &self.wrong_first };
            let secret = PlainSecret::from_caller(secret.clone());
            timed(async || authority.check_secret(self.channel, &secret).await.is_ok()).await
        })
        .await;
    }

    async fn administrator(&self, samples: usize) {
        let token = "an administrator's token, at least 32 characters long";
        let known = AdminToken::new(&PlainSecret::from_caller(token.to_owned())).expect("long");
        let (first, end) = (other_letter(token, 0), other_letter(token, token.len() - 1));
        compare(
            "administrator's token: wrong at its first or last letter",
            samples,
            async |last| {
                let shown = PlainSecret::from_caller(if last { &end } else { &first }.clone());
                timed(async || known.is(&shown)).await
            },
        )
        .await;
    }

    async fn signatures(&self, authority: &Authority, samples: usize) {
        compare("forged token: signature wrong early or late", samples, async |last| {
            let token = if last { &self.forged_last } else { &self.forged_first };
            timed(async || {
                authority.verify(token.as_bytes(), None).await.is_ok_and(|it| it.is_ok())
            })
            .await
        })
        .await;
    }

    async fn channels(&self, authority: &Authority, samples: usize) {
        compare("wrong secret: of a known or an unknown channel", samples, async |unknown| {
            let channel = if unknown { self.unknown } else { self.channel };
            let secret = PlainSecret::from_caller(self.wrong_first.clone());
            timed(async || authority.check_secret(channel, &secret).await.is_ok()).await
        })
        .await;
    }

    async fn tokens(&self, authority: &Authority, samples: usize) {
        compare("token: revoked or unknown", samples, async |unknown| {
            let token = if unknown { &self.forged_first } else { &self.revoked };
            timed(async || {
                authority.verify(token.as_bytes(), None).await.is_ok_and(|it| it.is_ok())
            })
            .await
        })
        .await;
    }

    fn http(&self, address: SocketAddr, requests: usize) {
        let form = |body: &str, path: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nhost: t\r\ncontent-type: \
                 application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let verify = |token: &str| form(&format!("access_token={token}"), "/v2/oauth/verify");
        // Wrong administrator's tokens are not throttled, so a million can be sent.
        let admin = |token: &str| {
            format!(
                "GET /admin/v1/providers HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {token}\r\n\r\n"
            )
        };
        let pairs = [
            (
                "administrator's token: wrong at its first or last letter",
                [admin(&self.wrong_first), admin(&self.wrong_last)],
            ),
            (
                "forged token: signature wrong early or late",
                [verify(&self.forged_first), verify(&self.forged_last)],
            ),
            ("token: revoked or unknown", [verify(&self.revoked), verify(&self.forged_first)]),
        ];
        for (name, requests_of) in pairs {
            let mut stream = TcpStream::connect(address).expect("the server");
            stream.set_nodelay(true).expect("a socket");
            let mut buffer = [0; 4096];
            let mut samples = Samples::default();
            let mut coin = Coin::new();
            for _ in 0..requests {
                let class = coin.toss();
                let request = &requests_of[usize::from(class)];
                let began = now();
                stream.write_all(request.as_bytes()).expect("sent");
                // A response is small, and arrives in one read.
                let length = stream.read(&mut buffer).expect("a response");
                samples.add(class, began.elapsed().as_nanos());
                assert!(length > 0 && buffer.starts_with(b"HTTP/1.1 4"), "an unexpected response");
            }
            samples.report(name);
        }
    }
}

/// The text with another letter at this position.
fn other_letter(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    String::from_utf8(bytes).expect("ASCII")
}

async fn compare<F: Future<Output = u128>>(name: &str, count: usize, measure: impl Fn(bool) -> F) {
    let mut samples = Samples::default();
    let mut coin = Coin::new();
    // Warms up caches and lazy initialization.
    for _ in 0..1_000 {
        measure(coin.toss()).await;
    }
    for _ in 0..count {
        let class = coin.toss();
        let nanos = measure(class).await;
        samples.add(class, nanos);
    }
    samples.report(name);
}

/// How many nanoseconds a denied request takes.
async fn timed(work: impl AsyncFnOnce() -> bool) -> u128 {
    let began = now();
    let taken = std::hint::black_box(work().await);
    let nanos = began.elapsed().as_nanos();
    assert!(!taken, "every request that is measured must be denied");
    nanos
}

#[expect(clippy::disallowed_methods, reason = "what is measured is time itself")]
fn now() -> Instant {
    Instant::now()
}

/// A random bit at a time (splitmix64, seeded by the system's generator).
struct Coin(u64);

impl Coin {
    fn new() -> Self {
        Self(u64::from_le_bytes(random::bytes().expect("random bytes")))
    }

    fn toss(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits >> 63) == 1
    }
}

/// Measurements of two classes, in nanoseconds.
#[derive(Default)]
struct Samples([Vec<f64>; 2]);

impl Samples {
    fn add(&mut self, class: bool, nanos: u128) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        self.0[usize::from(class)].push(nanos as f64);
    }

    /// Prints the test's result, with all measurements and without the slowest ones,
    /// which other processes on the machine cause.
    fn report(&self, name: &str) {
        let mut all: Vec<f64> = self.0.iter().flatten().copied().collect();
        all.sort_unstable_by(f64::total_cmp);
        println!("\n{name}");
        let mut worst = 0_f64;
        for share in [100, 99, 90, 50] {
            let limit = all[(all.len() - 1) * share / 100];
            let [first, second] =
                [0, 1].map(|class| Moments::of(self.0[class].iter().filter(|it| **it <= limit)));
            let t = welch(&first, &second);
            worst = worst.max(t.abs());
            println!(
                "  fastest {share:>3} %: n {:>7.0} + {:>7.0}   means {:>9.1} and {:>9.1} ns   t {t:>9.2}",
                first.count, second.count, first.mean, second.mean
            );
        }
        let verdict = if worst < VISIBLE { "no difference seen" } else { "A DIFFERENCE" };
        println!("  {verdict}: the largest |t| is {worst:.2}, visible from {VISIBLE} on");
    }
}

/// Count, mean and variance (Welford).
#[derive(Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn of<'a>(samples: impl Iterator<Item = &'a f64>) -> Self {
        samples.fold(Self::default(), |mut so_far, sample| {
            so_far.count += 1.0;
            let off = sample - so_far.mean;
            so_far.mean += off / so_far.count;
            so_far.squares += off * (sample - so_far.mean);
            so_far
        })
    }

    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

fn welch(first: &Moments, second: &Moments) -> f64 {
    (first.mean - second.mean) / (first.error() + second.error()).sqrt()
}

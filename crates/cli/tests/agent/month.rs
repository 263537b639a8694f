//! A month with the real server and its development clock: the agent's real logic and real
//! requests, with the clock moved forward. By a seed the server is killed (`kill -9`), also
//! during a request, and restarted after up to a third of a token's lifetime; responses are
//! lost, and the agent restarts.

use crate::{
    process::http::Request,
    world::{World, kept, read},
};
use serde_json::json;
use std::{collections::HashMap, fs, time::Duration};
use tegata_client::{
    Failure,
    agent::{
        config::Config,
        core::{Core, Done, Order, RandomSource},
        target::{TargetRequest, TargetResponse},
    },
    call::{Client, TokenResponse},
    wanted::{Credentials, Wanted},
};
use tegata_token::time::UnixTime;

const DAY: i64 = 86_400;
const GROUPS: usize = 4;
const LIFE: i64 = 2 * DAY;

/// Without `--store` a development server begins with a new store each time.
const SERVER: [&str; 3] = ["--dev", "--store", "sqlite:tegata.db"];

/// An RNG with a seed (SplitMix64).
#[derive(Clone)]
struct Seeded(u64);

impl RandomSource for Seeded {
    fn jitter(&mut self) -> f64 {
        f64::from(u32::try_from(self.number() >> 32).unwrap_or(0)) / 4_294_967_296.0
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Seeded {
    fn one_in(&mut self, many: u64) -> bool {
        self.number().is_multiple_of(many)
    }

    fn below(&mut self, many: i64) -> i64 {
        i64::try_from(self.number() % many.unsigned_abs()).expect("small")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_against_the_real_server_by_its_development_clock() {
    let seeds = if std::env::var_os("TEGATA_LONG").is_some() { 20 } else { 2 };
    for seed in 0..seeds {
        let mut month = Month::begin(seed).await;
        let end = month.now.plus(30 * DAY);
        while month.now < end {
            month.go_on().await;
        }
        month.sum().await;
    }
}

struct Month {
    seed: u64,
    jitter: Seeded,
    world: World,
    client: Client,
    config: Config,
    names: Vec<String>,
    core: Core,
    start: UnixTime,
    now: UnixTime,
    /// Tokens and their expiries.
    known: HashMap<String, UnixTime>,
    /// The time until which the tokens in all files are active.
    good_until: UnixTime,
    /// When the server restarts, while it is down.
    back_at: Option<UnixTime>,
    /// No outage before this: every target can be renewed once in between.
    calm_until: UnixTime,
    outages: Outages,
    lost: usize,
    restarts: usize,
}

#[derive(Default)]
struct Outages {
    count: usize,
    in_flight: usize,
    longest: i64,
}

impl Month {
    async fn begin(seed: u64) -> Self {
        let mut jitter = Seeded(seed);
        let world = World::start(&SERVER).await;
        fs::create_dir(world.path("out")).expect("made");
        let names: Vec<_> = (0..GROUPS).map(|number| format!("t{number}")).collect();
        let life = u32::try_from(LIFE).expect("small");
        let tokens: String = names.iter().map(|name| kept(name, life)).collect();
        let tokens = tokens.replace("CHANNEL", &world.channel);
        world.configure(&format!("state = 'state'\n{tokens}"));
        let text = fs::read_to_string(world.path("agent.toml")).expect("read");
        let text = text.replace("verify_interval_seconds = 10", "verify_interval_seconds = 86400");
        let config = Config::parse(&text, world.home.path()).expect("settings");
        let now = shown(&world).await;
        jitter.number();
        Self {
            seed,
            client: client(&world),
            core: Core::new(&config, now, Box::new(jitter.clone())),
            jitter,
            world,
            config,
            names,
            start: now,
            now,
            known: HashMap::new(),
            good_until: now,
            back_at: None,
            calm_until: now.plus(DAY),
            outages: Outages::default(),
            lost: 0,
            restarts: 0,
        }
    }

    /// Runs the due orders, then random faults, then moves to the next event.
    async fn go_on(&mut self) {
        if self.back_at.is_some_and(|at| at <= self.now) {
            self.comes_back().await;
        }
        self.work_on_files();
        for order in self.core.due(self.now) {
            let Order::TargetRequest { target, wanted, channel, act } = order else {
                unreachable!()
            };
            let credentials = channel.credentials(&self.config.audience).expect("credentials");
            let outcome = match act {
                TargetRequest::Issue { key } => {
                    TargetResponse::TokenResponse(self.issue(&wanted, &credentials, &key).await)
                }
                TargetRequest::Verify(token) => {
                    self.keep_time().await;
                    TargetResponse::Verified(self.client.verify(&token).await)
                }
                TargetRequest::Retire(token) => {
                    TargetResponse::Retired(self.client.retire(&wanted, &credentials, &token).await)
                }
            };
            self.core.done(self.now, Done::TargetRequest(target, outcome));
            self.work_on_files();
        }
        if self.back_at.is_none() && self.now > self.calm_until && self.jitter.one_in(48) {
            self.goes_away();
        }
        if self.jitter.one_in(300) {
            self.core = Core::new(&self.config, self.now, Box::new(self.jitter.clone()));
            self.work_on_files();
            self.restarts += 1;
        }
        let next = self.core.next_time(self.now).max(self.now.plus(1));
        let next = next.min(self.now.plus(6 * 3_600)).min(self.back_at.unwrap_or(next));
        // Checked when a token was issued, and when one may have expired.
        if self.now > self.start.plus(60) && next > self.good_until {
            match self.back_at {
                None => self.look().await,
                Some(_) => self.remember(),
            }
            let (seed, until) = (self.seed, self.good_until);
            assert!(until >= next, "seed {seed}: a token ends at {until:?}, next is {next:?}");
        }
        self.now = next;
    }

    /// File work takes no time.
    fn work_on_files(&mut self) {
        loop {
            let orders = self.core.due_files(self.now);
            if orders.is_empty() {
                return;
            }
            for order in orders {
                self.core.done(self.now, order.carry_out());
            }
        }
    }

    /// One request for a token. Sometimes the server is killed during the request, or its
    /// response is lost.
    async fn issue(
        &mut self,
        wanted: &Wanted,
        credentials: &Credentials,
        key: &str,
    ) -> Result<TokenResponse, Failure> {
        self.keep_time().await;
        let issuing = self.client.issue_wanted(wanted, credentials, key, self.now);
        if self.back_at.is_some() {
            return issuing.await;
        }
        if self.now > self.calm_until && self.jitter.one_in(2) {
            let instant = Duration::from_micros(self.jitter.number() % 3_000);
            let process = &mut self.world.server.process;
            let (issued, ()) = tokio::join!(issuing, async {
                tokio::time::sleep(instant).await;
                process.kill().expect("killed");
            });
            self.goes_away();
            self.learn(&issued);
            self.outages.in_flight += usize::from(issued.is_err());
            return issued;
        }
        let issued = issuing.await;
        self.learn(&issued);
        if self.jitter.one_in(5) {
            self.lost += 1;
            let why = "lost on the way back".to_owned();
            return Err(Failure::Unavailable { from: String::new(), why, retry_after: None });
        }
        issued
    }

    fn learn(&mut self, issued: &Result<TokenResponse, Failure>) {
        if let Ok(issued) = issued {
            let until = self.now.plus(issued.expires_in);
            self.known.insert(issued.token.reveal().to_owned(), until);
            self.good_until = self.now;
        }
    }

    /// Kills the server, for a moment or up to a third of a lifetime.
    fn goes_away(&mut self) {
        self.world.stop();
        let longest = LIFE / 3;
        // A restart is a short outage; some outages have the maximum length.
        let lasts = match self.jitter.below(4) {
            0 => longest,
            1 => self.jitter.below(longest) + 1,
            _ => self.jitter.below(90) + 1,
        };
        self.back_at = Some(self.now.plus(lasts));
        self.outages.count += 1;
        self.outages.longest = self.outages.longest.max(lasts);
    }

    async fn comes_back(&mut self) {
        self.world.restart(&SERVER).await;
        self.client = client(&self.world);
        self.back_at = None;
        self.calm_until = self.now.plus(DAY + self.jitter.below(2 * DAY));
        self.keep_time().await;
        // Whatever happened meanwhile, the files hold active tokens.
        self.look().await;
    }

    /// Sets the server's clock to the test's time, or the test's time to the server's, which
    /// never runs back.
    async fn keep_time(&mut self) {
        if self.back_at.is_none() {
            let behind = self.now.since(shown(&self.world).await);
            self.now = self.now.max(advance(&self.world, behind.max(0)).await);
        }
    }

    async fn look(&mut self) {
        self.keep_time().await;
        self.known.extend(held(&self.world, &self.names, self.seed, self.now).await);
        self.remember();
    }

    /// Records the expiries of the files' tokens as the server reported them.
    fn remember(&mut self) {
        let files = self.names.iter().map(|name| self.world.path(&format!("out/{name}")));
        let until = files.map(|file| self.known[&read(&file).expect("a token")]);
        self.good_until = until.min().expect("names");
    }

    async fn sum(mut self) {
        if self.back_at.is_some() {
            self.comes_back().await;
        }
        let mut issued = 0;
        for state in ["active", "expired", "revoked"] {
            let rows = self.world.tokens(state).await;
            issued += rows.iter().filter(|it| !it["group"].is_null()).count();
        }
        let exact = |it: i64| f64::from(i32::try_from(it).expect("small"));
        let each = 1.0 + exact(30 * DAY) / (exact(LIFE) * 2.0 / 3.0);
        let of = |count: usize| exact(i64::try_from(count).expect("small"));
        let ratio = of(issued) / (of(GROUPS) * each);
        let (Outages { count, in_flight, longest }, seed) = (self.outages, self.seed);
        println!(
            "seed {seed}: {issued} issued, {ratio:.3} of the ideal; the server was killed {count} \
             times, {in_flight} with a request on its way, and away for up to {longest} s; {} more \
             answers lost; {} restarts of the agent",
            self.lost, self.restarts
        );
        assert!(ratio <= 1.2, "seed {seed}: {ratio}");
        assert!(count >= 5, "seed {seed}: {count} outages are too few to tell");
    }
}

fn client(world: &World) -> Client {
    Client::new(&format!("http://{}", world.server.address())).expect("an address")
}

/// Asserts that each file holds an active token, and that no group has more than two;
/// returns the tokens and their expiries.
async fn held(
    world: &World,
    names: &[String],
    seed: u64,
    now: UnixTime,
) -> HashMap<String, UnixTime> {
    let mut known = HashMap::new();
    let active = world.tokens("active").await;
    for name in names {
        let live = active.iter().filter(|it| it["group"] == name.as_str()).count();
        assert!(live <= 2, "seed {seed}: {live} tokens in {name}");
        let token = read(&world.path(&format!("out/{name}"))).expect("a token");
        let path = format!("/oauth2/v2.1/verify?access_token={token}");
        let response = world.server.ask(&Request::new("GET", &path, &[], "")).await;
        assert_eq!(response.status, 200, "seed {seed}, {name}: {}", response.text());
        let left = response.json()["expires_in"].as_i64().expect("a number");
        known.insert(token, now.plus(left));
    }
    known
}

/// The time of the development clock.
async fn shown(world: &World) -> UnixTime {
    advance(world, 0).await
}

/// Moves the development clock and returns its new time.
async fn advance(world: &World, seconds: i64) -> UnixTime {
    let body = json!({ "advance_seconds": seconds }).to_string();
    let headers = [("content-type", "application/json")];
    let response = world.server.ask(&Request::new("POST", "/dev/clock", &headers, &body)).await;
    UnixTime(response.json()["now_unix"].as_i64().expect("a number"))
}

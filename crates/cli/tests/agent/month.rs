//! A month against the real server and its development clock: the agent's real core,
//! with the clock moved instead of waited for, and real requests. By seed the server is
//! away, the agent is killed, and answers are lost after the act is done.

use crate::{
    process::http::Request,
    world::{World, kept, read},
};
use serde_json::json;
use std::fs;
use tegata_client::{
    agent::{
        config::Config,
        core::{Core, Dice, Done, Order},
        target::{Act, Outcome},
    },
    call::{Client, Failure},
};
use tegata_token::time::UnixTime;

const DAY: i64 = 86_400;
const GROUPS: usize = 4;

/// Chance from a seed (SplitMix64).
#[derive(Clone)]
struct Seeded(u64);

impl Dice for Seeded {
    fn chance(&mut self) -> f64 {
        f64::from(u32::try_from(self.number() >> 32).unwrap_or(0)) / 4_294_967_296.0
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_against_the_real_server_by_its_development_clock() {
    let seeds = if std::env::var_os("TEGATA_LONG").is_some() { 20 } else { 2 };
    for seed in 0..seeds {
        month(seed).await;
    }
}

async fn month(seed: u64) {
    let mut chance = Seeded(seed);
    let world = World::start(&["--dev"]).await;
    fs::create_dir(world.path("out")).expect("made");
    let names: Vec<_> = (0..GROUPS).map(|number| format!("t{number}")).collect();
    let tokens: String = names.iter().map(|name| kept(name, 2 * 86_400)).collect();
    let tokens = tokens.replace("CHANNEL", &world.channel);
    world.configure(&format!("state = 'state'\n{tokens}"));
    let text = fs::read_to_string(world.path("agent.toml")).expect("read");
    let text = text.replace("look_seconds = 10", "look_seconds = 86400");
    let config = Config::parse(&text, world.home.path()).expect("settings");
    let client = Client::new(&config.authority).expect("an address");
    let start = clock(&world, 0).await;
    let mut core = Core::new(&config, start, Box::new(chance.clone()));
    let (mut now, mut theirs, mut good_until) = (start, start, start);
    let (mut down_until, mut lost, mut outages) = (start, 0, 0);
    while now < start.plus(30 * DAY) {
        for order in core.due(now) {
            let Order::Act { target, wanted, channel, act } = order else { unreachable!() };
            let no_answer =
                || Failure::Unavailable { why: "simulated".to_owned(), retry_after: None };
            let credentials = channel.credentials(&config.audience).expect("credentials");
            let outcome = match act {
                _ if now < down_until => match act {
                    Act::Issue { .. } => Outcome::Issued(Err(no_answer())),
                    Act::Check(_) => Outcome::Checked(Err(no_answer())),
                    Act::Retire(_) => Outcome::Retired(Err(no_answer())),
                },
                Act::Issue { key } => {
                    theirs = clock(&world, now.since(theirs)).await;
                    (now, good_until) = (now.max(theirs), now);
                    let is_lost = chance.number().is_multiple_of(5);
                    lost += usize::from(is_lost);
                    let issued = client.issue_wanted(&wanted, &credentials, &key, now).await;
                    Outcome::Issued(if is_lost { Err(no_answer()) } else { issued })
                }
                Act::Check(token) => {
                    theirs = clock(&world, now.since(theirs)).await;
                    now = now.max(theirs);
                    Outcome::Checked(client.verify(&token).await)
                }
                Act::Retire(token) => {
                    Outcome::Retired(client.retire(&wanted, &credentials, &token).await)
                }
            };
            core.done(now, Done::Act(target, outcome));
        }
        if chance.number().is_multiple_of(40) && down_until < now.plus(-3_600) {
            // Up to a third of a life.
            let seconds = i64::try_from(chance.number() % (2 * 86_400 / 3)).expect("small");
            (down_until, outages) = (now.plus(seconds), outages + 1);
        }
        if chance.number().is_multiple_of(50) {
            core = Core::new(&config, now, Box::new(chance.clone()));
        }
        let next = core.next_time(now).max(now.plus(1)).min(now.plus(6 * 3_600));
        // Looked at when a token was issued, and when time may have ended one.
        if now > start.plus(60) && next > good_until {
            theirs = clock(&world, now.since(theirs)).await;
            good_until = held(&world, &names, seed, theirs).await;
            assert!(
                good_until >= next,
                "seed {seed}: a token ends at {good_until:?}, the next event is at {next:?}"
            );
        }
        now = next;
    }
    let mut issued = 0;
    for state in ["active", "expired", "ended"] {
        let rows = world.tokens(state).await;
        issued += rows.iter().filter(|it| !it["group"].is_null()).count();
    }
    let ideal = f64::from(u32::try_from(GROUPS).expect("small")) * (1.0 + 30.0 / (2.0 * 2.0 / 3.0));
    let ratio = f64::from(u32::try_from(issued).expect("small")) / ideal;
    println!(
        "seed {seed}: {issued} issued, {ratio:.3} of the ideal; {lost} answers lost, {outages} outages"
    );
    assert!(ratio <= 1.2, "seed {seed}: {ratio}");
}

/// Each file holds a token that the server finds good, no group has more than two;
/// until when all of them are good.
async fn held(world: &World, names: &[String], seed: u64, now: UnixTime) -> UnixTime {
    let mut until = UnixTime(i64::MAX);
    let active = world.tokens("active").await;
    for name in names {
        let live = active.iter().filter(|it| it["group"] == name.as_str()).count();
        assert!(live <= 2, "seed {seed}: {live} tokens in {name}");
        let token = read(&world.path(&format!("out/{name}"))).expect("a token");
        let path = format!("/oauth2/v2.1/verify?access_token={token}");
        let answer = world.server.ask(&Request::new("GET", &path, &[], "")).await;
        assert_eq!(answer.status, 200, "seed {seed}, {name}: {}", answer.text());
        let left = answer.json()["expires_in"].as_i64().expect("a number");
        until = until.min(now.plus(left));
    }
    until
}

/// Moves the development clock and gives what it shows then.
async fn clock(world: &World, seconds: i64) -> UnixTime {
    let seconds = seconds.max(0);
    let body = json!({ "advance_seconds": seconds }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = world.server.ask(&Request::new("POST", "/dev/clock", &headers, &body)).await;
    UnixTime(answer.json()["now_unix"].as_i64().expect("a number"))
}

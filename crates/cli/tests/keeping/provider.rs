//! The revocation of all tokens of a provider, with SIGKILL at any moment: once begun, it
//! completes by itself; no token issued before it is active, every one issued after it is;
//! and the audit has each channel's revocation once.

use crate::{
    Home,
    line::{self, Channel, With, is_good, token_in, verify},
    ok, pass,
    process::{
        Server,
        http::{Connection, Request},
        key::Key,
    },
    stop,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Channels of the provider; one in six has a token to revoke in each round.
const CHANNELS: usize = 600;
const WITH_TOKENS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_revocation_of_a_providers_tokens_survives_kills_at_any_moment() {
    let rounds = if std::env::var_os("TEGATA_LONG").is_some() { 200 } else { 20 };
    let home = Home::new();
    let mut server = home.start().await;
    let provider = line::provider(&server).await;
    let key = Key::generate();
    let mut channels = Vec::new();
    for _ in 0..CHANNELS / WITH_TOKENS {
        channels.push(Channel::create(&server, &provider, &key).await);
        for _ in 1..WITH_TOKENS {
            let path = format!("/providers/{provider}/channels");
            server.create(&path, json!({ "name": "quiet", "type": "mini-app" })).await;
        }
    }
    // Another provider, which is not affected.
    let neighbour = line::provider(&server).await;
    let neighbour = Channel::create(&server, &neighbour, &key).await;
    let kept = token_in(&server.ask(&neighbour.issue_short_lived(With::default())).await);
    let before_all = issue(&server, &channels).await;
    pass(&server, 60).await;
    home.tegata(&["backup", "old.db"]);

    let (mut begun, mut broken_off, mut newest) = (0, 0, newest_event(&server).await);
    for round in 0..rounds {
        let before = match round {
            0 => before_all.clone(),
            _ => issue(&server, &channels).await,
        };
        let revoke = json!({ "provider_id": provider, "reason": format!("round {round}") });
        let request = Request::admin("POST", "/revocations", Some(&revoke));
        let mut connection = Connection::open(server.address()).await.expect("it listens");
        connection.send(request.bytes()).await.expect("sent");
        // During the job, and before and after it.
        tokio::time::sleep(Duration::from_millis(round * 61 % 450)).await;
        server.process.kill().expect("a child of ours");
        let answered = connection.response().await.is_ok();
        drop(server);
        server = home.start().await;
        let seen = completes(&server, &provider).await;
        broken_off += usize::from(seen > 0);

        let events = events_since(&server, newest).await;
        newest = newest_event(&server).await;
        let acts = |act: &str| events.iter().filter(|it| it["act"] == *act).count();
        let this = acts("provider.revoke");
        assert!(this == 1 || this == 0 && !answered && seen == 0, "round {round}: {this}");
        begun += this;
        let mut revocations = BTreeMap::<&str, usize>::new();
        for event in events.iter().filter(|it| it["act"] == "token.revoke") {
            assert_eq!(event["reason"], format!("round {round}"), "{event}");
            *revocations.entry(event["channel_id"].as_str().expect("a channel")).or_default() += 1;
        }
        for channel in &channels {
            let recorded = revocations.get(&*channel.id).copied().unwrap_or(0);
            assert_eq!(recorded, this, "round {round}: each channel's revocation is recorded once");
        }
        let lived = living(&server, &before).await;
        assert_eq!(lived, if this == 1 { 0 } else { before.len() }, "round {round}");
        let after = issue(&server, &channels[..5]).await;
        assert_eq!(living(&server, &after).await, 5, "round {round}: issued after the end");
        assert_eq!(living(&server, std::slice::from_ref(&kept)).await, 1, "round {round}");
    }
    println!("{rounds} kills: {begun} revocations begun, {broken_off} of them seen interrupted");
    // How many are seen depends on how fast the machine is.
    assert!(begun > 10 && broken_off > 0, "too few to tell");

    // A replay of the revocation journal gives the same result on a new store.
    stop(server);
    home.tegata(&["restore", "old.db"]);
    home.tegata(&["recover", "--replay", "revocations.log"]);
    let server = home.start().await;
    assert_eq!(living(&server, &before_all).await, 0);
    assert_eq!(living(&server, &[kept]).await, 1);
    stop(server);
}

async fn issue(server: &Server, channels: &[Channel]) -> Vec<String> {
    let mut tokens = Vec::new();
    for channel in channels {
        let response = server.ask(&channel.issue_short_lived(With::default())).await;
        assert_eq!(response.status, 200, "{}", response.text());
        tokens.push(token_in(&response));
    }
    tokens
}

async fn living(server: &Server, tokens: &[String]) -> usize {
    let mut living = 0;
    for token in tokens {
        living += usize::from(is_good(&server.ask(&verify(token)).await));
    }
    living
}

/// Watches the job in the list of providers; returns how many times it was seen under way,
/// each time with more progress.
async fn completes(server: &Server, provider: &str) -> usize {
    let (mut seen, mut left, mut ended) = (0, CHANNELS as u64, 0);
    for _ in 0..3_000 {
        let response = server.ask(&Request::admin("GET", "/providers", None)).await;
        ok(&response);
        let all = response.json();
        let rows = all["providers"].as_array().expect("a list");
        let row = rows.iter().find(|it| it["provider_id"] == *provider).expect("the provider");
        if row["revocation"].is_null() {
            return seen;
        }
        let figure = |name: &str| row["revocation"][name].as_u64().expect("a number");
        assert!(figure("channels_left") <= left && figure("tokens_revoked") >= ended, "{row}");
        (left, ended) = (figure("channels_left"), figure("tokens_revoked"));
        seen += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the job does not complete: {left} channels are left");
}

async fn newest_event(server: &Server) -> i64 {
    let page = server.ask(&Request::admin("GET", "/audit?limit=1", None)).await.json();
    page["events"][0]["id"].as_i64().expect("an id")
}

/// The audit's events after the event `newest`.
async fn events_since(server: &Server, newest: i64) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/audit?limit=1000{after}");
        let page = server.ask(&Request::admin("GET", &path, None)).await.json();
        for event in page["events"].as_array().expect("a list") {
            if event["id"].as_i64().expect("an id") <= newest {
                return events;
            }
            events.push(event.clone());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return events,
        }
    }
}

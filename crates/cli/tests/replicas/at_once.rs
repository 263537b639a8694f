//! What must be done once, requested at two servers at the same moment.

use crate::{
    Channel, Field, Key, change, issue,
    line::With,
    process::{
        Server,
        http::{Connection, Request},
    },
    provider, token_in,
};
use serde_json::json;
use std::sync::Arc;
use tokio::{sync::Barrier, task::JoinSet};

/// How often it is tried.
const ROUNDS: usize = 8;
/// How many requests are sent at once, to each server in turn.
const RIVALS: usize = 12;

/// Sends a request to both servers at once, several times; returns the tokens.
async fn tokens_of(servers: &[&Server; 2], request: &Request) -> Vec<String> {
    let (mut rivals, all) = (JoinSet::new(), Arc::new(Barrier::new(RIVALS)));
    for n in 0..RIVALS {
        let (address, request, all) = (servers[n % 2].address(), request.clone(), all.clone());
        rivals.spawn(async move {
            let mut connection = Connection::open(address).await.unwrap();
            all.wait().await;
            connection.ask(&request).await.unwrap()
        });
    }
    let mut tokens = Vec::new();
    for response in rivals.join_all().await {
        match response.status {
            200 => tokens.push(token_in(&response)),
            // One that is refused as a repetition, or that could not know.
            400 | 503 => {}
            other => panic!("{other}: {}", response.text()),
        }
    }
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_gives_one_token_at_two_servers_at_once() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    let channel = Channel::create(&a, &provider(&a).await, &Key::generate()).await;
    for round in 0..ROUNDS {
        let key = format!("round-{round}");
        let with = With { idempotency: Some(&key), ..With::default() };
        let request = channel.issue_short_lived(with);
        let mut tokens = tokens_of(&[&a, &b], &request).await;
        assert!(!tokens.is_empty(), "round {round}");
        // Later, too.
        tokens.extend([issue(&a, &request).await, issue(&b, &request).await]);
        tokens.dedup();
        assert_eq!(tokens.len(), 1, "round {round}: {} tokens", tokens.len());
        assert_eq!(channel.rows(&b).await.len(), round + 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_for_a_single_use_is_taken_once_at_two_servers_at_once() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    let key = Key::generate();
    let channel = Channel::create(&a, &provider(&a).await, &key).await;
    change(&a, &channel, json!({ "single_use_assertions": true })).await;
    for round in 0..ROUNDS {
        let request = Channel::issue_v21(&channel.assertion(&key, round), With::default());
        let tokens = tokens_of(&[&a, &b], &request).await;
        assert_eq!(tokens.len(), 1, "round {round}");
        assert_eq!(channel.rows(&b).await.len(), round + 1, "round {round}");
    }
}

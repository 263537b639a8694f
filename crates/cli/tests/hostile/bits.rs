//! Tokens with one bit flipped, cut tokens, and tokens of another authority.

use crate::{
    World,
    line::{self, Channel, With, token_in},
    process::http::{Connection, Request},
};
use std::fmt::Write as _;

/// Every change of a token, even of a single unused bit, makes it invalid: on every
/// operation, for every kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_any_bit_flipped_or_any_end_cut_is_invalid_everywhere() {
    let world = World::new().await;
    let mut tried = 0;
    for token in tokens(&world).await {
        assert!(line::is_good(&world.server.ask(&line::verify(&token)).await), "it begins good");
        for changed in bits_turned(&token).chain(cuts(&token)) {
            tried += 1;
            assert_invalid(&world, &changed).await;
        }
        assert!(line::is_good(&world.server.ask(&line::verify(&token)).await), "and ends good");
    }
    println!("{tried} changed tokens");
    world.assert_unharmed().await;
}

/// One of each kind.
async fn tokens(world: &World) -> [String; 4] {
    let channel = &world.attacker;
    let assertion = channel.assertion(&world.key, 0);
    let issues = [
        Channel::issue_v21(&assertion, With::default()),
        channel.issue_stateless(With::default()),
        channel.issue_short_lived(With::default()),
        channel.reissue_long_lived(0),
    ];
    let mut tokens = [const { String::new() }; 4];
    for (token, issue) in tokens.iter_mut().zip(&issues) {
        *token = token_in(&world.server.ask(issue).await);
    }
    tokens
}

fn bits_turned(token: &str) -> impl Iterator<Item = Vec<u8>> {
    (0..token.len() * 8).map(|bit| {
        let mut turned = token.as_bytes().to_vec();
        turned[bit / 8] ^= 1 << (bit % 8);
        turned
    })
}

fn cuts(token: &str) -> impl Iterator<Item = Vec<u8>> {
    let token = token.as_bytes();
    (1..token.len()).flat_map(|at| [token[..at].to_vec(), token[at..].to_vec()])
}

async fn assert_invalid(world: &World, token: &[u8]) {
    let field = token.iter().fold("access_token=".to_owned(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "%{byte:02X}");
        text
    });
    let form = ("content-type", "application/x-www-form-urlencoded");
    let mut requests = vec![
        (Request::new("GET", &format!("/oauth2/v2.1/verify?{field}"), &[], ""), 400),
        (Request::new("POST", "/v2/oauth/verify", &[form], &field), 400),
    ];
    // Only bytes that a header can contain. The gateway's response is 401.
    let text =
        std::str::from_utf8(token).ok().filter(|it| it.chars().all(|it| ('!'..='~').contains(&it)));
    if let Some(text) = text {
        let bearer = format!("Bearer {text}");
        let header = [("authorization", &*bearer)];
        requests.push((Request::new("GET", "/gateway/verify", &header, ""), 401));
    }
    let mut connection = Connection::open(world.server.address()).await.expect("it takes us");
    for (request, status) in requests {
        let response = connection.ask(&request).await.expect("a response");
        let token = String::from_utf8_lossy(token);
        assert_eq!(response.status, status, "{token}: {}", response.text());
    }
}

/// An active token of another authority with the same names is invalid here.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_authority_are_invalid() {
    let (world, other) = tokio::join!(World::new(), World::new());
    for token in tokens(&other).await {
        assert_invalid(&world, token.as_bytes()).await;
    }
}

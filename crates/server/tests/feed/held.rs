//! One connection of a follower, byte by byte: requests for changes are read without the HTTP
//! library, and all others with it.

use crate::world::{Follower, World};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

struct Wire(TcpStream, Vec<u8>);

impl Wire {
    async fn to(world: &World) -> Self {
        Self(TcpStream::connect(world.running().address).await.unwrap(), Vec::new())
    }

    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The head and the body of the next response.
    async fn read(&mut self) -> (String, String) {
        loop {
            let text = String::from_utf8(self.1.clone()).unwrap();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if rest.len() >= length {
                    let (body, rest) = rest.split_at(length);
                    self.1 = rest.as_bytes().to_vec();
                    return (head.to_owned(), body.to_owned());
                }
            }
            let read = self.0.read_buf(&mut self.1);
            let more = timeout(Duration::from_secs(60), read).await.unwrap().unwrap();
            assert!(more > 0, "closed after {text:?}");
        }
    }

    async fn is_closed(&mut self) -> bool {
        let mut rest = [0; 100];
        matches!(timeout(Duration::from_secs(60), self.0.read(&mut rest)).await, Ok(Ok(0)))
    }
}

/// A request for changes, with these lines at the end of its head.
fn changes(follower: &Follower<'_>, position: &str, hold: u64, lines: &str) -> String {
    format!(
        "GET /feed/changes?instance={}&staleness={}&on_stale={}&speaks=1&after={position}\
         &hold={hold} HTTP/1.1\r\nHost: tokens.example\r\nAuthorization: Bearer {}\r\n{lines}\r\n",
        follower.instance, follower.staleness, follower.on_stale, follower.token
    )
}

const OTHER: &str = "GET /livez HTTP/1.1\r\nHost: tokens.example\r\n\r\n";

#[tokio::test]
async fn a_connection_changes_between_requests_that_are_held_and_others() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "v" })).await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let asked = changes(&follower, &position, 0, "");
    let mut wire = Wire::to(&world).await;
    for _ in 0..3 {
        for (request, words) in [(OTHER, "alive"), (&asked, "through"), (&asked, "through")] {
            wire.write(request).await;
            let (head, body) = wire.read().await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(body.contains(words), "{body}");
        }
    }
    // All at once, and in pieces.
    let all = [&asked, &asked, OTHER, &asked].concat();
    for length in [all.len(), 400, 37] {
        for piece in all.as_bytes().chunks(length) {
            wire.write(std::str::from_utf8(piece).unwrap()).await;
            tokio::task::yield_now().await;
        }
        for words in ["through", "through", "alive", "through"] {
            assert!(wire.read().await.1.contains(words));
        }
    }
}

#[tokio::test]
async fn a_response_is_the_same_whether_the_library_reads_the_request_or_not() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "v" })).await;
    let mut follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let mut stranger = world.follower(&verifier, "two");
    stranger.token = "tgv_".to_owned() + &"0".repeat(64);
    let later = format!("9{position}");
    follower.staleness = 1_000;
    let good = |lines: &str| changes(&follower, &position, 0, lines);
    let gone = |lines: &str| changes(&follower, &later, 0, lines);
    let strange = |lines: &str| changes(&stranger, &position, 0, lines);
    let bad = |lines: &str| changes(&follower, "x", 0, lines);
    let requests: [&dyn Fn(&str) -> String; 4] = [&good, &gone, &strange, &bad];
    for (request, status) in requests.into_iter().zip([200, 410, 401, 400]) {
        let mut seen = Vec::new();
        for lines in ["", "X-Other: 1\r\n"] {
            let mut wire = Wire::to(&world).await;
            wire.write(&request(lines)).await;
            let (head, _) = wire.read().await;
            let mut lines: Vec<_> = head
                .lines()
                .filter(|it| !["date:", "x-line", "content-le"].iter().any(|n| it.starts_with(n)))
                .map(str::to_owned)
                .collect();
            for name in ["date: ", "x-line-request-id: "] {
                assert!(head.contains(&format!("\r\n{name}")), "{head}");
            }
            lines.sort();
            seen.push(lines);
        }
        assert!(seen[0].iter().any(|it| it.contains(&status.to_string())), "{seen:?}");
        assert_eq!(seen[0], seen[1]);
    }
}

#[tokio::test]
async fn a_follower_that_goes_away_is_not_held_any_more() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "v" })).await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let mut wire = Wire::to(&world).await;
    // The first is read by the library, and what follows in one piece is kept until then.
    wire.write(OTHER).await;
    wire.read().await;
    wire.write(&changes(&follower, &position, 0, "")).await;
    wire.read().await;
    wire.write(&changes(&follower, &position, 20_000, "")).await;
    world.holds(1).await;
    drop(wire);
    while world.running().authority.held_requests() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_stop_answers_a_held_request_and_closes_its_connection() {
    let mut world = World::new().await;
    let verifier = world.verifier(json!({ "name": "v" })).await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let mut wire = Wire::to(&world).await;
    wire.write(&changes(&follower, &position, 20_000, "")).await;
    world.holds(1).await;
    drop(follower);
    world.restart().await;
    assert!(wire.read().await.0.starts_with("HTTP/1.1 503 "));
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn an_instance_keeps_a_few_connections_and_its_further_requests_are_not_held() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "v" })).await;
    let (one, other) = (world.follower(&verifier, "one"), world.follower(&verifier, "other"));
    let position = one.snapshot().await;
    other.snapshot().await;
    let mut held = Vec::new();
    for number in 1..=8 {
        let mut wire = Wire::to(&world).await;
        wire.write(&changes(&one, &position, 20_000, "")).await;
        held.push(wire);
        world.holds(number).await;
    }
    // It would be held for much longer.
    let ninth = timeout(Duration::from_secs(8), one.changes(&position, 20_000)).await;
    assert_eq!(ninth.unwrap().is(200).json()["through"], position);
    let mut of_other = Wire::to(&world).await;
    of_other.write(&changes(&other, &position, 20_000, "")).await;
    world.holds(9).await;
}

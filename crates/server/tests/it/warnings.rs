//! Warnings of what expires soon are sent in time, once each, and repeated only until a
//! receiver accepts them.

use crate::world::{Channel, World};
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tegata_policy::channel::OnLeak;
use tegata_server::{
    authority::warnings::{
        find,
        webhook::{WebhookSecret as Secret, WebhookSettings as Webhook},
    },
    config::Settings,
};
use tegata_store::{ChannelPatch, GroupPatch, Holding};
use tegata_token::kind::Kind;

const DAY: i64 = 86_400;

/// What a receiver got, headers and body, and how it answers.
#[derive(Default)]
struct Received {
    accepted: Vec<(HeaderMap, String)>,
    down: bool,
    hangs: bool,
}

type Receiver = Arc<Mutex<Received>>;

async fn receive(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: Bytes,
) -> http::StatusCode {
    if receiver.lock().unwrap().hangs {
        std::future::pending::<()>().await;
    }
    let mut receiver = receiver.lock().unwrap();
    if receiver.down {
        return http::StatusCode::BAD_GATEWAY;
    }
    receiver.accepted.push((headers, String::from_utf8(body.to_vec()).unwrap()));
    http::StatusCode::NO_CONTENT
}

/// A server that sends its warnings to a receiver of the test.
async fn world() -> (World, Receiver) {
    let receiver = Receiver::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?key=of-the-receiver", listener.local_addr().unwrap());
    let router = Router::new().route("/hook", post(receive)).with_state(receiver.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let secret = Secret::parse(&format!("whsec_{}", STANDARD.encode([9; 32]))).unwrap();
    let webhook = Webhook { url: url.parse().unwrap(), secret };
    let world = World::with(|settings: &mut Settings| settings.webhook = Some(webhook)).await;
    (world, receiver)
}

/// The types of the warnings received since the last call, each with its group.
fn news(receiver: &Receiver) -> Vec<(String, Value)> {
    let accepted = std::mem::take(&mut receiver.lock().unwrap().accepted);
    // Warnings that are due together may come in any order.
    let read = |(_, body): (HeaderMap, String)| {
        let body: Value = serde_json::from_str(&body).unwrap();
        (body["type"].as_str().unwrap().to_owned(), body["data"]["group"].clone())
    };
    let mut news: Vec<_> = accepted.into_iter().map(read).collect();
    news.sort_by(|a, b| a.0.cmp(&b.0));
    news
}

fn expiring(group: &str) -> (String, Value) {
    ("token.expiring".to_owned(), group.into())
}

async fn holding(world: &World, channel: &Channel) -> Holding {
    world.admin().channel(channel.id).await.unwrap().holding
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_token_is_warned_of_once_with_the_contact_of_its_group() {
    let (world, receiver) = world().await;
    let (shop, flagged) = (world.channel("shop").await, world.channel("other").await);
    let patch = ChannelPatch { on_leak: Some(OnLeak::Flag), ..ChannelPatch::default() };
    world.change(&flagged, patch).await;
    let contact =
        GroupPatch { contact: Some(Some("blue@example.com".into())), ..Default::default() };
    world.admin().change_group(shop.id, "blue".parse().unwrap(), contact).await.unwrap();
    let token = world.issue_to(&shop, Kind::V21, "blue").await;
    let stays = world.issue_to(&flagged, Kind::ShortLived, "red").await;
    for _ in 0..2 {
        let body = json!({ "credentials": [token, stays, "other"] }).to_string();
        let json = [("content-type", "application/json")];
        let reply = world.send(reqwest::Method::POST, "/credentials/revoke", &json, body).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
    }
    // Advancing the clock runs the jobs.
    world.advance(60).await;
    let mut accepted = receiver.lock().unwrap().accepted.clone();
    accepted.sort_by_key(|(_, body)| body.contains(&flagged.id.to_string()));
    assert_eq!(accepted.len(), 2, "{accepted:?}");
    let said: Vec<Value> =
        accepted.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    assert!(said.iter().all(|it| it["type"] == "token.leaked"), "{said:?}");
    assert_eq!(said[0]["data"]["contact"], "blue@example.com");
    assert_eq!(
        (&said[0]["data"]["group"], &said[1]["data"]["group"]),
        (&json!("blue"), &json!("red"))
    );
    let advice = |at: usize| said[at]["data"]["advice"].as_str().unwrap().to_owned();
    assert!(advice(0).contains("is revoked") && advice(1).contains("is still active"));
    assert!(accepted.iter().all(|(_, body)| !body.contains(&token) && !body.contains(&stays)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_is_warned_of_at_each_time_before_its_expiry_and_once() {
    let (world, receiver) = world().await;
    let shop = world.channel("shop").await;
    let contact =
        GroupPatch { contact: Some(Some("blue@example.com".into())), ..Default::default() };
    let blue = "blue".parse().unwrap();
    world.admin().change_group(shop.id, blue, contact).await.unwrap();
    let token = world.issue_to(&shop, Kind::ShortLived, "blue").await;
    assert!(world.is_good(&token).await);
    // Advancing the clock runs the jobs.
    world.advance(22 * DAY).await;
    let unused_key = ("assertion-key.unused".to_owned(), Value::Null);
    assert_eq!(news(&receiver), [unused_key], "the channel's key was never used");
    world.advance(DAY + 60).await;
    assert_eq!(news(&receiver), [expiring("blue")], "seven days before");
    world.advance(60).await;
    assert_eq!(news(&receiver), []);
    world.advance(6 * DAY).await;
    let (headers, body) = receiver.lock().unwrap().accepted[0].clone();
    assert_eq!(news(&receiver), [expiring("blue")], "one day before");
    world.advance(DAY - 3_600).await;
    assert_eq!(news(&receiver), [expiring("blue")], "one hour before");
    world.advance(2 * DAY).await;
    assert_eq!(news(&receiver), [], "it has expired");

    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(said["data"]["contact"], "blue@example.com");
    assert_eq!(said["data"]["channel_id"], shop.id.to_string());
    assert!(!body.contains(&token), "no token is in it");
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[9; 32]);
    let signed = format!("{}.{}.{body}", text("webhook-id"), text("webhook-timestamp"));
    let signature = text("webhook-signature");
    let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_rotation_causes_no_warning_and_an_incomplete_one_does() {
    let (world, receiver) = world().await;
    let shop = world.channel("shop").await;
    let token =
        |group: &'static str| async { world.issue_to(&shop, Kind::ShortLived, group).await };
    let (red, blue) = (token("red").await, token("blue").await);
    for token in [&red, &blue] {
        assert!(world.is_good(token).await);
    }
    world.advance(20 * DAY).await;
    for token in [token("red").await, token("blue").await] {
        assert!(world.is_good(&token).await);
    }
    // Only blue still uses the old one.
    world.advance(2 * 3_600).await;
    assert!(world.is_good(&blue).await);
    world.advance(9 * DAY).await;
    let replaced = ("token.replaced-in-use".to_owned(), Value::from("blue"));
    let news: Vec<_> =
        news(&receiver).into_iter().filter(|it| it.0 != "assertion-key.unused").collect();
    assert_eq!(news, [replaced]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_gets_the_warnings_when_it_is_up_again() {
    let (mut world, receiver) = world().await;
    let shop = world.channel("shop").await;
    let token = world.issue_to(&shop, Kind::ShortLived, "blue").await;
    assert!(world.is_good(&token).await);
    receiver.lock().unwrap().down = true;
    world.advance(29 * DAY + 3_600).await;
    world.restart().await;
    world.advance(60).await;
    assert_eq!(news(&receiver), []);
    receiver.lock().unwrap().down = false;
    world.advance(7 * 3_600).await;
    let unused_key = ("assertion-key.unused".to_owned(), Value::Null);
    let nearest = "of the times before its expiry only the nearest";
    assert_eq!(news(&receiver), [unused_key, expiring("blue")], "{nearest}");
    world.advance(7 * 3_600).await;
    assert_eq!(news(&receiver), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unused_and_a_secret_that_expires_are_listed() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let policy = tegata_server::authority::warnings::Policy::default();
    world.issue(&shop, Kind::ShortLived).await;
    let kinds = async || -> Vec<&'static str> {
        let now = world.authority().now();
        find(&holding(&world, &shop).await, &policy, now).iter().map(|it| it.kind()).collect()
    };
    assert!(kinds().await.is_empty());
    world.advance(7 * DAY).await;
    assert_eq!(kinds().await, ["token.unused", "assertion-key.unused"]);
    world.replace_secret(shop.id, DAY).await;
    world.advance(DAY - 3_600).await;
    assert_eq!(kinds().await, ["token.unused", "secret.expiring", "assertion-key.unused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_does_not_delay_other_jobs() {
    let (mut world, receiver) = world().await;
    world.channel("shop").await;
    receiver.lock().unwrap().down = true;
    // The warning of the channel's unused key is sent, and to be sent again in a minute.
    world.advance(10 * DAY).await;
    receiver.lock().unwrap().hangs = true;
    world.authority().advance_clock(120).await.unwrap();
    world.restart().await;
    // The last of the jobs sets since when the key has been active.
    let unknown = format!("tegata_signing_key_rotation_due_seconds {}\n", 90 * DAY);
    for _ in 0..100 {
        if !world.get("/metrics").await.text.contains(&unknown) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the jobs wait for the receiver");
}

/// The value of a metric, with its labels.
async fn metric(world: &World, name: &str) -> f64 {
    let page = world.get("/metrics").await;
    let text = page.text;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))[name.len() + 1..].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_warning_is_delivered_at_once_and_the_receivers_status_is_reported() {
    let (world, receiver) = world().await;
    let send = async || world.admin_client().post(&["warnings", "test"], &json!({})).await;
    let sent = send().await.unwrap();
    let accepted = json!({ "delivered": true, "host": "127.0.0.1", "status": 204, "error": null });
    assert_eq!(sent, accepted);
    assert!(!sent.to_string().contains("of-the-receiver"), "the address may hold a secret");
    let (headers, body) = receiver.lock().unwrap().accepted[0].clone();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["type"], "test", "{body}");
    assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));

    receiver.lock().unwrap().down = true;
    let sent = send().await.unwrap();
    assert_eq!((&sent["delivered"], &sent["status"]), (&json!(false), &json!(502)), "{sent}");

    let without = World::new().await;
    let denied = without.admin_client().post(&["warnings", "test"], &json!({})).await;
    let denied = denied.unwrap_err().to_string();
    assert!(denied.contains("no webhook is set"), "{denied}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_channels_without_room_open_warnings_and_failed_deliveries() {
    let (world, receiver) = world().await;
    let (nearly, full) = (world.channel("nearly").await, world.channel("full").await);
    for n in 0..27 {
        world.issue_to(&nearly, Kind::V21, &format!("g{n}")).await;
    }
    for n in 0..30 {
        world.issue_to(&full, Kind::V21, &format!("g{n}")).await;
    }
    world.issue(&nearly, Kind::ShortLived).await;
    world.advance(60).await;
    for (name, value) in [
        ("tegata_channels_nearly_full{kind=\"v2.1\"}", 2.0),
        ("tegata_channels_full{kind=\"v2.1\"}", 1.0),
        ("tegata_channels_nearly_full{kind=\"short-lived\"}", 0.0),
        ("tegata_warnings_open{type=\"token.unused\"}", 0.0),
        ("tegata_webhook_deliveries_total{result=\"failed\"}", 0.0),
    ] {
        assert_eq!(metric(&world, name).await, value, "{name}");
    }
    receiver.lock().unwrap().down = true;
    world.advance(8 * DAY).await;
    let open = metric(&world, "tegata_warnings_open{type=\"token.unused\"}").await;
    assert_eq!(open, 58.0, "all tokens");
    let failed = metric(&world, "tegata_webhook_deliveries_total{result=\"failed\"}").await;
    assert!(failed >= 1.0, "{failed}");
    receiver.lock().unwrap().down = false;
    world.advance(3_600).await;
    let accepted = metric(&world, "tegata_webhook_deliveries_total{result=\"accepted\"}").await;
    assert!(accepted >= 1.0, "{accepted}");
    world.advance(40 * DAY).await;
    for name in
        ["tegata_channels_full{kind=\"v2.1\"}", "tegata_warnings_open{type=\"token.unused\"}"]
    {
        assert_eq!(metric(&world, name).await, 0.0, "{name}: the tokens have expired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_webhook_open_warnings_are_counted_all_the_same() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    world.issue_to(&shop, Kind::ShortLived, "blue").await;
    world.advance(8 * DAY).await;
    assert_eq!(metric(&world, "tegata_warnings_open{type=\"token.unused\"}").await, 1.0);
}

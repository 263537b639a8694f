//! What a follower gets: snapshots, changes, bookmarks, and refusals.

use crate::world::{World, are};
use reqwest::Method;
use serde_json::json;
use std::{io::Read, task::Poll, time::Duration};
use tegata_policy::acts::MOST_STOPPED;
use tegata_token::feed::{ChangesResponse, SnapshotResponse};

fn settings() -> serde_json::Value {
    json!({ "name": "gateway" })
}

#[tokio::test]
async fn a_follower_takes_a_snapshot_and_then_gets_each_change_once() {
    let world = World::new().await;
    let verifier = world.verifier(settings()).await;
    let channel = world.channel().await;
    let follower = world.follower(&verifier, "one");
    let answer = follower.ask("snapshot", "&seq=7", &[]).await.is(200);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let read = SnapshotResponse::parse(&answer.bytes).unwrap();
    assert_eq!(read.head.seq.as_deref(), Some("7"));
    assert!(read.head.age.as_secs() < 10 && read.head.time_ms > 1_700_000_000_000);
    assert_eq!(read.snapshot.issuer, world.running().authority.issuer());
    assert_eq!(read.snapshot.view.keys().len(), 1);
    let position = read.snapshot.view.position().to_string();
    world.revoke(&channel, 0).await;
    let answer = follower.changes(&position, 20_000).await.is(200);
    let read = ChangesResponse::parse(&answer.bytes).unwrap();
    assert_eq!(read.after.to_string(), position);
    assert_eq!(read.changes.iter().filter(|it| it.concerns(None)).count(), 1, "{read:?}");
    let again = follower.changes(&read.through.to_string(), 0).await.is(200);
    let bookmark = ChangesResponse::parse(&again.bytes).unwrap();
    assert!(bookmark.changes.is_empty() && bookmark.through == read.through);
}

#[tokio::test]
async fn a_change_answers_a_held_request_at_once_and_another_providers_does_not() {
    let world = World::new().await;
    let (own, other) = (world.channel().await, world.channel().await);
    let limited = json!({ "name": "own", "provider_id": own.provider });
    let verifier = world.verifier(limited).await;
    let follower = world.follower(&verifier, "own");
    let position = follower.snapshot().await;
    let held = follower.changes(&position, 20_000);
    let act = async {
        world.holds(1).await;
        world.revoke(&other, 0).await;
        world.revoke(&own, 0).await;
    };
    let (answer, ()) = tokio::join!(held, act);
    let read = ChangesResponse::parse(&answer.is(200).bytes).unwrap();
    assert_eq!(read.changes.len(), 1);
    assert!(read.changes[0].concerns(Some(own.provider.parse().unwrap())));
    assert!(!follower.snapshot().await.is_empty());
    let text = follower.ask("snapshot", "", &[]).await.is(200).json().to_string();
    assert!(text.contains(&own.id) && !text.contains(&other.id), "{text}");
}

#[tokio::test]
async fn a_bookmark_moves_on_at_the_end_of_the_hold_which_staleness_shortens() {
    let world = World::new().await;
    let (own, other) = (world.channel().await, world.channel().await);
    let limited = json!({ "name": "own", "provider_id": own.provider });
    let verifier = world.verifier(limited).await;
    let follower = world.follower(&verifier, "own").with(600, "deny");
    let position = follower.snapshot().await;
    world.revoke(&other, 0).await;
    // A third of the staleness, whatever was asked for.
    let answer = follower.changes(&position, 25_000).await.is(200).json();
    assert_eq!(answer["changes"], json!([]));
    assert_ne!(answer["through"], json!(position));
}

#[tokio::test]
async fn every_status_of_the_table_is_given_and_none_is_held() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "v", "max_staleness": 5_000 })).await;
    let follower = world.follower(&verifier, "one").with(5_000, "ask");
    let position = follower.snapshot().await;
    let (epoch, number) = position.split_once('-').unwrap();
    let later: u64 = number.parse::<u64>().unwrap() + 1;
    let warnings = async || world.admin(Method::GET, "/warnings", None).await.is(200).json();
    assert_eq!(warnings().await["authority"], json!([]));
    follower.changes(&format!("{epoch}-{later}"), 25_000).await.is(410);
    assert_eq!(warnings().await["authority"][0]["type"], "store.went-backwards");
    follower.changes(&format!("9{epoch}-{number}"), 25_000).await.is(410);
    for missing in ["&hold=0", &format!("&after={position}"), "&after=x&hold=0"] {
        follower.ask("changes", missing, &[]).await.is(400);
    }
    follower.ask("snapshot", "&speaks=1", &[]).await.is(400);
    let token = format!("Bearer {}", verifier.token);
    let authorized = [("authorization", &*token)];
    let query =
        format!("/feed/snapshot?instance={}&staleness=5000&on_stale=deny", follower.instance);
    for (more, status) in [("&speaks=2", 426), ("", 400), ("&speaks=1", 200)] {
        let path = format!("{query}{more}");
        world.send(Method::GET, &path, &authorized, None).await.is(status);
    }
    world.follower(&verifier, "long").with(5_001, "deny").ask("snapshot", "", &[]).await.is(403);
    world.follower(&verifier, "lenient").with(500, "allow").ask("snapshot", "", &[]).await.is(403);
    world.follower(&verifier, "short").with(499, "deny").ask("snapshot", "", &[]).await.is(400);
    let mut stranger = world.follower(&verifier, "one");
    stranger.token = "tgv_".to_owned() + &"0".repeat(64);
    let refused = stranger.ask("snapshot", "", &[]).await.is(401);
    assert!(refused.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_deleted_verifier_gets_no_answer_to_a_request_that_is_held() {
    let world = World::new().await;
    let verifier = world.verifier(settings()).await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let held = follower.changes(&position, 20_000);
    let delete = async {
        world.holds(1).await;
        let path = format!("/verifiers/{}", verifier.id);
        world.admin(Method::DELETE, &path, None).await.is(204);
    };
    let (answer, ()) = tokio::join!(held, delete);
    answer.is(401);
    follower.ask("snapshot", "", &[]).await.is(401);
}

#[tokio::test]
async fn a_verifier_that_may_do_less_refuses_a_request_that_is_held() {
    let world = World::new().await;
    let verifier = world.verifier(settings()).await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let held = follower.changes(&position, 20_000);
    let change = async {
        world.holds(1).await;
        let path = format!("/verifiers/{}", verifier.id);
        let changes = json!({ "max_staleness": 1_000 });
        world.admin(Method::PATCH, &path, Some(changes)).await.is(200);
    };
    let (answer, ()) = tokio::join!(held, change);
    answer.is(403);
}

#[tokio::test]
async fn gzip_has_the_same_content() {
    let world = World::new().await;
    let verifier = world.verifier(settings()).await;
    let channel = world.channel().await;
    world.revoke(&channel, 0).await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    for (path, more) in
        [("snapshot", "&seq=1".to_owned()), ("changes", format!("&after={position}&hold=0&seq=1"))]
    {
        let plain = follower.ask(path, &more, &[]).await.is(200);
        assert!(!plain.headers.contains_key("content-encoding"));
        let packed = follower.ask(path, &more, &[("accept-encoding", "gzip")]).await.is(200);
        assert_eq!(packed.headers["content-encoding"], "gzip");
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_end(&mut text).unwrap();
        let mut unpacked: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let mut plain = plain.json();
        for answer in [&mut unpacked, &mut plain] {
            answer["age_ms"].take();
            answer["time_ms"].take();
        }
        assert_eq!(unpacked, plain);
    }
    let bye = format!("&after={position}&hold=0&bye=1");
    let packed = follower.ask("changes", &bye, &[("accept-encoding", "gzip")]).await.is(200);
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_end(&mut text).unwrap();
    assert_eq!(ChangesResponse::parse(&text).unwrap().through.to_string(), position);
}

#[tokio::test]
async fn a_restart_keeps_the_epoch_and_the_changes_that_followers_lack() {
    let mut world = World::new().await;
    let verifier = world.verifier(settings()).await;
    let channel = world.channel().await;
    let position = world.follower(&verifier, "one").snapshot().await;
    world.revoke(&channel, 0).await;
    world.restart().await;
    let answer = world.follower(&verifier, "one").changes(&position, 0).await.is(200);
    let read = ChangesResponse::parse(&answer.bytes).unwrap();
    assert_eq!(read.changes.iter().filter(|it| it.concerns(None)).count(), 1);
}

#[tokio::test]
async fn a_stop_answers_held_requests_with_503() {
    let world = World::new().await;
    let verifier = world.verifier(settings()).await;
    let position = world.follower(&verifier, "one").snapshot().await;
    let authority = world.running().authority.clone();
    let follower = world.follower(&verifier, "one");
    let held = follower.changes(&position, 20_000);
    let stop = async {
        world.holds(1).await;
        authority.drain_feed();
    };
    let (answer, ()) = tokio::join!(held, stop);
    let answer = answer.is(503);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn new_instances_are_limited_to_fifty_a_second() {
    let world = World::new().await;
    let verifier = world.verifier(settings()).await;
    let names: Vec<_> = (0..200).map(|n| format!("i{n}")).collect();
    let herd: Vec<_> = names.iter().map(|it| world.follower(&verifier, it)).collect();
    // At once: on a busy machine two hundred in turn take more than four seconds.
    let all = futures_of(herd.iter().map(|it| it.ask("snapshot", "", &[])).collect()).await;
    let statuses: Vec<_> = all.iter().map(|it| it.status).collect();
    let refused = statuses.iter().filter(|it| **it == 429).count();
    assert!((1..=150).contains(&refused), "{statuses:?}");
    assert!(statuses.iter().all(|it| [200, 429].contains(it)), "{statuses:?}");
}

#[tokio::test]
async fn a_verifier_that_has_stopped_very_many_instances_gets_no_new_one() {
    let world = World::new().await;
    let verifier = world.verifier(settings()).await;
    let one = world.follower(&verifier, "one");
    let position = one.snapshot().await;
    let store = rusqlite::Connection::open(world.folder.path().join("tegata.db")).unwrap();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
                INSERT INTO instance (verifier, instance, staleness, on_stale, registered_at,
                    renewed_at, stopped)
                SELECT ?1, 'instance_that_is_stopped_' || i, 1000, 'deny', 1, 1, 1 FROM n";
    let of = verifier.id.parse::<u64>().unwrap();
    store.execute(rows, (of, MOST_STOPPED)).unwrap();
    let two = world.follower(&verifier, "two");
    let bye = format!("&after={position}&hold=0&bye=1");
    for refused in [two.ask("snapshot", "", &[]).await, two.ask("changes", &bye, &[]).await] {
        assert_eq!(refused.headers["retry-after"], "1");
        let refused = refused.is(429).json();
        assert!(refused["message"].as_str().unwrap().contains("10,000"), "{refused}");
    }
    one.catch_up(&position).await;
    one.ask("changes", &bye, &[]).await.is(200);
    let other = world.verifier(json!({ "name": "other" })).await;
    world.follower(&other, "two").snapshot().await;
}

#[tokio::test]
async fn a_report_of_uses_shows_when_a_token_was_last_used() {
    let world = World::new().await;
    let channel = world.channel().await;
    let token = world.token(&channel).await;
    let verifier = world.verifier(json!({ "name": "v", "provider_id": channel.provider })).await;
    let follower = world.follower(&verifier, "one");
    follower.snapshot().await;
    let path = format!("/channels/{}/tokens", channel.id);
    let listed = world.admin(Method::GET, &path, None).await.is(200).json();
    let row = &listed["tokens"][0];
    assert!(row["last_used_at"].is_null() && !token.is_empty());
    let minute = world.running().authority.now().0 / 60 * 60;
    let uses = json!([
        { "token_id": row["token_id"], "channel": channel.id, "count": 3, "source": "192.0.2.1" },
        { "token_id": "AAAAAAAAAAAAAAAAAAAAAA", "channel": "0000000001", "count": 1, "source": "x" },
    ]);
    let report = json!({
        "instance": follower.instance,
        "minutes": [{ "minute": minute, "uses": uses }],
    });
    let token = format!("Bearer {}", verifier.token);
    let headers = [("authorization", &*token), ("content-type", "application/json")];
    let send = |body: String| world.send(Method::POST, "/feed/usage", &headers, Some(body));
    send(report.to_string()).await.is(204);
    send("{}".to_owned()).await.is(400);
    let padded = report.to_string() + &" ".repeat(200_000);
    send(padded).await.is(204);
    let longest = |length| report.to_string() + &" ".repeat(length - report.to_string().len());
    send(longest(1024 * 1024)).await.is(204);
    send(longest(1024 * 1024 + 1)).await.is(413);
    world.running().authority.flush_last_used().await.unwrap();
    let listed = world.admin(Method::GET, &path, None).await.is(200).json();
    assert!(listed["tokens"][0]["last_used_at"].is_string(), "{listed:#}");

    // The report was sent twice.
    let path = format!("{path}/{}", row["token_id"].as_str().unwrap());
    let shown = world.admin(Method::GET, &path, None).await.is(200).json();
    let uses = shown["recent_uses"].as_array().unwrap();
    let counts: Vec<_> = uses.iter().map(|it| (&it["source"], &it["count"])).collect();
    assert_eq!(counts, [(&json!("192.0.2.1"), &json!(3))], "{shown:#}");

    // A verifier of another provider reports nothing of this one's tokens.
    let other = world.channel().await;
    world.token(&other).await;
    let path = format!("/channels/{}/tokens", other.id);
    let listed = world.admin(Method::GET, &path, None).await.is(200).json();
    let id = &listed["tokens"][0]["token_id"];
    let uses = json!([{ "token_id": id, "channel": other.id, "count": 1, "source": "x" }]);
    let report = json!({
        "instance": follower.instance,
        "minutes": [{ "minute": minute, "uses": uses }],
    });
    send(report.to_string()).await.is(204);
    world.running().authority.flush_last_used().await.unwrap();
    let listed = world.admin(Method::GET, &path, None).await.is(200).json();
    assert!(listed["tokens"][0]["last_used_at"].is_null(), "{listed:#}");
}

#[tokio::test]
async fn a_herd_that_asks_for_a_snapshot_gets_one_that_was_written_once() {
    let world = World::new().await;
    let verifier = world.verifier(settings()).await;
    let channel = world.channel().await;
    world.revoke(&channel, 0).await;
    let names: Vec<_> = (0..40).map(|it| format!("herd{it}")).collect();
    let herd: Vec<_> = names.iter().map(|it| world.follower(&verifier, it)).collect();
    let written = || world.running().authority.written_snapshots();
    let before = written();
    let all: Vec<_> = herd.iter().map(|it| it.ask("snapshot", "", &[])).collect();
    let all = futures_of(all).await;
    let snapshots: Vec<_> = all.iter().map(|it| it.json()["snapshot"].clone()).collect();
    assert!(snapshots.iter().all(|it| *it == snapshots[0] && it["position"].is_string()));
    assert_eq!(written() - before, 1);
    world.revoke(&channel, 0).await;
    world.follower(&verifier, "herd0").snapshot().await;
    assert_eq!(written() - before, 2, "a later position is another snapshot");
}

/// What all of them complete with.
async fn futures_of<T>(all: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<_> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (it, done) in all.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(value) = it.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_request_that_is_held_while_its_instance_is_removed_gets_no_answer() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let position = follower.catch_up(&position).await;
    let held = follower.changes(&position, 20_000);
    let removing = async {
        world.holds(1).await;
        let path = format!("/verifiers/{}/instances", verifier.id);
        world.admin(Method::DELETE, &path, None).await.is(200);
        world.revoke(&channel, 0).await
    };
    let (held, revoked) = tokio::join!(held, removing);
    assert_eq!(revoked["receipt"]["state"], "complete", "no instance is known");
    held.is(503);
    follower.changes(&position, 0).await.is(200);
    are(&world.revoke(&channel, 0).await["receipt"], &[("one", "waiting")]);
}

#[tokio::test]
async fn a_request_that_is_held_ends_at_once_when_its_instance_is_removed() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    world.channel().await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let position = follower.catch_up(&position).await;
    let removing = async {
        world.holds(1).await;
        let path = format!("/verifiers/{}/instances", verifier.id);
        world.admin(Method::DELETE, &path, None).await.is(200);
    };
    let both = async { tokio::join!(follower.changes(&position, 20_000), removing).0 };
    let held = tokio::time::timeout(Duration::from_secs(10), both).await;
    held.expect("it is not held to its end").is(503);
}

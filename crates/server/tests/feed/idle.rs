//! Which tokens are idle, with verifiers that report uses.

use crate::world::{Channel, Follower, Response, World};
use reqwest::Method;
use serde_json::{Value, json};

/// Issues a short-lived token of a group.
async fn issue(world: &World, channel: &Channel, group: &str) -> String {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&group={group}",
        channel.id, channel.secret
    );
    let form_type = [("content-type", "application/x-www-form-urlencoded")];
    let issued = world.send(Method::POST, "/v2/oauth/accessToken", &form_type, Some(form)).await;
    issued.is(200).json()["access_token"].as_str().unwrap().to_owned()
}

/// Uses a token at the authority itself.
async fn use_here(world: &World, token: &str) {
    let headers = [("authorization", &*format!("Bearer {token}"))];
    world.send(Method::GET, "/gateway/verify", &headers, None).await.is(200);
}

async fn advance(world: &World, minutes: i64) {
    let body = json!({ "advance_seconds": minutes * 60 }).to_string();
    let headers = [("content-type", "application/json")];
    world.send(Method::POST, "/dev/clock", &headers, Some(body)).await.is(200);
}

/// Advances the clock to the first seconds of a minute, so that the requests that follow
/// fall into one minute on a slow machine, too.
async fn begin_minute(world: &World) {
    let body = json!({ "advance_seconds": 61 - world.running().authority.now().0 % 60 });
    let headers = [("content-type", "application/json")];
    world.send(Method::POST, "/dev/clock", &headers, Some(body.to_string())).await.is(200);
}

impl Follower<'_> {
    /// Reports the last minute that is over, with these uses.
    async fn reports(&self, uses: Value, dropped: u64) {
        self.report(-60, uses, dropped).await;
    }

    /// Reports the minute that began this many seconds after the running one.
    async fn report(&self, after: i64, uses: Value, dropped: u64) {
        self.send_report(after, uses, dropped).await.is(204);
    }

    async fn send_report(&self, after: i64, uses: Value, dropped: u64) -> Response {
        let minute = self.world.running().authority.now().0 / 60 * 60 + after;
        let minutes = [json!({ "minute": minute, "uses": uses, "dropped": dropped })];
        let body = json!({ "instance": self.instance, "minutes": minutes }).to_string();
        let token = format!("Bearer {}", self.token);
        let headers = [("authorization", &*token), ("content-type", "application/json")];
        self.world.send(Method::POST, "/feed/usage", &headers, Some(body)).await
    }
}

/// The older of a group's two tokens, as the list, the single answer and the explanation
/// show it; the newer one is never idle.
async fn older(world: &World, channel: &Channel, text: &str) -> (Value, Value) {
    let path = format!("/channels/{}/tokens", channel.id);
    let listed = world.admin(Method::GET, &path, None).await.is(200).json();
    let (new, old) = (&listed["tokens"][0], &listed["tokens"][1]);
    assert_eq!((&new["idle_since"], &new["idle_unknown"]), (&Value::Null, &Value::Null));
    let path = format!("{path}/{}", old["token_id"].as_str().unwrap());
    let one = world.admin(Method::GET, &path, None).await.is(200).json();
    let body = Some(json!({ "access_token": text }));
    let explained = world.admin(Method::POST, "/explain", body).await.is(200).json();
    for name in ["idle_since", "idle_unknown", "last_used_at"] {
        assert_eq!((&one[name], &explained[name]), (&old[name], &old[name]), "{name}");
    }
    (old["idle_since"].clone(), old["idle_unknown"].clone())
}

#[tokio::test]
async fn a_replaced_token_is_idle_once_it_was_not_used_for_a_quarter_of_an_hour() {
    let world = World::new().await;
    let channel = world.channel().await;
    let (old, new) = (issue(&world, &channel, "blue").await, issue(&world, &channel, "blue").await);
    let null = || (Value::Null, Value::Null);
    use_here(&world, &old).await;
    advance(&world, 2).await;
    use_here(&world, &new).await;
    assert_eq!(older(&world, &channel, &old).await, null(), "used lately");
    advance(&world, 14).await;
    let (since, unknown) = older(&world, &channel, &old).await;
    assert!(since.is_string() && unknown.is_null(), "{since} {unknown}");

    // Another use ends it; a newer token of another group means nothing.
    use_here(&world, &old).await;
    assert_eq!(older(&world, &channel, &old).await, null());
    let other = world.channel().await;
    let one = issue(&world, &other, "red").await;
    let two = issue(&world, &other, "green").await;
    advance(&world, 2).await;
    use_here(&world, &two).await;
    advance(&world, 30).await;
    assert_eq!(older(&world, &other, &one).await, null());

    // A dry run of its revocation shows it, too.
    use_here(&world, &new).await;
    advance(&world, 2).await;
    let body = json!({ "group": "blue", "dry_run": true });
    let path = format!("/channels/{}/revocations", channel.id);
    let would = world.admin(Method::POST, &path, Some(body)).await.is(200).json();
    assert!(would["tokens"][1]["idle_since"].is_string(), "{would:#}");
}

#[tokio::test]
async fn it_is_not_known_while_the_reports_of_an_instance_are_missing_or_old() {
    let mut world = World::new().await;
    let channel = world.channel().await;
    let (old, new) = (issue(&world, &channel, "blue").await, issue(&world, &channel, "blue").await);
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let elsewhere = world.channel().await;
    let limited = json!({ "name": "elsewhere", "provider_id": elsewhere.provider });
    let limited = world.verifier(limited).await;
    world.follower(&limited, "other").snapshot().await;
    world.follower(&verifier, "one").snapshot().await;
    use_here(&world, &old).await;
    advance(&world, 2).await;
    use_here(&world, &new).await;
    advance(&world, 20).await;
    let unknown = |code: &str| (Value::Null, Value::from(code));
    assert_eq!(older(&world, &channel, &old).await, unknown("reports-missing"));

    // A report without uses is enough; one with a use of the token is another answer.
    world.follower(&verifier, "one").reports(json!([]), 0).await;
    let (since, why) = older(&world, &channel, &old).await;
    assert!(since.is_string() && why.is_null(), "{since} {why}");
    advance(&world, 5).await;
    assert_eq!(older(&world, &channel, &old).await, unknown("reports-too-old"));
    world.follower(&verifier, "one").reports(json!([]), 3).await;
    assert_eq!(older(&world, &channel, &old).await, unknown("uses-left-out"));
    let path = format!("/channels/{}/tokens", channel.id);
    let listed = world.admin(Method::GET, &path, None).await.is(200).json();
    let id = listed["tokens"][1]["token_id"].clone();
    let used = json!([{ "token_id": id, "channel": channel.id, "count": 1, "source": "x" }]);
    advance(&world, 1).await;
    world.follower(&verifier, "one").reports(used, 0).await;
    assert_eq!(older(&world, &channel, &old).await, (Value::Null, Value::Null), "in use");

    // A new process has no report yet. An instance that has stopped uses no token.
    advance(&world, 2).await;
    use_here(&world, &new).await;
    world.follower(&verifier, "one").reports(json!([]), 0).await;
    advance(&world, 30).await;
    world.restart().await;
    assert_eq!(older(&world, &channel, &old).await, unknown("reports-missing"));
    begin_minute(&world).await;
    world.follower(&verifier, "one").reports(json!([]), 0).await;
    let position = world.follower(&verifier, "one").snapshot().await;
    let bye = format!("&after={position}&hold=0&bye=1");
    world.follower(&verifier, "one").ask("changes", &bye, &[]).await.is(200);
    // Its last minute is part of its last report; without it, a use could be missing.
    advance(&world, 30).await;
    assert_eq!(older(&world, &channel, &old).await, (Value::Null, Value::Null));
    world.follower(&verifier, "one").report(-30 * 60, json!([]), 0).await;
    advance(&world, 30).await;
    let (since, why) = older(&world, &channel, &old).await;
    assert!(since.is_string() && why.is_null(), "{since} {why}");
}

#[tokio::test]
async fn a_report_that_the_store_cannot_take_was_not_received_and_counts_once_when_sent_again() {
    let world = World::new().await;
    let channel = world.channel().await;
    let (old, new) = (issue(&world, &channel, "blue").await, issue(&world, &channel, "blue").await);
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let follower = world.follower(&verifier, "one");
    follower.snapshot().await;
    use_here(&world, &old).await;
    advance(&world, 2).await;
    use_here(&world, &new).await;
    advance(&world, 20).await;
    let path = format!("/channels/{}/tokens", channel.id);
    let listed = world.admin(Method::GET, &path, None).await.is(200).json();
    let id = listed["tokens"][1]["token_id"].as_str().unwrap();
    let (of, source) = (&channel.id, "192.0.2.1");
    let uses_of = |id: &str| json!({ "token_id": id, "channel": of, "count": 3, "source": source });
    // With so many others that the store needs a while for them.
    let others = (0..900).map(|n| uses_of(&format!("{n:0>21}A")));
    let used = Value::Array(others.chain([uses_of(id)]).collect());
    begin_minute(&world).await;

    // Without its index, reports cannot be looked up.
    let store = rusqlite::Connection::open(world.folder.path().join("tegata.db")).unwrap();
    let index = "SELECT sql FROM sqlite_schema WHERE name = 'token_live'";
    let index: String = store.query_row(index, [], |row| row.get(0)).unwrap();
    store.execute_batch("DROP INDEX token_live").unwrap();
    follower.send_report(-60, used.clone(), 0).await.is(503);
    store.execute_batch(&index).unwrap();
    let unknown = (Value::Null, Value::from("reports-missing"));
    assert_eq!(older(&world, &channel, &old).await, unknown);

    // The same report from several retries at once, the first of which may still be recorded.
    let again = [(); 8].map(|()| follower.send_report(-60, used.clone(), 0));
    let [a, b, c, d, e, f, g, h] = again;
    let (a, b, c, d, e, f, g, h) = tokio::join!(a, b, c, d, e, f, g, h);
    for response in [a, b, c, d, e, f, g, h] {
        response.is(204);
    }
    assert_eq!(older(&world, &channel, &old).await, (Value::Null, Value::Null), "in use");
    let token = world.admin(Method::GET, &format!("{path}/{id}"), None).await.is(200).json();
    let uses = token["recent_uses"].as_array().unwrap();
    let reported = uses.iter().find(|it| it["source"] == "192.0.2.1").unwrap();
    assert_eq!(reported["count"], 3, "{token:#}");
}

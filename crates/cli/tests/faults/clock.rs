//! A clock that is set while the server runs, and years that are far away.

use crate::{
    channel,
    line::{Channel, is_good, provider, token_in, verify},
    process::{
        Server,
        http::{HttpResponse, Request},
        key::Key,
        serve,
    },
    stop,
    wall::Wall,
};
use serde_json::Value;
use std::{path::Path, process::Command};

/// A server whose wall clock can be set.
async fn start(home: &Path, moment: &str) -> (Server, Wall) {
    let mut command = serve(home, &[]);
    let wall = Wall::of(&mut command, home, moment);
    (Server::start(command).await, wall)
}

async fn issue(server: &Server, channel: &Channel) -> String {
    let response = server.ask(&channel.issue_short_lived(Default::default())).await;
    assert_eq!(response.status, 200, "{}", response.text());
    token_in(&response)
}

async fn seconds_left(server: &Server, token: &str) -> Option<i64> {
    let response: HttpResponse = server.ask(&verify(token)).await;
    is_good(&response).then(|| response.json()["expires_in"].as_i64().expect("a number"))
}

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_is_set_never_takes_time_back() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let (mut server, wall) = start(home.path(), "+0").await;
    let channel = channel(&server).await;
    let token = issue(&server, &channel).await;
    let revoked = issue(&server, &channel).await;
    assert_eq!(server.ask(&channel.revoke(&revoked)).await.status, 200);
    let at_first = seconds_left(&server, &token).await.expect("a new token is good");
    assert!((30 * DAY - 60..=30 * DAY).contains(&at_first), "{at_first}");

    wall.set("+3600");
    let an_hour_on = seconds_left(&server, &token).await.expect("30 days are not over");
    assert!((3_540..=3_660).contains(&(at_first - an_hour_on)), "{at_first}, {an_hour_on}");
    for back in ["-600", "-3600", "+0"] {
        wall.set(back);
        let left = seconds_left(&server, &token).await.expect("still active");
        assert!(left <= an_hour_on, "set to {back}, {left} seconds are left, not {an_hour_on}");
        assert!(seconds_left(&server, &revoked).await.is_none(), "a revocation stays");
        issue(&server, &channel).await;
    }

    wall.set("+34560000");
    assert!(seconds_left(&server, &token).await.is_none(), "400 days are more than 30");
    let far = issue(&server, &channel).await;
    wall.set("+0");
    assert!(seconds_left(&server, &token).await.is_none(), "what has expired stays so");
    assert!(seconds_left(&server, &far).await.is_some(), "what was handed out is good");

    // Also over a restart, with the clock put right.
    stop(&mut server).await;
    drop(server);
    let (server, _wall) = start(home.path(), "+0").await;
    assert!(seconds_left(&server, &token).await.is_none());
    assert!(seconds_left(&server, &revoked).await.is_none());
    assert!(seconds_left(&server, &far).await.is_some());
}

/// A store that was written a year ahead: assertions look expired, and the way out is
/// the one that the runbook names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_wrong_by_a_year_once_can_be_put_right() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let (mut server, _wall) = start(home.path(), "+31536000").await;
    let key = Key::generate();
    let channel = Channel::create(&server, &provider(&server).await, &key).await;
    let ahead = issue(&server, &channel).await;
    stop(&mut server).await;
    drop(server);
    let (mut server, _wall) = start(home.path(), "+0").await;
    let v21 = Channel::issue_v21(&channel.assertion(&key, 1), Default::default());
    assert_eq!(server.ask(&v21).await.status, 400, "the authority's time is a year ahead");
    assert!(seconds_left(&server, &ahead).await.is_some());
    stop(&mut server).await;
    drop(server);
    let recover = ["recover", "--store", "sqlite:tegata.db", "--revoke-everything", "--set-clock"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
    let done = command.args(recover).current_dir(home.path()).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (mut server, _wall) = start(home.path(), "+0").await;
    assert!(seconds_left(&server, &ahead).await.is_none(), "no token lives over it");
    let issued = server.ask(&v21).await;
    assert_eq!(issued.status, 200, "{}", issued.text());
    let left = seconds_left(&server, &token_in(&issued)).await.expect("a new token is good");
    assert!((30 * DAY - 60..=30 * DAY).contains(&left), "{left}");
    assert!(seconds_left(&server, &issue(&server, &channel).await).await.is_some());
    stop(&mut server).await;
}

/// Around the end of 32-bit seconds (signed and unsigned), a leap second, and the
/// last year that RFC 3339 can write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_year_is_too_far_away() {
    for moment in [
        "@2016-12-31 23:59:50",
        "@2038-01-19 03:13:50",
        "@2106-02-07 06:27:50",
        "@9999-12-31 23:00:00",
    ] {
        let home = tempfile::tempdir().expect("a temporary folder");
        let (server, _wall) = start(home.path(), moment).await;
        let channel = channel(&server).await;
        let token = issue(&server, &channel).await;
        let left = seconds_left(&server, &token).await.expect("a new token is good");
        assert!((30 * DAY - 60..=30 * DAY).contains(&left), "{moment}: {left}");
        let long_lived = server.ask(&channel.reissue_long_lived(0)).await;
        assert_eq!(long_lived.status, 201, "{moment}: {}", long_lived.text());
        assert!(is_good(&server.ask(&verify(&token_in(&long_lived))).await), "{moment}");
        let stateless = server.ask(&channel.issue_stateless(Default::default())).await;
        assert!(is_good(&server.ask(&verify(&token_in(&stateless))).await), "{moment}");
        let rows = channel.rows(&server).await;
        assert_eq!(rows.len(), 2, "{moment}: {rows:?}");
        // RFC 3339 has four digits for a year; a moment beyond them is absent.
        let can_be_written = !moment.starts_with("@9999");
        for row in &rows {
            assert_eq!(row["expires_at"].is_string(), can_be_written, "{moment}: {row}");
        }
        assert_eq!(server.ask(&channel.revoke(&token)).await.status, 200, "{moment}");
        assert!(!is_good(&server.ask(&verify(&token)).await), "{moment}");
        let audit = server.ask(&Request::admin("GET", "/audit", None)).await;
        let events: Value = audit.json();
        assert!(events["events"].as_array().is_some_and(|it| !it.is_empty()), "{moment}");
    }
}

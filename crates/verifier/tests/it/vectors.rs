//! The vectors of `testdata/feed`, with the follower's own functions.

use crate::rules::at;
use serde_json::Value;
use std::{fs, path::PathBuf, time::Duration};
use tegata_token::feed::{OnStale, ResponseHead, Snapshot, SnapshotResponse};
use tegata_verifier::{
    follower::{Follower, Received},
    simulation::Answer,
    standing::Use,
};

fn cases(name: &str) -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/feed");
    let text = fs::read_to_string(folder.join(name)).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    file["cases"].as_array().unwrap().clone()
}

/// A follower with a snapshot at a time in seconds.
fn follower(snapshot: &Value, time: i64) -> Follower {
    let wanted = Use { staleness: Duration::from_secs(60), on_stale: OnStale::Deny };
    let mut follower = Follower::new("i".repeat(22).parse().unwrap(), wanted, at(0).steady);
    let request = follower.next(at(0), 0.0).requests.remove(0);
    let head = ResponseHead {
        seq: Some(request.id.to_string()),
        age: Duration::ZERO,
        time_ms: (time * 1_000).unsigned_abs(),
    };
    let (before, after) = SnapshotResponse::around(&head);
    let body = format!("{before}{snapshot}{after}");
    let outcome = Received::Response { status: 200, retry_after: None, body: body.as_bytes() };
    follower.receive(request.id, &outcome, at(0), 0.0);
    follower
}

fn answer(follower: &Follower, token: &Value) -> &'static str {
    let signatures = tegata_token::verify::Signatures::new(4);
    let standing = follower.standing();
    let token = token.as_str().unwrap().as_bytes();
    let wanted = Use { staleness: Duration::from_secs(60), on_stale: OnStale::Deny };
    let found = standing.consult(token, at(0).steady, &signatures);
    // The verification began before the snapshot was asked for.
    let verdict = standing.conclude(found, at(0).steady, at(0), wanted);
    let answer = Answer::of(&verdict);
    Answer::ALL.into_iter().find(|it| it.0 == answer).unwrap().1
}

#[test]
fn a_follower_gives_the_answers_of_the_vectors() {
    let cases = cases("verify.json");
    assert!(cases.len() > 50);
    for it in cases {
        let follower = follower(&it["snapshot"], it["time"].as_i64().unwrap());
        assert_eq!(answer(&follower, &it["token"]), it["answer"], "{}", it["name"]);
    }
}

#[test]
fn a_follower_reaches_the_views_of_the_vectors() {
    for it in cases("changes.json") {
        let time = it["probes"][0]["time"].as_i64().unwrap();
        let mut follower = follower(&it["snapshot"], time);
        for response in it["responses"].as_array().unwrap() {
            let request = follower.next(at(0), 0.0).requests.remove(0);
            let mut response = response.clone();
            response["seq"] = request.id.to_string().into();
            let body = response.to_string();
            let outcome =
                Received::Response { status: 200, retry_after: None, body: body.as_bytes() };
            // An early response without changes is followed by a pause.
            follower.receive(request.id, &outcome, at(0), 0.0);
        }
        assert_eq!(follower.cannot(), None, "{}", it["name"]);
        let result = Snapshot::parse(it["result"].to_string().as_bytes()).unwrap();
        let written = |view| Snapshot::write(view, None, "");
        let standing = follower.standing();
        assert_eq!(written(standing.view().unwrap()), written(&result.view), "{}", it["name"]);
        for probe in it["probes"].as_array().unwrap() {
            assert_eq!(answer(&follower, &probe["token"]), probe["answer"], "{}", it["name"]);
        }
    }
}

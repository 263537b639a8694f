//! A store whose master key is lost, or was replaced since the backup.

use super::{Home, good, line, pass, stop};
use crate::{
    line::{Channel, With, token_in},
    process::{Server, http::Request, key::Key},
};
use serde_json::Value;
use std::fs;

/// A server whose audit has a checkpoint, and a token that was stored a minute ago.
async fn with_checkpoint(home: &Home) -> (Server, Channel, String) {
    let server = home.start().await;
    let provider = line::provider(&server).await;
    let shop = Channel::create(&server, &provider, &Key::generate()).await;
    let token = token_in(&server.ask(&shop.issue_short_lived(With::default())).await);
    pass(&server, 60).await;
    let url = format!("http://{}", server.address());
    let has_checkpoint = || home.tegata(&["audit", "verify", "--url", &url])["checkpoints"] != 0;
    for _ in 0..600 {
        if has_checkpoint() {
            return (server, shop, token);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no checkpoint covers the newest event");
}

/// Asserts the state after the recovery: the token is active, new ones are issued, and the
/// audit verifies live and offline from its first event on.
async fn goes_on(home: &Home, shop: &Channel, token: &str) {
    for _ in 0..2 {
        let server = home.start().await;
        assert!(good(&server, token).await);
        token_in(&server.ask(&shop.issue_short_lived(With::default())).await);
        let ready = server.ask(&Request::new("GET", "/readyz", &[], "")).await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        let url = format!("http://{}", server.address());
        let whole = |report: &Value| {
            assert_eq!(report["ok"], true, "{report:#}");
            assert_eq!(report["kept_from"], 1, "{report:#}");
        };
        whole(&home.tegata(&["audit", "verify", "--url", &url]));
        whole(&home.tegata(&["audit", "verify", "--store", "sqlite:tegata.db"]));
        stop(server);
    }
}

const REPLAY: [&str; 3] = ["recover", "--replay", "revocations.log"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_master_key_is_lost_continues_with_a_new_one() {
    let home = Home::new();
    let (server, shop, token) = with_checkpoint(&home).await;
    stop(server);
    fs::remove_file(home.path("master.key")).expect("it was there");
    assert!(home.refused().contains("Replace a lost master key"));
    let replayed = home.run(&REPLAY);
    assert!(String::from_utf8_lossy(&replayed.stderr).contains("make a new one"), "{replayed:?}");
    let new = format!("{}\n", "5e".repeat(32));
    fs::write(home.path("master.key"), new).expect("it works");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(home.path("master.key"), private).expect("it works");
    assert!(home.refused().contains("tegata recover"));
    assert_eq!(home.tegata(&REPLAY)["audit_begins_anew"], true);
    goes_on(&home, &shop, &token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_from_before_the_master_key_was_replaced_is_recovered() {
    let home = Home::new();
    let (server, shop, token) = with_checkpoint(&home).await;
    home.tegata(&["backup", "backup.db"]);
    stop(server);
    home.tegata(&["master-key", "rotate"]);
    home.tegata(&["restore", "backup.db"]);
    assert_eq!(home.tegata(&REPLAY)["audit_begins_anew"], true);
    goes_on(&home, &shop, &token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_restored_twice_begins_another_epoch_each_time() {
    let home = Home::new();
    let (server, shop, token) = with_checkpoint(&home).await;
    home.tegata(&["backup", "backup.db"]);
    stop(server);
    let mut lives = Vec::new();
    for how in [&REPLAY[..], &REPLAY[..], &["recover", "--revoke-everything"]] {
        home.tegata(&["restore", "backup.db"]);
        lives.push(home.tegata(how)["epoch"].as_u64());
        if how == REPLAY {
            goes_on(&home, &shop, &token).await;
        }
    }
    assert!(lives.windows(2).all(|two| two[0] < two[1]), "{lives:?}");
    assert!(lives[0] > Some(1), "{lives:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_with_the_same_master_key_keeps_the_checkpoints() {
    let home = Home::new();
    let (server, shop, token) = with_checkpoint(&home).await;
    home.tegata(&["backup", "backup.db"]);
    stop(server);
    home.tegata(&["restore", "backup.db"]);
    assert_eq!(home.tegata(&REPLAY)["audit_begins_anew"], false);
    goes_on(&home, &shop, &token).await;
}

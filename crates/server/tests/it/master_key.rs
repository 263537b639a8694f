//! A master-key rotation whose outcome is unknown: the caller was canceled, or the disk
//! took too long. Either master key may be the one in force; no signing key may be lost.

use crate::world::World;
use rusqlite::Connection;
use std::{fs, time::Duration};
use tegata_token::kind::Kind;
use tokio::time::timeout;

/// Starts a rotation that commits after its caller was canceled.
async fn rotate_unfinished(world: &World) {
    let writer = Connection::open(world.folder.path().join("tegata.db")).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let admin = world.admin();
    let seen = timeout(Duration::from_millis(300), admin.rotate_master_key()).await;
    assert!(seen.is_err(), "it completed: {seen:?}");
    writer.execute_batch("ROLLBACK").unwrap();
    // Queued after the rotation.
    world.authority().is_writable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_created_after_an_unfinished_rotation_opens_at_the_next_start() {
    let mut world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::V21).await;
    rotate_unfinished(&world).await;
    world.rotate_signing_keys().await;
    world.restart().await;
    assert!(world.is_good(&token).await);
    world.advance(900).await;
    assert!(world.try_issue(&shop, Kind::V21).await.is_ok(), "the new key does not sign");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_after_an_unfinished_one_loses_no_key() {
    let mut world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::V21).await;
    for _ in 0..2 {
        rotate_unfinished(&world).await;
    }
    world.admin().rotate_master_key().await.unwrap();
    world.restart().await;
    assert!(world.is_good(&token).await);
    world.issue(&shop, Kind::V21).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_holds_the_key_in_force_within_a_round_of_the_jobs() {
    let world = World::new().await;
    let file = world.folder.path().join("master.key");
    let before = fs::read(&file).unwrap();
    rotate_unfinished(&world).await;
    world.advance(60).await;
    assert_ne!(fs::read(&file).unwrap(), before, "a copy of it would open no backup");
}

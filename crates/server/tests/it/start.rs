//! Starting: what the first start creates, and what later starts reject.

use crate::world::World;
use std::{fs, os::unix::fs::PermissionsExt};
use tegata_server::{config::Settings, serve::serve};
use tegata_token::kind::Kind;

fn settings(folder: &std::path::Path) -> Settings {
    Settings::new(([127, 0, 0, 1], 0).into(), folder.join("tegata.db"))
}

/// Why it does not start: the whole chain of errors, as the program prints it.
async fn refused(settings: Settings) -> String {
    let Err(error) = serve(settings).await else { panic!("it started") };
    let first: &dyn std::error::Error = &error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_creates_keys_that_only_their_owner_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let running = serve(settings(folder.path())).await.unwrap();
    let token_file = running.admin_token_file.clone().unwrap();
    for file in [&token_file, &folder.path().join("master.key")] {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    let token = fs::read_to_string(&token_file).unwrap();
    running.stop().await;
    let running = serve(settings(folder.path())).await.unwrap();
    assert_eq!(fs::read_to_string(&token_file).unwrap(), token);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_stay_active_over_a_restart_and_the_master_key_must_be_the_same() {
    let mut world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::V21).await;
    world.restart().await;
    assert!(world.is_good(&token).await);
    world.stop().await;

    let folder = world.folder.path();
    let mut again = settings(folder);
    again.dev = true;
    let key = folder.join("master.key");
    let aside = folder.join("aside");
    fs::rename(&key, &aside).unwrap();
    let error = refused(again.clone()).await;
    assert!(error.contains("bring the file back"), "{error}");
    assert!(!key.exists(), "a lost key must not be created again");
    fs::write(&key, "ab".repeat(32)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let error = refused(again.clone()).await;
    assert!(error.contains("not the master key"), "{error}");
    fs::rename(&aside, &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = refused(again.clone()).await;
    assert!(error.contains("chmod 600"), "{error}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    serve(again).await.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_do_not_share_a_store_and_dev_listens_on_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let running = serve(settings(folder.path())).await.unwrap();
    let error = refused(settings(folder.path())).await;
    assert!(error.contains("in use"), "{error}");
    let mut taken = settings(folder.path());
    taken.listen = running.address;
    let error = refused(taken).await;
    assert!(error.contains("cannot listen"), "{error}");
    running.stop().await;
    let mut dev = settings(folder.path());
    dev.dev = true;
    let error = refused(dev.clone()).await;
    assert!(error.contains("--dev"), "{error}");
    dev.listen = ([0, 0, 0, 0], 0).into();
    let error = refused(dev).await;
    assert!(error.contains("loopback"), "{error}");
}

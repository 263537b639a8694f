//! Concurrent requests, and what must hold all the same.

use crate::world::World;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tegata_policy::secret::PlainSecret;
use tegata_store::Error;
use tegata_token::kind::Kind;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_forty_concurrent_requests_thirty_get_a_v21_token() {
    let world = Arc::new(World::new().await);
    let shop = Arc::new(world.channel("shop").await);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (world, shop) = (world.clone(), shop.clone());
        asked.spawn(async move { world.try_issue(&shop, Kind::V21).await });
    }
    let statuses = asked.join_all().await;
    assert_eq!(statuses.iter().filter(|status| status.is_ok()).count(), 30, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == Err(400)).count(), 10, "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_verification_after_the_200_of_a_revocation_accepts_the_token() {
    let world = Arc::new(World::new().await);
    let shop = world.channel("shop").await;
    for round in 0..20 {
        let token = world.issue(&shop, Kind::ShortLived).await;
        let revoked = Arc::new(AtomicBool::new(false));
        let mut checkers = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let (world, token, revoked) = (world.clone(), token.clone(), revoked.clone());
            checkers.spawn(async move {
                loop {
                    let after = revoked.load(Relaxed);
                    let good = world.is_good(&token).await;
                    assert!(!(after && good), "round {round}: it was accepted");
                    if after {
                        return;
                    }
                }
            });
        }
        world.revoke(&shop, &token).await;
        revoked.store(true, Relaxed);
        checkers.join_all().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_after_a_rotation_uses_the_previous_secret_under_concurrent_cache_fills() {
    let world = Arc::new(World::new().await);
    let shop = world.channel("shop").await;
    let mut current = PlainSecret::from_caller(shop.secret);
    for round in 0..50 {
        let stop = Arc::new(AtomicBool::new(false));
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let (world, stop, id) = (world.clone(), stop.clone(), shop.id);
            // The change discards the snapshot, and these read it in again meanwhile.
            asking.spawn(async move {
                while !stop.load(Relaxed) {
                    // On a busy machine the lease on a shared store can run out.
                    let _ = world.authority().channel(id).await;
                    // Without a pause they would leave the server's own tasks no processor.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        let authority = world.authority();
        let new = world.replace_secret(shop.id, 0).await;
        for _ in 0..10 {
            assert!(authority.check_secret(shop.id, &current).await.is_err(), "round {round}");
            match authority.check_secret(shop.id, &new).await {
                Ok(_) | Err(Error::Unavailable(_)) => {}
                Err(error) => panic!("round {round}: {error}"),
            }
            tokio::task::yield_now().await;
        }
        current = new;
        stop.store(true, Relaxed);
        asking.join_all().await;
    }
}

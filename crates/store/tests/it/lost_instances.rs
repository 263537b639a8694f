//! Instances of verifiers that a restored copy of a store does not know: the recovery counts
//! them, by all that their verifiers could be since the copy was made.

use crate::{
    narrowing::LATER,
    world::{NOW, World, by},
};
use std::collections::BTreeMap;
use tegata_policy::{acts::LOST_INSTANCES, secret::PlainSecret};
use tegata_store::{NewVerifier, VerifierPatch};
use tegata_token::{
    feed::OnStale,
    id::{ProviderId, VerifierId},
    time::UnixTime,
};

fn id(number: u64) -> VerifierId {
    VerifierId::from_number(number).unwrap()
}

/// A verifier that may use a staleness of a minute.
async fn create(world: &World, number: u64, provider: Option<ProviderId>, at: UnixTime) {
    let new = NewVerifier {
        id: id(number),
        name: format!("verifier {number}"),
        provider,
        max_staleness: 60_000,
        allow: false,
        token: PlainSecret::from_caller(format!("token {number}")).hash(),
    };
    world.create_verifier(new, by(at)).await.unwrap();
}

async fn change(world: &World, number: u64, max_staleness: u32, allow: bool) {
    let (max_staleness, allow) = (Some(max_staleness), Some(allow));
    let patch = VerifierPatch { name: None, max_staleness, allow };
    world.change_verifier(id(number), patch, by(LATER)).await.unwrap();
}

/// What is counted as lost: of which verifier, with which staleness and setting.
async fn counted(world: &World) -> BTreeMap<u64, (String, Option<ProviderId>, u32, OnStale)> {
    let mut counted = BTreeMap::new();
    for (verifier, instances) in world.instances().await.unwrap() {
        for it in instances.iter().filter(|it| it.instance.as_str() == LOST_INSTANCES) {
            assert!(!it.stopped);
            let row = (verifier.name.clone(), verifier.provider, it.staleness, it.on_stale);
            counted.insert(verifier.id.number(), row);
        }
    }
    counted
}

pub async fn before_the_backup(world: &World) {
    create(world, 6, None, NOW).await;
    create(world, 7, None, NOW).await;
}

pub async fn after_the_backup(world: &World) {
    // An instance that was cut off in between keeps the lenient settings.
    change(world, 7, 3_600_000, true).await;
    change(world, 7, 500, false).await;
    create(world, 8, Some(world.provider), LATER).await;
    change(world, 8, 90_000, false).await;
    create(world, 9, None, LATER).await;
    world.delete_verifier(id(9), by(LATER)).await.unwrap();
}

pub async fn are_counted_by_the_first_recovery(world: &World) {
    let row = |number, provider, staleness, on_stale| {
        (number, (format!("verifier {number}"), provider, staleness, on_stale))
    };
    let expected = [
        row(6, None, 60_000, OnStale::Deny),
        row(7, None, 3_600_000, OnStale::Allow),
        row(8, Some(world.provider), 90_000, OnStale::Deny),
        row(9, None, 60_000, OnStale::Deny),
    ];
    assert_eq!(counted(world).await, BTreeMap::from(expected));
    let there: Vec<_> = world.verifiers().await.unwrap();
    let there: Vec<_> = there.iter().map(|it| (it.id.number(), it.max_staleness)).collect();
    assert_eq!(there, [(7, 500), (6, 60_000)], "the journal creates no verifier again");
}

pub async fn after_the_first_recovery(world: &World) {
    change(world, 6, 120_000, true).await;
}

/// The rows of the first recovery are still there.
pub async fn are_counted_by_the_second_recovery(world: &World) {
    let counted = counted(world).await;
    let of = |number| (counted[&number].2, counted[&number].3);
    assert_eq!(of(6), (120_000, OnStale::Allow));
    assert_eq!(of(7), (3_600_000, OnStale::Allow), "never stricter");
    assert_eq!(counted.len(), 4);
}

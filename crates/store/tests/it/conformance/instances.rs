//! Rows of verifiers' instances.

use crate::world::{NOW, World, by};
use std::collections::BTreeMap;
use tegata_policy::{acts::MOST_STOPPED, secret::PlainSecret};
use tegata_store::{Error, NewVerifier, RegisterInstance, Registration};
use tegata_token::{
    feed::{InstanceId, OnStale},
    id::VerifierId,
    time::UnixTime,
};

async fn verifier(world: &World) -> VerifierId {
    create(world, 6).await
}

async fn another_verifier(world: &World) -> VerifierId {
    create(world, 7).await
}

async fn create(world: &World, number: u64) -> VerifierId {
    let id = VerifierId::from_number(number).unwrap();
    let new = NewVerifier {
        id,
        name: "Gateway".into(),
        provider: None,
        max_staleness: 60_000,
        allow: false,
        token: PlainSecret::from_caller(format!("of verifier {number}")).hash(),
    };
    world.create_verifier(new, by(NOW)).await.unwrap();
    id
}

fn name(number: u8) -> InstanceId {
    InstanceId::from_random([number; 16])
}

async fn register(world: &World, verifier: VerifierId, number: u8, at: UnixTime) -> Registration {
    let act = RegisterInstance {
        verifier,
        instance: name(number),
        staleness: 1_000,
        on_stale: OnStale::Deny,
        address: [192, 0, 2, 7].into(),
    };
    world.register_instance(act, at).await.unwrap()
}

/// When the rows were renewed, and whether they are stopped.
async fn rows(world: &World) -> BTreeMap<InstanceId, (UnixTime, bool)> {
    let all = world.instances().await.unwrap().into_iter().flat_map(|(_, rows)| rows);
    all.map(|it| (it.instance, (it.renewed_at, it.stopped))).collect()
}

pub async fn a_verifier_with_very_many_stopped_instances_gets_no_other_and_those_it_has_go_on(
    world: World,
) {
    let of = verifier(&world).await;
    register(&world, of, 1, NOW).await;
    let stopped = format!(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {MOST_STOPPED})
         INSERT INTO instance (verifier, instance, staleness, on_stale, registered_at, renewed_at,
             stopped) SELECT {of}, 'instance_that_is_stopped_' || i, 1000, 'deny', 1, 1, TRUE FROM n"
    );
    world.place.write(&stopped).await;
    let another = register(&world, of, 2, NOW).await;
    assert!(matches!(another, Registration::Registered(_)), "one less than the limit");
    world.stop_instance(of, name(2), NOW).await.unwrap();

    let act = |number| RegisterInstance {
        verifier: of,
        instance: name(number),
        staleness: 1_000,
        on_stale: OnStale::Deny,
        address: [192, 0, 2, 7].into(),
    };
    let refused = world.register_instance(act(3), NOW).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    // Its end would take a row, too.
    let refused = world.stop_instance(of, name(3), NOW).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    assert!(matches!(register(&world, of, 1, NOW).await, Registration::Registered(_)));
    assert!(world.stop_instance(of, name(1), NOW).await.unwrap().stopped);
    assert!(matches!(register(&world, of, 2, NOW).await, Registration::Stopped));
    let other = another_verifier(&world).await;
    assert!(matches!(register(&world, other, 3, NOW).await, Registration::Registered(_)));
}

pub async fn renewed_rows_are_kept_and_none_comes_back_that_is_stopped_or_gone(world: World) {
    let of = verifier(&world).await;
    for number in 1..=4 {
        let registered = register(&world, of, number, NOW).await;
        assert!(matches!(registered, Registration::Registered(_)), "{registered:?}");
    }
    let read = world.instances().await.unwrap().remove(0).1;
    assert!(read.iter().all(|it| it.address == Some([192, 0, 2, 7].into())), "{read:?}");
    world.stop_instance(of, name(2), NOW).await.unwrap();
    world.drop_instances(vec![(of, name(3), NOW)]).await.unwrap();

    let later = NOW.plus(60);
    let all = [3, 2, 1].map(|number| (of, name(number))).to_vec();
    world.renew_instances(all, later).await.unwrap();
    let expected = [(1, later, false), (2, NOW, true), (4, NOW, false)];
    let expected = expected.map(|(number, at, stopped)| (name(number), (at, stopped)));
    assert_eq!(rows(&world).await, BTreeMap::from(expected));

    // What was found old before it was renewed is not dropped.
    let found = [1, 4].map(|number| (of, name(number), NOW)).to_vec();
    world.drop_instances(found).await.unwrap();
    let left: Vec<_> = rows(&world).await.into_keys().collect();
    assert_eq!(left.len(), 2);
    assert!(!left.contains(&name(4)));
}

//! Random batches, of which a full disk refuses some: what the store keeps in memory of a
//! channel is what its rows have, after a batch that was rolled back as after any other.
//! Where debug assertions are on, the store compares both at each use.

use crate::{
    agree, disk,
    place::{Place, Sqlite},
    rounds,
    world::{Ask, BoxFuture, NOW, Shop, World, by},
};
use faulty_vfs::{Call, Fault, FaultyVfs};
use proptest::{prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};
use rusqlite::ffi;
use std::collections::BTreeSet;
use tegata_store::{Error, Result, RevocationTarget, sqlite::Faults};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, Serial},
    kind::Kind,
};

#[derive(Debug, Clone, Copy)]
enum Act {
    Issue { shop: usize, kind: Kind, delay: i64 },
    Revoke { shop: usize, back: u64 },
    RevokeAll { shop: usize },
}

fn act() -> impl Strategy<Value = Act> {
    let kind = select(vec![Kind::V21, Kind::ShortLived, Kind::LongLived]);
    prop_oneof![
        12 => (0..2usize, kind, select(vec![0, 60]))
            .prop_map(|(shop, kind, delay)| Act::Issue { shop, kind, delay }),
        3 => (0..2usize, 0..4u64).prop_map(|(shop, back)| Act::Revoke { shop, back }),
        1 => (0..2usize).prop_map(|shop| Act::RevokeAll { shop }),
    ]
}

/// Some acts, and whether the disk is full when they are committed.
fn batches() -> impl Strategy<Value = Vec<(Vec<Act>, bool)>> {
    prop::collection::vec((prop::collection::vec(act(), 1..5), prop::bool::weighted(0.3)), 60)
}

async fn begin<'a>(
    world: &'a World,
    shops: &[Shop; 2],
    last: &[u64; 2],
    act: Act,
) -> BoxFuture<'a, Result<Option<Claims>>> {
    match act {
        Act::Issue { shop, kind, delay } => {
            let delay = if kind == Kind::LongLived { delay } else { 0 };
            let grant = world.grant(&shops[shop], &Ask::new(kind).delay(delay)).await;
            Box::pin(async move { world.take(grant, NOW).await.map(|it| Some(it.claims)) })
        }
        Act::Revoke { shop, back } => {
            let serial = Serial(last[shop].saturating_sub(back));
            let target = RevocationTarget::Stored { serial };
            let end = world.revoke(shops[shop].id, target, false, by(NOW));
            Box::pin(async move { end.await.map(|_| None) })
        }
        Act::RevokeAll { shop } => {
            let end = world.revoke(shops[shop].id, RevocationTarget::All, false, by(NOW));
            Box::pin(async move { end.await.map(|_| None) })
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acts_after_a_batch_that_was_rolled_back_see_what_the_rows_have() {
    let mut runner = TestRunner::deterministic();
    let mut rolled_back = 0;
    for _ in 0..rounds(4) {
        let folder = tempfile::tempdir().unwrap();
        let vfs = FaultyVfs::new(folder.path()).unwrap();
        let faults =
            Faults { vfs: Some(vfs.name().into()), synchronous_off: false, ..Faults::default() };
        let world = World::at(Box::new(Sqlite { folder, faults })).await;
        let shops = [world.shop().await, world.shop().await];
        let (mut last, mut issued) = ([0; 2], Vec::<Claims>::new());
        for (acts, full) in batches().new_tree(&mut runner).unwrap().current() {
            let mut waiting = Vec::new();
            for act in acts {
                waiting.push(begin(&world, &shops, &last, act).await);
            }
            let fault = Fault::nth(1).on(&[Call::Write]).with(ffi::SQLITE_FULL);
            let ready = || {
                if full {
                    vfs.inject(fault);
                }
            };
            let answers = world.together(waiting, ready).await;
            let unknown = |it: &Result<_>| matches!(it, Err(Error::Unavailable(_)));
            if full && vfs.heal().failed > 0 {
                assert!(answers.iter().all(unknown), "{answers:?}");
                rolled_back += 1;
                // At once, since the probe that holds the writer for a batch writes a row
                // after a failure, and the store would drop what it keeps.
                for (shop, last) in shops.iter().zip(&mut last) {
                    let claims = world.ask(shop, Ask::new(Kind::ShortLived)).await.unwrap().claims;
                    *last = claims.serial.0;
                    issued.push(claims);
                }
                continue;
            }
            assert!(!answers.iter().any(unknown), "{answers:?}");
            for claims in answers.into_iter().flatten().flatten() {
                let shop = usize::from(claims.channel == shops[1].id);
                last[shop] = claims.serial.0;
                issued.push(claims);
            }
        }
        let names: BTreeSet<(ChannelId, Serial)> =
            issued.iter().map(|it| (it.channel, it.serial)).collect();
        assert_eq!(names.len(), issued.len(), "a serial was given twice");
        agree::everything(&world, &issued, NOW).await;
        let copy = Sqlite::new();
        vfs.power_loss(copy.folder.path()).unwrap();
        assert_eq!(disk::whole(&copy).await.tokens.len(), issued.len());
    }
    assert!(rolled_back > 20, "{rolled_back} batches were rolled back");
}

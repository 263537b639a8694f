//! A cluster of PostgreSQL servers that Patroni lets fail over, under a store. Only with
//! `TEGATA_LONG=1`: Patroni waits for twenty seconds before another server leads.

use crate::{
    is_long, postgres_place,
    world::{Ask, NOW, Shop, World},
};
use async_trait::async_trait;
use postgres_fixture::{PatroniCluster, Replication};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tegata_store::{
    OnCommit, RevocationTarget, Store, TokenName, TokenState, postgres::PostgresStore,
};
use tegata_token::{
    id::{Serial, SigningKeyId},
    kind::Kind,
    time::UnixTime,
};
use tokio::task::JoinSet;

/// The database of a cluster.
struct Led(Arc<PatroniCluster>);

#[async_trait]
impl crate::place::Place for Led {
    fn new() -> Self {
        unreachable!("a cluster is started by its test")
    }

    fn another(&self) -> Box<dyn crate::place::Place> {
        unreachable!("a cluster has one database")
    }

    async fn open(&self, dev: bool, on_commit: OnCommit) -> Result<Box<dyn Store>, String> {
        let options = postgres_place::options(self.0.url(), None, dev);
        let store = PostgresStore::open(options, on_commit).await;
        store.map(|it| Box::new(it) as _).map_err(|error| error.to_string())
    }

    async fn limit_key(&self, _: SigningKeyId, _: UnixTime) {}
}

async fn world(replication: Replication) -> (Arc<PatroniCluster>, World) {
    let cluster = Arc::new(PatroniCluster::start(3, replication).unwrap());
    let world = World::at(Box::new(Led(cluster.clone()))).await;
    (cluster, world)
}

/// What clients were acknowledged: a token, and whether its revocation.
type Acknowledged = Vec<(Serial, bool)>;

/// Issues and revokes until it is over.
async fn client(world: Arc<World>, shop: Shop, over: Arc<AtomicBool>) -> Acknowledged {
    let mut acknowledged = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let Ok(grant) = world.authorize_if_known(&shop, &Ask::new(Kind::ShortLived)).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(issued) = world.take(grant, NOW).await else { continue };
        let serial = issued.claims.serial;
        acknowledged.push((serial, false));
        let target = RevocationTarget::Stored { serial };
        if world.revoke(shop.id, target, false, crate::world::by(NOW)).await.is_ok() {
            acknowledged.push((serial, true));
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failover_with_synchronous_replication_loses_nothing_acknowledged() {
    if !is_long() {
        return;
    }
    let (cluster, world) = world(Replication::Synchronous).await;
    let world = Arc::new(world);
    for round in 0..3 {
        let over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..6 {
            let shop = world.shop().await;
            let client = client(world.clone(), shop.clone(), over.clone());
            clients.spawn(async move { (shop, client.await) });
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let old = cluster.leader().unwrap();
        cluster.kill(old);
        let new = cluster.failed_over(old).expect("another server leads");
        cluster.restart(old).unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        over.store(true, Ordering::Relaxed);
        let mut many = 0;
        for (shop, acknowledged) in clients.join_all().await {
            for (serial, revoked) in acknowledged {
                let row = world.token(shop.id, TokenName::Serial(serial), NOW).await.unwrap();
                let row = row.unwrap_or_else(|| panic!("{serial:?} is lost"));
                assert!(!revoked || row.state == TokenState::Revoked, "{serial:?}");
                many += 1;
            }
        }
        assert!(many > 0 && world.current());
        println!("round {round}: node {old} was killed, node {new} leads; {many} acknowledged");
        let streaming = || cluster.all_stream().then_some(());
        postgres_fixture::until(streaming).expect("the old one follows");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failover_with_asynchronous_replication_that_lost_commits_is_refused() {
    if !is_long() {
        return;
    }
    let (cluster, world) = world(Replication::Asynchronous).await;
    let shop = world.shop().await;
    let serial = world.get(&shop, Ask::new(Kind::ShortLived)).await;
    let old = cluster.leader().unwrap();
    cluster.stop_sending(old);
    world.revoke_at(&shop, RevocationTarget::Stored { serial }, NOW).await;
    cluster.kill(old);
    cluster.failed_over(old).expect("another server leads");
    let noticed = async {
        while !world.is_writable().await.is_err_and(|it| it.to_string().contains("went back")) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noticed).await.expect("it is noticed");
    assert!(!world.current());
    let grant = world.authorize_if_known(&shop, &Ask::new(Kind::ShortLived)).await;
    if let Ok(grant) = grant {
        assert!(world.take(grant, NOW).await.is_err());
    }
}

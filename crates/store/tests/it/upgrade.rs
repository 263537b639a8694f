//! Servers of two versions on one database, as in an upgrade that replaces one after the other.
//! The newer one is this program with one migration more and one kind of change more.

use crate::{
    postgres_place::{Plain, Postgres, options},
    world::{NOW, by},
};
use tegata_policy::secret::PlainSecret;
use tegata_store::{
    ActStore as _, Error, NewVerifier, Store,
    postgres::{Plant, PostgresOptions, PostgresStore},
};
use tegata_token::id::{ProviderId, VerifierId};

async fn open(
    database: &Postgres<Plain>,
    plant: Option<Plant>,
    address: &str,
) -> Result<PostgresStore, String> {
    let url = Postgres::<Plain>::server().url(&database.database);
    let address = Some(address.to_owned());
    let options = PostgresOptions { plant, address, ..options(url, None, false) };
    PostgresStore::open(options, Box::new(|_| {})).await.map_err(|error| error.to_string())
}

async fn provider(store: &PostgresStore, number: u64) {
    let id = ProviderId::from_number(number).unwrap();
    store.create_provider(id, "Shops".into(), by(NOW)).await.unwrap();
}

/// An act with a change of the newer kind.
async fn verifier(store: &PostgresStore, number: u64) -> Result<(), Error> {
    let new = NewVerifier {
        id: VerifierId::from_number(1_000_000_000 + number).unwrap(),
        name: "gateway".into(),
        provider: None,
        max_staleness: 60_000,
        allow: false,
        token: PlainSecret::from_caller(format!("a verifier's token {number}")).hash(),
    };
    store.create_verifier(new, by(NOW)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_replaced_by_a_newer_version_one_after_the_other() {
    let database = Postgres::<Plain>::empty();
    let old = open(&database, None, "old:1").await.unwrap();
    let other = open(&database, None, "old:2").await.unwrap();
    verifier(&old, 1).await.unwrap();
    // The first new one migrates the schema, and the old one goes on.
    drop(other);
    let new = open(&database, Some(Plant::NextVersion), "new:1").await.unwrap();
    assert_eq!(database.sql("SELECT max(version) FROM schema_version")[0][0].as_deref(), Some("2"));
    provider(&old, 1).await;
    provider(&new, 2).await;
    verifier(&old, 2).await.unwrap();
    old.catch_up().await.unwrap();
    // What the old one could not read is not written, and nothing else is held up by it.
    let refused = verifier(&new, 3).await.unwrap_err();
    let Error::NotNow(why) = &refused else { panic!("{refused}") };
    assert!(why.contains("servers of an older version run") && why.contains("old:1"), "{why}");
    provider(&new, 3).await;
    old.catch_up().await.unwrap();
    assert!(old.current() && new.current());
    // An old one that stops cannot start again, since the schema is newer.
    drop(old);
    let refused = open(&database, None, "old:1").await.err().unwrap();
    assert!(refused.contains("has schema 2") && refused.contains("up to 1"), "{refused}");
    let another = open(&database, Some(Plant::NextVersion), "new:2").await.unwrap();
    loop {
        // The row of the old one may still be there for a moment.
        match verifier(&another, 3).await {
            Ok(()) => break,
            Err(Error::NotNow(why)) if why.contains("old:") => {}
            Err(other) => panic!("{other}"),
        }
    }
    new.catch_up().await.unwrap();
}

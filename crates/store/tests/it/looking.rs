//! What stands in the way of a database is named, and a look at it changes nothing.

use crate::{
    place::Place,
    postgres_place::{Plain, Postgres},
    world::{NOW, World, by},
};
use postgres_fixture::ReservedPort;
use tegata_store::postgres::{
    DatabaseSchema, PostgresLook, PostgresOpenError, PostgresOptions, PostgresStore, Unreached,
    migrate_database,
};
use tegata_token::id::ProviderId;

fn url(of: &Postgres<Plain>) -> String {
    Postgres::<Plain>::server().url(&of.database)
}

#[tokio::test]
async fn why_a_database_cannot_be_reached_is_named() {
    let place = Postgres::<Plain>::new();
    let url = url(&place);
    let at = async |url: String| PostgresLook::at(&url).await.err().unwrap();
    let port = Postgres::<Plain>::server().port();
    let free = ReservedPort::new().unwrap();
    let unused = at(url.replace(&format!(":{port}/"), &format!(":{}/", free.number())));
    assert!(matches!(unused.await, Unreached::Silent(_)));
    let without_tls = at(url.replace("sslmode=disable", "sslmode=require")).await;
    assert!(matches!(without_tls, Unreached::Tls(_)), "{without_tls:?}");
    let no_database = at(url.replace(&place.database, "nothing")).await;
    assert!(matches!(no_database, Unreached::NoDatabase(_)), "{no_database:?}");
    let stranger = at(url.replace("tegata@", "stranger@")).await;
    assert!(matches!(stranger, Unreached::NotLetIn(_)), "{stranger:?}");
    assert!(matches!(at("postgres://".to_owned()).await, Unreached::Address(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_says_what_a_database_is() {
    let empty = Postgres::<Plain>::empty();
    let look = PostgresLook::at(&url(&empty)).await.unwrap();
    assert_eq!(look.schema().await.unwrap().0, DatabaseSchema::None);
    assert_eq!(migrate_database(&url(&empty)).await.unwrap(), (0, 1));
    assert_eq!(migrate_database(&url(&empty)).await.unwrap(), (1, 1));
    assert_eq!(look.schema().await.unwrap(), (DatabaseSchema::Version(1), 1));
    assert!(look.store().await.unwrap().is_none());
    let state = look.state().await.unwrap();
    assert!(!state.standby && state.local && !state.encrypted && state.standbys == 0);
    assert!(state.version.starts_with("15") && !state.fsync && !state.has_synchronous);
    let newer = "INSERT INTO schema_version (version, name, checksum) VALUES (2, 'x', '')
                 RETURNING 1";
    empty.sql(newer);
    assert_eq!(look.schema().await.unwrap(), (DatabaseSchema::Version(2), 1));
    let refused = migrate_database(&url(&empty)).await.err().unwrap();
    assert!(matches!(refused, PostgresOpenError::Newer { found: 2, known: 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_notices_a_database_that_went_back() {
    let folder = tempfile::tempdir().unwrap();
    let guard = folder.path().join("guard");
    let place = Postgres::<Plain>::new();
    let (name, database) = (place.database.clone(), url(&place));
    let world = World::at(Box::new(place)).await;
    let options = PostgresOptions {
        url: database.clone(),
        issuer: crate::world::ISSUER.into(),
        guard: Some(guard.clone()),
        ..PostgresOptions::default()
    };
    drop(PostgresStore::open(options, Box::new(|_| {})).await.unwrap());
    let look = PostgresLook::at(&database).await.unwrap();
    look.goes_on(&guard).await.unwrap();
    let found = look.store().await.unwrap().unwrap();
    assert_eq!((found.dev, found.signing_keys.len()), (false, 1));
    let provider = ProviderId::from_number(9).unwrap();
    world.create_provider(provider, "Later".into(), by(NOW)).await.unwrap();
    look.goes_on(&guard).await.unwrap();
    let back = "UPDATE authority SET position = 0 RETURNING 1";
    Postgres::<Plain>::server().ask(&name, back).unwrap();
    let why = look.goes_on(&guard).await.err().unwrap();
    assert!(matches!(why, PostgresOpenError::WentBack(..)), "{why}");
}

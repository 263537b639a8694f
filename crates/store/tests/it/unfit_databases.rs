//! Databases on which no server starts: their encoding lacks characters, or the two addresses of a
//! server lead to two of them.

use crate::postgres_place::{Plain, Postgres, options};
use tegata_store::postgres::{PostgresLook, PostgresStore, migrate_database};

type Place = Postgres<Plain>;

/// What a start on these databases says that is refused.
async fn refusal(database: &str, direct: &str) -> String {
    let server = Place::server();
    let to = options(server.url(database), Some(server.url(direct)), false);
    let opened = PostgresStore::open(to, Box::new(|_| {})).await;
    opened.err().expect("it is refused").to_string()
}

/// Starts a server on a database and stops it.
async fn start_on(it: &Place) {
    let url = Place::server().url(&it.database);
    let to = options(url.clone(), Some(url), false);
    drop(PostgresStore::open(to, Box::new(|_| {})).await.unwrap());
    Place::server().disconnect(&it.database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_whose_encoding_lacks_characters_is_refused_with_the_one_to_make() {
    for encoding in ["EUC_JP", "LATIN1"] {
        let it = Place::named(&format!("test_{}", encoding.to_lowercase()));
        let sql = format!(
            "CREATE DATABASE {} OWNER tegata ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0",
            it.database
        );
        Place::server().sql("postgres", &sql).unwrap();
        let url = Place::server().url(&it.database);
        let migrated = migrate_database(&url).await.unwrap_err().to_string();
        let looked = PostgresLook::at(&url).await.unwrap().state().await.unwrap();
        for said in [refusal(&it.database, &it.database).await, migrated] {
            let right = said.contains(encoding) && said.contains("ENCODING 'UTF8'");
            assert!(right, "{said}");
        }
        assert_eq!(looked.encoding, encoding);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_addresses_that_lead_to_two_databases_are_refused_and_neither_is_changed() {
    let (one, other, empty) = (Place::empty(), Place::empty(), Place::empty());
    start_on(&one).await;
    start_on(&other).await;
    let copy = Place::copy_of(&one.database);
    // The servers that were stopped may have left theirs, for a while.
    let rows = || [&other, &copy].map(|it| it.sql("SELECT id FROM replica"));
    let before = rows();
    for (url, direct) in [(&one, &other), (&one, &empty), (&empty, &one), (&one, &copy)] {
        let said = refusal(&url.database, &direct.database).await;
        assert!(said.contains("--store and --store-direct lead to two different"), "{said}");
    }
    assert!(empty.sql("SELECT FROM pg_tables WHERE schemaname = 'public'").is_empty());
    for (now, before) in rows().iter().zip(&before) {
        assert!(now.iter().all(|it| before.contains(it)), "acts would wait for such a row");
    }
    let look = async |it: &Place| {
        let url = Place::server().url(&it.database);
        PostgresLook::at(&url).await.unwrap_or_else(|why| panic!("{why:?}"))
    };
    let own = look(&one).await;
    assert!(own.has_store_of(&look(&one).await).await.unwrap());
    assert!(!own.has_store_of(&look(&other).await).await.unwrap());
    assert!(!own.has_store_of(&look(&empty).await).await.unwrap());
}

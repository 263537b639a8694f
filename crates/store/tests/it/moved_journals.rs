//! Revocation journals of an authority that is moved to PostgreSQL: the two engines number commits
//! differently, so neither takes the other's journal for its own.

use crate::{
    place::{Place, Sqlite},
    postgres_place::{self, Plain, Postgres},
    world::{Ask, NOW, World},
};
use std::{fs, path::Path};
use tegata_store::{
    Recovery, RevocationTarget,
    journal::Error as JournalError,
    moving::{Move, undo},
    postgres::{PostgresOpenError, PostgresOptions, PostgresStore, RecoveringPostgres},
    sqlite::{OpenError, Options, Recovering, RollbackGuardFile, SqliteStore},
};
use tegata_token::kind::Kind;

async fn served(to: &Postgres<Plain>, journal: &Path) -> Result<PostgresStore, PostgresOpenError> {
    let url = Postgres::<Plain>::server().url(&to.database);
    let journal = Some(journal.to_owned());
    let options = PostgresOptions { journal, ..postgres_place::options(url, None, false) };
    PostgresStore::open(options, Box::new(|_| {})).await
}

/// That a journal is refused since it is the other engine's.
#[track_caller]
fn is_the_others(refused: &JournalError) {
    assert!(matches!(refused, JournalError::OtherEngine(_)), "{refused}");
    let said = refused.to_string();
    assert!(said.contains("name a new file") && said.contains("--revoke-everything"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_engine_uses_the_journal_that_the_other_one_wrote() {
    let place = Sqlite::new();
    let (file, folder) = (place.path(), place.folder.path().to_owned());
    let (old, new) = (folder.join("journal"), folder.join("new journal"));
    let backup = folder.join("backup.db");
    let guard = Some(RollbackGuardFile { path: folder.join("guard"), fresh: [5; 16] });
    let journal = Some(old.clone());
    let options = Options { guard, revocation_journal: journal, ..place.options(false) };
    let mut world = World::at(Box::new(place)).await;
    world.close();
    world.adopt(Box::new(SqliteStore::open(&file, options, Box::new(|_| {})).unwrap()));
    let shop = world.shop().await;
    let tokens =
        [world.get(&shop, Ask::new(Kind::V21)).await, world.get(&shop, Ask::new(Kind::V21)).await];
    // Its commits are many more than the changes of its log.
    for _ in 0..20 {
        world.get(&shop, Ask::new(Kind::V21)).await;
    }
    world.close();
    fs::copy(&file, &backup).unwrap();

    let to = Postgres::<Plain>::empty();
    let url = Postgres::<Plain>::server().url(&to.database);
    let moving = Move::open(&file, &folder.join("guard"), &url).await.unwrap();
    moving.run([7; 16], &mut |_, _, _| {}).await.unwrap();
    match served(&to, &old).await.err().unwrap() {
        PostgresOpenError::Journal(refused) => is_the_others(&refused),
        other => panic!("{other}"),
    }
    let way_back = undo(&file, &folder.join("guard"), &url, true).await;
    assert!(way_back.unwrap(), "a server that was refused leaves no trace");
    let server = served(&to, &new).await.unwrap();
    world.adopt(Box::new(server));
    let revoked = RevocationTarget::Stored { serial: tokens[0] };
    world.revoke_at(&shop, revoked, NOW).await;
    world.close();
    let lines = fs::read_to_string(&new).unwrap();
    assert_eq!(lines.lines().count(), 2, "where it begins, and the revocation: {lines}");

    match Recovering::open(&backup, Recovery::Replay(&new), false).err().unwrap() {
        OpenError::Revocations(refused) => is_the_others(&refused),
        other => panic!("{other}"),
    }
    Recovering::open(&backup, Recovery::Replay(&old), true).map(drop).unwrap();
    no_server_is_left(&to);
    match RecoveringPostgres::open(&url, Recovery::Replay(&old), true).await.err().unwrap() {
        PostgresOpenError::Journal(refused) => is_the_others(&refused),
        other => panic!("{other}"),
    }
    RecoveringPostgres::open(&url, Recovery::Replay(&new), true).await.map(drop).unwrap();
}

/// No server of it has a row any more.
fn no_server_is_left(to: &Postgres<Plain>) {
    Postgres::<Plain>::server().disconnect(&to.database);
    to.sql("DELETE FROM replica RETURNING 1");
}

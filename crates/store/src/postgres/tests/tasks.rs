//! The tasks of a store: one that fails for ever, and what is sent beside a commit.

use super::{
    super::{PostgresOptions, PostgresStore, connect::Address, wake::quietly},
    *,
};
use crate::{Store, engine::Engine};
use std::time::Duration;
use tegata_policy::acts::{Act, ActName, Decided};

/// What does not come by then, never comes.
const EVER: Duration = Duration::from_secs(90);

/// An act with a bug.
struct Panics;

impl Act for Panics {
    type Output = ();
    const NAME: ActName = ActName::Record;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, _: &Locked, _: UnixTime) -> Decided<()> {
        panic!("a bug that a test has planted")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_one_of_whose_tasks_has_panicked_is_not_used_any_more() {
    let it = Database::empty().await;
    let options =
        PostgresOptions { url: it.url.clone(), issuer: "https://a".into(), ..<_>::default() };
    let store = PostgresStore::open(options, Box::new(|_| {})).await.unwrap();
    assert!(store.current());
    assert!(store.run_at(NOW, Panics).await.is_err());
    tokio::time::timeout(EVER, store.stopped()).await.expect("it says so");
    assert!(!store.current(), "nothing is answered from its memory");
}

#[tokio::test]
async fn what_is_said_behind_a_commit_gets_no_warning() {
    let it = Database::new().await;
    let conn = Address::parse(&it.url).unwrap().connect(None).await.unwrap();
    let warns = "DO $$ BEGIN RAISE WARNING 'the queue is half full'; END $$";
    conn.batch_execute(warns).await.unwrap();
    assert_eq!(conn.warnings(), 1);
    conn.batch_execute(&quietly(warns)).await.unwrap();
    conn.batch_execute("SELECT").await.unwrap();
    assert_eq!(conn.warnings(), 1);
    conn.batch_execute(warns).await.unwrap();
    assert_eq!(conn.warnings(), 2, "that of another message is counted");
}

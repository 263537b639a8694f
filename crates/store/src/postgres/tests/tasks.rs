//! The tasks of a store: one that fails for ever, and what is sent beside a commit.

use super::{
    super::{PostgresOptions, PostgresStore, wake::quietly},
    *,
};
use crate::{Store, engine::Engine};
use std::{future::poll_fn, time::Duration};
use tegata_policy::acts::{Act, ActName, Decided};
use tokio_postgres::AsyncMessage;

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
    let (db, mut connection) = tokio_postgres::connect(&it.url, NoTls).await.unwrap();
    let warns = "DO $$ BEGIN RAISE WARNING 'the queue is half full'; END $$";
    let texts = [warns.to_owned(), quietly(warns), warns.to_owned()];
    let sends = async {
        for text in texts {
            db.batch_execute(&text).await.unwrap();
        }
        drop(db);
    };
    let counts = async {
        let mut warnings = 0;
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            warnings += i32::from(matches!(message.unwrap(), AsyncMessage::Notice(_)));
        }
        warnings
    };
    assert_eq!(tokio::join!(sends, counts).1, 2, "those of the other messages");
}

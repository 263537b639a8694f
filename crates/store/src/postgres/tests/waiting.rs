//! Transactions that write the same rows and have no lock in common.

use super::*;
use std::time::Duration;

/// What does not come by then, never comes.
const EVER: Duration = Duration::from_secs(90);

/// Writes in a transaction of its own.
async fn write_in_one(db: &Client, writes: Vec<Write>) -> Result<(), Failed> {
    let effects = Effects { writes, ..Effects::default() };
    let acts = [(None, effects, AT, None)];
    db.batch_execute("BEGIN").await?;
    statements(&acts).run(db).await?;
    Ok(db.batch_execute("COMMIT").await?)
}

/// Waits until as many connections as that wait for a lock.
async fn until_waiting(db: &Client, many: i64) {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) < many {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Writes first what an act changes and then what a job notes as used, while this row is locked.
/// Both write the second of two rows first or last as they like; the job waits for none.
async fn both(it: &Database, locked: &str, act: Vec<Write>, job: Vec<Write>) {
    let (hand, first, second) = (it.another().await, it.another().await, it.another().await);
    hand.batch_execute(&format!("BEGIN; {locked} FOR UPDATE")).await.unwrap();
    let acts = async { write_in_one(&first, act).await.expect("the act") };
    let jobs = async {
        until_waiting(&it.db, 1).await;
        write_in_one(&second, job).await.expect("the job");
        hand.batch_execute("ROLLBACK").await.unwrap();
    };
    let both = async { tokio::join!(acts, jobs) };
    tokio::time::timeout(EVER, both).await.expect("none waits for the other");
}

#[tokio::test]
async fn uses_are_noted_while_acts_change_what_was_used_without_a_deadlock() {
    let it = with_channel().await;
    let id = channel_id();
    it.write(Some(id), (1..=3).map(token).collect()).await;
    let by = RevocationCause::Requested;
    let revoke = [3, 2, 1].map(|row| Write::TokenRevoked { row, by, replaced_by: None });
    let used = [1, 2, 3].map(|row| Write::Used(StampPlace::Token(row), NOW));
    both(&it, "SELECT FROM token WHERE number = 2", revoke.into(), used.into()).await;
    assert_eq!(it.number("SELECT count(*) FROM token WHERE past").await, 3);
    // The job had the third one for itself.
    assert_eq!(it.number("SELECT sum(serial)::bigint FROM token WHERE last_used_at > 0").await, 3);

    let settings = vec![Write::Settings(Box::new(channel()))];
    let used = vec![Write::Used(StampPlace::Secret(id), NOW)];
    both(&it, "SELECT FROM channel", settings, used).await;
}

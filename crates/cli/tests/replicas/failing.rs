//! What an operator sees of a database that stopped, or that went back.

use crate::{
    Field,
    line::{Channel, provider},
    process::{Server, http::Request, key::Key},
};
use postgres_fixture::{PostgresServer, ServerSettings};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Asks until `/readyz` is as wanted.
async fn readiness(server: &Server, is: impl Fn(u16, &Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let response = server.ask(&Request::new("GET", "/readyz?verbose", &[], "")).await;
        let body = response.json();
        if is(response.status, &body) {
            return body;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{body}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn failing(body: &Value) -> Vec<&str> {
    let checks = body["checks"].as_array().unwrap();
    checks.iter().filter(|it| it["ok"] == false).map(|it| it["check"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stopped_is_named_as_the_store_and_never_as_the_audit() {
    let postgres = PostgresServer::start(ServerSettings::default()).unwrap();
    let field = Field::on(&postgres);
    let a = field.start("a").await;
    postgres.stop();
    let first = readiness(&a, |status, _| status == 503).await;
    assert_eq!(failing(&first), ["store"], "{first}");
    let later = readiness(&a, |_, body| failing(body).len() > 1).await;
    assert_eq!(failing(&later), ["store", "lease"], "{later}");
    postgres.restart().unwrap();
    readiness(&a, |status, _| status == 200).await;
}

/// Puts one database in the place of another.
fn swap(postgres: &PostgresServer, present: &str, aside: &str, other: &str) {
    let sql = |sql: String| postgres.sql("postgres", &sql).unwrap();
    sql(format!("ALTER DATABASE {present} ALLOW_CONNECTIONS false"));
    postgres.disconnect(present);
    sql(format!("ALTER DATABASE {present} RENAME TO {aside}"));
    sql(format!("ALTER DATABASE {other} RENAME TO {present}"));
    sql(format!("ALTER DATABASE {present} ALLOW_CONNECTIONS true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_a_database_that_went_back_stays_up_until_a_start_would_succeed() {
    let postgres = PostgresServer::start(ServerSettings::default()).unwrap();
    let field = Field::on(&postgres);
    let mut a = field.start("a").await;
    let database = field.database.clone();
    postgres
        .sql("postgres", &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false"))
        .unwrap();
    postgres.disconnect(&database);
    let older = postgres.copy(&database).unwrap();
    postgres.sql("postgres", &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).unwrap();
    readiness(&a, |status, _| status == 200).await;
    // A change of the log, which the server has read when it answers.
    Channel::create(&a, &provider(&a).await, &Key::generate()).await;
    swap(&postgres, &database, "newer", &older);
    let says = |_, body: &Value| body.to_string().contains("the database went back");
    let body = readiness(&a, says).await;
    assert!(
        failing(&body).contains(&"store") && body.to_string().contains("tegata recover"),
        "{body}"
    );
    assert_eq!(a.ask(&Request::admin("GET", "/providers", None)).await.status, 503);
    // It looks at the database, and would have ended.
    let looked = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%AS beat%' AND state = 'idle'
                  AND pid <> pg_backend_pid()";
    let began = Instant::now();
    while postgres.ask(&database, looked).unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(40), "it does not look");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(a.process.try_wait().unwrap().is_none(), "it stays up");
    swap(&postgres, &database, "older", "newer");
    let began = Instant::now();
    let ended = loop {
        if let Some(ended) = a.process.try_wait().unwrap() {
            break ended;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "it does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(!ended.success(), "so that it is started again: {ended}");
    let again = field.start("a").await;
    assert_eq!(again.ask(&Request::admin("GET", "/providers", None)).await.status, 200);
}

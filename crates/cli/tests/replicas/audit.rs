//! The audit of servers that share a database: each compares its end with a file of its own,
//! and an operator's acceptance counts for all.

use crate::{
    Field,
    line::provider,
    process::{ADMIN_TOKEN, Server, http::Request},
};
use serde_json::Value;
use std::{fs, path::PathBuf, time::Duration};
use tokio::time::Instant;

impl Field<'_> {
    fn anchor(&self, name: &str) -> PathBuf {
        self.home.path().join(name).join("tegata.guard.audit")
    }

    /// The number of the newest checkpoint.
    fn checkpoint(&self) -> u64 {
        let sql = "SELECT coalesce(max(number), 0) FROM audit_checkpoint";
        self.postgres.ask(&self.database, sql).unwrap()[0][0].as_deref().unwrap().parse().unwrap()
    }

    fn anchored(&self, name: &str) -> u64 {
        let text = fs::read_to_string(self.anchor(name)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["number"].as_u64().unwrap()
    }

    /// Waits until a server's anchor has the newest checkpoint, which is beyond that one.
    async fn reaches(&self, name: &str, beyond: u64) -> u64 {
        let began = Instant::now();
        loop {
            let (newest, anchored) = (self.checkpoint(), self.anchored(name));
            if newest > beyond && anchored == newest {
                return newest;
            }
            assert!(began.elapsed() < Duration::from_secs(40), "{name}: {anchored} of {newest}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Takes the audit back to that checkpoint, as in a database that went back.
    fn take_back(&self, to: u64) {
        let sql = format!(
            "DELETE FROM audit WHERE id > (SELECT last FROM audit_checkpoint WHERE number = {to});
             DELETE FROM audit_checkpoint WHERE number > {to};
             UPDATE authority SET audit = (SELECT max(id) FROM audit)"
        );
        self.postgres.sql(&self.database, &sql).unwrap();
    }

    /// Removes the checkpoints after that one, as an attacker does who can write the database.
    fn cut_off(&self, after: u64) {
        let sql = format!("DELETE FROM audit_checkpoint WHERE number > {after}");
        self.postgres.sql(&self.database, &sql).unwrap();
    }
}

async fn verified(server: &Server) -> Value {
    let response = server.ask(&Request::admin("GET", "/audit/verify", None)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

/// Waits until each server finds the audit whole, or not.
async fn all_find(servers: &[&Server], whole: bool) {
    for server in servers {
        let began = Instant::now();
        loop {
            let response = server.ask(&Request::new("GET", "/readyz?verbose", &[], "")).await;
            let checks = response.json()["checks"].as_array().unwrap().clone();
            let audit = checks.iter().find(|it| it["check"] == "audit").map(|it| &it["ok"]);
            if audit == Some(&whole.into()) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(40), "{}", response.text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_anchors_from_before_a_recovery_find_the_audit_whole() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    provider(&a).await;
    let first = field.reaches("a", 0).await.max(field.reaches("b", 0).await);
    provider(&a).await;
    field.reaches("a", first).await;
    field.reaches("b", first).await;
    drop((a, b));
    // The database went back, and was recovered.
    field.take_back(first);
    // The recovery keeps the token in force that its machine has in a file.
    field.write_token("a", ADMIN_TOKEN);
    field.tegata("a", &["recover", "--revoke-everything", "--yes"]);
    let (a, b) = (field.start("a").await, field.start("b").await);
    provider(&b).await;
    field.reaches("a", first).await;
    field.reaches("b", first).await;
    all_find(&[&a, &b], true).await;
    for server in [&a, &b] {
        let report = verified(server).await;
        assert_eq!(
            (&report["ok"], &report["end"]),
            (&true.into(), &"confirmed".into()),
            "{report}"
        );
    }
    assert_eq!((field.acts("audit.broken"), field.acts("audit.continue")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_cut_off_is_noticed_until_an_operator_accepts_it_once_for_all() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    provider(&a).await;
    let first = field.reaches("a", 0).await.max(field.reaches("b", 0).await);
    // Held back: an acceptance that was honoured may not be used for another end.
    field.tegata("a", &["audit", "accept", "--reason", "first"]);
    let first = field.reaches("a", first).await.max(field.reaches("b", first).await);
    provider(&a).await;
    field.reaches("a", first).await;
    field.reaches("b", first).await;
    field.cut_off(first);
    all_find(&[&a, &b], false).await;
    for server in [&a, &b] {
        let ready = server.ask(&Request::new("GET", "/readyz", &[], "")).await;
        let said = r#"{"failing":["audit"],"status":"ready"}"#;
        assert_eq!((ready.status, &*ready.text()), (200, said), "else no server would be left");
    }
    assert!(field.acts("audit.broken") > 0);
    // A row that the audit's key did not sign is worth nothing.
    let forged = "INSERT INTO audit_acceptance SELECT number + 1000000, epoch, checkpoint, chain,
                      through + 1000, signature FROM audit_acceptance RETURNING 1";
    assert_eq!(field.postgres.ask(&field.database, forged).unwrap().len(), 1);
    let broken = field.checkpoint();
    provider(&b).await;
    field.reaches("a", broken).await;
    field.reaches("b", broken).await;
    all_find(&[&a, &b], false).await;
    let remove =
        "DELETE FROM audit_acceptance WHERE number = (SELECT max(number) FROM audit_acceptance)";
    field.postgres.sql(&field.database, remove).unwrap();
    field.tegata("b", &["audit", "accept", "--reason", "known"]);
    all_find(&[&a, &b], true).await;
    for server in [&a, &b] {
        let report = verified(server).await;
        assert_eq!(report["ok"], true, "{report}");
        assert!(report["notices"].to_string().contains("which an operator accepted"), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_write_its_anchor_leaves_the_checkpoints_to_another() {
    let field = Field::new();
    let a = Server::start(field.command("a", &["--dev"])).await;
    let b = Server::start(field.command("b", &["--dev"])).await;
    provider(&a).await;
    let first = field.reaches("a", 0).await.max(field.reaches("b", 0).await);
    // The file of the one that makes checkpoints cannot be replaced, as on a full disk.
    let in_the_way = field.anchor("a").with_extension("audit.new");
    fs::create_dir(&in_the_way).unwrap();
    provider(&b).await;
    field.reaches("b", first).await;
    let began = Instant::now();
    while !a.said.lock().unwrap().contains("no audit checkpoint can be made") {
        assert!(began.elapsed() < Duration::from_secs(40), "it can write its anchor");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    provider(&b).await;
    let (json, body) = ([("content-type", "application/json")], r#"{"advance_seconds":120}"#);
    assert_eq!(a.ask(&Request::new("POST", "/dev/clock", &json, body)).await.status, 200);
    field.reaches("b", first + 1).await;
    for server in [&a, &b] {
        let ready = server.ask(&Request::new("GET", "/readyz", &[], "")).await;
        assert_eq!(ready.status, 200, "{}", ready.text());
    }
    // It follows once it can.
    fs::remove_dir(&in_the_way).unwrap();
    provider(&b).await;
    field.reaches("a", first + 2).await;
    all_find(&[&a, &b], true).await;
}

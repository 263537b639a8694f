//! The root administrator's token of servers that share a database: one is in force for all.

use crate::{
    Field,
    process::{
        Server,
        http::{HttpResponse, Request},
    },
};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};
use tokio::time::Instant;

const OTHER: &str = "the-token-of-another-machine, for tests";

impl Field<'_> {
    /// A server that has its token from a file of its folder.
    fn with_file(&self, name: &str) -> Command {
        let mut command = self.command(name, &[]);
        command.env_remove("TEGATA_ADMIN_TOKEN");
        command
    }

    fn token(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join(name).join("admin.token")).unwrap()
    }

    /// Writes the file of a server's token.
    pub fn write_token(&self, name: &str, token: &str) {
        let file = self.home.path().join(name).join("admin.token");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, token).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

async fn listed(server: &Server, token: &str) -> HttpResponse {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    server.ask(&Request::new("GET", "/admin/v1/providers", &headers, "")).await
}

async fn accept(servers: &[&Server], token: &str) -> bool {
    let mut all = Vec::new();
    for server in servers {
        all.push(listed(server, token).await.status == 200);
    }
    assert!(all.iter().all(|it| *it == all[0]), "all servers say the same: {all:?}");
    all[0]
}

async fn says(server: &Server, text: &str) -> Value {
    let began = Instant::now();
    loop {
        let response = server.ask(&Request::new("GET", "/readyz?verbose", &[], "")).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let body = response.json();
        let checks = body["checks"].as_array().unwrap();
        let found = checks.iter().find(|it| it["check"] == "admin_token").unwrap();
        if found["found"].as_str().unwrap().contains(text) {
            return found.clone();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{found}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_replaces_the_token_of_all_servers_at_once_and_it_never_comes_back() {
    let field = Field::new();
    let a = Server::start(field.with_file("a")).await;
    let first = field.token("a");
    // One server has no token of its own, one has another one, and one has it in a variable.
    let b = Server::start(field.with_file("b")).await;
    field.write_token("c", OTHER);
    let c = Server::start(field.with_file("c")).await;
    let mut set = field.with_file("d");
    set.env("TEGATA_ADMIN_TOKEN", &first);
    let d = Server::start(set).await;
    assert!(!field.home.path().join("b/admin.token").exists(), "it would not be in force");
    assert!(accept(&[&a, &b, &c, &d], &first).await && !accept(&[&a, &b, &c, &d], OTHER).await);
    says(&c, "is not the one in force").await;
    says(&d, "in force for all servers").await;
    field.tegata("a", &["admin", "reset", "--reason", "stolen", "--yes"]);
    assert!(!accept(&[&a, &b, &c, &d], &first).await, "the old token is refused by all");
    let second = field.token("a");
    assert!(accept(&[&a, &b, &c, &d], &second).await);
    says(&d, "was replaced at").await;
    assert_eq!(field.acts("admin.reset"), 1, "it is recorded once");
    // The old one comes back with no file and no start.
    field.write_token("a", &first);
    says(&a, "was replaced at").await;
    drop(c);
    field.write_token("c", &first);
    let c = Server::start(field.with_file("c")).await;
    assert!(!accept(&[&a, &b, &c, &d], &first).await && accept(&[&a, &b, &c, &d], &second).await);
    let found = field.doctor("c");
    assert!(found.contains("was replaced at"), "{found}");
    field.write_token("c", &second);
    says(&c, "in force for all servers").await;
    assert!(field.doctor("c").contains("the administrator's token in force"));
    assert_eq!(field.acts("admin.reset"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_an_operator_changes_replaces_the_token_where_it_was_in_force() {
    let field = Field::new();
    let a = Server::start(field.with_file("a")).await;
    field.write_token("b", OTHER);
    let b = Server::start(field.with_file("b")).await;
    let first = field.token("a");
    let second = "another-token-that-an-operator-wrote, for tests";
    // The token of that server is not in force, so none of its files can replace it.
    field.write_token("b", second);
    says(&b, "is not the one in force").await;
    assert!(accept(&[&a, &b], &first).await && !accept(&[&a, &b], second).await);
    field.write_token("a", second);
    assert_eq!(listed(&a, second).await.status, 200, "the request after it finds it in force");
    assert!(accept(&[&a, &b], second).await && !accept(&[&a, &b], &first).await);
    assert_eq!(field.acts("admin.reset"), 1);
    // So does one that was changed while its server was down.
    drop(a);
    let third = "a-third-token-that-an-operator-wrote, for tests";
    field.write_token("a", third);
    let a = Server::start(field.with_file("a")).await;
    assert!(accept(&[&a, &b], third).await && !accept(&[&a, &b], second).await);
    assert_eq!(field.acts("admin.reset"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_without_a_journal_puts_the_token_of_its_machine_in_force_or_none() {
    let field = Field::new();
    let revoke_everything = ["recover", "--revoke-everything", "--yes"];
    drop(Server::start(field.with_file("a")).await);
    let first = field.token("a");
    // A machine without a token, so it is not known which one was in force last.
    field.tegata("b", &revoke_everything);
    let a = Server::start(field.with_file("a")).await;
    assert!(!accept(&[&a], &first).await);
    says(&a, "was replaced at").await;
    field.tegata("a", &["admin", "reset", "--yes"]);
    let second = field.token("a");
    assert!(accept(&[&a], &second).await && !accept(&[&a], &first).await);
    drop(a);
    field.tegata("a", &revoke_everything);
    let a = Server::start(field.with_file("a")).await;
    assert!(accept(&[&a], &second).await && !accept(&[&a], &first).await);
}

//! An authority that was moved to PostgreSQL keeps its tokens and its revocations, although
//! the move was killed again and again.

use super::{
    Home, Scene, good,
    process::{Server, serve},
    refused, stop,
};
use postgres_fixture::{PostgresServer, ServerSettings};
use std::process::{Command, Stdio};

/// Kills a move once it has copied that many tables; it may be faster.
fn killed(home: &Home, postgres: &PostgresServer, database: &str, words: &[&str], tables: usize) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
    command.args(words).current_dir(home.0.path()).stdin(Stdio::null());
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = command.spawn().expect("it starts");
    while process.try_wait().expect("a child of ours").is_none() {
        let copied = postgres.ask(database, "SELECT name FROM moving");
        if copied.is_ok_and(|it| it.len() >= tables) {
            process.kill().expect("it works");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_authority_keeps_its_tokens_although_the_move_was_killed() {
    let postgres = PostgresServer::start(ServerSettings::default()).expect("it starts");
    let database = postgres.empty_database().expect("it works");
    let url = postgres.url(&database);
    let home = Home::new();
    let server = home.start().await;
    let scene = Scene::set(&server).await;
    scene.end(&server).await;
    let words = ["move", "--from", "sqlite:tegata.db", "--to", &url];
    let output = home.run(&words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("in use by another process"), "{said}");
    stop(server);
    let planned = home.tegata(&[&words[..], &["--dry-run"]].concat());
    assert!(planned["rows"].as_u64() > Some(50), "{planned}");
    assert_eq!(planned["database_held"], "nothing");
    for tables in [1, 4, 9, 14] {
        killed(&home, &postgres, &database, &words, tables);
        let said = home.refused();
        assert!(said.contains("was moved to a PostgreSQL database"), "{said}");
    }
    let done = home.tegata(&words);
    assert_eq!(done["rows"], planned["rows"]);
    assert!(home.refused().contains("--undo"));
    let words = ["--dev", "--store", &url, "--master-key-file", "master.key"];
    let checked = home.run(&[&["doctor"][..], &words].concat());
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        said.contains("PostgreSQL 15") && said.contains("decrypts every signing key"),
        "{said}"
    );
    let server = Server::start(serve(home.0.path(), &words)).await;
    let undo = home.run(&["move", "--from", "sqlite:tegata.db", "--to", &url, "--undo", "--yes"]);
    let said = String::from_utf8_lossy(&undo.stderr).into_owned();
    assert!(!undo.status.success() && said.contains("servers have been started"), "{said}");
    assert!(said.contains(&server.address().to_string()), "it names them: {said}");
    for (way, token) in &scene.ended {
        assert!(!good(&server, token).await, "{way} is active again");
    }
    for token in &scene.kept {
        assert!(good(&server, token).await, "a token was lost");
    }
    stop(server);
    let other_key = ["--dev", "--store", &url, "--master-key-file", "other.key"];
    let said = refused(serve(home.0.path(), &other_key));
    assert!(said.contains("master key"), "{said}");
}

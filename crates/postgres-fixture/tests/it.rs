//! The fixture does what its names say, with a real server.

use postgres_fixture::{
    Folder, Major, PatroniCluster, Pooler, PostgresServer, Proxy, Replication, ServerSettings,
    until,
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};
use tokio::net::TcpSocket;

#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
fn table(server: &PostgresServer, database: &str, sql: &str) -> Vec<String> {
    server.ask(database, sql).unwrap().into_iter().filter_map(|it| it[0].clone()).collect()
}

#[test]
fn a_server_starts_is_killed_and_has_its_rows_again() {
    for major in [Major::Fifteen, Major::Eighteen] {
        let server = PostgresServer::start(ServerSettings { major, ..Default::default() }).unwrap();
        let database = server
            .fresh_database("filled", |url| {
                assert!(url.contains("/filled"));
                server.sql("filled", "CREATE TABLE t AS SELECT 7 AS n")
            })
            .unwrap();
        assert_eq!(table(&server, &database, "SELECT n FROM t"), ["7"]);
        server.sql(&database, "INSERT INTO t VALUES (8)").unwrap();
        server.kill();
        assert!(server.folder().processes("").is_empty());
        assert!(server.ask(&database, "SELECT 1").is_err());
        server.restart().unwrap();
        assert_eq!(table(&server, &database, "SELECT n FROM t ORDER BY n"), ["7", "8"]);
        server.stop();
        server.restart().unwrap();
        server.drop_database(&database).unwrap();
        let version = table(&server, "postgres", "SHOW server_version");
        let expected = if major == Major::Fifteen { "15." } else { "18." };
        assert!(version[0].starts_with(expected), "{version:?}");
    }
}

#[test]
fn what_a_killed_server_had_is_free_at_once_and_no_other_gets_its_port() {
    let server = PostgresServer::start(ServerSettings::default()).unwrap();
    for _ in 0..5 {
        let all = server.folder().processes("data");
        let shown = std::fs::read_to_string(server.folder().path().join("data/postmaster.pid"));
        let first: i32 = shown.unwrap().lines().next().unwrap().parse().unwrap();
        assert!(all.iter().any(|it| it.as_raw_pid() == first));
        server.kill();
        // A zombie, too, would make PostgreSQL refuse to start.
        assert!(!std::path::Path::new(&format!("/proc/{first}")).exists());
        let any = TcpSocket::new_v4().unwrap();
        any.bind(([127, 0, 0, 1], server.port()).into()).expect_err("it is reserved");
        server.restart().unwrap();
    }
}

#[test]
fn a_frozen_server_answers_nothing_until_it_continues() {
    let server = PostgresServer::start(ServerSettings::default()).unwrap();
    thread::scope(|scope| {
        server.freeze();
        let (send, answers) = mpsc::channel();
        let server = &server;
        scope.spawn(move || send.send(server.ask("postgres", "SELECT 1")).unwrap());
        assert!(answers.recv_timeout(Duration::from_millis(300)).is_err());
        server.thaw();
        assert!(answers.recv_timeout(Duration::from_secs(20)).unwrap().is_ok());
    });
}

#[test]
fn a_pooler_passes_transactions_on() {
    let server = PostgresServer::start(ServerSettings::default()).unwrap();
    let database = server.empty_database().unwrap();
    let pooler = Pooler::start(server.port(), 2).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = pooler.url(&database);
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let row = client.query_typed("SELECT current_user", &[]).await.unwrap();
        assert_eq!(row[0].get::<_, &str>(0), "tegata");
    });
}

#[test]
fn a_proxy_spoils_statements() {
    let server = PostgresServer::start(ServerSettings::default()).unwrap();
    let proxy = Proxy::spoiling(server.port(), &["LISTEN"]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = proxy.url("postgres");
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        assert!(client.batch_execute("LISTEN tegata").await.is_err());
        assert!(client.batch_execute("SELECT 1").await.is_ok());
    });
}

#[test]
fn a_proxy_stalls_and_cuts_connections() {
    let echo = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(echo.local_addr().unwrap().port()).unwrap();
    thread::spawn(move || {
        for mut client in echo.incoming().flatten() {
            thread::spawn(move || {
                let mut byte = [0];
                while client.read_exact(&mut byte).is_ok() {
                    client.write_all(&byte).unwrap();
                }
            });
        }
    });
    let connect = || TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let mut client = connect();
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut byte = [0];
    client.write_all(b"a").unwrap();
    client.read_exact(&mut byte).unwrap();
    proxy.stall();
    client.write_all(b"b").unwrap();
    assert!(client.read_exact(&mut byte).is_err());
    proxy.open();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b");
    proxy.cut();
    assert!(!matches!(client.read(&mut byte), Ok(1..)));
    assert!(!matches!(connect().read(&mut byte), Ok(1..)));
    proxy.open();
    let mut client = connect();
    client.write_all(b"c").unwrap();
    client.read_exact(&mut byte).unwrap();
}

/// Set in the process that is killed.
const VICTIM: &str = "TEGATA_POSTGRES_FIXTURE_VICTIM";

#[test]
fn what_runs_in_a_folder_ends_with_a_test_process_that_is_killed_even_if_frozen() {
    if std::env::var_os(VICTIM).is_some() {
        let folder = Folder::new().unwrap();
        folder.spawn(folder.command("sleep").arg("600"), "log").unwrap();
        until(|| (folder.processes("").len() == 1).then_some(())).unwrap();
        folder.signal("", rustix::process::Signal::STOP);
        println!("\nfolder {}", folder.path().display());
        loop {
            thread::park();
        }
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("what_runs_in_a_folder_ends_with_a_test_process_that_is_killed_even_if_frozen")
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = String::new();
    let mut stdout = victim.stdout.take().unwrap();
    let mut byte = [0];
    let path = loop {
        stdout.read_exact(&mut byte).unwrap();
        printed.push(char::from(byte[0]));
        if let Some((_, path)) = printed.split_once("folder ")
            && let Some(path) = path.strip_suffix('\n')
        {
            break std::path::PathBuf::from(path);
        }
    };
    victim.kill().unwrap();
    victim.wait().unwrap();
    until(|| (!path.exists()).then_some(())).expect("the folder is deleted");
    let runs_there = |it: std::fs::DirEntry| {
        std::fs::read_link(it.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&path))
    };
    assert!(!std::fs::read_dir("/proc").unwrap().flatten().any(runs_there));
}

#[test]
fn a_cluster_fails_over() {
    if std::env::var_os("TEGATA_LONG").is_none() {
        return;
    }
    let cluster = PatroniCluster::start(2, Replication::Synchronous).unwrap();
    let old = cluster.leader().unwrap();
    cluster.sql("CREATE TABLE t AS SELECT 7 AS n").unwrap();
    cluster.kill(old);
    let new = cluster.failed_over(old).unwrap_or_else(|| panic!("{}", cluster.log(1 - old)));
    assert_ne!(new, old);
    cluster.sql("SELECT n FROM t").unwrap();
}

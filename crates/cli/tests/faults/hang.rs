//! A disk that hangs: only the writer waits for it. Verifications get their responses as
//! always; a request that must write gets a 503 within a limited time.

use crate::{
    Traced,
    process::{
        Server,
        http::{Connection, Request},
        serve,
    },
};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how long people really wait")]
async fn while_the_disk_hangs_verifications_work_and_issues_wait_for_a_limited_time() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(serve(home.path(), &[])).await;
    let channel = crate::channel(&server).await;
    let issue = channel.issue_short_lived(Default::default());
    let token = server.ask(&issue).await.json()["access_token"].as_str().unwrap().to_owned();
    let authorization = format!("Bearer {token}");
    let check = Request::new("GET", "/gateway/verify", &[("authorization", &authorization)], "");

    // Each synchronisation takes a minute from here on.
    let words = ["--trace=fsync,fdatasync", "--inject=fsync,fdatasync:delay_enter=60000000"];
    let hang = Traced::attach(&server, &words).await;

    let address = server.address();
    let started = Instant::now();
    let waits: Vec<_> = (0..20)
        .map(|_| {
            let issue = channel.issue_short_lived(Default::default());
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await.unwrap();
                let response = connection.ask(&issue).await.unwrap();
                (response.status, response.header("retry-after").is_some(), started.elapsed())
            })
        })
        .collect();
    let mut connection = Connection::open(address).await.unwrap();
    let (mut checks, mut slowest) = (0, Duration::ZERO);
    while started.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        assert_eq!(connection.ask(&check).await.unwrap().status, 200);
        slowest = slowest.max(asked.elapsed());
        checks += 1;
    }
    println!("{checks} checks in 5 s while the disk hung, the slowest took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "a check waited {slowest:?}");
    for wait in waits {
        let (status, retry, after) = wait.await.unwrap();
        assert_eq!((status, retry), (503, true));
        assert!(after > Duration::from_secs(4), "it hung for no time: {after:?}");
        assert!(after < Duration::from_secs(20), "it waited for {after:?}");
    }
    assert_eq!(connection.ask(&check).await.unwrap().status, 200);
    // A frozen process cannot exit while it is traced.
    server.process.kill().unwrap();
    drop(hang);
}

//! A database whose disk is full: what needs no row goes on, and nothing acknowledged is lost.

use crate::{
    Channel, Field, Key, With, issue,
    line::{is_good, verify},
    process::Server,
    provider, token_in,
};
use postgres_fixture::{PostgresServer, ServerSettings, SmallDisk};
use std::time::Duration;
use tokio::time::Instant;

/// Groups in turn, so that none evicts a token of the round before.
const GROUPS: usize = 15;

/// Whether a server accepts the newest tokens of all groups.
async fn newest(acknowledged: &[String], server: &Server) -> bool {
    for token in acknowledged.iter().rev().take(GROUPS) {
        if !is_good(&server.ask(&verify(token)).await) {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_a_full_disk_answers_503_until_there_is_room_and_loses_nothing() {
    let disk = SmallDisk::mount(160).unwrap();
    let parent = Some(disk.path().to_owned());
    let postgres = PostgresServer::start(ServerSettings { parent, ..<_>::default() }).unwrap();
    let field = Field::on(&postgres);
    let (a, b) = (field.start("a").await, field.start("b").await);
    let provider = provider(&a).await;
    let channel = Channel::create(&a, &provider, &Key::generate()).await;
    issue(&a, &channel.issue_short_lived(With::default())).await;
    disk.fill().unwrap();

    // What its files have room for is written.
    let (mut acknowledged, mut refused) = (Vec::new(), None);
    for n in 0..20_000 {
        let server = [&a, &b][n % 2];
        let group = format!("group-{}", n % GROUPS);
        let with = With { group: Some(&group), ..With::default() };
        let response = server.ask(&channel.issue_short_lived(with)).await;
        match response.status {
            200 => acknowledged.push(token_in(&response)),
            503 => {
                refused = Some(response);
                break;
            }
            other => panic!("{other}: {}", response.text()),
        }
    }
    let refused = refused.expect("a full disk has no room for 20,000 tokens");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    eprintln!("{} tokens, and then: {}", acknowledged.len(), refused.text());
    for server in [&a, &b] {
        for _ in 0..50 {
            assert!(newest(&acknowledged, server).await);
        }
        assert!(!is_good(&server.ask(&verify("made-up")).await));
        let stateless = server.ask(&channel.issue_stateless(With::default())).await;
        assert_eq!(stateless.status, 200, "what needs no row needs no disk");
    }

    disk.make_room().unwrap();
    let began = Instant::now();
    let new = loop {
        let response = a.ask(&channel.issue_short_lived(With::default())).await;
        if response.status == 200 {
            break token_in(&response);
        }
        assert_eq!(response.status, 503, "{}", response.text());
        assert!(began.elapsed() < Duration::from_secs(30), "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(is_good(&b.ask(&verify(&new)).await));
    // Each has its row.
    let rows = channel.rows(&b).await;
    assert_eq!(rows.len(), acknowledged.len() + 2, "the first, those, and the new one");
    assert!(newest(&acknowledged, &a).await);
    assert_eq!(a.ask(&channel.revoke(&new)).await.status, 200);
    assert!(!is_good(&b.ask(&verify(&new)).await));
}

//! Assertions for curl, and keys as PEM; and a development server whose channel is deleted
//! while it starts.

use crate::program::{ADMIN_TOKEN, Desk, Home, Server};
use serde_json::Map;
use std::{
    net::TcpListener,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};
use tegata_client::{
    admin::{AdminClient, Method, TakingCall},
    call::{Client, With},
};
use tegata_policy::secret::PlainSecret;

#[test]
fn an_assertion_from_a_key_in_either_format_is_good_for_a_token() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = Client::new(&desk.server.url).unwrap();
    for (format, file) in [("jwk", "private.jwk.json"), ("pem", "private.pem")] {
        let generate = ["key", "generate", "--channel", &channel, "--format", format];
        let kid = desk.json(&generate)["kid"].as_str().unwrap().to_owned();
        let file = format!("{channel}.{file}");
        let mut words = vec!["key", "assertion", "--channel", &channel, "--key", &file];
        let mut issue =
            vec!["token", "issue", "--kind", "v2.1", "--channel", &channel, "--key", &file];
        if format == "pem" {
            desk.run(&words).expect_error(2, "--key-id");
            let text = std::fs::read_to_string(desk.home.path(&file)).unwrap();
            assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{}", text.len());
            words.extend(["--key-id", &kid]);
            issue.extend(["--key-id", &kid]);
        }
        words.extend(["--lifetime", "60"]);
        // As curl sends it: without a server, and one line alone.
        let mut alone = desk.home.tegata(&words);
        let assertion = crate::program::finish(&mut alone).expect(0);
        let issued = runtime.block_on(client.issue_v21(assertion.trim(), With::default()));
        assert_eq!(issued.unwrap().expires_in, 60, "{format}");
        assert_eq!(assertion.lines().count(), 1);
        desk.json(&issue);
    }
}

/// Deletes each channel as soon as it exists, until `stop`; counts them.
fn delete_channels(url: &str, stop: &AtomicBool, deleted: &AtomicUsize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let token = PlainSecret::from_caller(ADMIN_TOKEN.to_owned());
    let admin = AdminClient::new(url, token).unwrap();
    while !stop.load(Relaxed) {
        runtime.block_on(async {
            let providers = admin.rows(&["providers"], "providers").await.unwrap_or_default();
            for provider in providers {
                let provider = provider["provider_id"].to_string().replace('"', "");
                let path = ["providers", &provider, "channels"];
                for channel in admin.rows(&path, "channels").await.unwrap_or_default() {
                    let channel = channel["channel_id"].as_str().unwrap_or_default().to_owned();
                    let (method, members) = (Method::DELETE, &Map::new());
                    let taking = TakingCall { method, members, wait: 0, idempotency_key: None };
                    let gone = admin.take(&["channels", &channel], taking).await;
                    deleted.fetch_add(usize::from(gone.is_ok()), Relaxed);
                }
            }
        });
    }
}

/// Stops the deletions, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_development_server_survives_that_its_channel_is_deleted_at_once() {
    let (stop, deleted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let url = format!("http://{address}");
    thread::scope(|scope| {
        let deleting = scope.spawn(|| delete_channels(&url, &stop, &deleted));
        let stops = Stop(&stop);
        let home = Home::new();
        let mut command = home.tegata(&["serve", "--dev", "--listen", &address]);
        let server = Server::start(command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
        let pause = Duration::from_millis(20);
        // Its own channel is among those that are deleted.
        let mut rounds = 0;
        while server.status("/readyz") != 200 || deleted.load(Relaxed) == 0 {
            rounds += 1;
            assert!(rounds < 3_000, "no channel was deleted");
            thread::sleep(pause);
        }
        drop(stops);
        deleting.join().unwrap();
        assert_eq!(server.status("/livez"), 200);
        assert!(server.stop().success());
    });
}

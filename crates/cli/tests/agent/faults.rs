//! Faults around the agent: it reports them, has the right colour, and recovers by itself
//! once they are solved.

use crate::world::{World, kept, read, until};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde_json::json;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};
use tegata_client::key::PrivateKey;

fn mount(words: &[&str], folder: &Path) {
    let done = Command::new("mount").args(words).arg(folder).output().expect("mount");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.success(),
        "{said}\nthis test mounts a small file system: run it as root, or with `unshare -rm`"
    );
}

/// A small file system in the place of a folder; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Self {
        fs::create_dir(&at).expect("made");
        mount(&["-t", "tmpfs", "-o", "size=128k,mode=700", "tmpfs"], &at);
        Self(at)
    }

    fn fill(&self) {
        let file = File::create(self.0.join("filler")).expect("an empty file still fits");
        let rest = statvfs(&self.0).expect("a file system");
        let room = rest.f_bavail * rest.f_frsize;
        fallocate(&file, FallocateFlags::empty(), 0, room).expect("room");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn one(world: &World, lifetime: u32) {
    let token = kept("bot", lifetime).replace("CHANNEL", &world.channel);
    world.configure(&format!("state = 'out/state'\n{token}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_or_read_only_disk_is_yellow_while_the_old_token_is_active_then_red_then_green() {
    let world = World::start(&[]).await;
    let small = Small::mount(world.path("out"));
    // A third of it is yellow, long enough to be seen on a busy machine.
    one(&world, 24);
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let file = world.path("out/bot");
    let old = read(&file).expect("a token");

    small.fill();
    agent.becomes("yellow", "No space left").await;
    assert!(world.lets_through(&old).await, "yellow means that it is still good");
    assert_eq!(read(&file).as_deref(), Some(old.as_str()), "not torn");
    agent.becomes("red", "No space left").await;
    // To the second: the agent counts from the time of issue.
    until("red means that it is not", || async { !world.lets_through(&old).await }).await;
    fs::remove_file(world.path("out/filler")).expect("removed");
    agent.becomes("green", "").await;

    mount(&["-o", "remount,ro"], &small.0);
    agent.becomes("yellow", "Read-only").await;
    mount(&["-o", "remount,rw"], &small.0);
    agent.becomes("green", "").await;
    let new = read(&file).expect("a token");
    assert!(world.lets_through(&new).await);
    let left: Vec<_> =
        fs::read_dir(&small.0).expect("read").map(|it| it.expect("read").file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left lying about: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_and_a_missing_one_are_reported_and_the_right_one_needs_no_restart() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    one(&world, 3_600);
    let right = world.path("key.json");
    let kept_aside = world.path("aside.json");
    fs::rename(&right, &kept_aside).expect("moved");
    let agent = world.agent().await;
    agent.becomes("red", "key.json: No such file").await;
    let other = PrivateKey::generate().expect("a key");
    fs::write(&right, other.to_json("00000000-0000-4000-8000-000000000000")).expect("written");
    agent.becomes("red", "refused with 404").await;
    fs::rename(&kept_aside, &right).expect("moved");
    agent.becomes("green", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_channel_is_red_and_a_resumed_one_green_again() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    one(&world, 3_600);
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let path = format!("/channels/{}", world.channel);
    world.admin("PATCH", &path, json!({ "state": "suspended" })).await;
    agent.becomes("red", "refused with 400").await;
    let token = read(&world.path("out/bot")).expect("what was there");
    assert!(!world.lets_through(&token).await);
    world.admin("PATCH", &path, json!({ "state": "active" })).await;
    agent.becomes("green", "").await;
    let token = read(&world.path("out/bot")).expect("a token");
    assert!(world.lets_through(&token).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_that_a_bot_reports_is_replaced_at_once() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let token = kept("bot", 3_600).replace("CHANNEL", &world.channel);
    world.configure(&format!(
        "state = 'state'\n{token}\
         [[caller]]\nname = 'b'\ntokens = ['bot']\nsecret_env = 'CALLER_SECRET'\n"
    ));
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let old = read(&world.path("out/bot")).expect("a token");
    let what = json!({ "access_token": old });
    world.admin("POST", &format!("/channels/{}/revocations", world.channel), what.clone()).await;
    let bearer = format!("Bearer {}", crate::world::CALLER_SECRET);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let ask = |secret: &str, path: &str, body: &str| {
        let headers = [("authorization", secret), headers[1]];
        crate::process::http::Request::new(
            if body.is_empty() { "GET" } else { "POST" },
            path,
            &headers,
            body,
        )
    };
    let response = agent.ask(&ask(&bearer, "/token/bot/invalid", &what.to_string())).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let new = response.json()["access_token"].as_str().expect("a token").to_owned();
    assert!(new != old && world.lets_through(&new).await);
    until("the file has it", || async { read(&world.path("out/bot")).as_ref() == Some(&new) })
        .await;
    for (secret, path, status) in [
        ("Bearer wrong-wrong-wrong-wrong", "/token/bot", 401),
        (bearer.as_str(), "/token/other", 403),
        (bearer.as_str(), "/token/bot", 200),
    ] {
        assert_eq!(agent.ask(&ask(secret, path, "")).await.status, status, "{path}");
    }
    // The metrics hold no secret, and count this renewal.
    let metrics =
        agent.ask(&crate::process::http::Request::new("GET", "/metrics", &[], "")).await.text();
    assert!(
        metrics.contains("tegata_agent_renewals_total{token=\"bot\",result=\"issued\"} 2"),
        "{metrics}"
    );
    assert!(!metrics.contains(&new) && !metrics.contains(crate::world::CALLER_SECRET));
}

fn faketime() -> PathBuf {
    let packed = Command::new("dpkg").args(["-L", "libfaketime"]).output().expect("dpkg");
    let files = String::from_utf8_lossy(&packed.stdout).into_owned();
    let library = files.lines().find(|line| line.ends_with("/libfaketimeMT.so.1"));
    library.expect("libfaketime is missing: run `cargo xtask test`, which installs it").into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_ten_minutes_off_causes_a_warning_and_one_half_an_hour_off_recovers_when_set() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    one(&world, 3_600);
    let wall = world.path("wall-clock");
    let set = |moment: &str| {
        fs::write(wall.with_extension("new"), moment).expect("written");
        fs::rename(wall.with_extension("new"), &wall).expect("in force");
    };
    for (off, colour, says) in [
        ("-600", "yellow", "s behind the authority's"),
        ("+600", "yellow", "s ahead of the authority's"),
        ("-1800", "red", "Invalid exp"),
    ] {
        set(off);
        let _ = fs::remove_dir_all(world.path("out"));
        fs::create_dir(world.path("out")).expect("made");
        let agent = world
            .agent_with(|command| {
                command
                    .env("LD_PRELOAD", faketime())
                    .env("FAKETIME_TIMESTAMP_FILE", &wall)
                    .env("FAKETIME_NO_CACHE", "1")
                    .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            })
            .await;
        let report = agent.becomes(colour, says).await;
        assert!(report.contains("the authority's; set it"), "{report}");
        if colour == "yellow" {
            let token = read(&world.path("out/bot")).expect("a token");
            assert!(world.lets_through(&token).await);
        }
        set("+0");
        agent.becomes("green", "").await;
    }
}

//! What the agent and its check say of a problem: the cause, the file that has it, and the
//! next step.

use crate::world::{World, kept, read, until};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

async fn world(arguments: &[&str], settings: &str) -> World {
    let world = World::start(arguments).await;
    fs::create_dir(world.path("out")).expect("made");
    world.configure(&settings.replace("CHANNEL", &world.channel));
    world
}

/// The exit code, stdout and stderr of `agent check`.
fn check(world: &World) -> (i32, String, String) {
    let done = world.command("check").output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (done.status.code().expect("no signal"), text(done.stdout), text(done.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_named_with_its_file() {
    let short = kept("bot", 3_600).replace("lifetime = 3600", "kind = 'short-lived'");
    let world = world(&[], &short).await;
    fs::write(world.path("secret"), "0123456789abcdef0123456789abcdef").expect("written");
    let says = format!("the secret in {} is not that of channel", world.path("secret").display());
    let (code, out, _) = check(&world);
    assert_eq!(code, 1);
    assert!(out.contains(&says) && out.contains("the assertion key is valid"), "{out}");
    let agent = world.agent().await;
    agent.becomes("red", &says).await;
    fs::copy(world.path("key.json"), world.path("secret")).expect("copied");
    agent.becomes("red", "secret should hold the channel's secret, but holds a private key").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_fails_is_not_a_sink_that_was_not_written() {
    let world = world(&[], &format!("{}command = ['false']\n", kept("bot", 3_600))).await;
    let agent = world.agent().await;
    let says = "the sink was written; its command failed: false exited with exit status: 1";
    agent.becomes("yellow", says).await;
    assert!(!agent.said().contains("delivered"), "{}", agent.said());
    assert!(world.lets_through(&read(&world.path("out/bot")).expect("a token")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_is_not_there_is_named_once_with_the_reason() {
    let watched = "[[watch]]\nname = 'w'\nfile = 'watched'\n";
    let mut world = world(&[], &format!("{}{watched}", kept("bot", 3_600))).await;
    fs::write(world.path("watched"), "token").expect("written");
    let address = world.server.address();
    world.stop();
    let says = format!("no usable answer from http://{address}: connection refused");
    let (code, out, err) = check(&world);
    assert_eq!(code, 3, "{out}{err}");
    assert_eq!(format!("{out}{err}").matches(&says).count(), 1, "{out}{err}");
    assert!(!format!("{out}{err}").contains("os error"), "{out}{err}");
    let agent = world.agent().await;
    agent.becomes("red", &says).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_development_clock_is_seen_by_the_check_and_by_the_agent() {
    let world = world(&["--dev"], &kept("bot", 3_600)).await;
    let (code, out, err) = check(&world);
    assert!(code == 0 && out.contains("agrees with the authority's"), "{out}{err}");
    let json = [("content-type", "application/json")];
    let hour = crate::process::http::Request::new(
        "POST",
        "/dev/clock",
        &json,
        r#"{"advance_seconds":3600}"#,
    );
    assert_eq!(world.server.ask(&hour).await.status, 200);
    let (code, out, _) = check(&world);
    assert!(code == 1 && out.contains(" s behind the authority's"), "{out}");
    let agent = world.agent().await;
    agent.becomes("red", " s behind the authority's").await;
}

/// A file of another folder, mounted over a file, as a container's volume is; unmounted
/// when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: PathBuf, from: &Path) -> Self {
        fs::write(&path, "").expect("a file to mount over");
        let done = Command::new("mount").arg("--bind").args([from, &path]).output().expect("mount");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}: run this as root, or with `unshare -rm`");
        Self(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_of_a_sink_meets_what_the_agent_meets() {
    let world = world(&[], &kept("bot", 3_600)).await;
    let file = world.path("out/bot");
    fs::write(world.path("host-file"), "").expect("written");
    let mounted = Mounted::at(file.clone(), &world.path("host-file"));
    let says = format!("mount its folder {}, not the file", world.path("out").display());
    let (code, out, _) = check(&world);
    assert!(code == 1 && out.contains(&says), "{out}");
    let agent = world.agent().await;
    agent.becomes("red", &says).await;
    drop(mounted);
    agent.becomes("green", "").await;
    drop(agent);
    fs::remove_file(&file).expect("removed");
    fs::create_dir(&file).expect("made");
    let says = "out/bot: it is a folder; name a file in it";
    let (code, out, _) = check(&world);
    assert!(code == 1 && out.contains(says), "{out}");
    let agent = world.agent().await;
    agent.becomes("red", says).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_is_a_link_writes_the_file_that_it_leads_to() {
    let world = world(&[], &kept("bot", 6)).await;
    fs::create_dir(world.path("real")).expect("made");
    symlink("../real/token", world.path("out/bot")).expect("a link");
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let real = world.path("real/token");
    let first = read(&real).expect("a token");
    assert!(world.lets_through(&first).await);
    until("it is renewed", || async { read(&real).is_some_and(|it| it != first) }).await;
    assert!(world.path("out/bot").is_symlink(), "the link is still one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_a_development_server_make_an_agent_red_until_they_are_cleared() {
    let world = world(&["--dev"], &kept("bot", 3_600)).await;
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let fault = r#"{"status":503,"count":1000,"path":"/oauth2/v2.1/token"}"#;
    let json = [("content-type", "application/json")];
    let fault = crate::process::http::Request::new("POST", "/dev/faults", &json, fault);
    let set: Value = world.server.ask(&fault).await.json();
    assert_eq!(set["faults"][0]["count"], 1_000);
    let token = kept("other", 3_600).replace("CHANNEL", &world.channel);
    world.configure(&token);
    let other = world.agent().await;
    other.becomes("red", "503 Service Unavailable").await;
    let clear = crate::process::http::Request::new("DELETE", "/dev/faults", &[], "");
    assert_eq!(world.server.ask(&clear).await.status, 200);
    other.becomes("green", "").await;
}

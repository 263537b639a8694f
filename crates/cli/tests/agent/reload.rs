//! SIGHUP reloads the agent's settings: new ones take effect without a restart, what is
//! unchanged goes on, and settings that cannot be used leave it as it was.

use crate::{
    process::http::Request,
    world::{Agent, CALLER_SECRET, World, kept, read, until},
};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;

fn settings(world: &World, text: &str) {
    world.configure(&text.replace("CHANNEL", &world.channel));
}

fn hang_up(agent: &Agent) {
    kill_process(Pid::from_child(&agent.process), Signal::HUP).expect("it runs");
}

/// Reloads, and waits until the log has so many lines with these words.
async fn reload(agent: &Agent, words: &str) {
    let count = |agent: &Agent| agent.said().matches(words).count();
    let before = count(agent);
    hang_up(agent);
    until(words, || async { count(agent) > before }).await;
}

async fn stops(mut agent: Agent) {
    kill_process(Pid::from_child(&agent.process), Signal::TERM).expect("it runs");
    let process = &mut agent.process;
    let mut status = None;
    until("it stops", || {
        status = process.try_wait().expect("a child of ours");
        std::future::ready(status.is_some())
    })
    .await;
    assert!(status.expect("it has exited").success());
}

async fn issued(world: &World) -> usize {
    world.tokens("active").await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_adds_and_removes_tokens_and_leaves_the_others_as_they_are() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    // Without `state`: only memory holds the first token.
    let command = "command = ['sh', '-c', 'echo run >> \"$0\"', 'RUNS']\n"
        .replace("RUNS", &world.path("runs").display().to_string());
    let first = format!("{}{command}", kept("a", 3_600));
    settings(&world, &first);
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let a = read(&world.path("out/a")).expect("a token");
    let runs = || read(&world.path("runs")).unwrap_or_default().lines().count();
    until("the command ran", || async { runs() == 1 }).await;

    settings(&world, &format!("{first}{}", kept("b", 3_600)));
    reload(&agent, " reloaded ").await;
    agent.becomes("green", "out/b").await;
    let b = read(&world.path("out/b")).expect("a token");
    assert!(world.lets_through(&a).await && world.lets_through(&b).await);
    assert_eq!(read(&world.path("out/a")).as_ref(), Some(&a), "the first is unchanged");
    assert_eq!((issued(&world).await, runs()), (2, 1), "neither issued nor notified again");

    // The first goes, the second gets another file, and there is a caller.
    let caller = "[[caller]]\nname = 'c'\ntokens = ['b']\nsecret_env = 'CALLER_SECRET'\n";
    settings(&world, &format!("{}{caller}", kept("b", 3_600).replace("out/", "out/other-")));
    reload(&agent, " reloaded ").await;
    agent.becomes("green", "out/other-b").await;
    assert_eq!(read(&world.path("out/other-b")).as_ref(), Some(&b));
    let bearer = format!("Bearer {CALLER_SECRET}");
    let request = Request::new("GET", "/token/b", &[("authorization", &bearer)], "");
    assert_eq!(agent.ask(&request).await.json()["access_token"].as_str(), Some(b.as_str()));
    assert_eq!(issued(&world).await, 2);
    stops(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_used_are_logged_and_the_old_ones_stay_in_force() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let good = format!("state = 'state'\n{}", kept("bot", 6));
    settings(&world, &good);
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let caller = "[[caller]]\nname = 'c'\ntokens = ['bot']\nsecret_file = 'none'\n";
    let taken = world.server.address();
    for (text, says) in [
        ("look_secs = 5\n".to_owned() + &good, "unknown field `look_secs`"),
        (format!("{good}{caller}"), "none: No such file"),
        (good.replace("state = 'state'\n", "authority = 'nowhere'\n"), "nowhere"),
    ] {
        settings(&world, &text);
        if text.starts_with("authority") {
            let text = text.replace("CHANNEL", &world.channel);
            let channel = format!(
                "[[channel]]\nid = '{}'\nkey_file = 'key.json'\nsecret_file = 'secret'\n",
                world.channel
            );
            fs::write(world.path("agent.toml"), text + &channel).expect("written");
        }
        reload(&agent, "not reloaded; the old settings stay in force").await;
        assert!(agent.said().contains(says), "{says}: {}", agent.said());
        agent.becomes("green", "").await;
    }
    // An address that another program uses.
    settings(&world, &good);
    let text = read(&world.path("agent.toml")).expect("it");
    let other = format!("listen = '{taken}'");
    fs::write(world.path("agent.toml"), text.replace("listen = '127.0.0.1:0'", &other))
        .expect("written");
    reload(&agent, "not reloaded; the old settings stay in force").await;
    assert!(agent.said().contains("another program uses this address"), "{}", agent.said());
    // The old settings renew on.
    let before = read(&world.path("out/bot")).expect("a token");
    until("it is renewed", || async { read(&world.path("out/bot")).as_ref() != Some(&before) })
        .await;
    settings(&world, &good);
    reload(&agent, " reloaded ").await;
    agent.becomes("green", "").await;
    stops(agent).await;
}

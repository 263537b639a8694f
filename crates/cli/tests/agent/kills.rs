//! `kill -9` at any instant: no incomplete file, no lost token, no third token of a group;
//! and the state on the disk after a power cut.

use crate::world::{World, kept, read, until};
use std::{fs, process::Command, time::Duration};

const TOKENS: usize = 8;
const LIFE: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_it_leaves_complete_files_with_active_tokens() {
    let rounds = if std::env::var_os("TEGATA_LONG").is_some() { 400 } else { 30 };
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let names: Vec<_> = (0..TOKENS).map(|number| format!("t{number}")).collect();
    let tokens: String = names.iter().map(|name| kept(name, LIFE)).collect();
    let all = names.iter().map(|it| format!("'{it}'")).collect::<Vec<_>>().join(", ");
    world.configure(&format!(
        "state = 'state'\n{}[[sink]]\ntokens = [{all}]\npath = 'out/all.json'\nformat = 'json'\n",
        tokens.replace("CHANNEL", &world.channel)
    ));
    let mut seen = 0;
    let mut instant = 7_u64;
    for round in 0..rounds {
        let agent = world.agent().await;
        // Instants spread over the first second, the same in each run.
        instant = instant * 263 % 1_009;
        tokio::time::sleep(Duration::from_millis(instant)).await;
        drop(agent);
        let mut found = Vec::new();
        for name in &names {
            found.extend(read(&world.path(&format!("out/{name}"))));
            if let Some(state) = read(&world.path(&format!("state/{name}.json"))) {
                serde_json::from_str::<serde_json::Value>(&state).expect("a whole state");
            }
        }
        if let Some(text) = read(&world.path("out/all.json")) {
            let all: serde_json::Value = serde_json::from_str(&text).expect("a whole file");
            let tokens = all.as_object().expect("an object").values();
            found.extend(tokens.map(|it| it["access_token"].as_str().expect("it").to_owned()));
        }
        for token in &found {
            assert!(world.lets_through(token).await, "round {round}: a token that is not good");
        }
        seen += found.len();
        for name in &names {
            let active = world.tokens("active").await;
            let live = active.iter().filter(|it| it["group"] == name.as_str()).count();
            assert!(live <= 2, "round {round}: {live} tokens in {name}");
        }
    }
    assert!(seen > TOKENS * 4, "{seen} tokens seen are too few to tell");
    // One token for the start and one for each 11 s; kills cost none.
    let issued = world.tokens("active").await.len()
        + world.tokens("expired").await.len()
        + world.tokens("revoked").await.len();
    println!("{rounds} kills: {seen} tokens in files were good, {issued} issued");
    assert!(issued >= TOKENS * 2, "{issued}: no renewal was met by a kill");
}

/// A file's content is on the disk before its name, and the state before the sinks' files:
/// a power cut leaves the old token or the new one, and never one that is not in the state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_is_on_the_disk_before_the_file_has_its_name() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let token = kept("bot", 3_600).replace("CHANNEL", &world.channel);
    world.configure(&format!("state = 'state'\n{token}"));
    let trace = world.path("trace");
    // Without its key at first, so that strace runs before the first token.
    let key = world.path("key.json");
    fs::rename(&key, world.path("aside")).expect("moved");
    let agent = world.agent().await;
    agent.becomes("red", "key.json").await;
    let id = agent.process.id().to_string();
    let mut strace = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fsync,renameat,renameat2", "-p", &id, "-o"])
        .arg(&trace)
        .spawn()
        .expect("strace is missing: run `cargo xtask test`, which installs it");
    until("strace follows", || async { trace.exists() }).await;
    fs::rename(world.path("aside"), &key).expect("moved");
    agent.becomes("green", "").await;
    drop(agent);
    strace.wait().expect("it ends with the agent");
    let calls = fs::read_to_string(&trace).expect("a trace");
    let calls: Vec<_> = calls.lines().filter(|it| it.contains("= 0")).collect();
    for file in ["state/bot.json", "out/bot"] {
        let (folder, name) = file.split_once('/').expect("two parts");
        let new = format!(".{name}.tegata-new");
        let at = |what: &[&str], from: usize| {
            let place =
                calls[from..].iter().position(|it| what.iter().all(|word| it.contains(word)));
            from + place.unwrap_or_else(|| panic!("no {what:?} in {calls:#?}"))
        };
        let within = format!("/{folder}>");
        let synced = at(&["fsync(", &format!("/{folder}/{new}>")], 0);
        let renamed = at(&["renameat", &within, &format!("\"{new}\"")], synced);
        at(&["fsync(", &within], renamed);
    }
    let renamed = |to: &'static str| {
        let to = format!(", \"{to}\"");
        move |it: &&str| it.contains("renameat") && it.contains(&to)
    };
    let last = calls.iter().rposition(|it| renamed("bot")(it)).expect("renamed");
    assert!(last > calls.iter().position(|it| renamed("bot.json")(it)).expect("kept"));
}

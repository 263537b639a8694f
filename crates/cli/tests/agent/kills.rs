//! `kill -9` at any instant: no torn file, no lost token, no third token of a group.

use crate::world::{World, kept, read};
use std::{fs, time::Duration};

const TOKENS: usize = 8;
const LIFE: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_it_leaves_whole_files_with_good_tokens() {
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
        // Instants that lie everywhere in the first second, the same in each run.
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
    // A token each for the start and for each 11 s of its time; kills cost none.
    let issued = world.tokens("active").await.len()
        + world.tokens("expired").await.len()
        + world.tokens("ended").await.len();
    println!("{rounds} kills: {seen} tokens in files were good, {issued} issued");
    assert!(issued >= TOKENS * 2, "{issued}: no renewal was met by a kill");
}

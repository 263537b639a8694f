//! Sends secrets through every path of the agent, as intended and by mistake, and searches
//! for them in everything that it shows: its log at the highest level, health, metrics,
//! errors, the command lines of its processes, and files that must not hold one.
//! [`crate::world::Agent`] searches the agent's output when it exits; the rest is here.

use crate::{
    process::http::Request,
    world::{CALLER_SECRET, World, kept, read, until},
};
use serde_json::{Value, json};
use std::{fs, process::Command};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const WRONG: &str = "canary-a-made-up-secret-0123456789";

/// The secrets that a text contains.
fn found(world: &World, text: &str) -> Vec<String> {
    world.secrets().into_iter().filter(|it| text.contains(it.as_str())).collect()
}

/// A process's command line, which every user of the machine can read.
fn command_line(id: u32) -> String {
    fs::read_to_string(format!("/proc/{id}/cmdline")).expect("it runs").replace('\0', " ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_the_agents_output_or_in_a_file_that_need_not_hold_it() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let [v21, short, stateless] = ["v21", "short", "stateless"].map(|name| {
        let token = kept(name, 6).replace("CHANNEL", &world.channel);
        match name {
            "v21" => token,
            "short" => token.replace("lifetime = 6", "kind = 'short-lived'"),
            _ => token.replace("lifetime = 6", "kind = 'stateless'"),
        }
    });
    fs::write(world.path("watched"), WRONG).expect("written");
    world.is_secret(WRONG);
    world.configure(&format!(
        "state = 'state'\nsocket = 'out/sock'\n{v21}command = ['sh', '-c', 'sleep 0.2; exit 1']\n\
         {short}{stateless}\
         [[caller]]\nname = 'c'\ntokens = ['v21']\nsecret_env = 'CALLER_SECRET'\n\
         [[watch]]\nname = 'w'\nfile = 'watched'\n"
    ));
    let agent = world.agent().await;
    let report = agent.becomes("red", "exited with exit status: 1").await;
    assert!(report.contains("\"w\""), "{report}");
    // Two tokens of the first; each is a secret from here on.
    let first = read(&world.path("out/v21")).expect("a token");
    for name in ["v21", "short", "stateless"] {
        assert!(world.lets_through(&read(&world.path(&format!("out/{name}"))).expect("it")).await);
    }
    until("it is renewed", || async { read(&world.path("out/v21")).as_ref() != Some(&first) })
        .await;
    world.is_secret(&read(&world.path("out/v21")).expect("a token"));
    // Secrets where they do not belong, in requests to the agent.
    let bearer = format!("Bearer {CALLER_SECRET}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({ "access_token": first }).to_string();
    for request in [
        Request::new("GET", &format!("/token/{WRONG}"), &headers, ""),
        Request::new("GET", &format!("/{first}"), &[("cookie", WRONG)], ""),
        Request::new("GET", &format!("/metrics?token={first}"), &headers, ""),
        Request::new("GET", "/healthz", &headers, ""),
        Request::new("POST", "/token/v21/invalid", &[("authorization", &bearer)], &body),
        Request::new("POST", &format!("/token/{WRONG}/invalid"), &headers, &body),
    ] {
        let response = agent.ask(&request).await.text();
        assert_eq!(found(&world, &response), Vec::<String>::new(), "{response}");
    }
    assert_eq!(found(&world, &command_line(agent.process.id())), Vec::<String>::new());
    // The state holds the agent's own tokens and no other secret.
    for entry in fs::read_dir(world.path("state")).expect("a folder") {
        let path = entry.expect("read").path();
        let mut state: Value = match read(&path).filter(|it| !it.is_empty()) {
            Some(text) => serde_json::from_str(&text).expect("JSON"),
            None => continue,
        };
        state["token"].take();
        state["retiring"].take();
        assert_eq!(found(&world, &state.to_string()), Vec::<String>::new());
    }
    only_files_for_tokens_hold_them(&world);
}

/// Nothing that was written beside the files and is named for no sink.
fn only_files_for_tokens_hold_them(world: &World) {
    let mut names: Vec<_> = fs::read_dir(world.path("out"))
        .expect("a folder")
        .map(|it| it.expect("read").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".tegata-new"))
        .collect();
    names.sort();
    assert_eq!(names, ["short", "sock", "stateless", "v21"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_about_settings_and_credentials_do_not_quote_them() {
    let world = World::start(&[]).await;
    world.is_secret(WRONG);
    let token = kept("bot", 3_600).replace("CHANNEL", &world.channel);
    let right = |name: &str| read(&world.path(name)).expect("it");
    let (key, secret) = (right("key.json"), right("secret"));
    let quoted: Value = serde_json::from_str(&key).expect("JSON");
    let cut: String = key.chars().take(key.len() / 2).collect();
    for (name, content, more) in [
        // Secrets instead of the names of their files.
        ("secret", secret.as_str(), format!("secret = '{WRONG}'\n")),
        ("secret", secret.as_str(), format!("look_second = {WRONG}\n")),
        // A wrong secret, the wrong file, half a file.
        ("secret", WRONG, String::new()),
        ("key.json", WRONG, String::new()),
        ("key.json", secret.as_str(), String::new()),
        ("key.json", cut.as_str(), String::new()),
        ("secret", key.as_str(), String::new()),
    ] {
        fs::write(world.path("key.json"), &key).expect("written");
        fs::write(world.path("secret"), &secret).expect("written");
        fs::write(world.path(name), content).expect("written");
        world.configure(&format!("{more}{token}"));
        let done = world.command("check").output().expect("it runs");
        let output = [done.stdout, done.stderr].concat();
        let output = String::from_utf8_lossy(&output).into_owned();
        assert!(!done.status.success(), "{output}");
        assert_eq!(found(&world, &output), Vec::<String>::new(), "{output}");
        assert!(!output.contains(quoted["d"].as_str().expect("d")), "{output}");
    }
}

/// An authority that repeats the request in its errors, as bad ones do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_repeats_secrets_does_not_bring_them_into_the_log() {
    let world = World::start(&[]).await;
    world.is_secret(WRONG);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 16 * 1024];
            let length = stream.read(&mut bytes).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let body = text.rsplit("\r\n").next().unwrap_or_default();
            let body = json!({ "error": "invalid_request", "error_description": body }).to_string();
            let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length";
            let response = format!("{head}: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    fs::create_dir(world.path("out")).expect("made");
    let token = kept("bot", 6).replace("CHANNEL", &world.channel);
    world.configure(&token.replace("lifetime = 6", "kind = 'short-lived'"));
    let settings = read(&world.path("agent.toml")).expect("it");
    let settings = settings.replace(&world.server.address().to_string(), &address.to_string());
    fs::write(world.path("agent.toml"), settings).expect("written");
    let agent = world.agent().await;
    let report = agent.becomes("red", "client_secret=…").await;
    assert_eq!(found(&world, &report), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_started_without_secrets_among_their_arguments() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let token = kept("bot", 3_600).replace("CHANNEL", &world.channel);
    let more = "command = ['sh', '-c', 'echo $$ > out/pid; sleep 20']\n";
    world.configure(&format!("{token}{more}"));
    let at_home = |command: &mut Command| {
        command.current_dir(world.home.path());
    };
    let agent = world.agent_with(at_home).await;
    let pid = || read(&world.path("out/pid")).and_then(|it| it.trim().parse::<u32>().ok());
    until("the command runs", || async { pid().is_some() }).await;
    world.is_secret(&read(&world.path("out/bot")).expect("a token"));
    for id in [agent.process.id(), pid().expect("a number")] {
        assert_eq!(found(&world, &command_line(id)), Vec::<String>::new());
    }
}

//! Sinks besides a plain file, with real files and processes: owners, signals, commands, a
//! Secret's manifest, and HTTP for callers, which each get only their own tokens.

use crate::{
    process::http::Request,
    world::{Agent, CALLER_SECRET, World, kept, read, until},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        net::UnixStream,
        process::CommandExt as _,
    },
    path::Path,
    process::{Child, Command, Stdio},
};

const OTHER_USER: u32 = 65_534;

fn settings(world: &World, text: &str) {
    world.configure(&text.replace("CHANNEL", &world.channel));
}

async fn world() -> World {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_the_set_owner_and_mode_also_after_another_program_changed_them() {
    let world = world().await;
    let more = "mode = '0640'\nowner = 'nobody:nogroup'\n";
    settings(&world, &format!("{}{more}", kept("bot", 3_600)));
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let file = world.path("out/bot");
    let is_theirs = || {
        let meta = fs::metadata(&file).expect("it is always there");
        (meta.uid(), meta.gid(), meta.mode() & 0o777) == (OTHER_USER, OTHER_USER, 0o640)
    };
    assert!(is_theirs(), "run this as root: files of others are made");
    chown(&file, Some(0), None).expect("changed");
    until("it has its owner again", || async { is_theirs() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_cannot_be_set_is_reported_and_no_partial_file_is_left() {
    let world = world().await;
    settings(&world, &format!("{}owner = 'root'\n", kept("bot", 3_600)));
    // An agent that is not root, at home where it may read and write.
    for path in ["", "out", "key.json", "secret", "agent.toml"] {
        chown(world.path(path), Some(OTHER_USER), None).expect("given away");
    }
    let unprivileged = |command: &mut Command| {
        command.uid(OTHER_USER);
    };
    let agent = world.agent_with(unprivileged).await;
    agent.becomes("red", "Operation not permitted").await;
    assert_eq!(fs::read_dir(world.path("out")).expect("read").count(), 0);
}

/// A background shell, killed with its test.
struct Shell(Child);

impl Shell {
    fn start(script: &str, home: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(home).stdin(Stdio::null());
        Self(command.spawn().expect("a shell"))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines that a script wrote to a file.
fn heard(path: &Path) -> Vec<String> {
    read(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_gets_the_signal_after_each_change_and_finds_the_new_token_in_the_file() {
    let world = world().await;
    // Not HUP, which is ignored under nohup, and a shell cannot trap it then.
    let more = "signal = 'USR1'\npid_file = 'out/pid'\n";
    settings(&world, &format!("{}{more}", kept("bot", 6)));
    let agent = world.agent().await;
    agent.becomes("yellow", "out/pid: No such file").await;
    let script = "trap 'cat out/bot >> out/heard; echo >> out/heard' USR1
                  echo $$ > out/new; mv out/new out/pid
                  while :; do sleep 0.05; done";
    let _shell = Shell::start(script, world.home.path());
    agent.becomes("green", "").await;
    let heard_of = || heard(&world.path("out/heard"));
    until("it heard of three tokens", || async { heard_of().len() >= 3 }).await;
    let tokens = heard_of();
    let newest = tokens.last().expect("three");
    assert!(world.lets_through(newest).await, "what it read is good");
    let mut distinct = tokens.clone();
    distinct.dedup();
    assert_eq!(distinct, tokens, "once for each change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_cannot_turn_the_agents_signal_on_a_process_of_another_user() {
    let world = world().await;
    let more = "signal = 'USR1'\npid_file = 'out/pid'\n";
    settings(&world, &format!("{}{more}", kept("bot", 3_600)));
    let script = |name: &str| {
        format!(
            "trap 'echo heard >> {name}' USR1
             echo $$ > {name}.new; mv {name}.new {name}.pid
             while :; do sleep 0.05; done"
        )
    };
    // The agent and this one are root's; the pid file is the program's own.
    let _victim = Shell::start(&script("victim"), world.home.path());
    let pid = world.path("out/pid");
    until("the victim runs", || async { world.path("victim.pid").exists() }).await;
    fs::copy(world.path("victim.pid"), &pid).expect("written");
    chown(&pid, Some(OTHER_USER), None).expect("run this as root: files of others are made");
    let agent = world.agent().await;
    let said = agent.becomes("yellow", "out/pid: it belongs to user 65534").await;
    assert!(said.contains("of user 0"), "{said}");
    // It may name its own process.
    chown(world.path("out"), Some(OTHER_USER), None).expect("given away");
    let mut command = Command::new("sh");
    command.args(["-c", &script("out/own")]).current_dir(&world.home).uid(OTHER_USER);
    fs::set_permissions(&world.home, fs::Permissions::from_mode(0o711)).expect("let in");
    let _own = Shell(command.stdin(Stdio::null()).spawn().expect("a shell"));
    until("its program runs", || async { world.path("out/own.pid").exists() }).await;
    fs::rename(world.path("out/own.pid"), &pid).expect("moved");
    agent.becomes("green", "").await;
    until("it was signalled", || async { world.path("out/own").exists() }).await;
    assert!(!world.path("victim").exists(), "the other never was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_runs_after_each_change_until_it_works_and_is_given_no_secret() {
    let world = world().await;
    // Fails at first; then records its arguments, its environment and the file.
    let script = "[ -e out/works ] || exit 3
                  tr '\\0' ' ' < /proc/$$/cmdline > out/arguments
                  tr '\\0' '\\n' < /proc/$$/environ > out/environment
                  cat out/bot >> out/heard; echo >> out/heard";
    fs::write(world.path("notify.sh"), script).expect("written");
    let more = "command = ['sh', 'notify.sh']\n";
    let caller = "[[caller]]\nname = 'c'\ntokens = ['bot']\nsecret_env = 'CALLER_SECRET'\n";
    settings(&world, &format!("{}{more}{caller}", kept("bot", 6)));
    let notify = world.path("notify");
    let _socket = std::os::unix::net::UnixDatagram::bind(&notify).expect("a socket");
    let agent = world
        .agent_with(|command| {
            command.current_dir(world.home.path()).env("NOTIFY_SOCKET", &notify);
        })
        .await;
    agent.becomes("yellow", "sh exited with exit status: 3").await;
    fs::write(world.path("out/works"), "").expect("written");
    agent.becomes("green", "").await;
    let heard_of = || heard(&world.path("out/heard"));
    until("it was run for two tokens", || async { heard_of().len() >= 2 }).await;
    let tokens = heard_of();
    assert!(world.lets_through(tokens.last().expect("two")).await);
    let environment = read(&world.path("out/environment")).expect("it wrote it down");
    assert!(environment.contains("PATH="), "{environment}");
    for name in ["CALLER_SECRET", "NOTIFY_SOCKET"] {
        assert!(!environment.contains(name), "{environment}");
    }
    let arguments = read(&world.path("out/arguments")).expect("it wrote it down");
    assert_eq!(arguments, "sh notify.sh ");
    let visible = format!("{environment}{arguments}");
    assert!(!tokens.iter().any(|token| visible.contains(token)), "no token either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manifest_of_a_secret_is_what_kubernetes_takes_and_holds_good_tokens() {
    let world = world().await;
    settings(
        &world,
        &format!(
            "{}{}[[sink]]\ntokens = ['a', 'b']\npath = 'out/secret.yaml'\nnames = {{ a = 'A.token' }}\n\
             format = 'kubernetes-secret'\nsecret_name = 'bot-tokens'\nnamespace = 'bots'\n",
            kept("a", 3_600),
            kept("b", 3_600)
        ),
    );
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let file = world.path("out/secret.yaml");
    crate::packaging::validate(&file);
    let manifest: Value = serde_json::from_str(&read(&file).expect("it")).expect("JSON is YAML");
    for (name, plain) in [("A.token", "out/a"), ("b", "out/b")] {
        let data = manifest["data"][name].as_str().expect(name);
        let token = String::from_utf8(STANDARD.decode(data).expect("base64")).expect("text");
        assert_eq!(Some(&token), read(&world.path(plain)).as_ref());
        assert!(world.lets_through(&token).await);
    }
}

/// One request over the agent's Unix socket: the response's head and body.
fn over_socket(socket: &Path, request: &Request) -> (String, String) {
    let mut stream = UnixStream::connect(socket).expect("the agent listens");
    let text = String::from_utf8_lossy(request.bytes()).into_owned();
    let text = text.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
    stream.write_all(text.as_bytes()).expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("answered");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

fn asking(name: &str, secret: &str) -> Request {
    let bearer = format!("Bearer {secret}");
    Request::new("GET", &format!("/token/{name}"), &[("authorization", &bearer)], "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_socket_and_loopback_each_caller_has_the_tokens_that_are_its_own() {
    let world = world().await;
    let other = "canary-other-caller-0123456789ab";
    world.is_secret(other);
    fs::write(world.path("other.secret"), format!("{other}\n")).expect("written");
    settings(
        &world,
        &format!(
            "socket = 'out/agent.sock'\n{}{}\
             [[caller]]\nname = 'first'\ntokens = ['a']\nsecret_env = 'CALLER_SECRET'\n\
             [[caller]]\nname = 'second'\ntokens = ['a', 'b']\nsecret_file = 'other.secret'\n",
            kept("a", 3_600),
            kept("b", 3_600)
        ),
    );
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let socket = world.path("out/agent.sock");
    let wrong = "canary-a-wrong-secret-0123456789";
    world.is_secret(wrong);
    for (name, secret, status) in [
        ("a", CALLER_SECRET, 200),
        ("b", CALLER_SECRET, 403),
        ("a", other, 200),
        ("b", other, 200),
        ("none", other, 403),
        ("a", wrong, 401),
        ("a", "", 401),
    ] {
        let by_loopback = agent.ask(&asking(name, secret)).await;
        let (head, body) = over_socket(&socket, &asking(name, secret));
        let case = format!("{name} for {secret}: {head}");
        assert_eq!(by_loopback.status, status, "{case}");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{case}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        if status == 200 {
            assert_eq!(
                body["access_token"].as_str(),
                read(&world.path(&format!("out/{name}"))).as_deref()
            );
            assert!(body["expires_in"].as_i64().is_some_and(|it| (1..=3_600).contains(&it)));
            assert!(head.contains("cache-control: no-store"), "{head}");
        } else {
            assert!(body["message"].is_string() && body["access_token"].is_null(), "{body}");
        }
    }
    // Without a secret, and with a misplaced secret.
    for request in [
        Request::new("GET", "/token/a", &[], ""),
        Request::new("GET", &format!("/token/a?secret={other}"), &[], ""),
        Request::new("GET", "/token/a", &[("authorization", other)], ""),
    ] {
        assert_eq!(agent.ask(&request).await.status, 401);
    }
    let bearer = format!("Bearer {other}");
    let plain = [("authorization", bearer.as_str()), ("accept", "text/plain")];
    let (_, body) = over_socket(&socket, &Request::new("GET", "/token/b", &plain, ""));
    assert_eq!(Some(body), read(&world.path("out/b")), "mere text for who wants that");
    a_killed_agents_socket_is_taken_over_and_a_running_ones_is_not(&world, agent).await;
}

async fn a_killed_agents_socket_is_taken_over_and_a_running_ones_is_not(
    world: &World,
    agent: Agent,
) {
    let second = world.command("run").output().expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another agent listens there"), "{said}");
    drop(agent);
    let socket = world.path("out/agent.sock");
    assert!(socket.exists(), "a kill leaves it behind");
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let (head, _) = over_socket(&socket, &asking("a", CALLER_SECRET));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

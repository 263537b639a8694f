//! The notifications to systemd, on a socket like systemd's (sd_notify(3)).

use crate::world::{Agent, World, kept, read, until};
use serde_json::json;
use std::{fs, os::unix::net::UnixDatagram, time::Duration};

/// The other end of `NOTIFY_SOCKET`.
struct Manager(UnixDatagram);

impl Manager {
    fn new(world: &World) -> Self {
        let path = world.path("notify");
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        Self(socket)
    }

    /// The agent, with a watchdog of three seconds.
    async fn agent(&self, world: &World) -> Agent {
        world
            .agent_with(|command| {
                command
                    .env("NOTIFY_SOCKET", world.path("notify"))
                    .env("WATCHDOG_USEC", "3000000")
                    .env_remove("WATCHDOG_PID");
            })
            .await
    }

    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("it is heard of");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    fn waits_for(&self, word: &str) {
        while !self.next().lines().any(|line| line == word) {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_is_sent_when_the_last_sink_holds_an_active_token_and_not_before() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let two = format!("{}{}", kept("a", 3_600), kept("b", 3_600).replace("out/", "late/"));
    world.configure(&two.replace("CHANNEL", &world.channel));
    let manager = Manager::new(&world);
    let mut agent = manager.agent(&world).await;
    agent.becomes("red", "late/b: its folder is not there; create it").await;
    until("one of two", || async { read(&world.path("out/a")).is_some() }).await;
    // Alive meanwhile: three watchdog messages, a second apart, and not ready.
    let mut beats = 0;
    while beats < 3 {
        let message = manager.next();
        assert!(!message.contains("READY=1"), "{message}");
        beats += message.matches("WATCHDOG=1").count();
    }
    fs::create_dir(world.path("late")).expect("made");
    manager.waits_for("READY=1");
    for file in ["out/a", "late/b"] {
        let token = read(&world.path(file)).expect("a token");
        assert!(world.lets_through(&token).await);
    }
    let pid = rustix::process::Pid::from_child(&agent.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the signal is sent");
    manager.waits_for("STOPPING=1");
    assert!(agent.process.wait().expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_revoked_while_the_agent_was_stopped_does_not_make_it_ready() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let token = kept("bot", 3_600).replace("CHANNEL", &world.channel);
    world.configure(&format!("state = 'state'\n{token}"));
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    drop(agent);
    let old = read(&world.path("out/bot")).expect("a token");
    let path = format!("/channels/{}/revocations", world.channel);
    world.admin("POST", &path, json!({ "access_token": old })).await;
    let manager = Manager::new(&world);
    let agent = manager.agent(&world).await;
    manager.waits_for("READY=1");
    let token = read(&world.path("out/bot")).expect("a token");
    assert!(token != old && world.lets_through(&token).await);
    drop(agent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_active_kept_token_a_start_needs_no_authority() {
    let mut world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let token = kept("bot", 3_600).replace("CHANNEL", &world.channel);
    world.configure(&format!("state = 'state'\n{token}"));
    drop(world.agent().await.becomes("green", "").await);
    world.stop();
    let manager = Manager::new(&world);
    let agent = manager.agent(&world).await;
    manager.waits_for("READY=1");
    assert_eq!(agent.health().await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abstract_address_is_notified_and_a_reload_too() {
    use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    world.configure(&kept("bot", 3_600).replace("CHANNEL", &world.channel));
    // Unique: abstract addresses have no folder.
    let name = world.path("notify").display().to_string();
    let address = SocketAddr::from_abstract_name(&name).expect("an address");
    let manager = Manager(UnixDatagram::bind_addr(&address).expect("a socket"));
    manager.0.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    let agent = world
        .agent_with(|command| {
            command.env("NOTIFY_SOCKET", format!("@{name}"));
        })
        .await;
    manager.waits_for("READY=1");
    let pid = rustix::process::Pid::from_child(&agent.process);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("the signal is sent");
    manager.waits_for("RELOADING=1");
    manager.waits_for("READY=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_cannot_be_notified_is_logged_once() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    world.configure(&kept("bot", 6).replace("CHANNEL", &world.channel));
    for bad in ["/nowhere/notify", "neither", "@tegata-nothing-listens-here"] {
        let agent = world
            .agent_with(|command| {
                command.env("NOTIFY_SOCKET", bad);
            })
            .await;
        agent.becomes("green", "").await;
        let before = read(&world.path("out/bot")).expect("a token");
        crate::world::until("it is renewed", || async {
            read(&world.path("out/bot")).as_ref() != Some(&before)
        })
        .await;
        let said = agent.said();
        assert_eq!(said.matches("cannot notify the service manager").count(), 1, "{bad}: {said}");
    }
}

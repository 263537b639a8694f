//! Paths that other users own, or on a disk that hangs: they stop neither the agent nor
//! other tokens, and its health names them.

use crate::world::{Agent, World, kept, read, until};
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit},
};
use std::{
    fs,
    os::unix::fs::{chown, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// More than an agent with a few tokens ever needs.
const MEMORY: u64 = 200 << 20;

async fn world(settings: &str) -> World {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    world.configure(&settings.replace("CHANNEL", &world.channel));
    world
}

fn fifo(path: &Path) {
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).expect("a FIFO");
}

/// Asserts that the other token is still renewed: its file holds `renewals` new ones.
async fn goes_on(world: &World, file: &Path, renewals: usize) {
    for _ in 0..renewals {
        let before = read(file);
        until("the other token is renewed", || async { read(file) != before }).await;
    }
    assert!(world.lets_through(&read(file).expect("a token")).await);
}

/// Asserts that SIGTERM stops it.
async fn ends(mut agent: Agent) {
    let id = Pid::from_child(&agent.process);
    kill_process(id, Signal::TERM).expect("it runs");
    for _ in 0..400 {
        if let Some(status) = agent.process.try_wait().expect("a child of ours") {
            assert!(status.success(), "{status}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("SIGTERM did not stop it");
}

/// The most memory that it ever had, in bytes.
fn peak(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.process.id()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifo_in_place_of_a_sinks_file_affects_that_sink_alone() {
    let world = world(&format!("{}{}", kept("bot", 3_600), kept("other", 6))).await;
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let (file, other) = (world.path("out/bot"), world.path("out/other"));
    fs::remove_file(&file).expect("removed");
    fifo(&file);
    agent.becomes("yellow", "out/bot: it is a FIFO, not a regular file; remove it").await;
    goes_on(&world, &other, 2).await;
    fs::remove_file(&file).expect("removed");
    agent.becomes("green", "").await;
    assert!(world.lets_through(&read(&file).expect("a token")).await);
    fs::remove_file(&file).expect("removed");
    fifo(&file);
    agent.becomes("yellow", "a FIFO").await;
    ends(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifos_for_pid_file_watched_file_and_credentials_stop_nothing_else() {
    let watched = "[[watch]]\nname = 'w'\nfile = 'out/watched'\n";
    let signalled = "signal = 'USR1'\npid_file = 'out/pid'\n";
    let world =
        world(&format!("{}{signalled}{}{watched}", kept("bot", 3_600), kept("other", 6))).await;
    for name in ["out/pid", "out/watched"] {
        fifo(&world.path(name));
    }
    let agent = world.agent().await;
    let said = agent.becomes("red", "out/watched: it is a FIFO").await;
    assert!(said.contains("watched"), "{said}");
    agent.becomes("red", "out/pid: it is a FIFO").await;
    goes_on(&world, &world.path("out/other"), 2).await;
    let key = world.path("key.json");
    fs::rename(&key, world.path("aside")).expect("moved");
    fifo(&key);
    agent.becomes("red", "key.json: it is a FIFO").await;
    ends(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_to_a_device_without_an_end_take_no_memory() {
    let watched = "[[watch]]\nname = 'w'\nfile = 'out/watched'\n";
    let signalled = "signal = 'USR1'\npid_file = 'out/pid'\n";
    let world = world(&format!("{}{signalled}{watched}", kept("bot", 3_600))).await;
    let agent = world.agent().await;
    until("the sink is written", || async { world.path("out/bot").exists() }).await;
    // A bug must cause an error of the agent, not of the machine.
    let limit = Rlimit { current: Some(4 << 30), maximum: Some(4 << 30) };
    prlimit(Some(Pid::from_child(&agent.process)), Resource::As, limit).expect("limited");
    fs::remove_file(world.path("out/bot")).expect("removed");
    // The folder's owner puts them there.
    chown(world.path("out"), Some(65_534), None).expect("given away; run this as root");
    for name in ["out/bot", "out/pid", "out/watched"] {
        symlink("/dev/zero", world.path(name)).expect("a link");
    }
    agent.becomes("red", "out/watched: it is a device").await;
    agent.becomes("red", "out/pid: it is a symbolic link").await;
    let file = world.path("out/bot");
    until("the link is replaced", || async { !file.is_symlink() }).await;
    assert!(world.lets_through(&read(&file).expect("a token")).await);
    let peak = peak(&agent);
    assert!(peak < MEMORY, "{peak} bytes");
    ends(agent).await;
}

/// A file system whose server never answers: every access to it hangs, as on a network
/// disk whose server is down. Unmounted when dropped.
struct Hung {
    server: Child,
    at: PathBuf,
}

impl Hung {
    async fn mount(at: PathBuf) -> Self {
        fs::create_dir(&at).expect("made");
        let options = "fd=3,rootmode=40000,user_id=0,group_id=0,allow_other";
        let script = format!(
            "exec 3<>/dev/fuse && mount -i -n -t fuse -o {options} hung \"$1\" && exec sleep 3600"
        );
        let mut server = Command::new("sh");
        server.args(["-c", &script, "sh"]).arg(&at).stdin(Stdio::null());
        let server = server.spawn().expect("a shell");
        let hung = Self { server, at };
        let place = hung.at.display().to_string();
        until("it is mounted; run this as root, with /dev/fuse", || async {
            fs::read_to_string("/proc/mounts").expect("read").contains(&place)
        })
        .await;
        hung
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // Pending accesses then fail.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_affects_only_the_files_on_it() {
    let lies = "[[watch]]\nname = 'w'\nfile = 'hung/watched'\n\
                [[sink]]\ntokens = ['other']\npath = 'hung/copy'\n\
                [[sink]]\ntokens = ['other']\nsignal = 'USR1'\npid_file = 'hung/pid'\n";
    let world = world(&format!("{}{lies}", kept("other", 6))).await;
    let hung = Hung::mount(world.path("hung")).await;
    let agent = world.agent().await;
    for name in ["hung/copy", "hung/watched", "hung/pid"] {
        agent.becomes("red", &format!("{name} did not return in time; does its disk hang?")).await;
    }
    goes_on(&world, &world.path("out/other"), 2).await;
    ends(agent).await;
    drop(hung);
}

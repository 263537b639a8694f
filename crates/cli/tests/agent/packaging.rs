//! The agent's packaging: its unit under a systemd that runs as the first process of its own
//! namespaces, its manifests against Kubernetes' schemas.

use crate::world::{World, read, until};
use std::{
    collections::HashMap,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

fn packaged(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(path)
}

/// Validates a manifest against the schemas of the oldest supported Kubernetes and of the
/// newest, strictly: unknown members are errors.
pub(crate) fn validate(manifest: &Path) {
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-parts");
    let validator = parts.join("kubernetes/bin/kubernetes-validate");
    let missing = "is missing: run `cargo xtask test`, which installs it";
    assert!(validator.exists(), "{} {missing}", validator.display());
    for version in ["1.29", "1.37"] {
        let mut command = Command::new(&validator);
        let done = command.args(["--strict", "-k", version]).arg(manifest).output().expect("run");
        assert!(done.status.success(), "{version}: {}", words(&done));
    }
}

fn words(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

#[test]
fn the_sidecars_manifest_is_what_kubernetes_takes() {
    let manifest = packaged("kubernetes/agent-sidecar.yaml");
    validate(&manifest);
    // The validator detects an unknown member.
    let text = read(&manifest).expect("it");
    let home = tempfile::tempdir().expect("a folder");
    let broken = home.path().join("broken.yaml");
    fs::write(&broken, text.replace("periodSeconds", "periodSecond")).expect("written");
    assert!(std::panic::catch_unwind(|| validate(&broken)).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_in_the_sidecars_manifest_are_what_the_agent_takes() {
    let manifest = read(&packaged("kubernetes/agent-sidecar.yaml")).expect("it");
    let (_, rest) = manifest.split_once("agent.toml: |\n").expect("the settings");
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let settings: String = lines.map(|line| line.trim().to_owned() + "\n").collect();
    let folder = Path::new("/etc/tegata");
    let config = tegata_client::agent::config::Config::parse(&settings, folder).expect("settings");
    assert_eq!(config.sinks[0].path.as_deref(), Some(Path::new("/run/bot/token")));
}

/// systemd in namespaces of its own; all processes in them are killed with it.
struct Machine {
    unshare: Child,
    cgroup: PathBuf,
}

impl Machine {
    fn boot(world: &World) -> Self {
        fs::create_dir(world.path("over")).expect("made");
        let cgroup = own_cgroup().join(format!("tegata-test-{}", std::process::id()));
        fs::create_dir(&cgroup).expect("a cgroup: run this as root");
        let procs = cgroup.join("cgroup.procs");
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--mount", "--cgroup", "--ipc", "--uts", "--fork", "--mount-proc"])
            .args(["--kill-child", "sh"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/boot.sh"))
            .env("HOME_OF_TEST", world.home.path())
            .env("UNIT", packaged("systemd/tegata-agent.service"))
            .env("TEGATA", env!("CARGO_BIN_EXE_tegata"))
            .stdin(Stdio::null());
        // Into its cgroup before its namespaces are made, so that those begin there.
        // All of it is killed with the test, even if the test is killed.
        let mut joined = Command::new("setpriv");
        joined.args(["--pdeathsig", "KILL", "sh"]);
        joined.args(["-c", "echo $$ > \"$PROCS\"; exec \"$@\"", "sh"]).env("PROCS", procs);
        joined.arg(command.get_program()).args(command.get_args());
        joined.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let unshare = joined.stdin(Stdio::null()).process_group(0).spawn().expect("unshare");
        Self { unshare, cgroup }
    }

    /// `systemctl` in there. While systemd is not up yet it fails.
    fn systemctl(&self, words: &[&str]) -> Output {
        let id = self.unshare.id();
        let children = read(Path::new(&format!("/proc/{id}/task/{id}/children")));
        let first = children.unwrap_or_default().trim().to_owned();
        let mut command = Command::new("nsenter");
        let inside = ["--pid", "--mount", "--cgroup", "--ipc", "--uts"];
        command.args(["--target", &first]).args(inside).arg("systemctl").args(words);
        command.env("SYSTEMD_IGNORE_CHROOT", "1").output().expect("nsenter")
    }

    fn unit(&self) -> HashMap<String, String> {
        let shown = self.systemctl(&[
            "show",
            "tegata-agent.service",
            "--property=ActiveState,SubState,MainPID,NRestarts,StatusText,Result",
        ]);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Waits until the unit's property is this.
    async fn becomes(&self, name: &str, value: &str) {
        until(&format!("{name}={value}"), || async {
            self.unit().get(name).is_some_and(|it| it == value)
        })
        .await;
    }

    fn kill(&self, signal: &str) {
        let done = self.systemctl(&["kill", "--kill-who=main", "--signal", signal, "tegata-agent"]);
        assert!(done.status.success(), "{}", words(&done));
    }

    /// A file as it is in there.
    fn read(&self, path: &str) -> Option<String> {
        let id = self.unshare.id();
        let children = read(Path::new(&format!("/proc/{id}/task/{id}/children")))?;
        read(Path::new(&format!("/proc/{}/root{path}", children.trim())))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its child, the first process in there, gets the same, and takes all with it.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let mut left = 100;
        while left > 0 && !remove(&self.cgroup) {
            std::thread::sleep(std::time::Duration::from_millis(50));
            left -= 1;
        }
    }
}

/// Removes a cgroup and those below; `false` while anything runs in one.
fn remove(cgroup: &Path) -> bool {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    let below = entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
    let busy = below.filter(|it| !remove(&it.path())).count();
    busy == 0 && fs::remove_dir(cgroup).is_ok()
}

/// Where this process is in the hierarchy that systemd uses.
fn own_cgroup() -> PathBuf {
    let mounts = read(Path::new("/proc/self/mounts")).expect("mounts");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = fields.into_iter().find(|it| it[2] == "cgroup2").expect("cgroup2 is mounted");
    let own = read(Path::new("/proc/self/cgroup")).expect("cgroups");
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).expect("in cgroup2");
    Path::new(mount[1]).join(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_systemd_the_unit_is_active_with_active_tokens_and_restarts_after_any_exit() {
    let world = World::start(&[]).await;
    world.configure("");
    let text = read(&world.path("agent.toml")).expect("settings");
    let text = text.replace("key_file = 'key.json'\n", "").replace("listen = '127.0.0.1:0'\n", "");
    let more = format!(
        "[[token]]\nname = 'bot'\nchannel = '{}'\ngroup = 'bot'\nkind = 'short-lived'\n\
         [[sink]]\ntokens = ['bot']\npath = '/run/tegata-agent/bot'\nmode = '0640'\n",
        world.channel
    );
    let text = format!("state = '/var/lib/tegata-agent'\n{text}{more}");
    fs::write(world.path("agent.toml"), text).expect("written");
    let path = format!("/channels/{}", world.channel);
    world.admin("PATCH", &path, serde_json::json!({ "state": "suspended" })).await;

    let machine = Machine::boot(&world);
    until("it says why it is not ready", || async {
        machine.unit().get("StatusText").is_some_and(|it| it.contains("refused with"))
    })
    .await;
    assert_eq!(machine.unit()["ActiveState"], "activating", "no token, not active");
    world.admin("PATCH", &path, serde_json::json!({ "state": "active" })).await;
    machine.becomes("ActiveState", "active").await;
    let file = "/run/tegata-agent/bot";
    let token = machine.read(file).expect("active means that there is one");
    assert!(world.lets_through(&token).await);

    machine.kill("KILL");
    machine.becomes("SubState", "auto-restart").await;
    assert_eq!(machine.read(file).as_ref(), Some(&token), "found also while the agent is away");
    machine.becomes("NRestarts", "1").await;
    machine.becomes("SubState", "running").await;
    assert_eq!(machine.read(file).as_ref(), Some(&token), "no other was asked for");

    // It hangs: the watchdog kills it.
    machine.kill("STOP");
    machine.becomes("NRestarts", "2").await;
    machine.becomes("SubState", "running").await;

    let stopped = machine.systemctl(&["stop", "tegata-agent"]);
    assert!(stopped.status.success(), "{}", words(&stopped));
    let unit = machine.unit();
    assert_eq!((unit["ActiveState"].as_str(), unit["Result"].as_str()), ("inactive", "success"));
    assert_eq!(machine.read(file), Some(token), "and after a stop, for a new version to come");
    let said = read(&world.path("said")).expect("what it said");
    assert!(said.contains("green"), "{said}");
}

#[test]
fn the_unit_is_valid_for_systemd_and_little_exposed() {
    let home = tempfile::tempdir().expect("a folder");
    let unit = home.path().join("tegata-agent.service");
    let text = read(&packaged("systemd/tegata-agent.service")).expect("it");
    // The test does not install the program.
    fs::write(&unit, text.replace("/usr/bin/tegata ", "/bin/true ")).expect("written");
    let verified = Command::new("systemd-analyze").arg("verify").arg(&unit).output();
    let verified = verified.expect("systemd-analyze");
    let said = words(&verified);
    assert!(verified.status.success() && !said.contains("tegata-agent.service:"), "{said}");
    // Tenths of a point: 20 of 100 is what systemd calls "OK".
    let exposed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(&unit)
        .output()
        .expect("systemd-analyze");
    assert!(exposed.status.success(), "{}", words(&exposed));
}

//! The agent's packaging: its unit under a systemd that runs as the first process of its own
//! namespaces, its manifests against Kubernetes' schemas.

use crate::{
    machine::{Boot, Machine, is_valid_and_little_exposed, packaged, words},
    world::{World, read, until},
};
use std::{fs, path::Path, process::Command};

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

#[test]
fn the_verifiers_manifest_is_what_kubernetes_takes_and_only_asks_the_process_to_stop() {
    let manifest = packaged("kubernetes/verifier.yaml");
    validate(&manifest);
    let text = read(&manifest).expect("it");
    // A hook that reported the end of a process that still verifies would make receipts wrong.
    assert!(text.contains("preStop:") && !text.contains("bye") && !text.contains("/feed/"));
}

/// Waits until the unit's property is this.
async fn becomes(machine: &Machine, name: &str, value: &str) {
    until(&format!("{name}={value}"), || async {
        machine.unit().get(name).is_some_and(|it| it == value)
    })
    .await;
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

    let machine = Machine::boot(&Boot {
        home: world.home.path(),
        name: "tegata-agent",
        config: "agent.toml secret",
        // A test cannot wait a minute for the watchdog.
        service: "WatchdogSec=3",
    });
    until("it says why it is not ready", || async {
        machine.unit().get("StatusText").is_some_and(|it| it.contains("refused with"))
    })
    .await;
    assert_eq!(machine.unit()["ActiveState"], "activating", "no token, not active");
    world.admin("PATCH", &path, serde_json::json!({ "state": "active" })).await;
    becomes(&machine, "ActiveState", "active").await;
    let file = "/run/tegata-agent/bot";
    let token = machine.read(file).expect("active means that there is one");
    assert!(world.lets_through(&token).await);

    machine.kill("KILL");
    becomes(&machine, "SubState", "auto-restart").await;
    assert_eq!(machine.read(file).as_ref(), Some(&token), "found also while the agent is away");
    becomes(&machine, "NRestarts", "1").await;
    becomes(&machine, "SubState", "running").await;
    assert_eq!(machine.read(file).as_ref(), Some(&token), "no other was asked for");

    // It hangs: the watchdog kills it.
    machine.kill("STOP");
    becomes(&machine, "NRestarts", "2").await;
    becomes(&machine, "SubState", "running").await;

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
    is_valid_and_little_exposed("tegata-agent.service", home.path(), 20);
}

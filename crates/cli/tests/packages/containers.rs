//! The container file, the compose file, the manifests and the bill of materials, against their
//! formats; and the image's command as its user on a read-only file system, without an image.

use crate::{
    machine::{Machine, packaged, words},
    part, root, succeeds,
};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, thread, time::Duration};

/// The documents of a YAML file below `packaging`.
fn documents(path: &str) -> Vec<Value> {
    let read =
        "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let mut python = Command::new(part("kubernetes/bin/python"));
    let json = succeeds(python.args(["-c", read]).arg(packaged(path)));
    serde_json::from_str(&json).expect("JSON")
}

/// Asserts that a file is what CycloneDX takes.
pub(crate) fn is_a_bill_of_materials(file: &Path) {
    let validate = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(str(wrong) if wrong else 0)";
    let python = part("packages/bin/python");
    succeeds(Command::new(&python).args(["-c", validate]).arg(file));
    // The validator detects an unknown member.
    let text = fs::read_to_string(file).expect("it");
    let home = tempfile::tempdir().expect("a folder");
    let broken = home.path().join("broken.json");
    fs::write(&broken, text.replacen("\"components\"", "\"component\"", 1)).expect("written");
    let done = Command::new(python).args(["-c", validate]).arg(broken).output().expect("run");
    assert!(!done.status.success(), "an unknown member passes");
}

#[test]
fn the_container_file_is_what_its_parser_takes() {
    let lint =
        |file: &Path| Command::new(part("packages/bin/hadolint")).arg(file).output().expect("run");
    let file = packaged("container/Dockerfile");
    let done = lint(&file);
    assert!(done.status.success(), "{}", words(&done));
    let text = fs::read_to_string(file).expect("it");
    let home = tempfile::tempdir().expect("a folder");
    let broken = home.path().join("Dockerfile");
    fs::write(&broken, text.replace("WORKDIR /source", "WORKDIRS /source")).expect("written");
    assert!(!lint(&broken).status.success(), "an unknown instruction passes");
    // What it compiles is what is shipped, with a compiler that is new enough.
    assert!(text.contains("--profile dist --package tegata --features jemalloc"));
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let oldest = manifest.lines().find_map(|it| it.strip_prefix("rust-version = \"")).expect("one");
    assert!(text.contains(&format!("/rust:{}-", oldest.trim_end_matches('"'))), "{oldest}");
}

#[test]
fn the_compose_file_is_what_its_schema_takes() {
    let check = |file: &Path| {
        let mut command = Command::new(part("packages/bin/check-jsonschema"));
        command.args(["--builtin-schema", "vendor.compose-spec"]).arg(file).output().expect("run")
    };
    let file = packaged("container/compose.yaml");
    let done = check(&file);
    assert!(done.status.success(), "{}", words(&done));
    let text = fs::read_to_string(file).expect("it");
    let home = tempfile::tempdir().expect("a folder");
    let broken = home.path().join("compose.yaml");
    fs::write(&broken, text.replace("read_only: true", "read_onlys: true")).expect("written");
    assert!(!check(&broken).status.success(), "an unknown member passes");
}

#[test]
fn the_manifests_of_the_servers_and_of_the_proxy_are_what_kubernetes_takes() {
    for name in ["server", "servers", "verify-proxy-sidecar"] {
        for version in ["1.29", "1.37"] {
            let mut validate = Command::new(part("kubernetes/bin/kubernetes-validate"));
            validate.args(["--strict", "-k", version]);
            succeeds(validate.arg(packaged(&format!("kubernetes/{name}.yaml"))));
        }
    }
}

#[test]
fn the_server_understands_the_settings_of_every_manifest() {
    let home = tempfile::tempdir().expect("a folder");
    let at = |name: &str| home.path().join(name);
    for secret in ["master.key", "admin.token", "database.password"] {
        fs::write(at(secret), "0123456789abcdef".repeat(4)).expect("written");
        fs::set_permissions(at(secret), PermissionsExt::from_mode(0o600)).expect("private");
    }
    let authority = rcgen::generate_simple_self_signed([]).expect("a certificate").cert.pem();
    fs::write(at("database-ca.pem"), authority).expect("written");
    let understood = |settings: &str| {
        let secrets = home.path().to_str().expect("a path");
        // No name is looked up: nothing listens at that port.
        let settings = settings
            .replace("/etc/tegata/secrets", secrets)
            .replace("@db.internal/", "@127.0.0.1:1/");
        fs::write(at("tegata.toml"), settings).expect("written");
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_tegata"));
        doctor.current_dir(home.path()).env_clear().args(["doctor", "--config", "tegata.toml"]);
        let said = words(&doctor.output().expect("run"));
        (!said.contains("Nothing else was checked"), said)
    };
    let mut found = 0;
    for name in ["server", "servers"] {
        let documents = documents(&format!("kubernetes/{name}.yaml"));
        for settings in documents.iter().filter_map(|it| it["data"]["tegata.toml"].as_str()) {
            found += 1;
            let (is_understood, said) = understood(settings);
            assert!(is_understood, "{name}: {said}");
            assert!(!understood(&format!("{settings}\ndrain = 1\n")).0, "an unknown key passes");
        }
    }
    assert_eq!(found, 2);
    let package = include_str!("../../../../packaging/tegata.toml");
    let sample: String = package
        .lines()
        .skip_while(|it| !it.starts_with("# Many servers"))
        .filter_map(|it| it.strip_prefix("# "))
        .filter(|it| it.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')))
        .map(|it| format!("{it}\n"))
        .collect();
    let sample = sample.replace("/etc/tegata", "/etc/tegata/secrets");
    let sample = sample.replace("/var/lib/tegata", "/etc/tegata/secrets");
    assert_eq!(sample.lines().count(), 3, "{sample}");
    let (is_understood, said) = understood(&sample);
    assert!(is_understood, "{said}");
}

#[test]
fn every_container_of_ours_is_without_rights_and_read_only() {
    let mut found = 0;
    for name in ["agent-sidecar", "server", "servers", "verify-proxy-sidecar"] {
        for document in documents(&format!("kubernetes/{name}.yaml")) {
            let pod = &document["spec"]["template"]["spec"];
            let all = ["initContainers", "containers"].map(|it| pod[it].as_array());
            for container in all.into_iter().flatten().flatten() {
                if container["image"] == "tegata:latest" {
                    found += 1;
                    let own = &container["securityContext"];
                    let user = [own, &pod["securityContext"]].map(|it| it["runAsUser"].as_u64());
                    assert_eq!(user.into_iter().flatten().next(), Some(65532), "{name}");
                    assert_eq!(own["readOnlyRootFilesystem"], true, "{name}");
                    assert_eq!(own["allowPrivilegeEscalation"], false, "{name}");
                    assert_eq!(own["capabilities"]["drop"][0], "ALL", "{name}");
                }
            }
        }
    }
    assert_eq!(found, 4);
    for service in
        documents("container/compose.yaml")[0]["services"].as_object().expect("them").values()
    {
        assert_eq!((&service["read_only"], &service["cap_drop"][0]), (&true.into(), &"ALL".into()));
    }
}

/// Runs the image's command, and that of the manifest with its settings, in a machine that has
/// the package: as the image's user, without capabilities, where only the volume can be written.
pub(crate) fn runs_as_the_image_does(machine: &Machine) {
    let image = fs::read_to_string(packaged("container/Dockerfile")).expect("it");
    let line = |name: &str| image.lines().rev().find_map(|it| it.strip_prefix(name)).expect(name);
    assert_eq!(line("USER "), "65532:65532");
    let entry: Vec<String> = serde_json::from_str(line("ENTRYPOINT ")).expect("a list");
    let command: Vec<String> = serde_json::from_str(line("CMD ")).expect("a list");
    let compose = &documents("container/compose.yaml")[0]["services"]["tegata"];
    let probe = &texts(&compose["healthcheck"]["test"])[1..];
    let volume = "mode=0700,uid=65532,gid=65532";
    run(machine, "image", volume, &[], &[entry.clone(), command].concat());
    ready(machine, "image", probe);
    stop(machine, "image");

    // With secrets as Kubernetes mounts them: root's, and readable by the group.
    let servers = fs::read_to_string(packaged("kubernetes/servers.yaml")).expect("it");
    let make = servers
        .lines()
        .filter_map(|it| it.strip_prefix("#   head "))
        .map(|it| format!("head {it}\n"));
    let make = make.collect::<String>() + "chgrp 65532 master.key admin.token; chmod 440 *";
    let script = format!("mkdir /shared/secrets && cd /shared/secrets && {make}");
    succeeds(machine.command("sh").args(["-euc", &script]));
    let all = documents("kubernetes/server.yaml");
    let settings = all[0]["data"]["tegata.toml"].as_str().expect("settings").to_owned();
    let secrets = "master_key_file = \"/shared/secrets/master.key\"\n\
                   admin_token_file = \"/shared/secrets/admin.token\"\n\
                   rollback_guard_file = \"tegata.guard\"\n";
    fs::write(machine.path("/shared/tegata.toml"), settings + secrets).expect("written");
    let container = &all[2]["spec"]["template"]["spec"]["containers"][0];
    let file = "BindReadOnlyPaths=/shared/tegata.toml:/etc/tegata/tegata.toml";
    // `fsGroup` makes a volume like this one.
    let volume = "mode=2770,uid=0,gid=65532";
    run(machine, "pod", volume, &[file], &[entry, texts(&container["args"])].concat());
    ready(machine, "pod", probe);
    stop(machine, "pod");
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|it| it.as_str().expect("a text").to_owned()).collect()
}

/// Starts a command as the image does, as a unit of that name, with a volume of these owners.
fn run(machine: &Machine, unit: &str, volume: &str, more: &[&str], words: &[String]) {
    let mut command = machine.command("systemd-run");
    command.arg(format!("--unit={unit}"));
    let volume = format!("TemporaryFileSystem=/var/lib/tegata:{volume}");
    let properties = [
        "PrivateNetwork=yes",
        "ProtectSystem=strict",
        "InaccessiblePaths=/tmp",
        "WorkingDirectory=/var/lib/tegata",
        &volume,
    ];
    for property in properties.iter().chain(more) {
        command.args(["--property", property]);
    }
    // Not `User=`, which needs a name: the image has none for it.
    command.args(["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"]);
    command.args(["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]);
    succeeds(command.args(words));
}

/// Waits until the probe succeeds in the network of the unit.
fn ready(machine: &Machine, unit: &str, probe: &[String]) {
    let mut last = String::new();
    for _ in 0..1_200 {
        let process = machine.state(unit)["MainPID"].clone();
        let mut command = machine.command("nsenter");
        let done = command.args(["--target", &process, "--net"]).args(probe).output();
        let done = done.expect("nsenter");
        if done.status.success() {
            return;
        }
        last = words(&done);
        thread::sleep(Duration::from_millis(50));
    }
    let log = machine.command("journalctl").args(["-n", "30"]).output().expect("it");
    panic!("{unit} is not ready: {last}: {}", words(&log));
}

fn stop(machine: &Machine, unit: &str) {
    let done = machine.systemctl(&["stop", unit]);
    assert!(done.status.success(), "{}", words(&done));
}

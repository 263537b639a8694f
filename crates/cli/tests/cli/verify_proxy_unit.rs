//! The packaged unit of `tegata verify-proxy` under systemd.

use crate::{
    book::root,
    machine::{Boot, Machine, is_valid_and_little_exposed, words},
    program::{Desk, Home, finish},
    proxies::token,
    verify_proxy,
};
use std::{fs, thread, time::Duration};

const NAME: &str = "tegata-verify-proxy";
const SOCKET: &str = "/run/tegata-verify-proxy/verify.sock";

#[test]
fn the_unit_of_the_verifying_proxy_is_valid_for_systemd_and_little_exposed() {
    let home = Home::new();
    is_valid_and_little_exposed("tegata-verify-proxy.service", home.path("").as_path(), 20);
    // Without a limit: after many crashes in a row it is still started again.
    let unit = root().join("packaging/systemd/tegata-verify-proxy.service");
    assert!(fs::read_to_string(unit).unwrap().contains("StartLimitIntervalSec=0\n"));
}

fn becomes(machine: &Machine, name: &str, value: &str, home: &Home) {
    for _ in 0..1_200 {
        if machine.unit().get(name).is_some_and(|it| it == value) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let said = fs::read_to_string(home.path("said")).unwrap_or_default();
    panic!("{name} is not {value}: {:?}: {said}", machine.unit());
}

/// The status of a response at the unit's socket, for a user without rights.
fn status(machine: &Machine, path: &str, header: &str) -> String {
    let mut curl = machine.command("setpriv");
    curl.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-sS"]);
    curl.args(["-o", "/dev/null", "-w", "%{http_code}", "-H", header, "--unix-socket"]);
    finish(curl.arg(SOCKET).arg(format!("http://proxy{path}"))).out
}

fn until(machine: &Machine, path: &str, header: &str, wanted: &str) {
    for _ in 0..1_200 {
        if status(machine, path, header) == wanted {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{path} is {}, not {wanted}", status(machine, path, header));
}

#[test]
fn under_systemd_the_verifying_proxy_answers_every_user_at_its_socket() {
    let desk = Desk::new();
    let home = Home::new();
    home.file("verifier.token", &(verify_proxy::verifier(&desk, &[]) + "\n"));
    let service = format!(
        "Environment=TEGATA_AUTHORITY={}\n\
         Environment=TEGATA_COPY=/var/lib/tegata-verify-proxy/view",
        desk.server.url
    );
    let machine = Machine::boot(&Boot {
        home: &home.path(""),
        name: NAME,
        config: "verifier.token",
        service: &service,
    });
    becomes(&machine, "ActiveState", "active", &home);
    until(&machine, "/readyz", "X: y", "200");
    let bearer = format!("Authorization: Bearer {}", token(&desk, &[]));
    assert_eq!(status(&machine, "/gateway/verify", &bearer), "200");
    assert_eq!(status(&machine, "/gateway/verify", "Authorization: Bearer no"), "401");
    let process = machine.unit()["MainPID"].clone();
    let shown = machine.read(&format!("/proc/{process}/status")).unwrap();
    assert!(shown.contains("CapEff:\t0000000000000000"), "{shown}");

    let view = "/var/lib/tegata-verify-proxy/view";
    assert!(machine.read(view).is_some(), "no copy");

    machine.kill("KILL");
    becomes(&machine, "NRestarts", "1", &home);
    until(&machine, "/readyz", "X: y", "200");
    assert_eq!(status(&machine, "/gateway/verify", &bearer), "200");

    let stopped = machine.systemctl(&["stop", NAME]);
    assert!(stopped.status.success(), "{}", words(&stopped));
    let unit = machine.unit();
    assert_eq!((unit["ActiveState"].as_str(), unit["Result"].as_str()), ("inactive", "success"));
    let shown = desk.json(&["verifier", "list"]);
    let id = shown["verifiers"][0]["verifier_id"].as_str().unwrap();
    let instances = desk.json(&["verifier", "show", id])["instances"].clone();
    // That of the killed process is left, until its lease has run out.
    assert_eq!(instances.as_array().unwrap().len(), 1, "{instances}");
}

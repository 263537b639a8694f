//! The server's packaged unit: under systemd as its own user, with every keeping command
//! run by root while it runs.

use crate::{
    book::fenced,
    machine::{Boot, Machine, is_valid_and_little_exposed, packaged, words},
    program::{Home, finish},
};
use serde_json::Value;
use std::{
    cell::RefCell,
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    process::{Command, Output},
    thread,
    time::Duration,
};

const NAME: &str = "tegata.service";
/// The user that the machine has for the unit.
const USER: u32 = 29_470;

#[test]
fn the_unit_for_the_server_is_valid_for_systemd_and_little_exposed() {
    is_valid_and_little_exposed(NAME, Home::new().path("").as_path(), 16);
}

#[test]
fn the_books_unit_is_the_packaged_one() {
    let block = fenced("docs/book/src/operate.md", "## Run it as a service", "ini").remove(0);
    assert_eq!(block, fs::read_to_string(packaged(&format!("systemd/{NAME}"))).unwrap());
}

/// The unit in a machine, the address of its server, and the commands that root has run there.
struct Service {
    machine: Machine,
    url: String,
    ran: RefCell<Vec<String>>,
}

impl Service {
    fn boot(home: &Home) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        fs::create_dir(home.path("credstore")).unwrap();
        let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n";
        home.file("credstore/tegata.webhook.secret", secret);
        let service = format!(
            "Environment=TEGATA_LISTEN={address}\n\
             Environment=TEGATA_REVOCATION_JOURNAL=/mnt/other/journal.log\n\
             Environment=TEGATA_WEBHOOK_URL=http://127.0.0.1:1/\n\
             Environment=TEGATA_WEBHOOK_SECRET_FILE=/run/credentials/{NAME}/tegata.webhook.secret\n"
        );
        let home = &home.path("");
        let machine = Machine::boot(&Boot { home, name: "tegata", config: "", service: &service });
        let url = format!("http://{address}");
        let service = Self { machine, url, ran: RefCell::default() };
        service.becomes("ActiveState", "active", home);
        service
    }

    fn becomes(&self, name: &str, value: &str, home: &std::path::Path) {
        for _ in 0..1_200 {
            if self.machine.unit().get(name).is_some_and(|it| it == value) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let said = fs::read_to_string(home.join("said")).unwrap_or_default();
        panic!("{name} is not {value}: {:?}: {said}", self.machine.unit());
    }

    fn systemctl(&self, verb: &str) {
        let done = self.machine.systemctl(&[verb, NAME]);
        assert!(done.status.success(), "{verb}: {}", words(&done));
    }

    /// Runs `tegata` in the machine as root, in the service's folder.
    fn tegata(&self, arguments: &str) -> Output {
        let mut command = self.machine.command("sh");
        let script = format!("cd /var/lib/tegata && exec /usr/bin/tegata {arguments}");
        command.args(["-c", &script]).env("TEGATA_URL", &self.url);
        command.env("TEGATA_ADMIN_TOKEN_FILE", "admin.token");
        command.output().unwrap()
    }

    #[track_caller]
    fn run(&self, arguments: &str) -> String {
        let done = self.tegata(arguments);
        assert!(done.status.success(), "{arguments}: {}", words(&done));
        self.ran.borrow_mut().push(arguments.to_owned());
        for folder in ["/var/lib/tegata", "/mnt/other"] {
            for entry in fs::read_dir(self.machine.path(folder)).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name();
                let owner = entry.metadata().unwrap().uid();
                assert_eq!(owner, USER, "{} after {arguments}", name.display());
            }
        }
        String::from_utf8(done.stdout).unwrap()
    }

    fn status(&self, path: &str) -> String {
        let url = format!("{}{path}", self.url);
        let ask = ["-sS", "-o", "/dev/null", "-w", "%{http_code}"];
        finish(Command::new("curl").args(ask).arg(url)).expect(0)
    }
}

/// The commands that take a store, by the reference: those that the machine's root runs.
fn keeping_commands() -> Vec<String> {
    let reference =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/book/src/reference/command-line.md");
    let text = fs::read_to_string(reference).unwrap();
    let sections = text.split("\n## tegata ").skip(1);
    let takes_a_store = sections.filter(|it| it.contains("--store <"));
    let names = takes_a_store.filter_map(|it| it.lines().next()).filter(|it| *it != "serve");
    let names: Vec<_> = names.map(str::to_owned).collect();
    assert!(names.len() >= 10, "the reference has another form: {names:?}");
    names
}

#[test]
fn under_systemd_the_server_is_its_own_user_and_root_keeps_its_store_beside_it() {
    let home = Home::new();
    let service = Service::boot(&home);
    // "Active" means that it responds.
    assert_eq!(service.status("/readyz"), "200");
    let process = service.machine.unit()["MainPID"].clone();
    let status = service.machine.read(&format!("/proc/{process}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{USER}\t")), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");

    let json = |arguments: &str| -> Value {
        serde_json::from_str(&service.run(&format!("{arguments} -o json"))).unwrap()
    };
    let provider = json("provider create Company");
    let provider = provider["provider_id"].as_str().unwrap();
    let channel = json(&format!("channel create --provider {provider} shop"));
    let channel = channel["channel_id"].as_str().unwrap();
    service.run(&format!("token revoke --channel {channel} --all"));
    let journal = service.machine.read("/mnt/other/journal.log").unwrap();
    assert!(journal.contains(channel), "{journal}");
    service.systemctl("reload");
    service.run("admin reset");
    service.run("master-key rotate");
    service.run("backup /mnt/other/copy.db");
    service.run("audit verify");
    service.run("audit verify --store sqlite:tegata.db");
    service.run("token inspect --store sqlite:tegata.db /etc/passwd");
    service.run("doctor");
    service.run("provider list");
    service.run("admin invite beside@example.com");
    assert_eq!(service.status("/readyz"), "200");

    service.systemctl("stop");
    let unit = service.machine.unit();
    assert_eq!((unit["ActiveState"].as_str(), unit["Result"].as_str()), ("inactive", "success"));
    service.run("migrate");
    service.run("restore --dry-run /mnt/other/copy.db");
    service.run("restore /mnt/other/copy.db");
    service.run("recover --dry-run --replay /mnt/other/journal.log");
    service.run("recover --replay /mnt/other/journal.log");
    service.run("recover --revoke-everything --revocation-journal /mnt/other/journal.log");
    service.run("master-key rotate");
    service.run("admin reset");
    service.run("admin invite alone@example.com");
    fs::remove_file(service.machine.path("/var/lib/tegata/tegata.db.guard.audit")).unwrap();
    service.run("audit accept --reason moved");
    service.run("audit verify --store sqlite:tegata.db");
    service.run("doctor");
    for command in keeping_commands() {
        let ran = service.ran.borrow();
        assert!(ran.iter().any(|it| it.starts_with(&command)), "{command} is not run as root");
    }
    service.systemctl("start");
    service.run("provider list");
    assert_eq!(service.status("/readyz"), "200");

    service.machine.kill("KILL");
    service.becomes("NRestarts", "1", &home.path(""));
    service.becomes("ActiveState", "active", &home.path(""));
    assert_eq!(service.status("/readyz"), "200");
    let said = fs::read_to_string(home.path("said")).unwrap();
    assert!(!said.contains("NOTIFY_SOCKET") && !said.contains("\"level\":\"ERROR\""), "{said}");
}

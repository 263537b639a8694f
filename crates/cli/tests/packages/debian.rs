//! The Debian package, made from the program that the tests have compiled: installed in a fresh
//! root under systemd, used, upgraded over a store in use, removed and purged.

use crate::{
    containers,
    machine::{Machine, words},
    part, root, succeeds,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// The three services, which are their users, too.
const SERVICES: [&str; 3] = ["tegata", "tegata-agent", "tegata-verify-proxy"];

/// What `cargo xtask dist` writes for the compiled program, without compression.
fn shipped(home: &Path) -> PathBuf {
    let compiled = Path::new(env!("CARGO_BIN_EXE_tegata"));
    let (program, into) = (home.join("tegata"), home.join("shared"));
    succeeds(Command::new("strip").arg("-o").arg(&program).arg(compiled));
    let xtask = compiled.with_file_name("xtask");
    assert!(xtask.exists(), "{} is missing: run `cargo xtask test`", xtask.display());
    let mut dist = Command::new(xtask);
    dist.arg("dist").arg("--program").arg(program).arg("--into").arg(&into);
    // The debug symbols of this program were not compiled.
    dist.env("DEB_BUILD_OPTIONS", "noautodbgsym").env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    succeeds(&mut dist);
    into
}

fn package(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("a folder").map(|it| it.expect("a file").path());
    let mut packages = files.filter(|it| it.extension().is_some_and(|it| it == "deb"));
    packages.next().expect("a package")
}

/// Makes the package of a later version in `next`, whose settings file has another line.
fn next(folder: &Path) {
    let (parts, next) = (folder.join("parts"), folder.join("next"));
    fs::create_dir(&next).expect("made");
    succeeds(Command::new("dpkg-deb").arg("--raw-extract").arg(package(folder)).arg(&parts));
    let version = format!("Version: {}-1\n", env!("CARGO_PKG_VERSION"));
    for (file, from, to) in [
        ("DEBIAN/control", &*version, "Version: 99.0.0-1\n"),
        ("etc/tegata/tegata.toml", "# listen", "# A line of the new version.\n# listen"),
    ] {
        let text = fs::read_to_string(parts.join(file)).expect(file);
        assert!(text.contains(from), "{file}");
        fs::write(parts.join(file), text.replace(from, to)).expect("written");
    }
    let build = ["--root-owner-group", "-Znone", "--build"];
    succeeds(Command::new("dpkg-deb").args(build).arg(&parts).arg(&next));
    fs::remove_dir_all(parts).expect("removed");
}

/// A fresh Debian, and in its `/shared` the packages.
struct Debian {
    machine: Machine,
    _home: TempDir,
}

impl Debian {
    fn boot(home: TempDir, shared: &Path) -> Self {
        let over = home.path().join("over");
        fs::create_dir(&over).expect("made");
        let mut script = Command::new("sh");
        script
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine/root.sh"))
            .env("ROOT", part("debian/root"))
            .env("OVER", over)
            .env("SHARED", shared);
        let spaces = ["--pid", "--mount", "--cgroup", "--ipc", "--uts", "--net"];
        let debian = Self { machine: Machine::start(&script, &spaces, "debian"), _home: home };
        debian.becomes("multi-user.target", "ActiveState", "active");
        debian
    }

    /// Waits until the property of a unit is this.
    #[track_caller]
    fn becomes(&self, unit: &str, name: &str, value: &str) {
        for _ in 0..2_400 {
            if self.machine.state(unit).get(name).is_some_and(|it| it == value) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = self.machine.command("journalctl").args(["-n", "50"]).output().expect("it");
        panic!("{unit}: {name} is not {value}: {}", words(&log));
    }

    /// What a script prints that root runs, as it would be typed.
    #[track_caller]
    fn sh(&self, script: &str) -> String {
        let mut shell = self.machine.command("sh");
        shell.args(["-euc", script]).env("DEBIAN_FRONTEND", "noninteractive");
        succeeds(shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    }

    /// What a command of `tegata` returns that root runs in the store's folder.
    #[track_caller]
    fn tegata(&self, words: &str) -> Value {
        let admin = "cd /var/lib/tegata && export TEGATA_ADMIN_TOKEN_FILE=admin.token";
        let printed = self.sh(&format!("{admin} && tegata {words} -o json"));
        serde_json::from_str(&printed).expect("JSON")
    }

    /// The response of the server in there.
    fn ask(&self, words: &[&str]) -> String {
        // That of the machine outside, in the network in there.
        let mut curl = Command::new("nsenter");
        curl.args(["--target", &self.machine.first(), "--net", "curl"]);
        succeeds(curl.args(["-sS", "-w", "\n%{http_code}"]).args(words))
    }

    fn issue(&self, channel: &str, secret: &str) -> String {
        let form =
            format!("grant_type=client_credentials&client_id={channel}&client_secret={secret}");
        let response = self.ask(&["-d", &form, "http://127.0.0.1:8080/v2/oauth/accessToken"]);
        let (body, status) = response.rsplit_once('\n').expect("a status");
        assert_eq!(status, "200", "{body}");
        let body: Value = serde_json::from_str(body).expect("JSON");
        body["access_token"].as_str().expect("a token").to_owned()
    }

    /// The status with which a token is verified, by the server and by verify-proxy.
    #[track_caller]
    fn verified(&self, token: &str, status: &str) {
        let header = format!("Authorization: Bearer {token}");
        let socket = self.machine.path("/run/tegata-verify-proxy/verify.sock");
        let socket = socket.to_str().expect("a path");
        let proxy = ["-H", &header, "--unix-socket", socket, "http://proxy/gateway/verify"];
        for words in [&["-H", &header, "http://127.0.0.1:8080/gateway/verify"][..], &proxy] {
            let response = self.ask(words);
            assert_eq!(response.rsplit_once('\n').expect("a status").1, status, "{response}");
        }
    }

    fn process(&self, service: &str) -> String {
        self.machine.state(service)["MainPID"].clone()
    }

    /// Waits until verify-proxy follows the server.
    fn follows(&self) {
        let socket = self.machine.path("/run/tegata-verify-proxy/verify.sock");
        let words = ["--unix-socket", socket.to_str().expect("a path"), "http://proxy/readyz"];
        for _ in 0..2_400 {
            if socket.exists() && self.ask(&words).ends_with("\n200") {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("verify-proxy does not follow: {}", self.ask(&words));
    }
}

/// The commands of the book for Debian.
fn commands() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/book/src/install.md")).expect("the page");
    let (_, section) = page.split_once("## On a Debian machine").expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let blocks = section.split("```bash\n").skip(1).filter_map(|it| it.split("```").next());
    let blocks: Vec<_> = blocks.map(str::to_owned).collect();
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    blocks
}

#[test]
fn the_package_is_installed_used_upgraded_over_a_store_in_use_removed_and_purged() {
    let home = tempfile::tempdir().expect("a folder");
    let shared = shipped(home.path());
    succeeds(
        Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&shared),
    );
    containers::is_a_bill_of_materials(&shared.join("tegata.cdx.json"));
    check(&package(&shared));
    next(&shared);
    let debian = Debian::boot(home, &shared);

    let (channel, secret) = install(&debian);
    let (kept, revoked) = (debian.issue(&channel, &secret), debian.issue(&channel, &secret));
    debian.tegata(&format!("token revoke --channel {channel} --wait 60 --yes {revoked}"));
    debian.verified(&kept, "200");
    debian.verified(&revoked, "401");
    run_the_agent(&debian, &channel, &secret);
    containers::runs_as_the_image_does(&debian.machine);

    upgrade(&debian, &kept, &revoked);
    remove(&debian, &kept, &revoked);
    purge(&debian);
}

/// With the long tests, Debian's checker finds nothing that is not explained.
fn check(package: &Path) {
    if std::env::var_os("TEGATA_LONG").is_some() {
        let compression =
            "uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball";
        let mut lintian = Command::new("lintian");
        lintian.args([
            "--no-cfg",
            "--allow-root",
            "--display-info",
            "--suppress-tags",
            compression,
        ]);
        succeeds(lintian.arg("--fail-on=error,warning,info").arg(package));
    }
}

/// Installs the package as the book describes it; returns a channel and its secret.
fn install(debian: &Debian) -> (String, String) {
    let [server, proxy] = &commands()[..] else { panic!("other blocks") };
    let (install, rest) = server.split_once('\n').expect("several lines");
    debian
        .sh(&format!("cd /shared && {}", install.replace("apt install", "apt-get install --yes")));
    for service in SERVICES {
        let state = debian.machine.state(service);
        assert_eq!(state["ActiveState"], "inactive", "{service}: the operator starts it");
        let enabled = debian.machine.systemctl(&["is-enabled", service]);
        assert_eq!(words(&enabled).trim(), "disabled", "{service}");
    }
    debian.sh(rest);
    debian.becomes("tegata", "ActiveState", "active");
    debian.sh(proxy);
    debian.becomes("tegata-verify-proxy", "ActiveState", "active");
    debian.follows();
    for service in ["tegata", "tegata-verify-proxy"] {
        let process = debian.process(service);
        let owner = debian.sh(&format!("stat -c %U /proc/{process}"));
        assert_eq!(owner.trim(), service, "the process belongs to its own user");
        let status = debian.machine.read(&format!("/proc/{process}/status")).expect("it runs");
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    }
    debian.sh("man_pages=$(ls /usr/share/man/man1/tegata*.1.gz | wc -l); test $man_pages -gt 50");

    // This machine has no certificate authorities; loopback needed none.
    let https = "cd /var/lib/tegata && tegata provider list --url https://localhost \
                 --admin-token-file admin.token 2>&1 || true";
    let refused = debian.sh(https);
    assert!(refused.contains("install the package `ca-certificates`"), "{refused}");

    let provider = debian.tegata("provider create Company");
    let provider = provider["provider_id"].as_str().expect("an id");
    let words = format!("channel create --type messaging-api --provider {provider} shop");
    let channel = debian.tegata(&words);
    let text = |name: &str| channel[name].as_str().expect(name).to_owned();
    (text("channel_id"), text("channel_secret"))
}

/// Starts the agent with the example of the package, for this channel and without a state.
fn run_the_agent(debian: &Debian, channel: &str, secret: &str) {
    debian.sh(&format!(
        "printf %s {secret} > /etc/tegata/channel.secret
         chown tegata-agent /etc/tegata/channel.secret
         chmod 400 /etc/tegata/channel.secret
         sed -e 's/1234567890/{channel}/' -e 's/^state/# state/' \
           -e 's|^# authority = .*|authority = \"http://127.0.0.1:8080\"|' \
           /usr/share/doc/tegata/examples/agent.toml > /etc/tegata/agent.toml
         systemctl enable --now tegata-agent"
    ));
    let token = debian.machine.read("/run/tegata-agent/bot").expect("a token");
    debian.verified(token.trim(), "200");
}

/// Installs the next version while the services run, with settings that the operator changed.
fn upgrade(debian: &Debian, kept: &str, revoked: &str) {
    debian.sh("echo 'log_verifications = true' >> /etc/tegata/tegata.toml");
    let before = SERVICES.map(|it| debian.process(it));
    let again = "apt-get install --yes --allow-downgrades -o Dpkg::Options::=--force-confdef \
                 -o Dpkg::Options::=--force-confold";
    debian.sh(&format!("{again} /shared/next/*.deb"));
    for (service, before) in SERVICES.iter().zip(before) {
        debian.becomes(service, "ActiveState", "active");
        assert_ne!(debian.process(service), before, "{service} runs the new program");
        assert_eq!(debian.machine.state(service)["NRestarts"], "0", "{service}");
    }
    debian.follows();
    debian.verified(kept, "200");
    debian.verified(revoked, "401");
    let settings = debian.machine.read("/etc/tegata/tegata.toml").expect("settings");
    assert!(settings.ends_with("log_verifications = true\n"), "{settings}");
    let theirs = debian.machine.read("/etc/tegata/tegata.toml.dpkg-dist").expect("the new ones");
    assert!(theirs.contains("# A line of the new version."), "{theirs}");
    // The new program uses the operator's settings, and root's commands find them.
    debian.sh("cd /var/lib/tegata && tegata doctor");
    let log = debian.sh("journalctl --unit tegata --output cat");
    assert!(log.contains("/gateway/verify"), "verifications are logged as the settings say");

    // An agent without tokens waits for its authority; the upgrade does not.
    debian.sh("systemctl stop tegata");
    debian.sh(&format!("{again} --reinstall /shared/next/*.deb"));
    debian.becomes("tegata-agent", "ActiveState", "activating");
    assert_eq!(debian.machine.state("tegata")["ActiveState"], "inactive", "it was stopped");
    debian.sh("systemctl start tegata");
    debian.becomes("tegata-agent", "ActiveState", "active");
}

/// Removes the package, and installs it again over what it left.
fn remove(debian: &Debian, kept: &str, revoked: &str) {
    debian.sh("apt-get remove --yes tegata");
    for service in SERVICES {
        assert_eq!(debian.machine.state(service)["ActiveState"], "inactive", "{service}");
    }
    debian.sh("! ls /usr/bin/tegata /lib/systemd/system/tegata*.service 2>/dev/null");
    debian.sh("ls /etc/tegata/tegata.toml /var/lib/tegata/tegata.db /var/lib/tegata/master.key");
    debian.sh(
        "apt-get install --yes /shared/next/*.deb && systemctl start tegata tegata-verify-proxy",
    );
    debian.follows();
    debian.verified(kept, "200");
    debian.verified(revoked, "401");
}

/// Purges the package: the store and its keys stay, and what the operator wrote.
fn purge(debian: &Debian) {
    let said = debian.sh("apt-get purge --yes tegata");
    assert!(said.contains("/var/lib/tegata is kept"), "{said}");
    debian.sh("! ls -d /etc/tegata/tegata.toml /var/lib/tegata/tegata.toml /run/tegata-agent \
               /var/lib/tegata-verify-proxy 2>/dev/null");
    let left = debian.sh("cd /var/lib/tegata && ls tegata.db master.key && stat -c %U master.key");
    assert!(left.ends_with("tegata\n"), "the files keep their owner: {left}");
    debian.sh("ls /etc/tegata/agent.toml /etc/tegata/verifier.token");
}

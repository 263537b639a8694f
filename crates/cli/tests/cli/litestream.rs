//! Litestream, unmodified, as the backup that the book describes: what a copy restores, and
//! what `tegata doctor` says when Litestream has stopped.

use crate::program::{ADMIN_TOKEN, Home, Server, finish};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// The program that `cargo xtask test` installs from Python's registry.
fn litestream() -> PathBuf {
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-parts");
    parts.join("proxies/bin/litestream")
}

/// Litestream at work; dropping it kills it.
struct Copying(Child);

impl Drop for Copying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server whose store Litestream copies to another folder.
struct World {
    home: Home,
    server: Server,
}

impl World {
    fn new() -> Self {
        let home = Home::new();
        let words = ["serve", "--listen", "127.0.0.1:0", "--revocation-journal", "journal.log"];
        let mut command = home.tegata(&words);
        let server = Server::start(command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
        Self { home, server }
    }

    fn copy(&self) -> Copying {
        let mut command = Command::new(litestream());
        command.arg("replicate").arg(self.home.path("tegata.db")).arg(self.replica());
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Copying(quiet.spawn().expect("cargo xtask test installs Litestream"))
    }

    fn replica(&self) -> String {
        format!("file://{}", self.home.path("replica").display())
    }

    /// Runs a command of an administrator.
    fn admin(&self, words: &[&str]) -> Value {
        let mut command = self.home.tegata(&[words, &["-o", "json"]].concat());
        command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN).env("TEGATA_URL", &self.server.url);
        serde_json::from_str(&finish(&mut command).expect(0)).unwrap()
    }

    /// The finding of doctor about the backup.
    fn doctor(&self) -> Value {
        let words = ["doctor", "--listen", "127.0.0.1:1", "-o", "json"];
        let report: Value = serde_json::from_str(&self.home.run(&words).out).unwrap();
        let all = report["findings"].as_array().unwrap();
        all.iter().find(|it| it["check"] == "backup").cloned().unwrap_or(Value::Null)
    }

    /// Restores the copies until one holds this provider; its folder.
    fn restored_with(&self, provider: &str) -> PathBuf {
        for attempt in 0..300 {
            let folder = self.home.path(&format!("restored-{attempt}"));
            let file = folder.join("tegata.db");
            // Litestream would let everyone read what it restores.
            let mut command = Command::new("sh");
            command.args(["-c", r#"umask 077; exec "$0" restore -o "$1" "$2""#]);
            let command = command.arg(litestream()).arg(&file).arg(self.replica());
            let done = command.output().unwrap();
            if done.status.success() && holds(&file, provider) {
                return folder;
            }
            let _ = fs::remove_dir_all(folder);
            thread::sleep(Duration::from_millis(100));
        }
        panic!("Litestream has not copied the provider");
    }
}

/// Whether the text is in the file: names are stored as they are.
fn holds(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).unwrap_or_default();
    bytes.windows(text.len()).any(|it| it == text.as_bytes())
}

#[test]
fn a_copy_of_litestream_is_whole_and_is_served_only_after_a_recovery() {
    let world = World::new();
    assert_eq!(world.doctor(), Value::Null, "nothing is said of a backup that is not set up");
    let copying = world.copy();
    world.admin(&["provider", "create", "Flower shops"]);
    let folder = world.restored_with("Flower shops");
    assert_eq!(world.doctor()["state"], "ok");
    drop(copying);

    for file in ["master.key", "journal.log"] {
        fs::copy(world.home.path(file), folder.join(file)).unwrap();
    }
    let run = |words: &[&str]| finish(world.home.tegata(words).current_dir(&folder));
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    run(&serve).expect_error(1, "tegata recover");
    run(&["recover", "--replay", "journal.log"]).expect(0);
    let doctor: Value =
        serde_json::from_str(&run(&["doctor", "--listen", "127.0.0.1:1", "-o", "json"]).out)
            .unwrap();
    assert_eq!(doctor["wrong"], 0, "{doctor:#}");
}

#[test]
fn doctor_says_how_long_litestream_has_copied_nothing() {
    let world = World::new();
    let copying = world.copy();
    world.admin(&["provider", "create", "Flower shops"]);
    world.restored_with("Flower shops");
    drop(copying);

    // As if it had stopped five minutes before the next act.
    let copies = fs::read_dir(world.home.path(".tegata.db-litestream/ltx/0")).unwrap();
    for copy in copies {
        let file = File::options().write(true).open(copy.unwrap().path()).unwrap();
        let before = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(300);
        file.set_modified(before).unwrap();
    }
    world.admin(&["provider", "create", "Book shops"]);
    let found = world.doctor();
    assert_eq!(found["state"], "warning", "{found:#}");
    assert!(found["what"].as_str().unwrap().contains("after Litestream's last copy"), "{found:#}");
    assert!(found["next_step"].as_str().unwrap().contains("litestream status"), "{found:#}");
}

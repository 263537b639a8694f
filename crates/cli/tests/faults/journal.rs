//! Problems of the revocation journal: a full disk, a disk that fails, a file that was
//! moved, cut, damaged, or belongs to another server. An acknowledged revocation is in the
//! journal, or the response was not a success; readiness names the problem, and the server
//! continues by itself once it is solved.

use crate::{
    Traced, channel,
    disk::{Small, readiness_becomes},
    line::{Channel, is_good, provider, token_in, verify},
    process::{Server, http::Request, serve},
    refused, stop, wait,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A server with a revocation journal, and a backup from before any revocation.
struct Scene {
    home: tempfile::TempDir,
    log: PathBuf,
    server: Server,
    channel: Channel,
    /// Issued before the backup.
    tokens: Vec<String>,
}

impl Scene {
    async fn set(log: Option<&Path>) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let log = log
            .map_or_else(|| home.path().join("revocations.log"), |it| it.join("revocations.log"));
        let server = Server::start(keeping(home.path(), &log)).await;
        let channel = channel(&server).await;
        let mut tokens = Vec::new();
        for _ in 0..6 {
            let issued = server.ask(&channel.issue_short_lived(Default::default())).await;
            tokens.push(token_in(&issued));
        }
        // A recovery treats the last seconds before a backup as lost.
        let json = [("content-type", "application/json")];
        let minute = Request::new("POST", "/dev/clock", &json, r#"{"advance_seconds":60}"#);
        assert_eq!(server.ask(&minute).await.status, 200);
        provider(&server).await;
        let scene = Self { home, log, server, channel, tokens };
        scene.tegata(&["backup", "old.db", "--store", "sqlite:tegata.db"]);
        scene
    }

    async fn revoke(&self, token: usize) -> u16 {
        self.server.ask(&self.channel.revoke(&self.tokens[token])).await.status
    }

    async fn is_good(&self, token: usize) -> bool {
        is_good(&self.server.ask(&verify(&self.tokens[token])).await)
    }

    /// The response of `/readyz`.
    async fn readiness(&self) -> String {
        self.server.ask(&Request::new("GET", "/readyz?verbose", &[], "")).await.text()
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
        command.args(words).current_dir(self.home.path()).stdin(Stdio::null());
        command.output().expect("it runs")
    }

    /// The messages of a command that must succeed.
    #[track_caller]
    fn tegata(&self, words: &[&str]) -> String {
        let done = self.run(words);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{words:?}: {said}");
        String::from_utf8_lossy(&done.stdout).into_owned() + &said
    }

    /// The messages and the exit code of `recover --replay`.
    fn recover(&self) -> (Option<i32>, String) {
        let log = self.log.to_string_lossy();
        let done = self.run(&["recover", "--store", "sqlite:tegata.db", "--replay", &log]);
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    }

    /// Restores the backup, replays the journal, and returns which tokens are active.
    async fn after_a_restore(mut self) -> Vec<bool> {
        stop(&mut self.server).await;
        self.tegata(&["restore", "old.db", "--store", "sqlite:tegata.db"]);
        let (code, said) = self.recover();
        assert_eq!(code, Some(0), "{said}");
        self.start().await;
        let mut live = Vec::new();
        for token in 0..self.tokens.len() {
            live.push(self.is_good(token).await);
        }
        live
    }

    async fn start(&mut self) {
        self.server = Server::start(keeping(self.home.path(), &self.log)).await;
    }

    /// The message of a refused start.
    async fn refused(&self) -> String {
        refused(keeping(self.home.path(), &self.log)).await
    }
}

fn keeping(home: &Path, log: &Path) -> Command {
    let mut command =
        serve(home, &["--dev", "--store", "sqlite:tegata.db", "--min-free-disk", "0"]);
    command.arg("--revocation-journal").arg(log);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_space_for_the_journal_nothing_is_revoked_and_the_rest_works() {
    let small = Small::mount();
    let scene = Scene::set(Some(small.path())).await;
    assert_eq!(scene.revoke(0).await, 200);
    let filler = small.fill();
    // The last page of the file may still have space.
    let mut status = 0;
    for _ in 0..40 {
        status = scene.revoke(1).await;
        if status != 200 {
            break;
        }
        let issued = scene.server.ask(&scene.channel.issue_short_lived(Default::default())).await;
        let more = token_in(&issued);
        status = scene.server.ask(&scene.channel.revoke(&more)).await.status;
        if status != 200 {
            assert!(
                is_good(&scene.server.ask(&verify(&more)).await),
                "a revocation was not stored"
            );
            break;
        }
    }
    assert_eq!(status, 503, "a full disk stores no revocations");
    assert!(readiness_becomes(&scene.server, 503).await);
    let said = scene.readiness().await;
    assert!(said.contains("revocation_journal") && said.contains("No space left"), "{said}");
    let issued = scene.server.ask(&scene.channel.issue_short_lived(Default::default())).await;
    assert_eq!(issued.status, 200, "an issue that ends nothing needs no log");
    assert!(!scene.is_good(0).await && scene.is_good(2).await, "checks go on");

    drop(filler);
    small.make_room();
    assert!(readiness_becomes(&scene.server, 200).await, "{}", scene.readiness().await);
    assert_eq!(scene.revoke(1).await, 200);
    assert_eq!(scene.revoke(2).await, 200);
    assert_eq!(scene.after_a_restore().await, [false, false, false, true, true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_write_access_to_the_journal_revocations_are_refused() {
    let scene = Scene::set(None).await;
    let log = format!("--trace-path={}", scene.log.display());
    let words = [&*log, "--trace=pwrite64", "--inject=pwrite64:error=EROFS"];
    let traced = Traced::attach(&scene.server, &words).await;
    assert_eq!(scene.revoke(0).await, 503);
    assert!(scene.is_good(0).await);
    assert!(readiness_becomes(&scene.server, 503).await);
    let said = scene.readiness().await;
    assert!(said.contains("revocation_journal") && said.contains("Read-only"), "{said}");
    drop(traced);
    assert!(readiness_becomes(&scene.server, 200).await, "{}", scene.readiness().await);
    assert_eq!(scene.revoke(0).await, 200);
    assert_eq!(scene.after_a_restore().await, [false, true, true, true, true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_synchronisation_of_the_journal_stops_the_server_and_the_next_start_works() {
    let mut scene = Scene::set(None).await;
    let log = format!("--trace-path={}", scene.log.display());
    let words = [&*log, "--trace=fdatasync", "--inject=fdatasync:error=EIO"];
    let traced = Traced::attach(&scene.server, &words).await;
    // Unknown, so not acknowledged; nothing more is written.
    assert_eq!(scene.revoke(0).await, 503);
    let ended = wait(&mut scene.server.process).await;
    assert_eq!(ended.code(), Some(1), "a supervisor shall start it again");
    drop(traced);
    scene.start().await;
    assert!(!scene.is_good(0).await, "what the log holds is done again");
    assert_eq!(scene.revoke(1).await, 200);
    assert_eq!(scene.after_a_restore().await, [false, false, true, true, true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_journal_is_continued_in_a_new_file_and_replays_from_all_parts() {
    let scene = Scene::set(None).await;
    let aside = scene.log.with_extension("1");
    assert_eq!(scene.revoke(0).await, 200);
    fs::rename(&scene.log, &aside).expect("moved");
    assert!(readiness_becomes(&scene.server, 200).await);
    assert_eq!(scene.revoke(1).await, 200);
    assert_eq!(scene.revoke(2).await, 200);
    let parts = [fs::read(&aside), fs::read(&scene.log)].map(|it| it.expect("a part"));
    let lines = |part: &[u8]| part.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(
        parts.each_ref().map(|it| lines(it)),
        [2, 3],
        "each has a header and its revocations"
    );
    // Truncated while it is written, as `copytruncate` does.
    let second = scene.log.with_extension("2");
    fs::copy(&scene.log, &second).expect("copied");
    fs::OpenOptions::new().write(true).open(&scene.log).and_then(|it| it.set_len(0)).expect("cut");
    assert_eq!(scene.revoke(3).await, 200);
    let third = fs::read(&scene.log).expect("a part");
    let parts = [fs::read(&aside), fs::read(&second)].map(|it| it.expect("a part"));
    let whole = [&parts[0][..], &parts[1], &third].concat();
    fs::write(scene.log.with_extension("new"), whole).expect("joined");
    fs::rename(scene.log.with_extension("new"), &scene.log).expect("in its place");
    assert_eq!(scene.after_a_restore().await, [false, false, false, false, true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incomplete_last_line_is_reported_and_a_damaged_journal_is_refused_with_advice() {
    let mut scene = Scene::set(None).await;
    assert_eq!(scene.revoke(0).await, 200);
    assert_eq!(scene.revoke(1).await, 200);
    stop(&mut scene.server).await;
    let whole = fs::read(&scene.log).expect("the log");
    let last = whole[..whole.len() - 1].iter().rposition(|&it| it == b'\n').expect("lines") + 1;
    scene.tegata(&["restore", "old.db", "--store", "sqlite:tegata.db"]);

    // A bit in the middle, and one in the last line.
    for (place, line) in [(last - 20, "line 2"), (last + 20, "line 3")] {
        let mut damaged = whole.clone();
        damaged[place] ^= 4;
        fs::write(&scene.log, damaged).expect("written");
        let (code, said) = scene.recover();
        assert_eq!(code, Some(1), "{said}");
        for word in [line, "undamaged copy", "--revoke-everything"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    let half = last + (whole.len() - last) / 2;
    fs::write(&scene.log, &whole[..half]).expect("written");
    let (code, said) = scene.recover();
    assert_eq!(code, Some(0), "{said}");
    let bytes = format!(
        "the last line (3) of the revocation journal is incomplete ({} bytes)",
        half - last
    );
    assert!(said.contains(&bytes), "{said}");
    scene.start().await;
    assert!(!scene.is_good(0).await, "what the log holds is ended");
    stop(&mut scene.server).await;

    // A start checks the journal's first and last lines, too.
    let mut damaged = fs::read(&scene.log).expect("the log");
    let place = damaged.len() - 30;
    damaged[place] ^= 4;
    fs::write(&scene.log, damaged).expect("written");
    let said = scene.refused().await;
    assert!(said.contains("is damaged") && said.contains("move it away"), "{said}");
    fs::rename(&scene.log, scene.log.with_extension("damaged")).expect("moved");
    scene.start().await;
    assert_eq!(scene.revoke(2).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_never_write_one_journal_and_a_read_only_disk_is_reported_at_the_start() {
    let small = Small::mount();
    let mut scene = Scene::set(Some(small.path())).await;
    let other = tempfile::tempdir().expect("a temporary folder");
    let said = refused(keeping(other.path(), &scene.log)).await;
    assert!(said.contains("in use by another process"), "{said}");
    stop(&mut scene.server).await;
    let said = refused(keeping(other.path(), &scene.log)).await;
    assert!(said.contains("belongs to another store"), "{said}");
    small.read_only();
    let said = scene.refused().await;
    assert!(
        said.contains("revocation journal") && said.contains("Read-only file system"),
        "{said}"
    );
}

//! A full disk, a read-only disk, a flipped bit.

use crate::{
    Traced, channel,
    line::{is_good, token_in, verify},
    process::{Server, http::Request, serve},
    refused, stop, wait,
};
use serde_json::json;
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// A file system of 24 MiB, unmounted when dropped.
pub(crate) struct Small(tempfile::TempDir);

impl Small {
    pub(crate) fn mount() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        run("mount", &["-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs"], folder.path());
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn read_only(&self) {
        run("mount", &["-o", "remount,ro"], self.path());
    }

    /// Fills the disk.
    pub(crate) fn fill(&self) -> File {
        let rest = rustix::fs::statvfs(self.path()).expect("a file system");
        let file = File::create(self.path().join("filler")).expect("an empty file still fits");
        let room = rest.f_bavail * rest.f_frsize;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, room).expect("room");
        file
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.path().join("filler")).expect("the filler");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // It stays mounted until the last process closes its files.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn run(program: &str, words: &[&str], folder: &Path) {
    let done = Command::new(program).args(words).arg(folder).output().expect(program);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.success(),
        "{said}\nthis test mounts a small file system: run it as root, or with `unshare -rm`"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_issuing_and_nothing_else_until_there_is_space() {
    let small = Small::mount();
    let mut server = Server::start(serve(small.path(), &["--min-free-disk", "0"])).await;
    let channel = channel(&server).await;
    let old = token_in(&server.ask(&channel.issue_short_lived(Default::default())).await);
    let filler = small.fill();

    // What is in the log's file already can still be written over for a while.
    let mut refused = None;
    for _ in 0..2_000 {
        let response = server.ask(&channel.issue_short_lived(Default::default())).await;
        match response.status {
            200 => {}
            503 => {
                refused = Some(response);
                break;
            }
            other => panic!("{other}: {}", response.text()),
        }
    }
    let refused = refused.expect("a full disk has no room for 2,000 tokens");
    assert_eq!(refused.header("retry-after"), Some("1"), "{refused:?}");
    let stateless = server.ask(&channel.issue_stateless(Default::default())).await;
    assert_eq!(stateless.status, 200, "what needs no row needs no disk");
    let revoked = server.ask(&channel.revoke(&old)).await;
    assert_eq!(revoked.status, 503, "a revocation that cannot be stored is not acknowledged");
    assert!(readiness_becomes(&server, 503).await, "it cannot commit");
    for _ in 0..100 {
        // The channel's cap may have evicted `old` before the disk was full.
        let check = server.ask(&verify(&token_in(&stateless))).await;
        assert!(is_good(&check), "checks need no disk");
    }
    assert!(!is_good(&server.ask(&verify("made-up")).await));

    drop(filler);
    small.make_room();
    let new = server.ask(&channel.issue_short_lived(Default::default())).await;
    assert_eq!(new.status, 200, "{}", new.text());
    let new = token_in(&new);
    assert!(is_good(&server.ask(&verify(&new)).await));
    assert_eq!(server.ask(&channel.revoke(&new)).await.status, 200);
    assert!(!is_good(&server.ask(&verify(&new)).await));
    assert!(readiness_becomes(&server, 200).await, "it can commit again");
    stop(&mut server).await;
    assert_sound(small.path());
}

/// `/readyz` caches its response for a second.
pub(crate) async fn readiness_becomes(server: &Server, status: u16) -> bool {
    for _ in 0..200 {
        if server.ask(&Request::new("GET", "/readyz", &[], "")).await.status == status {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_read_only_disk_it_does_not_start_and_reports_why() {
    let small = Small::mount();
    let mut server = Server::start(serve(small.path(), &["--min-free-disk", "0"])).await;
    stop(&mut server).await;
    drop(server);
    small.read_only();
    let said = refused(serve(small.path(), &[])).await;
    assert!(said.contains("Read-only file system") || said.contains("readonly"), "{said}");
}

/// The kernel remounts a damaged file system read-only, also with files open for writing,
/// which a test cannot do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_becomes_read_only_stops_the_server_and_loses_nothing() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(serve(home.path(), &[])).await;
    let channel = channel(&server).await;
    let live = token_in(&server.ask(&channel.issue_short_lived(Default::default())).await);
    let ended = token_in(&server.ask(&channel.issue_short_lived(Default::default())).await);
    assert_eq!(server.ask(&channel.revoke(&ended)).await.status, 200);
    let read_only = Traced::attach(&server, &["--inject=pwrite64:error=EROFS"]).await;
    // Unlike with a full disk the server stops: the content of the log is unknown.
    let response = server.ask(&channel.revoke(&live)).await;
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(wait(&mut server.process).await.code(), Some(1), "it says that it failed");
    drop(read_only);
    drop(server);
    let mut server = Server::start(serve(home.path(), &[])).await;
    assert!(is_good(&server.ask(&verify(&live)).await), "it was never ended");
    assert!(!is_good(&server.ask(&verify(&ended)).await), "a revocation was undone");
    assert_eq!(server.ask(&channel.revoke(&live)).await.status, 200);
    stop(&mut server).await;
    assert_sound(home.path());
}

/// A flipped bit in the file: the server refuses to start, or cannot answer, or
/// answers as before. It never takes a revoked token for a good one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_never_revives_a_revoked_token() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(serve(home.path(), &[])).await;
    let channel = channel(&server).await;
    let mut tokens = Vec::new();
    for _ in 0..12 {
        let issued = server.ask(&channel.issue_short_lived(Default::default())).await;
        tokens.push(token_in(&issued));
    }
    // More than a few, so that they are compacted: a cutoff, with exceptions.
    for token in &tokens[..11] {
        assert_eq!(server.ask(&channel.revoke(token)).await.status, 200);
    }
    let gone = server.ask(&channel.revocation(&json!({"kind": "stateless"}))).await;
    assert_eq!(gone.status, 201);
    stop(&mut server).await;
    drop(server);

    let file = home.path().join("tegata.db");
    let whole = fs::read(&file).expect("the store");
    let (mut woken, mut asked) = (Vec::new(), 0);
    for at in bits_of_facts(&file, &whole) {
        flip(&file, at);
        let mut command = serve(home.path(), &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(server) = Server::start_or_refuse(command).await {
            asked += 1;
            for token in &tokens[..11] {
                let response = server.ask(&verify(token)).await;
                if response.status == 200 {
                    woken.push(at);
                }
            }
        }
        fs::write(&file, &whole).expect("restored");
        for beside in ["tegata.db-wal", "tegata.db-shm"] {
            let _ = fs::remove_file(home.path().join(beside));
        }
    }
    assert!(woken.is_empty(), "flipping these bits woke tokens: {woken:?} ({asked} starts)");
}

/// About every third bit of the file's parts that hold revocations.
fn bits_of_facts(file: &Path, whole: &[u8]) -> Vec<u64> {
    let store = rusqlite::Connection::open(file).expect("the store");
    let revocations: String = store
        .query_row("SELECT revocations FROM channel_revocations", [], |row| row.get(0))
        .expect("revocations");
    let at = whole
        .windows(revocations.len())
        .position(|window| window == revocations.as_bytes())
        .expect("the facts stand in the file");
    let step = if std::env::var_os("TEGATA_LONG").is_some() { 3 } else { 41 };
    (at * 8..(at + revocations.len()) * 8).step_by(step).map(|bit| bit as u64).collect()
}

fn flip(file: &Path, bit: u64) {
    let file = OpenOptions::new().read(true).write(true).open(file).expect("the store");
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).expect("a byte");
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit / 8).expect("a byte");
}

fn assert_sound(home: &Path) {
    let store = rusqlite::Connection::open(home.join("tegata.db")).expect("the store");
    let said: String =
        store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a response");
    assert_eq!(said, "ok");
}

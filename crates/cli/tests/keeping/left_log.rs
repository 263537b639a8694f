//! A server that is killed leaves SQLite's log, which must not be replayed over the file that has
//! the store's name next.

use crate::{
    Home, good,
    line::{self, Channel, With, token_in},
    ok,
    process::{Server, key::Key},
    stop,
};
use std::fs;

/// A token that was revoked, and one that was not, in a store with a backup from before the
/// revocation, whose server was killed.
struct Killed {
    home: Home,
    revoked: String,
    kept: String,
}

impl Killed {
    async fn new() -> Self {
        let home = Home::new();
        let mut server = home.start().await;
        let provider = line::provider(&server).await;
        let shop = Channel::create(&server, &provider, &Key::generate()).await;
        let issue = async |server: &Server| {
            token_in(&server.ask(&shop.issue_short_lived(With::default())).await)
        };
        let (revoked, kept) = (issue(&server).await, issue(&server).await);
        crate::pass(&server, 60).await;
        home.tegata(&["backup", "old.db"]);
        ok(&server.ask(&shop.revoke(&revoked)).await);
        server.process.kill().expect("killed");
        drop(server);
        assert!(home.path("tegata.db-wal").exists(), "a killed server leaves its log");
        Self { home, revoked, kept }
    }

    /// Asserts that the backup is noticed, and that its recovery loses no revocation.
    async fn recovers(self) {
        let Self { home, revoked, kept } = self;
        let said = home.refused();
        assert!(said.contains("it is a backup"), "{said}");
        let done = home.tegata(&["recover", "--replay", "revocations.log"]);
        assert!(done["revocations_replayed"].as_u64() > Some(0), "{done}");
        let server = home.start().await;
        assert!(!good(&server, &revoked).await, "it was revoked");
        assert!(good(&server, &kept).await);
        stop(server);
    }
}

/// Restores the backup by the command, after `lost` happened to the store's file.
async fn is_restored_after(lost: impl Fn(&std::path::Path)) {
    let killed = Killed::new().await;
    lost(&killed.home.path("tegata.db"));
    let done = killed.home.tegata(&["restore", "old.db"]);
    let aside = done["moved_aside"].as_str().expect("the log was moved aside");
    assert!(fs::metadata(format!("{aside}-wal")).is_ok_and(|it| it.len() > 0), "{aside}");
    killed.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restored_over_the_store_of_a_killed_server_is_noticed() {
    is_restored_after(|_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restored_where_a_killed_server_left_only_a_log_is_noticed() {
    is_restored_after(|store| fs::remove_file(store).expect("removed")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restored_beside_an_emptied_store_and_its_log_is_noticed() {
    is_restored_after(|store| fs::write(store, "").expect("emptied")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_put_by_hand_beside_the_log_of_a_killed_server_is_refused_with_the_next_step() {
    let killed = Killed::new().await;
    let home = &killed.home;
    fs::copy(home.path("old.db"), home.path("tegata.db")).expect("copied");
    let mut all = vec![home.refused()];
    let commands: [&[&str]; 6] = [
        &["recover", "--replay", "revocations.log"],
        &["migrate"],
        &["backup", "mixed.db"],
        &["audit", "verify", "--store", "sqlite:tegata.db"],
        &["audit", "accept"],
        &["doctor"],
    ];
    for words in commands {
        let output = home.run(words);
        assert!(!output.status.success(), "{words:?}");
        let (out, said) = (output.stdout, output.stderr);
        all.push(String::from_utf8_lossy(&[out, said].concat()).into_owned());
    }
    for said in all {
        assert!(said.contains("is not the log of") && said.contains("tegata.db-shm"), "{said}");
    }
    assert!(home.path("tegata.db-wal").exists(), "the log is not lost");
    assert!(!home.path("mixed.db").exists());
    for name in ["tegata.db-wal", "tegata.db-shm"] {
        fs::rename(home.path(name), home.path(&format!("old.{name}"))).expect("moved");
    }
    killed.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_store_does_not_destroy_the_log_of_one_that_is_missing() {
    let killed = Killed::new().await;
    let store = killed.home.path("tegata.db");
    fs::rename(&store, killed.home.path("elsewhere.db")).expect("moved");
    let said = killed.home.refused();
    assert!(said.contains("is not the log of"), "{said}");
    fs::rename(killed.home.path("elsewhere.db"), &store).expect("put back");
    let server = killed.home.start().await;
    assert!(!good(&server, &killed.revoked).await, "the log has the revocation");
    assert!(good(&server, &killed.kept).await);
    stop(server);
}

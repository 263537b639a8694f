//! A backup is restored while a receipt is awaited: the store's new epoch does not know every
//! instance that can still accept.

use crate::{
    World,
    gates::{channel, gate, issue, last_accepted, revoke, until_in_epoch_of, verifier, verify},
    process::{Server, http::Request, serve},
    proxy::Proxy,
    states,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant},
};

/// An authority with a revocation journal.
fn with_journal(folder: &Path) -> Command {
    serve(folder, &["--revocation-journal", "journal.log"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_a_restore_interrupts_is_pending_and_the_next_one_waits_for_lost_instances()
{
    let mut world = World::of(with_journal).await;
    let channel = channel(&world).await;
    let proxies = [(); 2].map(|()| Proxy::to(world.server.address()));
    let [near, far] = proxies;
    let (near, far) = (near.await, far.await);
    let (_, verifier) = verifier(&world, "restored", 12_000).await;
    let known = gate(&world, near.address(), &verifier, "12s").await;
    let token = issue(&world, &channel).await;
    world.run(&["backup", "backup.db"]);
    let lost = gate(&world, far.address(), &verifier, "12s").await;
    for gate in [&known, &lost] {
        assert_eq!(verify(gate.address(), &token).await, Some(200));
    }
    far.swallow(true);

    let authority = &world.server;
    let stop = async {
        while verify(authority.address(), &token).await == Some(200) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kill_process(Pid::from_child(&authority.process), Signal::TERM).unwrap();
    };
    let (revoked, ()) = tokio::join!(revoke(&world, &channel, &token, 30), stop);
    assert_eq!(revoked["receipt"]["state"], "pending", "{revoked:#}");
    assert!(world.server.process.wait().unwrap().success());
    world.run(&["restore", "backup.db"]);
    world.run(&["recover", "--replay", "journal.log"]);
    world.server = Server::start(with_journal(world.folder.path())).await;
    near.point_at(world.server.address());

    let old = format!("/receipts/{}", revoked["position"].as_str().unwrap());
    let old = world.server.ask(&Request::admin("GET", &old, None)).await;
    assert_eq!(old.status, 404, "{}", old.text());
    let again = revoke(&world, &channel, &token, 0).await;
    assert_eq!(again["receipt"]["state"], "pending", "{again:#}");
    let over = AtomicBool::new(false);
    let receipt = async {
        let receipt = world.receipt(&again["position"], 30).await;
        let complete = Instant::now();
        far.point_at(world.server.address());
        far.swallow(false);
        until_in_epoch_of(lost.address(), &again).await;
        over.store(true, SeqCst);
        (receipt, complete)
    };
    let accepts = last_accepted(lost.address(), &token, &over);
    let ((receipt, complete), accepted) = tokio::join!(receipt, accepts);
    assert_eq!(receipt["state"], "complete", "{receipt:#}");
    // For each of the two verifiers, one line stands for the instances that were lost.
    assert_eq!(states(&receipt, ["acknowledged", "lease-expired"]), [1, 2], "{receipt:#}");
    let accepted = accepted.expect("what is left of its lease is used, or this shows nothing");
    assert!(accepted < complete, "{:?} after the receipt", accepted.duration_since(complete));
    for gate in [&known, &lost] {
        assert_eq!(verify(gate.address(), &token).await, Some(401));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_waits_for_lost_instances_of_a_verifier_that_was_created_after_the_backup() {
    let mut world = World::of(with_journal).await;
    let channel = channel(&world).await;
    let proxy = Proxy::to(world.server.address()).await;
    let token = issue(&world, &channel).await;
    world.run(&["backup", "backup.db"]);
    let (_, verifier) = verifier(&world, "new", 12_000).await;
    let lost = gate(&world, proxy.address(), &verifier, "12s").await;
    assert_eq!(verify(lost.address(), &token).await, Some(200));
    proxy.swallow(true);

    kill_process(Pid::from_child(&world.server.process), Signal::TERM).unwrap();
    assert!(world.server.process.wait().unwrap().success());
    world.run(&["restore", "backup.db"]);
    world.run(&["recover", "--replay", "journal.log"]);
    world.server = Server::start(with_journal(world.folder.path())).await;
    let revoked = revoke(&world, &channel, &token, 0).await;
    assert_eq!(revoked["receipt"]["state"], "pending", "{revoked:#}");
    let over = AtomicBool::new(false);
    let receipt = async {
        let receipt = world.receipt(&revoked["position"], 30).await;
        over.store(true, SeqCst);
        (receipt, Instant::now())
    };
    let accepts = last_accepted(lost.address(), &token, &over);
    let ((receipt, complete), accepted) = tokio::join!(receipt, accepts);
    assert_eq!(receipt["state"], "complete", "{receipt:#}");
    assert_eq!(states(&receipt, ["lease-expired"]), [2], "{receipt:#}");
    let named = receipt["verifiers"].as_array().unwrap().iter().any(|it| it["name"] == "new");
    assert!(named, "{receipt:#}");
    let accepted = accepted.expect("what is left of its lease is used, or this shows nothing");
    assert!(accepted < complete, "{:?} after the receipt", accepted.duration_since(complete));
}

//! A verifier's credential is replaced, and deleted, under running `tegata verify-proxy`
//! processes: no receipt that was complete becomes wrong.

use crate::{
    World,
    gates::{
        channel, delete, gate, issue, last_accepted, revoke, until_ready_has, verifier, verify,
    },
    line::Channel,
    process::{Server, serve},
    proxy::Proxy,
    states,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Revokes one token after the other, and asks the proxies that run meanwhile.
struct Revocations {
    gates: Mutex<Vec<Arc<Server>>>,
    over: AtomicBool,
    /// The number of revocations so far, and the last one.
    done: watch::Sender<(usize, Value)>,
}

impl Revocations {
    fn gates(&self) -> Vec<Arc<Server>> {
        self.gates.lock().unwrap().clone()
    }

    async fn go_on(&self, world: &World, channel: &Channel) {
        let mut revoked = Vec::new();
        while !self.over.load(SeqCst) {
            let token = issue(world, channel).await;
            let mut accepted = 0;
            for gate in self.gates() {
                accepted += usize::from(verify(gate.address(), &token).await == Some(200));
            }
            assert!(accepted > 0, "no proxy has accepted the token before its revocation");
            let response = revoke(world, channel, &token, 30).await;
            assert_eq!(response["receipt"]["state"], "complete", "{response:#}");
            revoked.push(token);
            // Those that started since must not accept an earlier one, either.
            for token in revoked.iter().rev().take(5) {
                for gate in self.gates() {
                    let status = verify(gate.address(), token).await;
                    assert_ne!(status, Some(200), "after its receipt was complete");
                }
            }
            self.done.send_modify(|(count, last)| {
                *count += 1;
                *last = response;
            });
        }
    }

    /// The receipt of a revocation that began and was complete from here on.
    async fn two_more(&self) -> Value {
        let mut done = self.done.subscribe();
        let from = done.borrow_and_update().0;
        let (_, last) = done.wait_for(|(count, _)| *count >= from + 2).await.unwrap().clone();
        last["receipt"].clone()
    }
}

fn names(receipt: &Value) -> Vec<&str> {
    let lines = receipt["verifiers"].as_array().unwrap();
    lines.iter().map(|it| it["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_verifiers_credential_is_replaced_no_complete_receipt_becomes_wrong() {
    let world = World::new().await;
    let channel = channel(&world).await;
    // A revocation takes some time to arrive, so that a receipt can be complete too early.
    let proxy = Proxy::to(world.server.address()).await;
    proxy.delay(Duration::from_millis(200));
    let (old, old_token) = verifier(&world, "old", 2_000).await;
    let start = async |token: &str| Arc::new(gate(&world, proxy.address(), token, "2s").await);
    let gates = Mutex::new(vec![start(&old_token).await, start(&old_token).await]);
    let done = watch::Sender::new((0, Value::Null));
    let all = Revocations { gates, over: AtomicBool::new(false), done };
    let replace = async {
        assert_eq!(names(&all.two_more().await), ["old", "old"]);
        let (_, new_token) = verifier(&world, "new", 2_000).await;
        for _ in 0..2 {
            let new = start(&new_token).await;
            all.gates.lock().unwrap().push(new);
            all.two_more().await;
        }
        assert_eq!(names(&all.two_more().await), ["new", "new", "old", "old"]);
        for left in [&["new", "new", "old"][..], &["new", "new"]] {
            // It is still asked while it stops.
            let gate = all.gates()[0].clone();
            kill_process(Pid::from_child(&gate.process), Signal::TERM).unwrap();
            all.two_more().await;
            all.gates.lock().unwrap().remove(0);
            let receipt = all.two_more().await;
            assert_eq!(names(&receipt), left, "{receipt:#}");
        }
        delete(&world, &old).await;
        let receipt = all.two_more().await;
        assert_eq!(states(&receipt, ["acknowledged"]), [2], "{receipt:#}");
        all.over.store(true, SeqCst);
    };
    tokio::join!(replace, all.go_on(&world, &channel));
}

/// When a receipt was complete because the lease of its only instance had run out.
async fn complete(world: &World, revoked: &Value) -> Instant {
    let receipt = world.receipt(&revoked["position"], 30).await;
    let complete = Instant::now();
    assert_eq!(receipt["state"], "complete", "{receipt:#}");
    assert_eq!(states(&receipt, ["lease-expired"]), [1], "{receipt:#}");
    complete
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thawed_instance_of_a_deleted_verifier_accepts_nothing_after_a_receipt_of_another_process()
 {
    let mut world = World::new().await;
    let channel = channel(&world).await;
    let proxy = Proxy::to(world.server.address()).await;
    let (id, token) = verifier(&world, "deleted", 12_000).await;
    let gate = gate(&world, proxy.address(), &token, "12s").await;
    let (before, after) = (issue(&world, &channel).await, issue(&world, &channel).await);
    proxy.swallow(true);
    let pid = Pid::from_child(&gate.process);
    kill_process(pid, Signal::STOP).unwrap();
    delete(&world, &id).await;
    let first = revoke(&world, &channel, &before, 0).await;
    assert_eq!(states(&first["receipt"], ["waiting"]), [1], "{first:#}");
    world.server.process.kill().unwrap();
    world.server.process.wait().unwrap();
    world.server = Server::start(serve(world.folder.path(), &[])).await;
    let second = revoke(&world, &channel, &after, 0).await;
    assert_eq!(states(&second["receipt"], ["waiting"]), [1], "{second:#}");
    kill_process(pid, Signal::CONT).unwrap();
    let over = AtomicBool::new(false);
    let receipts = async {
        let both = tokio::join!(complete(&world, &first), complete(&world, &second));
        // Its requests are rejected from here on.
        proxy.point_at(world.server.address());
        proxy.swallow(false);
        until_ready_has(gate.address(), "check TEGATA_VERIFIER_TOKEN").await;
        over.store(true, SeqCst);
        both
    };
    let accepts = |token| last_accepted(gate.address(), token, &over);
    let (receipts, first, second) = tokio::join!(receipts, accepts(&before), accepts(&after));
    for (complete, accepted) in [(receipts.0, first), (receipts.1, second)] {
        let accepted = accepted.expect("what is left of its lease is used, or this shows nothing");
        assert!(accepted < complete, "{:?} after the receipt", accepted.duration_since(complete));
    }
}

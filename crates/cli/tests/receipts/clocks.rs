//! The authority's wall clock is set while proxies follow it.

use crate::{
    World,
    gates::{channel, gate, issue, last_accepted, revoke, until_ready_has, verifier, verify},
    line::{self, With},
    process::{Server, serve},
    proxy::Proxy,
    states,
    wall::Wall,
};
use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_authoritys_wall_clock_that_is_set_shortens_no_lease_and_revives_no_token() {
    let mut wall = None;
    let mut world = World::of(|folder| {
        let mut command = serve(folder, &[]);
        wall = Some(Wall::of(&mut command, folder, "+0"));
        command
    })
    .await;
    let wall = wall.unwrap();
    let channel = channel(&world).await;
    let proxy = Proxy::to(world.server.address()).await;
    let (_, verifier) = verifier(&world, "gateway", 3_000).await;
    let follows = gate(&world, world.server.address(), &verifier, "3s").await;
    let cut_off = gate(&world, proxy.address(), &verifier, "3s").await;
    let stateless = world.server.ask(&channel.issue_stateless(With::default())).await;
    let stateless = line::token_in(&stateless);
    assert_eq!(verify(follows.address(), &stateless).await, Some(200));

    for moment in ["-3600", "+7200", "+0"] {
        let token = issue(&world, &channel).await;
        until_ready_has(cut_off.address(), r#""status":"ready""#).await;
        assert_eq!(verify(cut_off.address(), &token).await, Some(200), "{moment}");
        proxy.swallow(true);
        let began = Instant::now();
        let revoked = revoke(&world, &channel, &token, 0).await;
        wall.set(moment);
        let over = AtomicBool::new(false);
        let receipt = async {
            let receipt = world.receipt(&revoked["position"], 30).await;
            let complete = Instant::now();
            until_ready_has(cut_off.address(), r#""status":"unready""#).await;
            over.store(true, SeqCst);
            (receipt, complete)
        };
        let accepts = last_accepted(cut_off.address(), &token, &over);
        let ((receipt, complete), accepted) = tokio::join!(receipt, accepts);
        assert_eq!(receipt["state"], "complete", "{moment}: {receipt:#}");
        let expected = ["acknowledged", "lease-expired"];
        assert_eq!(states(&receipt, expected), [1, 1], "{moment}: {receipt:#}");
        assert!(accepted.expect("for what is left of its lease") < complete, "{moment}");
        let waited = complete.duration_since(began);
        assert!(waited < Duration::from_secs(20), "{moment}: {waited:?}");
        proxy.swallow(false);
    }

    // It expired when the clock was ahead, and stays so, for later processes, too.
    assert_eq!(verify(follows.address(), &stateless).await, Some(401));
    world.server.process.kill().unwrap();
    world.server.process.wait().unwrap();
    world.server = Server::start(serve(world.folder.path(), &[])).await;
    assert_eq!(verify(follows.address(), &stateless).await, Some(401));
    let later = gate(&world, world.server.address(), &verifier, "3s").await;
    assert_eq!(verify(later.address(), &stateless).await, Some(401));
}

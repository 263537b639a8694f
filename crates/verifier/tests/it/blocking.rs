//! The verifier for programs without a Tokio runtime, and its decision about requests.

use crate::{
    authority::{Authority, channel, of_an_unknown_key, token},
    network::{revoke, settings},
};
use std::{
    sync::{Arc, mpsc},
    time::Duration,
};
use tegata_gateway::decision::Refusal;
use tegata_token::{feed::OnStale, verify::Invalid};
use tegata_verifier::{
    BlockingVerifier, FollowSettings, NotAccepted, gate::BlockingGate, standing::Stale,
};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a program without a runtime while the authority answers.
async fn without_a_runtime(program: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(program).await.unwrap();
}

fn start(settings: FollowSettings) -> Arc<BlockingVerifier> {
    Arc::new(BlockingVerifier::start(settings).unwrap())
}

/// Settings with a staleness that a busy machine does not reach.
fn patient(authority: &Authority) -> FollowSettings {
    let mut settings = settings(authority, OnStale::Deny);
    settings.wanted.staleness = PATIENCE;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_the_first_view_and_then_verifies_from_memory() {
    let authority = Authority::start().await;
    let settings = patient(&authority);
    without_a_runtime(move || {
        let verifier = start(settings);
        assert!(verifier.ready(PATIENCE));
        assert_eq!(verifier.verify(token(1).as_bytes()).unwrap().claims.channel, channel());
        assert!(verifier.recall(token(1).as_bytes()).unwrap().is_ok());
        assert!(verifier.age().unwrap() < PATIENCE);
        authority.append(revoke(1));
        let invalid = loop {
            match verifier.recall(token(1).as_bytes()).unwrap() {
                Ok(_) => std::thread::yield_now(),
                Err(invalid) => break invalid,
            }
        };
        assert!(matches!(invalid, NotAccepted::Invalid(Invalid::Revoked(_))), "{invalid}");
        verifier.stop(PATIENCE).unwrap();
        let stopped = NotAccepted::Unknown(Stale::Withdrawn);
        assert_eq!(verifier.verify(token(2).as_bytes()).unwrap_err(), stopped);
        assert!(authority.seen().queries.last().unwrap().contains(&("bye".into(), "1".into())));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_view_the_state_is_unknown_after_a_second() {
    without_a_runtime(|| {
        let url = "http://127.0.0.1:9".parse().unwrap();
        let verifier = start(FollowSettings::new(url, "token").unwrap());
        assert!(verifier.recall(b"x").is_none(), "the view may be on its way");
        let unknown = NotAccepted::Unknown(Stale::NoView);
        assert_eq!(verifier.verify(token(1).as_bytes()).unwrap_err(), unknown);
        assert!(!verifier.ready(Duration::ZERO) && verifier.age().is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_answers_as_the_layer_does_and_counts_the_uses() {
    let authority = Authority::start().await;
    let settings = patient(&authority);
    without_a_runtime(move || {
        let verifier = start(settings);
        let gate = |name, value| BlockingGate::new(verifier.clone(), [(name, value)]).unwrap();
        let (open, other) = (gate("kind", "v2.1"), gate("group", "a"));
        let header = format!("Bearer {}", token(1));
        let header = header.as_bytes();
        assert_eq!(open.verify(&[header], None).unwrap().claims.channel, channel());
        assert!(open.recall(&[header], None).unwrap().is_ok());
        let refusal = |gate: &BlockingGate, headers: &[&[u8]]| {
            let found = gate.recall(headers, None).unwrap().unwrap_err();
            assert_eq!(gate.verify(headers, None).unwrap_err(), found);
            found
        };
        assert_eq!(refusal(&other, &[header]), Refusal::Denied);
        assert_eq!(refusal(&open, &[]), Refusal::NoToken);
        assert_eq!(refusal(&open, &[header, header]), Refusal::NoToken);
        assert_eq!(refusal(&open, &[b"Basic abc"]), Refusal::NoToken);
        assert_eq!(refusal(&open, &[b"Bearer abc"]), Refusal::Invalid);
        let long = [b"Bearer ".to_vec(), vec![b'a'; 9_000]].concat();
        assert_eq!(refusal(&open, &[&long]), Refusal::TooLong);
        assert!(BlockingGate::new(verifier.clone(), [("kinds", "v2.1")]).is_err());
        verifier.stop(PATIENCE).unwrap();
        assert_eq!(refusal(&open, &[header]), Refusal::Unknown);
        // Of the first two alone.
        let counts = authority.seen().reports.into_iter().flat_map(|it| it.minutes);
        let counts = counts.flat_map(|it| it.uses).map(|it| it.count);
        assert_eq!(counts.sum::<u64>(), 2);
    })
    .await;
}

/// Verifies a token that is not accepted 1,100 times at once: more often than verifications may wait.
fn verified_at_once(verifier: &BlockingVerifier, bad: &[u8]) -> mpsc::Receiver<NotAccepted> {
    let (send, answers) = mpsc::channel();
    for _ in 0..1_100 {
        let send = send.clone();
        verifier.verify_then(bad.to_vec(), move |found| send.send(found.unwrap_err()).unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_a_credential_do_not_take_the_places_of_introspections() {
    let authority = Authority::start().await;
    let settings = settings(&authority, OnStale::Ask);
    without_a_runtime(move || {
        let verifier = start(settings);
        assert!(verifier.ready(PATIENCE));
        authority.change(|it| (it.status, it.active) = (Some(503), true));
        while verifier.health().unwrap().stale.is_none() {
            std::thread::yield_now();
        }
        let bad = of_an_unknown_key().into_bytes();
        let answers = verified_at_once(&verifier, &bad);
        let busy = NotAccepted::Unknown(Stale::Busy);
        assert_eq!(answers.recv().unwrap(), busy, "all their places are taken");
        assert!(verifier.verify(token(1).as_bytes()).is_ok());
        let (send, answer) = mpsc::channel();
        verifier.verify_then(token(1).into_bytes(), move |it| send.send(it.is_ok()).unwrap());
        assert!(answer.recv().unwrap());
        assert_eq!(verifier.verify(&bad).unwrap_err(), busy, "they wait until now");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_waits_keeps_no_thread_and_so_many_wait_and_no_more() {
    let authority = Authority::start().await;
    let settings = patient(&authority);
    without_a_runtime(move || {
        let verifier = start(settings);
        assert!(verifier.ready(PATIENCE));
        authority.change(|it| it.status = Some(503));
        let bad = of_an_unknown_key().into_bytes();
        let answers = verified_at_once(&verifier, &bad);
        let unknown = |stale| NotAccepted::Unknown(stale);
        let first: Vec<_> = (0..76).map(|_| answers.recv().unwrap()).collect();
        assert_eq!(first, [unknown(Stale::Busy); 76]);
        assert_eq!(verifier.verify(&bad).unwrap_err(), unknown(Stale::Busy));
        assert!(verifier.verify(token(1).as_bytes()).is_ok());
        let others: Vec<_> = answers.into_iter().collect();
        assert_eq!(others, [unknown(Stale::Unanswered); 1_024]);
        authority.change(|it| it.status = None);
        // There is room again, and an answer.
        let unknown_key = NotAccepted::Invalid(Invalid::UnknownKey);
        while verifier.verify(&bad).unwrap_err() != unknown_key {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_verifiers_stop_at_once() {
    let authority = Authority::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut unanswered = patient(&authority);
    unanswered.authority = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let answered = patient(&authority);
    without_a_runtime(move || {
        let of = |settings: &FollowSettings| start(settings.clone());
        // Those whose authority is silent take the whole time.
        let all = [of(&unanswered), of(&unanswered), of(&answered), of(&answered)];
        assert!(all[2].ready(PATIENCE) && all[3].ready(PATIENCE));
        BlockingVerifier::stop_all(all.iter().map(|it| &**it), Duration::from_secs(2));
        for verifier in &all {
            let unknown = verifier.verify(token(1).as_bytes()).unwrap_err();
            assert!(matches!(unknown, NotAccepted::Unknown(_)), "{unknown}");
        }
        let is_bye = |it: &&Vec<_>| it.contains(&("bye".into(), "1".into()));
        assert_eq!(authority.seen().queries.iter().filter(is_bye).count(), 2);
        BlockingVerifier::stop_all(all[2..].iter().map(|it| &**it), PATIENCE);
    })
    .await;
}

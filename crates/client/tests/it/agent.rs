//! The agent's logic, step by step: its requests and their keys, its kept state, the
//! revocation of predecessors, and its health.

use std::{fs, path::Path};
use tegata_client::{
    Failure,
    agent::{
        config::Config,
        core::{Core, Done, Order, RandomSource},
        health::{AgentHealth, Colour},
        target::{TargetRequest, TargetResponse},
    },
    call::{TokenResponse, Verified},
    holder::GRACE,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::{kind::Kind, time::UnixTime};

const NOW: UnixTime = UnixTime(1_800_000_000);
const LIFE: i64 = 1_000;

/// Always the same number and jitter.
struct Fixed(u64);

impl RandomSource for Fixed {
    fn jitter(&mut self) -> f64 {
        0.0
    }

    fn number(&mut self) -> u64 {
        self.0
    }
}

/// One token without a group, in a file below `out`, kept in `state`.
fn settings(home: &Path) -> Config {
    let text = format!(
        "state = 'state'\n[[channel]]\nid = '1234567890'\nkey_env = 'K'\nsecret_env = 'S'\n\
         [[token]]\nname = 't'\nchannel = '1234567890'\nlifetime = {LIFE}\n\
         [[sink]]\ntokens = ['t']\npath = 'out/t'\n"
    );
    Config::parse(&text, home).unwrap()
}

fn agent(home: &Path, number: u64, now: UnixTime) -> Core {
    let mut core = Core::new(&settings(home), now, Box::new(Fixed(number)));
    work(&mut core, now);
    core
}

/// Carries out all due file work.
fn work(core: &mut Core, now: UnixTime) {
    loop {
        let orders = core.due_files(now);
        if orders.is_empty() {
            return;
        }
        for order in orders {
            core.done(now, order.carry_out());
        }
    }
}

fn done(core: &mut Core, now: UnixTime, done: Done) {
    core.done(now, done);
    work(core, now);
}

fn acts(core: &mut Core, now: UnixTime) -> Vec<TargetRequest> {
    work(core, now);
    let act = |order| match order {
        Order::TargetRequest { act, .. } => act,
        other => panic!("{other:?}"),
    };
    core.due(now).into_iter().map(act).collect()
}

/// The key with which it requests a token now.
fn key(core: &mut Core, now: UnixTime) -> String {
    match acts(core, now).as_slice() {
        [TargetRequest::Issue { key }] => key.clone(),
        other => panic!("{other:?}"),
    }
}

fn issued(core: &mut Core, now: UnixTime, token: &str) {
    let token = PlainSecret::from_caller(token.to_owned());
    let issued = TokenResponse { token, expires_in: LIFE, key_id: None };
    done(core, now, Done::TargetRequest(0, TargetResponse::TokenResponse(Ok(issued))));
}

fn verified(core: &mut Core, now: UnixTime, expires_in: i64) {
    let verified = Verified { client_id: "1234567890".to_owned(), expires_in, scope: None };
    done(core, now, Done::TargetRequest(0, TargetResponse::Verified(Ok(verified))));
}

fn lost(core: &mut Core, now: UnixTime) {
    let failure =
        Failure::Unavailable { from: String::new(), why: "lost".to_owned(), retry_after: None };
    done(core, now, Done::TargetRequest(0, TargetResponse::TokenResponse(Err(failure))));
}

#[test]
fn the_first_key_is_random_and_a_killed_agent_uses_it_again() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("out")).unwrap();
    let first = key(&mut agent(home.path(), 0x4D, NOW), NOW);
    assert_eq!(first, "1234567890//000000000000004e");
    // Killed before the response arrived; the RNG now returns another number.
    let mut core = agent(home.path(), 0x99, NOW.plus(5));
    assert_eq!(key(&mut core, NOW.plus(5)), first);
    lost(&mut core, NOW.plus(6));
    assert_eq!(key(&mut core, NOW.plus(60)), first, "a lost answer too");
    issued(&mut core, NOW.plus(61), "one");
    // An agent without this state begins with another number.
    let other = tempfile::tempdir().unwrap();
    assert_ne!(key(&mut agent(other.path(), 0x99, NOW), NOW), first);
}

#[test]
fn a_restart_uses_the_kept_token_and_only_verifies_it() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("out")).unwrap();
    let mut core = agent(home.path(), 1, NOW);
    key(&mut core, NOW);
    issued(&mut core, NOW, "one");
    let later = NOW.plus(100);
    let mut core = agent(home.path(), 2, later);
    assert!(!core.has_looked(), "it may have been revoked meanwhile");
    assert_eq!(fs::read_to_string(home.path().join("out/t")).unwrap(), "one");
    assert!(
        matches!(acts(&mut core, later).as_slice(), [TargetRequest::Verify(it)] if it.reveal() == "one")
    );
    verified(&mut core, later, LIFE - 100);
    assert!(core.has_looked() && acts(&mut core, later).is_empty());
    assert!(acts(&mut core, later.plus(30)).is_empty(), "nothing is asked for");
}

#[test]
fn a_revoked_token_is_not_used_again_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("out")).unwrap();
    let mut core = agent(home.path(), 1, NOW);
    key(&mut core, NOW);
    issued(&mut core, NOW, "one");
    let later = NOW.plus(70);
    assert!(matches!(acts(&mut core, later).as_slice(), [TargetRequest::Verify(_)]));
    let no = Failure::Denied { status: 400, said: "no".to_owned() };
    done(&mut core, later, Done::TargetRequest(0, TargetResponse::Verified(Err(no))));
    assert_eq!(AgentHealth::of(&core, later).status, Colour::Red, "what the file holds is no good");
    let mut core = agent(home.path(), 2, later);
    assert_eq!(AgentHealth::of(&core, later).status, Colour::Red, "nor is it after a restart");
    key(&mut core, later);
    issued(&mut core, later, "two");
    assert_eq!(AgentHealth::of(&core, later).status, Colour::Green);
}

#[test]
fn a_predecessor_is_revoked_after_a_grace_period_once_its_successor_is_in_every_sink() {
    let home = tempfile::tempdir().unwrap();
    let (out, aside) = (home.path().join("out"), home.path().join("aside"));
    fs::create_dir(&out).unwrap();
    let mut config = settings(home.path());
    config.verify_interval_seconds = 86_400;
    config.tokens[0].lifetime = Some(100_000);
    let mut core = Core::new(&config, NOW, Box::new(Fixed(1)));
    let issue = |core: &mut Core, now, token: &str| {
        key(core, now);
        let token = PlainSecret::from_caller(token.to_owned());
        let issued = TokenResponse { token, expires_in: 100_000, key_id: None };
        done(core, now, Done::TargetRequest(0, TargetResponse::TokenResponse(Ok(issued))));
    };
    issue(&mut core, NOW, "one");
    // The file cannot be replaced when the successor is issued.
    fs::rename(&out, &aside).unwrap();
    let due = NOW.plus(60_000);
    issue(&mut core, due, "two");
    let colour = |core: &Core, now| AgentHealth::of(core, now).status;
    assert_eq!(colour(&core, due), Colour::Yellow, "the old one is active, but there is a problem");
    for later in [GRACE, 2 * GRACE, 3 * GRACE] {
        let acts = acts(&mut core, due.plus(later));
        assert!(acts.is_empty(), "programs still find the old one: {acts:?}");
    }
    fs::rename(&aside, &out).unwrap();
    let arrived = due.plus(4 * GRACE);
    assert!(acts(&mut core, arrived).is_empty());
    assert_eq!(fs::read_to_string(out.join("t")).unwrap(), "two");
    assert_eq!(colour(&core, arrived), Colour::Green);
    assert!(acts(&mut core, arrived.plus(GRACE - 1)).is_empty(), "programs may still have it");
    let all = acts(&mut core, arrived.plus(GRACE));
    assert!(
        matches!(all.as_slice(), [TargetRequest::Retire(it)] if it.reveal() == "one"),
        "{all:?}"
    );
}

/// The same with a stateless token.
fn stateless(home: &Path, now: UnixTime) -> Core {
    fs::create_dir_all(home.join("out")).unwrap();
    let mut config = settings(home);
    config.tokens[0].kind = Some(Kind::Stateless);
    config.tokens[0].lifetime = None;
    let mut core = Core::new(&config, now, Box::new(Fixed(1)));
    work(&mut core, now);
    core
}

fn report(core: &mut Core, now: UnixTime, token: &str) {
    core.reported("t", now, &PlainSecret::from_caller(token.to_owned()));
}

#[test]
fn a_reported_stateless_token_is_renewed_at_once_and_at_most_one_a_minute() {
    let home = tempfile::tempdir().unwrap();
    let mut core = stateless(home.path(), NOW);
    key(&mut core, NOW);
    issued(&mut core, NOW, "one");
    report(&mut core, NOW.plus(5), "another");
    assert!(acts(&mut core, NOW.plus(5)).is_empty(), "another token is none of it");
    report(&mut core, NOW.plus(5), "one");
    assert!(core.token("t", NOW.plus(5)).is_some(), "a report alone takes no token away");
    key(&mut core, NOW.plus(5));
    issued(&mut core, NOW.plus(6), "two");
    report(&mut core, NOW.plus(7), "two");
    assert!(
        acts(&mut core, NOW.plus(7)).is_empty(),
        "a client that refuses all costs one a minute"
    );
    report(&mut core, NOW.plus(65), "two");
    key(&mut core, NOW.plus(65));
}

#[test]
fn a_report_soon_after_a_verification_causes_another_one_soon() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("out")).unwrap();
    let mut core = agent(home.path(), 1, NOW);
    key(&mut core, NOW);
    issued(&mut core, NOW, "one");
    let checked = NOW.plus(60);
    assert!(matches!(acts(&mut core, checked).as_slice(), [TargetRequest::Verify(_)]));
    verified(&mut core, checked, LIFE - 60);
    report(&mut core, checked.plus(1), "one");
    assert!(acts(&mut core, checked.plus(1)).is_empty());
    assert!(matches!(acts(&mut core, checked.plus(5)).as_slice(), [TargetRequest::Verify(_)]));
}

#[test]
fn a_clock_that_was_ahead_keeps_no_expired_token_active_after_a_restart() {
    let ahead = NOW.plus(86_400);
    let home = tempfile::tempdir().unwrap();
    let mut core = stateless(home.path(), ahead);
    key(&mut core, ahead);
    issued(&mut core, ahead, "one");
    // Restarted with the right time, after the token's expiry.
    let later = NOW.plus(2 * LIFE);
    let mut core = stateless(home.path(), later);
    assert!(core.token("t", later).is_none());
    assert!(key(&mut core, later).ends_with("3"), "the next number");

    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("out")).unwrap();
    let mut core = agent(home.path(), 1, ahead);
    key(&mut core, ahead);
    issued(&mut core, ahead, "one");
    let mut core = agent(home.path(), 2, NOW);
    assert!(core.token("t", NOW.plus(LIFE - 1)).is_some());
    assert!(core.token("t", NOW.plus(LIFE)).is_none(), "no longer than its whole lifetime");
    assert!(matches!(acts(&mut core, NOW).as_slice(), [TargetRequest::Verify(_)]));
    verified(&mut core, NOW, LIFE);
    let due = NOW.plus(LIFE * 6 / 10);
    assert!(
        matches!(acts(&mut core, due).as_slice(), [TargetRequest::Issue { .. }]),
        "renewed in time"
    );
}

#[test]
fn a_predecessor_stays_to_be_revoked_while_the_credentials_cannot_be_read() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("out")).unwrap();
    let mut config = settings(home.path());
    config.verify_interval_seconds = 86_400;
    config.tokens[0].lifetime = Some(100_000);
    let mut core = Core::new(&config, NOW, Box::new(Fixed(1)));
    let due = NOW.plus(60_000);
    for (now, token) in [(NOW, "one"), (due, "two")] {
        key(&mut core, now);
        let token = PlainSecret::from_caller(token.to_owned());
        let issued = TokenResponse { token, expires_in: 100_000, key_id: None };
        done(&mut core, now, Done::TargetRequest(0, TargetResponse::TokenResponse(Ok(issued))));
    }
    let ended = due.plus(GRACE);
    assert!(matches!(acts(&mut core, ended).as_slice(), [TargetRequest::Retire(_)]));
    let failure = Failure::NotAsked("the secret's file is locked".to_owned());
    done(&mut core, ended, Done::TargetRequest(0, TargetResponse::Retired(Err(failure))));
    assert!(acts(&mut core, ended.plus(1)).is_empty());
    let again = acts(&mut core, ended.plus(60));
    assert!(matches!(again.as_slice(), [TargetRequest::Retire(it)] if it.reveal() == "one"));
}

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
use tegata_token::time::UnixTime;

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

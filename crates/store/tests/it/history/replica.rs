//! One server's part in a history, as a process of its own: a store, a view that follows its
//! commits, and requests as lines of words.

use crate::{
    postgres_place,
    world::{ISSUER, NOW, after, by, group, signing_key},
};
use std::sync::{Arc, Mutex};
use tegata_policy::{
    assertion::Audience,
    authorize::{Credential, IssueRequest, authorize},
    channel::RegisteredKey,
    jwk::AssertionKey,
    rules::{ChannelType, WhenFull},
    secret::PlainSecret,
};
use tegata_store::{
    ActStore, ChannelPatch, Committed, Error, NewChannel, RevocationTarget, Store, Taking,
    postgres::{Plant, PostgresOptions, PostgresStore},
};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, ProviderId, Serial, TokenId},
    kind::Kind,
    verify::{Invalid, verify_claims},
    view::View,
};

/// The variable with the database's address; a process without it is no replica.
pub const URL: &str = "TEGATA_HISTORY_URL";
/// The variable with the name of a planted bug.
pub const PLANT: &str = "TEGATA_HISTORY_PLANT";
/// The provider of all channels.
pub const PROVIDER: u64 = 77;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica() {
    let Ok(url) = std::env::var(URL) else { return };
    let plant = std::env::var(PLANT).ok().map(|it| Plant::named(&it).unwrap());
    let memory = Arc::new(Memory::default());
    let follow = memory.clone();
    let options = PostgresOptions { plant, ..postgres_place::options(url, None, false) };
    let store = PostgresStore::open(options, Box::new(move |it| follow.follow(it))).await.unwrap();
    memory.begin(store.state().await.unwrap().view);
    let replica = Arc::new(Replica { store, memory });
    println!("\n> ready");
    let (send, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = replica.store.stopped() => {
                println!("\n> stopped");
                None
            }
        };
        let Some(line) = line else { std::process::exit(0) };
        let replica = replica.clone();
        tokio::spawn(async move {
            let (number, words) = line.split_once(' ').unwrap();
            let words: Vec<&str> = words.split(' ').collect();
            println!("\n> {number} {}", replica.answer(&words).await);
        });
    }
}

/// What a server holds in memory.
#[derive(Default)]
struct Memory {
    view: Mutex<Option<Arc<View>>>,
    /// Commits before the state was read.
    early: Mutex<Vec<Committed>>,
}

impl Memory {
    fn begin(&self, view: View) {
        let mut now = self.view.lock().unwrap();
        let mut view = Arc::new(view);
        for commit in self.early.lock().unwrap().drain(..) {
            view = apply(&view, &commit);
        }
        *now = Some(view);
    }

    fn follow(&self, commit: &Committed) {
        let mut now = self.view.lock().unwrap();
        match &mut *now {
            Some(view) => *view = apply(view, commit),
            None => self.early.lock().unwrap().push(commit.clone()),
        }
    }

    fn view(&self) -> Arc<View> {
        self.view.lock().unwrap().clone().unwrap()
    }
}

/// The view after a commit, of which it may have a part.
fn apply(view: &Arc<View>, commit: &Committed) -> Arc<View> {
    let (have, to) = (view.position().number, commit.position.number);
    let new = usize::try_from(to.saturating_sub(have)).unwrap();
    if new == 0 {
        return view.clone();
    }
    let from = commit.changes.len().checked_sub(new).expect("no gap in the log");
    Arc::new(after(view, &commit.changes[from..], commit.position))
}

struct Replica {
    store: PostgresStore,
    memory: Arc<Memory>,
}

fn number(word: &str) -> u64 {
    word.parse().unwrap()
}

fn secret() -> PlainSecret {
    PlainSecret::from_caller("a secret".to_owned())
}

/// A key that signs nothing.
fn assertion_key(n: u64) -> RegisteredKey {
    let mut modulus = [0xc5; 256];
    modulus[128..136].copy_from_slice(&n.to_be_bytes());
    let key = AssertionKey::from_modulus(&modulus).unwrap();
    let id = AssertionKeyId(u128::from(n).to_be_bytes());
    RegisteredKey { id, group: None, key, created_at: NOW }
}

/// The claims of a token, all but its id.
fn claims(channel: ChannelId, serial: Serial, of_group: &str) -> Claims {
    let (kind, group) = match of_group {
        "-" => (Kind::LongLived, None),
        name => (Kind::ShortLived, Some(group(name))),
    };
    Claims {
        id: TokenId([0; 16]),
        kind,
        provider: ProviderId::from_number(PROVIDER).unwrap(),
        channel,
        group,
        assertion_key: None,
        serial,
        issued_at: NOW,
        expires_at: NOW.plus(30 * 86_400),
        key: signing_key(1).id,
    }
}

fn outcome<T>(result: Result<T, Error>, done: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(it) => done(it),
        Err(Error::Unavailable(why)) => format!("unknown {}", why.replace('\n', " ")),
        Err(other) => format!("denied {other}"),
    }
}

impl Replica {
    async fn answer(&self, words: &[&str]) -> String {
        let channel = ChannelId::from_number(number(words[1])).unwrap();
        let done = |_| "done".to_owned();
        match (words[0], &words[2..]) {
            ("channel", _) => outcome(self.channel(channel).await, |()| "done".into()),
            ("issue", [of_group, id]) => self.issue(channel, of_group, id).await,
            ("revoke", [serial]) => {
                let target = RevocationTarget::Stored { serial: Serial(number(serial)) };
                outcome(self.store.revoke(channel, target, by(NOW)).await, done)
            }
            ("verify", [serial, of_group]) => {
                let claims = claims(channel, Serial(number(serial)), of_group);
                // As a server does: before memory is read, and after the decision.
                let lapses = self.store.lapses();
                let judged = verify_claims(&claims, NOW, &self.memory.view());
                if !self.store.current() || self.store.lapses() != lapses {
                    return "unknown no lease".into();
                }
                match judged {
                    Ok(_) => "valid".into(),
                    Err(Invalid::Revoked(_)) => "invalid".into(),
                    Err(other) => format!("wrong {other:?}"),
                }
            }
            ("register", [key]) => {
                let key = assertion_key(number(key));
                outcome(self.store.register_key(channel, key, by(NOW)).await, |()| "done".into())
            }
            ("delete", [key]) => {
                let key = assertion_key(number(key)).id;
                let act = Taking::assertion_key(channel, key, false, by(NOW));
                outcome(self.store.take(act).await, done)
            }
            _ => panic!("{words:?}"),
        }
    }

    /// A channel whose groups deny a third token.
    async fn channel(&self, id: ChannelId) -> Result<(), Error> {
        let new = NewChannel {
            id,
            provider: ProviderId::from_number(PROVIDER).unwrap(),
            name: "Shop".into(),
            channel_type: ChannelType::MessagingApi,
            secret: secret().hash(),
        };
        self.store.create_channel(new, by(NOW)).await?;
        let group_when_full = Some(WhenFull::Deny);
        let patch = ChannelPatch { group_when_full, ..ChannelPatch::default() };
        self.store.take(Taking::channel(id, patch, by(NOW))).await?;
        Ok(())
    }

    async fn issue(&self, channel: ChannelId, of_group: &str, id: &str) -> String {
        let channel = match self.store.channel(channel).await {
            Ok(Some(channel)) => channel,
            Ok(None) => return "wrong no channel".into(),
            Err(error) => return outcome(Err::<(), _>(error), |()| String::new()),
        };
        let (kind, credential, group) = match of_group {
            "-" => (Kind::LongLived, Credential::Administrator { delay: 0 }, None),
            "*" => (Kind::ShortLived, Credential::Secret(secret()), None),
            name => (Kind::ShortLived, Credential::Secret(secret()), Some(group(name))),
        };
        let request = IssueRequest { kind, credential, group, idempotency: None, lifetime: None };
        let audience = Arc::new(Audience::of(ISSUER));
        let grant = authorize(request, Arc::new(channel), audience, NOW).unwrap();
        let id = TokenId(u128::from(number(id)).to_be_bytes());
        let issued = self.store.issue(grant, id, NOW, None).await;
        outcome(issued, |it| format!("issued {}", it.claims.serial.0))
    }
}

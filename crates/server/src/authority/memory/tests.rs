//! The change log is complete: a follower that reads only the log holds, at every
//! position, the same memory as the server that applies the commits.

use super::*;

mod people;

use std::collections::BTreeMap;
use tegata_policy::{
    acts::{
        By, ChannelPatch, GroupPatch, LimitsPatch, NewChannel, RevocationTarget, SigningKeyChange,
        WrappedKey,
    },
    assertion::Audience,
    authorize::{Credential, IssueRequest, authorize},
    channel::{Channel, RegisteredKey, RevokeTokens},
    jwk::AssertionKey,
    rules::{ChannelType, TokenRules},
    secret::PlainSecret,
};
use tegata_store::{
    ActStore, ExpectedSettings, NewVerifier, PeopleStore, RewrapKeys, Store, Taking, VerifierPatch,
    sqlite::{Options, SqliteStore},
};
use tegata_token::{
    id::{AssertionKeyId, Group, ProviderId, Serial, TokenId, VerifierId},
    key::{KeyState, SigningKey},
    kind::Kind,
    time::{DAY, UnixTime},
    view::ChannelState,
};

const NOW: UnixTime = UnixTime(1_800_000_000);

/// The kinds of change that this memory learns from the log. Removed instances are not in it, and
/// `empty` changes nothing.
const KINDS: [&str; 12] = [
    "tokens",
    "channel",
    "signing-key",
    "clock",
    "verifier",
    "verifier-deleted",
    "person",
    "person-deleted",
    "session",
    "session-ended",
    "admin-token",
    "admin-token-deleted",
];

/// The kind of a change, as the log names it.
fn kind_of(change: &Change) -> String {
    let change = serde_json::to_value(change).unwrap();
    change["change"].as_str().unwrap().to_owned()
}

/// A busy store, the server that owns it, and a follower that reads its log.
struct World {
    store: SqliteStore,
    server: Arc<Memory>,
    follower: Arc<Memory>,
    /// The follower's position, and the signing keys that it has.
    at: Position,
    keys: BTreeMap<SigningKeyId, SigningKeyRow>,
    /// The kind of change that the log lacks.
    omitted: Option<&'static str>,
    channels: Vec<ChannelId>,
    /// A linear congruential generator's state: which act comes next (Knuth, The Art of
    /// Computer Programming, 3.3.4).
    random: u64,
    fresh: u64,
    _folder: tempfile::TempDir,
}

fn by() -> By {
    By {
        actor: "administrator".into(),
        source: None,
        reason: None,
        at: NOW,
        expected: ExpectedSettings::default(),
        request_id: None,
    }
}

fn signing_key(seed: u64) -> SigningKeyRow {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let key = SigningKey::from_seed(&bytes).unwrap();
    SigningKeyRow {
        id: key.public().id(),
        public: key.public().to_bytes(),
        wrapped: WrappedKey(seed.to_be_bytes().to_vec()),
        state: KeyState::Pending,
        created_at: NOW,
        changed_at: NOW,
    }
}

/// Any odd number of 2048 bits can be a modulus here: nothing is signed.
fn assertion_key(seed: u64) -> AssertionKey {
    let mut modulus = [0xA5; 256];
    modulus[8..16].copy_from_slice(&seed.to_be_bytes());
    AssertionKey::from_modulus(&modulus).unwrap()
}

fn password_secret() -> PlainSecret {
    PlainSecret::from_caller("a secret".to_owned())
}

fn secret_of(id: ChannelId) -> PlainSecret {
    PlainSecret::from_caller(format!("secret of {id}"))
}

impl World {
    async fn new(seed: u64, omitted: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Memory::new();
        let issuer = "https://tokens.example".to_owned();
        let options = Options { issuer, dev: true, ..Options::default() };
        let path = folder.path().join("tegata.db");
        let store = SqliteStore::open(&path, options, server.on_commit()).unwrap();
        let provider = ProviderId::from_number(77).unwrap();
        store.create_provider(provider, "Shops".into(), by()).await.unwrap();
        let first = SigningKeyChange::Add(signing_key(0));
        store.change_signing_keys(first, by()).await.unwrap();
        let state = store.state().await.unwrap();
        server.fill(&state);
        let follower = Memory::new();
        follower.fill(&state);
        Self {
            store,
            server,
            follower,
            at: state.view.position(),
            keys: state.signing_keys.into_iter().map(|key| (key.id, key)).collect(),
            omitted,
            channels: Vec::new(),
            random: seed,
            fresh: 1,
            _folder: folder,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % bound
    }

    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    fn a_channel(&mut self) -> ChannelId {
        let nth = self.below(self.channels.len() as u64);
        self.channels[nth as usize]
    }

    async fn new_channel(&mut self) {
        let id = ChannelId::from_number(1_000_000_000 + self.fresh()).unwrap();
        let new = NewChannel {
            id,
            provider: ProviderId::from_number(77).unwrap(),
            name: "Shop".into(),
            channel_type: ChannelType::MessagingApi,
            secret: secret_of(id).hash(),
        };
        self.store.create_channel(new, by()).await.unwrap();
        self.channels.push(id);
    }

    /// Issues a token, if the channel may have one.
    async fn issue(&mut self, id: ChannelId, kind: Kind) {
        let Some(channel) = self.store.channel(id).await.unwrap() else { return };
        let credential = match kind {
            Kind::LongLived => Credential::Administrator { delay: 0 },
            _ => Credential::Secret(secret_of(id)),
        };
        let group = (self.below(2) == 0).then(|| "a".parse().unwrap());
        let request = IssueRequest { kind, credential, group, idempotency: None, lifetime: None };
        let audience = Arc::new(Audience::of("https://tokens.example"));
        let Ok(grant) = authorize(request, Arc::new(channel), audience, NOW) else { return };
        if kind == Kind::Stateless {
            return drop(self.store.take_assertion(grant, NOW).await);
        }
        let token = TokenId(u128::from(self.fresh()).to_be_bytes());
        let _ = self.store.issue(grant, token, NOW, None).await;
    }

    /// One act; an act that the store denies changes nothing, which is fine here.
    /// Creates a verifier, and changes or deletes one of those that there are.
    async fn change_verifiers(&mut self) {
        let number = self.fresh();
        let id = VerifierId::from_number(2_000_000_000 + number).unwrap();
        let token = PlainSecret::from_caller(format!("verifier {number}")).hash();
        let (name, max_staleness) = ("gateway".to_owned(), 60_000);
        let new = NewVerifier { id, name, provider: None, max_staleness, allow: false, token };
        self.store.create_verifier(new, by()).await.unwrap();
        let all = self.store.verifiers().await.unwrap();
        let old = all[usize::try_from(self.below(all.len() as u64)).unwrap()].id;
        if number.is_multiple_of(2) {
            self.store.delete_verifier(old, by()).await.unwrap();
        } else {
            let patch = VerifierPatch { allow: Some(true), ..VerifierPatch::default() };
            self.store.change_verifier(old, patch, by()).await.unwrap();
        }
    }

    async fn act(&mut self) {
        let id = self.a_channel();
        let group: Group = "a".parse().unwrap();
        let patch = |patch: ChannelPatch| self.store.take(Taking::channel(id, patch, by()));
        let none = ChannelPatch::default;
        match self.random >> 40 & 31 {
            0 if self.random >> 50 & 1 == 0 => self.change_verifiers().await,
            0 => self.new_channel().await,
            1 | 7 => self.change_people(id).await,
            2..=6 => self.issue(id, Kind::ShortLived).await,
            8 => self.issue(id, Kind::LongLived).await,
            9..=11 => {
                let serial = Serial(self.below(20));
                let _ = self.store.revoke(id, RevocationTarget::Stored { serial }, by()).await;
            }
            12 => {
                let token = TokenId(u128::from(self.fresh()).to_be_bytes());
                let target = RevocationTarget::Stateless { id: token, expires_at: NOW.plus(900) };
                let _ = self.store.revoke(id, target, by()).await;
            }
            13 => drop(self.store.revoke(id, RevocationTarget::All, by()).await),
            14 => drop(self.store.revoke(id, RevocationTarget::Group(group), by()).await),
            15 => drop(self.store.take(Taking::group(id, group, by())).await),
            16 => {
                let patch = GroupPatch { cap: Some(Some(3)), ..GroupPatch::default() };
                let _ = self.store.set_group(id, group, patch, by()).await;
            }
            17 => drop(patch(ChannelPatch { rules: Some(TokenRules::Legacy2020), ..none() }).await),
            18 => {
                let verify_rate = Some(NonZeroU32::new(self.random as u32 % 3));
                let limits = LimitsPatch { verify_rate, ..LimitsPatch::default() };
                let _ = patch(ChannelPatch { limits, ..none() }).await;
            }
            19 => {
                let state = Some(ChannelState::Suspended);
                let _ = patch(ChannelPatch { state, ..none() }).await;
            }
            20 => {
                let state = Some(ChannelState::Active);
                let _ = patch(ChannelPatch { state, ..none() }).await;
            }
            21 if self.channels.len() > 3 => {
                let state = Some(ChannelState::Deleted);
                let _ = patch(ChannelPatch { state, ..none() }).await;
            }
            22 => {
                let hash = secret_of(id).hash();
                let _ =
                    self.store.take(Taking::secret(id, hash, 60, RevokeTokens::None, by())).await;
            }
            23 => self.register(id).await,
            24 => {
                let Some(channel) = self.store.channel(id).await.unwrap() else { return };
                if let Some(key) = channel.assertion_keys.first() {
                    self.store.take(Taking::assertion_key(id, key.id, true, by())).await.unwrap();
                }
            }
            25..=27 => self.change_keys().await,
            28 if self.random >> 50 & 1 == 0 => self.change_verifiers().await,
            28 => drop(self.store.advance_clock(60).await.unwrap()),
            29 => {
                let late = NOW.plus(2 * DAY);
                self.store.forget(10, late).await.unwrap();
            }
            30 => self.issue(id, Kind::Stateless).await,
            _ => drop(patch(ChannelPatch { name: Some("Other".into()), ..none() }).await),
        }
        self.below(2);
    }

    async fn register(&mut self, id: ChannelId) {
        let seed = self.fresh();
        let key = RegisteredKey {
            id: AssertionKeyId(u128::from(seed).to_be_bytes()),
            group: None,
            key: assertion_key(seed),
            created_at: NOW,
        };
        let _ = self.store.register_key(id, key, by()).await;
    }

    async fn change_keys(&mut self) {
        let keys = self.store.signing_keys().await.unwrap();
        let pending = keys.iter().find(|it| it.state == KeyState::Pending).map(|it| it.id);
        let new = signing_key(self.fresh());
        let change = match (self.below(4), pending) {
            (0, Some(key)) => SigningKeyChange::Promote(key),
            (1, _) => SigningKeyChange::Revoke { key: keys[0].id, successor: new },
            (2, _) => {
                let wrapped =
                    |it: &SigningKeyRow| (it.id, WrappedKey([&it.wrapped.0[..], &[1]].concat()));
                let open = keys.iter().filter(|it| !it.wrapped.0.is_empty());
                let keys = open.map(wrapped).collect();
                let people = self.second_factors().await;
                let act = RewrapKeys { keys, people, by: by() };
                return self.store.rewrap(act).await.unwrap();
            }
            _ => SigningKeyChange::Add(new),
        };
        let _ = self.store.change_signing_keys(change, by()).await;
    }

    /// The follower reads the log, a few changes at a time.
    async fn follow(&mut self) {
        loop {
            let most = 1 + self.below(3) as usize;
            let read = self.store.changes(self.at, most).await.unwrap().expect("it is kept");
            let Some((last, _)) = read.last() else { return };
            self.at = *last;
            let omitted = self.omitted;
            let changes = read.into_iter().map(|(_, change)| change);
            let changes: Vec<_> =
                changes.filter(|it| omitted.is_none_or(|kind| kind != kind_of(it))).collect();
            self.follower.apply(self.at, &changes);
            for change in changes {
                if let Change::SigningKey(key) = change {
                    self.keys.insert(key.id, key);
                }
            }
        }
    }

    /// The differences between the two memories, and between the follower and the store.
    async fn differences(&self) -> Vec<String> {
        let (one, other) = (&self.server, &self.follower);
        let mut found = Vec::new();
        let mut compare = |what: &str, same: bool| {
            if !same {
                found.push(what.to_owned());
            }
        };
        let (view, followed) = (one.view.load(), other.view.load());
        // A log without its last change does not show its own end.
        if self.omitted.is_none() {
            compare("the position", view.position() == followed.position());
        }
        compare("the verifying keys", view.keys() == followed.keys());
        let mut snapshots = Vec::new();
        for &id in &self.channels {
            compare("the view", view.channel(id) == followed.channel(id));
            for memory in [one, other] {
                snapshots.push(memory.channels.get(id, || self.store.channel(id)).await.unwrap());
            }
        }
        let shown = |it: &Option<Arc<Channel>>| {
            let secrets = |it: &Arc<Channel>| -> Vec<_> {
                it.secrets.iter().map(|secret| secret.hash.to_stored()).collect()
            };
            (it.as_ref().map(secrets), format!("{it:?}"))
        };
        for pair in snapshots.chunks(2) {
            compare("a channel", shown(&pair[0]) == shown(&pair[1]));
        }
        compare("the verification rates", **one.verify_rates.load() == **other.verify_rates.load());
        compare("signing keys", **one.signing_keys.load() == **other.signing_keys.load());
        let verifiers = |it: &Memory| {
            let mut all = it.verifiers.all();
            all.sort_by_key(|it| it.id);
            all
        };
        compare("the verifiers", verifiers(one) == verifiers(other));
        compare("the people", one.people.is_like(&other.people));
        compare("the clock", one.clock.offset() == other.clock.offset());
        let stored_verifiers = self.store.verifiers().await.unwrap();
        compare("the stored verifiers", verifiers(one).len() == stored_verifiers.len());
        let stored = self.store.signing_keys().await.unwrap();
        let known: Vec<_> = stored.iter().filter_map(|it| self.keys.get(&it.id)).collect();
        compare("the signing keys", known == stored.iter().collect::<Vec<_>>());
        found
    }
}

/// Runs a history; returns the first act after which the follower differs, and how.
async fn history(
    seed: u64,
    acts: usize,
    omitted: Option<&'static str>,
) -> Option<(usize, Vec<String>)> {
    let mut world = World::new(seed, omitted).await;
    for _ in 0..3 {
        world.new_channel().await;
    }
    for act in 0..acts {
        world.act().await;
        world.follow().await;
        let differences = world.differences().await;
        if !differences.is_empty() {
            return Some((act, differences));
        }
    }
    // Both hold what the store holds.
    let state = world.store.state().await.unwrap();
    assert_eq!(state.view.position(), world.follower.view.load().position());
    assert_eq!(state.view.keys(), world.follower.view.load().keys());
    None
}

#[tokio::test]
async fn a_follower_of_the_log_holds_the_same_memory_at_every_position() {
    for seed in 1..=4 {
        assert_eq!(history(seed, 250, None).await, None, "seed {seed}");
    }
}

#[tokio::test]
async fn a_log_that_lacks_a_kind_of_change_is_found() {
    for omitted in KINDS {
        let mut found = None;
        // No one history has all acts.
        for seed in 1..=4 {
            found = history(seed, 250, Some(omitted)).await;
            if found.is_some() {
                break;
            }
        }
        let (act, differences) = found.unwrap_or_else(|| panic!("{omitted} was not found"));
        println!("{omitted}: act {act}: {differences:?}");
    }
}

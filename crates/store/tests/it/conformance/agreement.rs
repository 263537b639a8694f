//! A random history, and after each of its acts a check that all records agree on every
//! token ever issued.

use crate::{
    agree,
    signer::SIGNERS,
    world::{Ask, NOW, Shop, World, by, group, signing_key},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use std::{cell::RefCell, collections::BTreeMap};
use tegata_policy::{
    channel::{GroupSettings, RevokeTokens},
    rules::{TokenRules, WhenFull},
    secret::PlainSecret,
};
use tegata_store::{ChannelPatch, Error, RevocationTarget, SigningKeyChange, TokenState};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, Group, Serial, TokenId},
    key::KeyState,
    kind::Kind,
    time::{DAY, UnixTime},
    verify::{Invalid, verify_claims},
    view::{ChannelState, Scope},
};

/// One step of a history. Numbers choose among what exists at that moment.
#[derive(Debug, Clone)]
enum Act {
    Issue {
        kind: Kind,
        group: u8,
        signer: u8,
        key: Option<u8>,
        delay: i64,
        life: i64,
    },
    /// The last request under an `Idempotency-Key`, repeated.
    Retry,
    /// Many of a kind, so that caps are reached.
    Fill {
        kind: Kind,
        group: u8,
        many: u8,
    },
    Stateless {
        group: u8,
        by_key: bool,
    },
    End {
        which: Which,
        dry: bool,
    },
    Patch(ChannelPatch),
    Secret {
        keep: i64,
        revoke: RevokeTokens,
    },
    Register {
        group: u8,
    },
    DeleteKey {
        revoke: bool,
    },
    SetGroup {
        group: u8,
        settings: GroupSettings,
    },
    DeleteGroup {
        group: u8,
    },
    AddKey {
        seed: u8,
    },
    PromoteKey {
        seed: u8,
    },
    RemoveKey {
        seed: u8,
        successor: u8,
    },
    RemoveAllKeys {
        successor: u8,
    },
    Wait(i64),
    Forget,
    /// Deletes the rows that were expired or revoked this many days ago.
    Sweep {
        days: i64,
    },
    Reopen,
}

#[derive(Debug, Clone)]
enum Which {
    Stored(u16),
    Stateless(u16),
    Group(u8),
    Kind(Kind),
    Key(u8),
    All,
}

fn acts() -> impl Strategy<Value = Vec<(u8, Act)>> {
    let stored = || prop::sample::select(vec![Kind::V21, Kind::ShortLived, Kind::LongLived]);
    let any_kind = prop::sample::select(Kind::all().collect::<Vec<_>>());
    let group = || 0..3u8;
    let delay = prop::sample::select(vec![0, 0, 30, 3600, DAY]);
    let life = prop::sample::select(vec![1, 60, 3600, 30 * DAY]);
    let key = prop::option::weighted(0.2, 0..4u8);
    let issue = (stored(), group(), 0..2u8, key, delay, life).prop_map(
        |(kind, group, signer, key, delay, life)| Act::Issue {
            kind,
            group,
            signer,
            key,
            delay,
            life,
        },
    );
    let which = prop_oneof![
        6 => any::<u16>().prop_map(Which::Stored),
        2 => any::<u16>().prop_map(Which::Stateless),
        1 => group().prop_map(Which::Group),
        1 => any_kind.prop_map(Which::Kind),
        1 => (0..2u8).prop_map(Which::Key),
        1 => Just(Which::All),
    ];
    let states = [ChannelState::Active, ChannelState::Active, ChannelState::Suspended];
    let when_full =
        || prop::option::of(prop::sample::select(vec![WhenFull::Deny, WhenFull::EvictOldest]));
    let patch = prop_oneof![
        prop::sample::select(vec![TokenRules::Current, TokenRules::Legacy2020])
            .prop_map(|rules| ChannelPatch { rules: Some(rules), ..ChannelPatch::default() }),
        prop::sample::select(states.to_vec())
            .prop_map(|state| ChannelPatch { state: Some(state), ..ChannelPatch::default() }),
        (1..12usize, when_full()).prop_map(|(cap, group_when_full)| ChannelPatch {
            group_cap: Some(cap),
            group_when_full,
            ..ChannelPatch::default()
        }),
        any::<bool>().prop_map(|once| ChannelPatch {
            single_use_assertions: Some(once),
            ..ChannelPatch::default()
        }),
    ];
    let settings = (prop::option::of(1..4usize), when_full())
        .prop_map(|(cap, when_full)| GroupSettings { cap, when_full, contact: None });
    let seed = || 1..6u8;
    let wait = prop::sample::select(vec![1, 20, 600, 3600, DAY, 2 * DAY, 31 * DAY]);
    let delete = ChannelPatch { state: Some(ChannelState::Deleted), ..ChannelPatch::default() };
    let act = prop_oneof![
        20 => issue,
        3 => Just(Act::Retry),
        6 => (stored(), group(), 1..40u8)
            .prop_map(|(kind, group, many)| Act::Fill { kind, group, many }),
        3 => (group(), any::<bool>()).prop_map(|(group, by_key)| Act::Stateless { group, by_key }),
        12 => (which, prop::bool::weighted(0.2)).prop_map(|(which, dry)| Act::End { which, dry }),
        5 => patch.prop_map(Act::Patch),
        1 => (prop::sample::select(vec![0, 60]), prop::sample::select(vec![
                RevokeTokens::None,
                RevokeTokens::BySecret,
                RevokeTokens::All,
            ]))
            .prop_map(|(keep, revoke)| Act::Secret { keep, revoke }),
        1 => group().prop_map(|group| Act::Register { group }),
        1 => any::<bool>().prop_map(|revoke| Act::DeleteKey { revoke }),
        1 => (group(), settings).prop_map(|(group, settings)| Act::SetGroup { group, settings }),
        1 => group().prop_map(|group| Act::DeleteGroup { group }),
        1 => seed().prop_map(|seed| Act::AddKey { seed }),
        1 => seed().prop_map(|seed| Act::PromoteKey { seed }),
        1 => (seed(), seed()).prop_map(|(seed, successor)| Act::RemoveKey { seed, successor }),
        1 => seed().prop_map(|successor| Act::RemoveAllKeys { successor }),
        8 => wait.prop_map(Act::Wait),
        2 => Just(Act::Forget),
        3 => (0..3i64).prop_map(|days| Act::Sweep { days }),
        1 => Just(Act::Reopen),
        1 => Just(Act::Patch(delete)),
    ];
    prop::collection::vec((0..2u8, act), 10..80)
}

pub async fn rows_revocations_and_log_agree_after_every_act_of_a_random_history(world: World) {
    let place = &world.place;
    // A database that others share takes longer for each act.
    let cases = if world.is_shared() { 10 } else { 32 };
    let seen = RefCell::new(BTreeMap::new());
    let run = |acts: Vec<(u8, Act)>| {
        let at = place.another();
        // A shrunk failure is worth more than an immediate panic.
        let history = async { History::begin(World::at(at).await).await.live(acts).await };
        let caught =
            std::panic::AssertUnwindSafe(|| tokio::runtime::Handle::current().block_on(history));
        let happened = std::panic::catch_unwind(caught).map_err(|why| {
            let text = why.downcast_ref::<String>().cloned();
            let text = text.unwrap_or_else(|| "a panic".into());
            // Its outcome is unknown, so nothing after it can be compared.
            match text.contains("Unavailable(") {
                true => TestCaseError::reject(text),
                false => TestCaseError::fail(text),
            }
        })?;
        for (name, many) in happened {
            *seen.borrow_mut().entry(name).or_insert(0) += many;
        }
        Ok(())
    };
    let histories = |cases| {
        let config = Config {
            cases,
            // An act that a busy machine did not answer in time.
            max_global_rejects: 3,
            failure_persistence: None,
            max_shrink_iters: 400,
            ..Config::default()
        };
        // The runner is not async; this task's thread is given to it meanwhile.
        let result = tokio::task::block_in_place(|| TestRunner::new(config).run(&acts(), run));
        result.unwrap_or_else(|why| panic!("{why}"));
    };
    let missing = || {
        let seen = seen.borrow();
        EACH.into_iter().find(|it| !seen.contains_key(it))
    };
    histories(crate::rounds(cases) as u32);
    // Some things happen in one of five histories: a few histories may lack one.
    for _ in 0..100 {
        if missing().is_some() {
            histories(1);
        }
    }
    println!("what happened: {:?}", seen.borrow());
    assert_eq!(missing(), None, "it never happened");
}

/// What must have happened in some history.
const EACH: [&str; 9] = [
    "issued",
    "denied",
    "again",
    "revoked",
    "evicted",
    "reissued",
    "reopened",
    "forgotten",
    "swept",
];

/// A world with two channels, and what the checks need to remember.
struct History {
    world: World,
    now: UnixTime,
    shops: [Shop; 2],
    /// Each shop's second key, while it is registered.
    second: [Option<AssertionKeyId>; 2],
    deleted: [bool; 2],
    last: Option<(usize, Ask)>,
    stored: Vec<Claims>,
    /// Those whose rows are swept.
    swept: Vec<Claims>,
    /// Stateless tokens, with whether their revocation was acknowledged: they have no row.
    stateless: Vec<(Claims, bool)>,
    seen: BTreeMap<&'static str, usize>,
}

impl History {
    async fn begin(world: World) -> Self {
        let shops = [world.shop().await, world.shop().await];
        Self {
            world,
            now: NOW,
            shops,
            second: [None, None],
            deleted: [false, false],
            last: None,
            stored: Vec::new(),
            swept: Vec::new(),
            stateless: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    async fn live(mut self, acts: Vec<(u8, Act)>) -> BTreeMap<&'static str, usize> {
        for (shop, act) in acts {
            self.act(usize::from(shop), act).await;
            self.check().await;
        }
        self.world.reopen().await;
        self.check().await;
        self.seen
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_insert(0) += 1;
    }

    async fn act(&mut self, at: usize, act: Act) {
        let (shop, now) = (self.shops[at].clone(), self.now);
        let who = || by(now);
        match act {
            Act::Issue { kind, group, signer, key, delay, life } => {
                let mut ask = Ask::new(kind).at(now).delay(delay).life(life);
                ask.group = group_of(group);
                ask.key = key.map(|key| key.to_string());
                if ask.key.is_some() {
                    self.last = Some((at, ask.clone()));
                }
                if let Some(second) = self.second[at].filter(|_| signer == 1) {
                    ask.signed = Some((second, 1));
                }
                if self.issue(at, ask).await {
                    self.check_caps(at).await;
                }
            }
            Act::Retry => {
                if let Some((at, ask)) = self.last.clone() {
                    self.issue(at, ask.at(now)).await;
                }
            }
            Act::Fill { kind, group, many } => {
                let mut issued = false;
                for _ in 0..many {
                    let mut ask = Ask::new(kind).at(now);
                    ask.group = group_of(group);
                    issued = self.issue(at, ask).await;
                }
                if issued {
                    self.check_caps(at).await;
                }
            }
            Act::Stateless { group, by_key } => {
                let mut ask = Ask::new(Kind::Stateless).at(now);
                ask.group = group_of(group);
                ask.by_assertion = by_key;
                let Ok(grant) = self.world.authorize(&shop, &ask).await else {
                    return self.saw("denied");
                };
                let new = !grant.knows_its_group(now);
                let grant = match by_key || new {
                    true => self.world.take_assertion(grant, now).await.unwrap(),
                    false => grant,
                };
                let id = TokenId(u128::from(self.world.fresh()).to_be_bytes());
                let keys = self.world.state().await.unwrap().signing_keys;
                let active = keys.iter().find(|key| key.state == KeyState::Active).unwrap();
                self.stateless.push((grant.stateless_claims(id, active.id, now), false));
                self.saw("stateless");
            }
            Act::End { which, dry } => self.end(at, which, dry).await,
            Act::Patch(patch) => {
                let state = patch.state;
                let done = self.world.change_channel(shop.id, patch, who()).await;
                assert_eq!(done.is_ok(), !self.deleted[at], "{done:?}");
                self.deleted[at] |= state == Some(ChannelState::Deleted);
            }
            Act::Secret { keep, revoke } => {
                let secret = PlainSecret::from_caller(format!("new {}", self.world.fresh()));
                let hash = secret.hash();
                let done = self.world.replace_secret(shop.id, hash, keep, revoke, who()).await;
                if done.is_ok() {
                    self.shops[at].secret = secret;
                    let scope = revoke.scope();
                    self.bulk(at, scope.clone().unwrap_or(Scope::Channel), scope.is_some());
                }
            }
            Act::Register { group } => {
                if self.second[at].is_none() {
                    let key = AssertionKeyId(u128::from(self.world.fresh()).to_be_bytes());
                    let key = tegata_policy::channel::RegisteredKey {
                        id: key,
                        group: group_of(group),
                        key: SIGNERS[1].public(),
                        created_at: now,
                    };
                    let id = key.id;
                    if self.world.register_key(shop.id, key, who()).await.is_ok() {
                        self.second[at] = Some(id);
                    }
                }
            }
            Act::DeleteKey { revoke } => {
                let Some(key) = self.second[at].take() else { return };
                if self.world.delete_key(shop.id, key, revoke, who()).await.is_ok() {
                    self.bulk(at, Scope::AssertionKey { key }, revoke);
                }
            }
            Act::SetGroup { group, settings } => {
                let Some(group) = group_of(group) else { return };
                let done = self.world.set_group(shop.id, group, settings.into(), who()).await;
                assert_eq!(done.is_ok(), !self.deleted[at], "{done:?}");
            }
            Act::DeleteGroup { group } => {
                let Some(group) = group_of(group) else { return };
                if self.world.delete_group(shop.id, group.clone(), who()).await.is_ok() {
                    self.bulk(at, Scope::Group { group }, true);
                    if let Some(channel) = self.world.channel(shop.id).await.unwrap() {
                        let kept = |id: &AssertionKeyId| {
                            channel.assertion_keys.iter().any(|key| key.id == *id)
                        };
                        self.second[at] = self.second[at].filter(kept);
                    }
                }
            }
            Act::AddKey { seed } => self.keys(SigningKeyChange::Add(signing_key(seed))).await,
            Act::PromoteKey { seed } => {
                self.keys(SigningKeyChange::Promote(signing_key(seed).id)).await;
            }
            Act::RemoveKey { seed, successor } => {
                let (key, successor) = (signing_key(seed).id, signing_key(successor));
                self.keys(SigningKeyChange::Revoke { key, successor }).await;
            }
            Act::RemoveAllKeys { successor } => {
                let successor = signing_key(successor);
                self.keys(SigningKeyChange::RevokeAll { successor }).await;
            }
            Act::Wait(seconds) => self.now = now.plus(seconds),
            Act::Forget => {
                self.now = now.plus(2 * DAY);
                if self.world.forget(100, self.now).await.unwrap() > 0 {
                    self.saw("forgotten");
                }
            }
            Act::Sweep { days } => self.sweep(now.plus(-days * DAY)).await,
            Act::Reopen => {
                self.world.reopen().await;
                self.saw("reopened");
            }
        }
    }

    /// Sweeps what expired or was revoked `before`, and checks that nothing else was deleted.
    async fn sweep(&mut self, before: UnixTime) {
        let rows = async |history: &Self| -> Vec<_> {
            let mut all = Vec::new();
            for shop in &history.shops {
                let rows = history.world.rows(shop, history.now).await.into_iter();
                all.extend(rows.map(|row| (shop.id, row)));
            }
            all
        };
        let found = rows(self).await;
        let count = super::long_ago::sweep(&self.world, before).await;
        let left: Vec<_> =
            rows(self).await.into_iter().map(|(shop, row)| (shop, row.serial)).collect();
        let keys = self.world.state().await.unwrap().signing_keys;
        let revoked = |id| keys.iter().any(|key| key.id == id && key.state == KeyState::Revoked);
        let of = |it: &Claims| (it.channel, it.serial);
        let mut gone = Vec::new();
        for (shop, row) in found {
            let name = (shop, row.serial);
            let is_over = row.revocation.map_or(row.expires_at, |(_, at)| at) < before;
            let stays = left.contains(&name);
            // A token revoked only with its key is not marked; it is swept once it expires.
            let with_key = self.stored.iter().any(|it| of(it) == name && revoked(it.key));
            assert!(if is_over { !stays || with_key } else { stays }, "before {before:?}: {row:?}");
            if !stays {
                gone.push(name);
            }
        }
        assert_eq!(gone.len(), count);
        if count > 0 {
            self.saw("swept");
        }
        let stored = std::mem::take(&mut self.stored).into_iter();
        let (swept, stored) = stored.partition(|it| gone.contains(&of(it)));
        self.stored = stored;
        self.swept.extend::<Vec<_>>(swept);
    }

    /// Whether a new token was issued.
    async fn issue(&mut self, at: usize, ask: Ask) -> bool {
        let shop = self.shops[at].clone();
        match self.world.ask(&shop, ask).await {
            Ok(issued) if issued.again => self.saw("again"),
            Ok(issued) => {
                self.saw("issued");
                self.stored.push(issued.claims);
                return true;
            }
            Err(Error::Denied(_)) => self.saw("denied"),
            Err(other) => panic!("{other:?}"),
        }
        false
    }

    /// Right after an issue no cap of the rules that it was issued under is exceeded.
    async fn check_caps(&self, at: usize) {
        let Some(Claims { kind, group, .. }) = self.stored.last() else { return };
        let (kind, group) = (*kind, group.as_ref());
        let shop = &self.shops[at];
        let channel = self.world.snapshot(shop).await;
        let living = |of: Kind| self.world.living(shop, of, self.now);
        let pool = channel.rules.pool(kind).unwrap();
        let mut counted = 0;
        for &kind in pool.kinds {
            counted += living(kind).await.len();
        }
        // After a delayed reissue there may be the current token and its predecessor.
        let most = if pool.kinds == [Kind::LongLived] { 2 } else { pool.cap.most };
        assert!(counted <= most, "{counted} of {:?}", pool.kinds);
        if let Some(group) = group {
            let rows = self.world.groups(shop.id, self.now).await.unwrap();
            assert!(rows.iter().any(|row| row.group == *group && row.active_tokens > 0));
            let filter = tegata_store::TokenFilter {
                kind: Some(kind),
                group: Some(group.clone()),
                state: Some(tegata_store::TokenState::Active),
                ..Default::default()
            };
            let own = self.world.rows_of(shop.id, filter, self.now).await.len();
            assert!(own <= channel.rule_of(group).cap);
        }
    }

    async fn end(&mut self, at: usize, which: Which, dry: bool) {
        let shop = &self.shops[at];
        let (target, scope) = match which {
            Which::Stored(n) => {
                let own: Vec<_> =
                    self.stored.iter().filter(|token| token.channel == shop.id).collect();
                let serial = match own.len() {
                    0 => Serial(1),
                    many => own[usize::from(n) % many].serial,
                };
                (RevocationTarget::Stored { serial }, None)
            }
            Which::Stateless(n) => {
                let own = |it: &&mut (Claims, bool)| it.0.channel == shop.id;
                let mut own: Vec<_> = self.stateless.iter_mut().filter(own).collect();
                let Some(many) = Some(own.len()).filter(|&many| many > 0) else { return };
                let (claims, revoked) = &mut *own[usize::from(n) % many];
                *revoked |= !dry && !self.deleted[at];
                let (id, expires_at) = (claims.id, claims.expires_at);
                (RevocationTarget::Stateless { id, expires_at }, None)
            }
            Which::Group(n) => {
                let Some(group) = group_of(n) else { return };
                (RevocationTarget::Group(group.clone()), Some(Scope::Group { group }))
            }
            Which::Kind(kind) => (RevocationTarget::Kind(kind), Some(Scope::Kind { kind })),
            Which::Key(n) => {
                let key = self.second[at].filter(|_| n == 1).unwrap_or(shop.kid);
                (RevocationTarget::AssertionKey(key), Some(Scope::AssertionKey { key }))
            }
            Which::All => (RevocationTarget::All, Some(Scope::Channel)),
        };
        let id = shop.id;
        let counted = self.world.revoke(id, target.clone(), true, by(self.now)).await;
        if let (Err(Error::NotFound("group")), Some(scope)) = (&counted, &scope) {
            let of_group = |it: &Claims| {
                it.channel == id && scope.covers(it.kind, it.group.as_ref(), it.assertion_key)
            };
            let lives = |it: &Claims| of_group(it) && it.expires_at > self.now;
            let stateless = self.stateless.iter().any(|(it, revoked)| !revoked && lives(it));
            let rows = self.world.rows(&self.shops[at], self.now).await;
            let live = rows.iter().filter(|row| row.state == TokenState::Active);
            let stored = live.map(|row| &row.group).any(|it| match scope {
                Scope::Group { group } => it.as_ref() == Some(group),
                _ => false,
            });
            assert!(!stateless && !stored, "{target:?} could have issued an active token");
            return self.saw("no such group");
        }
        if dry || self.deleted[at] {
            assert_eq!(counted.is_err(), self.deleted[at]);
            return;
        }
        let revoked = self.world.revoke(id, target, false, by(self.now)).await.unwrap();
        assert_eq!(revoked.tokens, counted.unwrap().tokens, "a dry run counts the same");
        if revoked.tokens > 0 {
            self.saw("revocation");
        }
        if let Some(scope) = scope {
            self.bulk(at, scope, true);
        }
    }

    fn bulk(&mut self, at: usize, scope: Scope, ends: bool) {
        let channel = self.shops[at].id;
        for (token, revoked) in self.stateless.iter_mut().filter(|(it, _)| it.channel == channel) {
            *revoked |= ends && scope.covers(token.kind, token.group.as_ref(), token.assertion_key);
        }
    }

    async fn keys(&mut self, change: SigningKeyChange) {
        match self.world.change_signing_keys(change, by(self.now)).await {
            Ok(_) => self.saw("keys changed"),
            Err(Error::Taken | Error::Conflict(_) | Error::NotFound(_)) => {
                self.saw("keys denied");
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn check(&mut self) {
        agree::everything(&self.world, &self.stored, self.now).await;
        let state = self.world.state().await.unwrap();
        for claims in &self.swept {
            let said = verify_claims(claims, self.now, &state.view);
            assert!(said.is_err(), "{said:?} of {claims:?}, whose row is gone");
        }
        let good = |claims: &Claims| {
            let key = state.signing_keys.iter().find(|key| key.id == claims.key);
            key.is_some_and(|key| key.state.good_for(claims.issued_at))
        };
        let followed = self.world.follower.followed().view.clone();
        for (claims, revoked) in &self.stateless {
            let at = self.shops.iter().position(|shop| shop.id == claims.channel).unwrap();
            let said = verify_claims(claims, self.now, &state.view);
            assert_eq!(said, verify_claims(claims, self.now, &followed));
            if claims.expires_at <= self.now {
                assert_eq!(said, Err(Invalid::Expired));
            } else if *revoked || self.deleted[at] || !good(claims) {
                assert!(matches!(said, Err(Invalid::Revoked(_))), "{said:?} of {claims:?}");
            } else {
                let fine = matches!(said, Err(Invalid::Suspended)) || said == Ok(claims.expires_at);
                assert!(fine, "{said:?} of {claims:?}");
            }
        }
        // A token revoked half a day ago is revoked also for a clock that is half a day behind.
        let behind = self.now.plus(-DAY / 2);
        for shop in &self.shops {
            for row in self.world.rows(shop, self.now).await {
                if let Some((how, _)) = row.revocation {
                    let name = ["revoked", "evicted", "reissued"][how as usize];
                    self.seen.insert(name, 1);
                }
                let Some((_, revoked)) = row.revocation.filter(|(_, at)| *at <= behind) else {
                    continue;
                };
                let claims =
                    self.stored.iter().find(|it| it.channel == shop.id && it.serial == row.serial);
                let said = verify_claims(claims.unwrap(), behind, &state.view);
                assert!(said.is_err(), "{said:?} for {row:?}, revoked at {revoked:?}");
            }
        }
    }
}

fn group_of(number: u8) -> Option<Group> {
    [None, Some("a"), Some("b")][usize::from(number)].map(group)
}

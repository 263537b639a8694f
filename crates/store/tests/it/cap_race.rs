//! Two hundred concurrent requests for the same places never get more than the token
//! rules allow.

use crate::{
    agree,
    place::{Place, Sqlite},
    postgres_place::{Compatible, Plain, Postgres},
    rounds,
    world::{Ask, NOW, Shop, World, group},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tegata_policy::{
    denied::Denied,
    rules::{TokenRules, WhenFull},
};
use tegata_store::{ChannelPatch, Error, RevocationTarget, Store};
use tegata_token::{claims::Claims, id::Serial, kind::Kind};
use tokio::{sync::Barrier, task::JoinSet};

const TASKS: usize = 200;

/// A race for the places of one channel.
struct Race {
    world: Arc<World>,
    /// More stores of the same database, where there can be any.
    others: Vec<Arc<dyn Store>>,
    shop: Shop,
    /// Issued before the race, or in it.
    tokens: Vec<Claims>,
    /// Revoked on request.
    revoked: Vec<Serial>,
    won: usize,
    refused: BTreeMap<String, usize>,
}

impl Race {
    async fn prepare<P: Place + 'static>(rules: TokenRules) -> Self {
        let world = Arc::new(World::new::<P>().await);
        let others = world.place.more().await.into_iter().map(Arc::from).collect();
        let shop = world.shop().await;
        world.patch(&shop, ChannelPatch { rules: Some(rules), ..ChannelPatch::default() }).await;
        let (tokens, revoked, refused) = Default::default();
        Self { world, others, shop, tokens, revoked, won: 0, refused }
    }

    /// Issues this many before the race.
    async fn fill(&mut self, ask: Ask, many: usize) {
        for _ in 0..many {
            let issued = self.world.ask(&self.shop, ask.clone()).await.unwrap();
            self.tokens.push(issued.claims);
        }
    }

    /// Starts [`TASKS`] requests at once, each authorized before, and with them the
    /// revocation of some of the existing tokens. Readers check meanwhile that never more
    /// than `most` tokens of `kinds` are active.
    async fn run(
        &mut self,
        ask: impl Fn(usize) -> Ask,
        revoke: usize,
        kinds: &[Kind],
        most: usize,
    ) {
        let start = Arc::new(Barrier::new(TASKS + revoke));
        let mut issues = JoinSet::new();
        for n in 0..TASKS {
            let (world, start) = (self.world.clone(), start.clone());
            let grant = self.world.grant(&self.shop, &ask(n)).await;
            let other = match n % (1 + self.others.len()) {
                0 => None,
                n => Some(self.others[n - 1].clone()),
            };
            issues.spawn(async move {
                start.wait().await;
                match other {
                    None => world.take(grant, NOW).await,
                    Some(other) => other.issue(grant, world.token_id(), NOW, None).await,
                }
            });
        }
        let mut revocations = JoinSet::new();
        for token in self.tokens.iter().take(revoke) {
            let (world, start, shop) = (self.world.clone(), start.clone(), self.shop.clone());
            let serial = token.serial;
            revocations.spawn(async move {
                start.wait().await;
                world.revoke_at(&shop, RevocationTarget::Stored { serial }, NOW).await;
                serial
            });
        }
        let over = Arc::new(AtomicBool::new(false));
        let (world, shop, kinds) = (self.world.clone(), self.shop.clone(), kinds.to_vec());
        let done = over.clone();
        let look = tokio::spawn(async move {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                // One statement reads one state.
                let rows = world.rows(&shop, NOW).await;
                let lives = |it: &&tegata_store::TokenRow| {
                    kinds.contains(&it.kind) && it.state == tegata_store::TokenState::Active
                };
                let living = rows.iter().filter(lives).count();
                assert!(living <= most, "{living} are active at once");
                looks += 1;
            }
            looks
        });
        for answer in issues.join_all().await {
            match answer {
                Ok(issued) => {
                    self.won += 1;
                    self.tokens.push(issued.claims);
                }
                Err(Error::Denied(why)) => {
                    *self.refused.entry(format!("{why:?}")).or_default() += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        self.revoked = revocations.join_all().await;
        over.store(true, Ordering::Relaxed);
        let looks = look.await.unwrap();
        println!("{} issued, denied: {:?}; read {looks} times", self.won, self.refused);
        // What was committed last may have been committed by another store.
        self.world.catch_up().await.unwrap();
        agree::everything(&self.world, &self.tokens, NOW).await;
        assert_eq!(self.won + self.refused.values().sum::<usize>(), TASKS);
    }

    /// The serials of the active tokens, oldest first.
    async fn living(&self, kinds: &[Kind]) -> Vec<u64> {
        let mut all = Vec::new();
        for &kind in kinds {
            all.extend(self.world.living(&self.shop, kind, NOW).await);
        }
        all.sort();
        all
    }

    /// The newest of all tokens that were issued and not revoked.
    fn newest(&self, many: usize) -> Vec<u64> {
        let mut all: Vec<_> = self.tokens.iter().map(|token| token.serial.0).collect();
        all.sort();
        all.split_off(all.len() - many)
    }

    fn refused_for(&self, why: Denied) -> usize {
        self.refused.get(&format!("{why:?}")).copied().unwrap_or(0)
    }
}

async fn of_two_hundred_requests_thirty_get_a_v21_token_and_keep_it<P: Place + 'static>() {
    for rules in [TokenRules::Current, TokenRules::Legacy2020].repeat(rounds(1)) {
        let mut race = Race::prepare::<P>(rules).await;
        race.run(|_| Ask::new(Kind::V21), 0, &[Kind::V21], 30).await;
        assert_eq!((race.won, race.refused_for(Denied::Full(Kind::V21))), (30, 170));
        assert_eq!(race.living(&[Kind::V21]).await, race.newest(30));
    }
}

async fn a_full_channel_issues_as_many_tokens_as_are_revoked<P: Place + 'static>() {
    for rules in [TokenRules::Current, TokenRules::Legacy2020].repeat(rounds(1)) {
        let mut race = Race::prepare::<P>(rules).await;
        race.fill(Ask::new(Kind::V21), 30).await;
        race.run(|_| Ask::new(Kind::V21), 20, &[Kind::V21], 30).await;
        // A request may precede the revocation that would have made room for it; none that
        // followed the last revocation found less room than there was.
        assert!(race.won <= 20);
        let gone = |serial: &u64| race.revoked.contains(&Serial(*serial));
        let mut expected: Vec<u64> = race.tokens.iter().map(|token| token.serial.0).collect();
        expected.retain(|serial| !gone(serial));
        expected.sort();
        assert_eq!(race.living(&[Kind::V21]).await, expected, "each acknowledged token is active");
        assert_eq!(expected.len(), 10 + race.won);
        for _ in race.won..20 {
            race.world.get(&race.shop, Ask::new(Kind::V21)).await;
        }
        let full = race.world.ask(&race.shop, Ask::new(Kind::V21)).await;
        assert!(matches!(full, Err(Error::Denied(Denied::Full(Kind::V21)))));
    }
}

async fn the_newest_thirty_short_lived_tokens_are_active<P: Place + 'static>() {
    for filled in [0, 30].repeat(rounds(1)) {
        let mut race = Race::prepare::<P>(TokenRules::Current).await;
        race.fill(Ask::new(Kind::ShortLived), filled).await;
        race.run(|_| Ask::new(Kind::ShortLived), filled / 2, &[Kind::ShortLived], 30).await;
        assert_eq!(race.won, TASKS);
        assert_eq!(race.living(&[Kind::ShortLived]).await, race.newest(30));
    }
}

async fn of_two_hundred_reissues_the_last_and_its_delayed_predecessor_are_active<
    P: Place + 'static,
>() {
    for delay in [0, 60].repeat(rounds(1)) {
        let mut race = Race::prepare::<P>(TokenRules::Current).await;
        let most = if delay == 0 { 1 } else { 2 };
        let kinds = [Kind::LongLived];
        race.fill(Ask::new(Kind::LongLived), 1).await;
        race.run(|_| Ask::new(Kind::LongLived).delay(delay), 0, &kinds, most).await;
        assert_eq!(race.won, TASKS);
        assert_eq!(race.living(&kinds).await, race.newest(most));
    }
}

async fn under_legacy_2020_the_newest_thirty_of_both_kinds_are_active<P: Place + 'static>() {
    let kinds = [Kind::ShortLived, Kind::LongLived];
    for filled in [0, 30].repeat(rounds(1)) {
        let mut race = Race::prepare::<P>(TokenRules::Legacy2020).await;
        race.fill(Ask::new(Kind::LongLived), filled).await;
        race.run(|n| Ask::new(kinds[n % 2]), filled / 2, &kinds, 30).await;
        assert_eq!(race.won, TASKS);
        assert_eq!(race.living(&kinds).await, race.newest(30));
    }
}

async fn the_caps_of_groups_and_of_the_channel_both_apply<P: Place + 'static>() {
    let group_of = |n: usize| format!("g{}", n % 20);
    for (kind, when_full) in [
        (Kind::V21, WhenFull::EvictOldest),
        (Kind::V21, WhenFull::Deny),
        (Kind::ShortLived, WhenFull::EvictOldest),
        (Kind::ShortLived, WhenFull::Deny),
    ]
    .repeat(rounds(1))
    {
        let mut race = Race::prepare::<P>(TokenRules::Current).await;
        let patch = ChannelPatch { group_when_full: Some(when_full), ..ChannelPatch::default() };
        race.world.patch(&race.shop, patch).await;
        race.run(|n| Ask::new(kind).group(&group_of(n)), 0, &[kind], 30).await;

        assert_eq!(race.living(&[kind]).await.len(), 30, "20 groups request 40 places");
        let mut held = 0;
        for row in race.world.groups(race.shop.id, NOW).await.unwrap() {
            assert!((1..=2).contains(&row.active_tokens), "{row:?}");
            held += row.active_tokens;
            // The active tokens of a group are its own newest.
            let own = race.tokens.iter().filter(|token| token.group.as_ref() == Some(&row.group));
            let mut own: Vec<_> = own.map(|token| token.serial).collect();
            own.sort();
            let newest = own.split_off(own.len() - row.active_tokens);
            for serial in newest {
                let row = race.world.row(&race.shop, serial, NOW).await;
                assert_eq!(row.state, tegata_store::TokenState::Active);
            }
        }
        assert_eq!(held, 30);
        if when_full == WhenFull::Deny {
            // For short-lived tokens a full channel still evicts the group's own oldest.
            assert!(race.won == 30 || kind == Kind::ShortLived);
            assert!(race.refused_for(Denied::GroupFull(kind)) > 0);
        }
        // Revoking a group's tokens makes room for another's.
        let first = race.world.groups(race.shop.id, NOW).await.unwrap().swap_remove(0);
        race.world.revoke_at(&race.shop, RevocationTarget::Group(first.group), NOW).await;
        let mut ask = Ask::new(kind);
        ask.group = Some(group("newcomer"));
        race.world.get(&race.shop, ask).await;
    }
}

/// Makes a test of every race for databases of that type.
macro_rules! run_on {
    ($backend:ident, $place:ty: $($race:ident)+) => {
        mod $backend {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $race() {
                super::$race::<$place>().await;
            })+
        }
    };
}

macro_rules! races {
    ($($race:ident)+) => {
        run_on!(sqlite, Sqlite: $($race)+);
        run_on!(postgres, Postgres<Plain>: $($race)+);
        run_on!(compatible, Postgres<Compatible>: $($race)+);
    };
}

races! {
    of_two_hundred_requests_thirty_get_a_v21_token_and_keep_it
    a_full_channel_issues_as_many_tokens_as_are_revoked
    the_newest_thirty_short_lived_tokens_are_active
    of_two_hundred_reissues_the_last_and_its_delayed_predecessor_are_active
    under_legacy_2020_the_newest_thirty_of_both_kinds_are_active
    the_caps_of_groups_and_of_the_channel_both_apply
}

//! A move to PostgreSQL loses nothing, also if it is interrupted, and lets no server serve an old
//! state by accident.

use crate::{
    people,
    place::{Place, Sqlite},
    postgres_place::{Plain, Postgres},
    world::{ALL, Ask, NOW, Shop, World, by, group, signing_key},
};
use std::{fmt::Debug, path::PathBuf};
use tegata_policy::{channel::RevokeTokens, secret::PlainSecret};
use tegata_store::{
    AuditFilter, ChannelFilter, ChannelPatch, ExpiryFilter, KeyFilter, NewVerifier, NewWarning,
    NotedUse, ProviderFilter, RecentUse, Recovery, RegisterInstance, RevocationTarget, Seen,
    SigningKeyChange, Stamp, Store, TokenFilter, TokenName, TokenState,
    audit::make_checkpoint,
    moving::{Move, MoveBefore, MoveError, undo},
    postgres::RecoveringPostgres,
};
use tegata_token::{
    feed::OnStale,
    id::{ChannelId, Position, VerifierId},
    key::SigningKey,
    kind::Kind,
    time::{DAY, UnixTime},
    view::ChannelState,
};

/// When the questions are asked.
const LATER: UnixTime = UnixTime(NOW.0 + 3_600);

/// An authority in a file, which has some of everything and no server.
struct Old {
    world: World,
    path: PathBuf,
    shop: Shop,
    other: Shop,
    retried: Ask,
    answers: Vec<String>,
}

impl Old {
    async fn new() -> Self {
        let sqlite = Sqlite::new();
        let path = sqlite.path();
        let world = World::at(Box::new(sqlite)).await;
        let (shop, other) = (world.shop().await, world.shop().await);
        let retried = Ask::new(Kind::V21).key("again");
        fill(&world, &shop, &other, &retried).await;
        let answers = answers(&*world, &[shop.id, other.id]).await;
        let mut old = Self { world, path, shop, other, retried, answers };
        old.world.close();
        old
    }

    async fn to(&self, to: &Postgres<Plain>) -> Result<Move, MoveError> {
        Move::open(&self.path, &self.path.with_file_name("guard"), &url(to)).await
    }

    async fn undo(&self, to: &Postgres<Plain>) -> Result<bool, MoveError> {
        undo(&self.path, &self.path.with_file_name("guard"), &url(to), false).await
    }

    /// How a server answers that starts there.
    async fn served_by(&self, to: &Postgres<Plain>) -> World {
        World::of(Box::new(Postgres::<Plain>::named(&to.database)), &self.world).await
    }
}

fn url(to: &Postgres<Plain>) -> String {
    Postgres::<Plain>::server().url(&to.database)
}

/// Makes some of everything.
async fn fill(world: &World, shop: &Shop, other: &Shop, retried: &Ask) {
    for kind in [Kind::V21, Kind::ShortLived, Kind::LongLived] {
        world.get(shop, Ask::new(kind)).await;
        world.get(shop, Ask::new(kind).delay(600)).await;
    }
    world.get(shop, retried.clone()).await;
    for _ in 0..40 {
        world.get(other, Ask::new(Kind::V21).group("team")).await;
    }
    let revoked = world.get(shop, Ask::new(Kind::ShortLived)).await;
    world.revoke_at(shop, RevocationTarget::Stored { serial: revoked }, NOW).await;
    world.revoke_at(other, RevocationTarget::Kind(Kind::ShortLived), NOW).await;
    let stateless = world.grant(other, &Ask::new(Kind::Stateless).group("of-stateless")).await;
    world.take_assertion(stateless, NOW).await.unwrap();
    let key = world.register(other.id, 1, Some(group("team"))).await.unwrap();
    let gone = world.register(other.id, 2, None).await.unwrap();
    world.delete_key(other.id, gone, false, by(NOW)).await.unwrap();
    let new = PlainSecret::from_caller("new".to_owned()).hash();
    world.replace_secret(other.id, new, 600, RevokeTokens::None, by(NOW)).await.unwrap();
    let suspended = world.shop().await;
    let state = Some(ChannelState::Suspended);
    world.patch(&suspended, ChannelPatch { state, ..ChannelPatch::default() }).await;
    let deleted = world.shop().await;
    let state = Some(ChannelState::Deleted);
    world.patch(&deleted, ChannelPatch { state, ..ChannelPatch::default() }).await;
    let add = SigningKeyChange::Add(signing_key(2));
    world.change_signing_keys(add, by(NOW)).await.unwrap();
    follow(world).await;
    people::set(world).await;
    let stamps = vec![
        Stamp::AssertionKey(key, NOW),
        Stamp::Secret(shop.id, shop.secret.hash(), NOW),
        Stamp::Token(shop.id, revoked, NOW),
    ];
    world.stamp(stamps).await.unwrap();
    let used = RecentUse { source: Some([10, 0, 0, 1].into()), minute: NOW, count: 3 };
    let uses = vec![NotedUse { channel: shop.id, serial: revoked, used }];
    world.record_uses(uses, UnixTime(0)).await.unwrap();
    let warnings = (0..2_500).map(|it| NewWarning {
        name: format!("warning {it}"),
        body: "{}".into(),
        keep_until: NOW.plus(DAY),
    });
    world.queue_warnings(warnings.collect(), NOW).await.unwrap();
    world.begin_provider_revocation(world.provider, by(NOW)).await.unwrap();
    let key = audit_key();
    let wrapped = signing_key(3).wrapped;
    world.set_audit_key(key.public().to_bytes(), wrapped).await.unwrap();
    let rows = world.audit_batch((0, i64::MIN), 1_000).await.unwrap().rows;
    let checkpoint = make_checkpoint(None, &rows, (1, 1, NOW), &key).unwrap();
    world.add_checkpoint(checkpoint).await.unwrap();
    world.create_channel(world.new_channel(&shop.secret), by(NOW)).await.unwrap();
}

fn audit_key() -> SigningKey {
    SigningKey::from_seed(&[9; 32]).unwrap()
}

/// Makes verifiers, and an instance that follows.
async fn follow(world: &World) {
    for (number, provider) in [(5, None), (6, Some(world.provider))] {
        let id = VerifierId::from_number(number).unwrap();
        let token = PlainSecret::from_caller(format!("a verifier's {number}")).hash();
        let new = NewVerifier {
            id,
            name: "Gateway".into(),
            provider,
            max_staleness: 60_000,
            allow: false,
            token,
        };
        world.create_verifier(new, by(NOW)).await.unwrap();
        let act = RegisterInstance {
            verifier: id,
            instance: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            staleness: 1_000,
            on_stale: OnStale::Deny,
            address: [192, 0, 2, 7].into(),
        };
        world.register_instance(act, NOW).await.unwrap();
    }
    world.delete_verifier(VerifierId::from_number(6).unwrap(), by(NOW)).await.unwrap();
}

fn said(what: &str, answer: impl Debug) -> String {
    format!("{what}: {answer:#?}")
}

/// The answers to all questions of a store.
async fn answers(store: &dyn Store, channels: &[ChannelId]) -> Vec<String> {
    let mut all = of_lists(store).await;
    all.extend(of_the_audit(store).await);
    for id in channels {
        all.extend(of_channel(store, *id).await);
    }
    let state = store.state().await.unwrap();
    let mut revocations: Vec<_> = state.view.each_channel().collect();
    revocations.sort_by_key(|(_, id, _)| *id);
    all.push(said("revocations", revocations));
    let mut ids = state.channels.clone();
    ids.sort();
    all.push(said("ids", ids));
    all.push(said("keys of the view", state.view.keys()));
    all.push(said("people in memory", &state.people));
    all.push(said("times", (state.view.position(), state.written_at, state.clock_offset)));
    all
}

async fn of_lists(store: &dyn Store) -> Vec<String> {
    let find = |text: &str| Some(text.to_owned());
    let most = |most| tegata_store::Page { before: None, most };
    let provider = store.providers(ProviderFilter::default(), ALL).await.unwrap()[0].1.id;
    let seen = Some(Seen { providers: vec![provider], channels: Vec::new() });
    let soon = ExpiryFilter { before: LATER.plus(31 * DAY), after: None, seen: None };
    let expiring = store.expiring_tokens(soon.clone(), 7, NOW).await.unwrap();
    let last = expiring.last().map(|(row, _, token)| (token.expires_at, *row));
    let behind = ExpiryFilter { after: last, ..soon };
    let keys: Vec<_> = store.signing_keys().await.unwrap();
    let signed = keys.iter().map(|key| key.id).collect();
    let used = store.expiring_tokens(ExpiryFilter { after: None, ..behind.clone() }, 3, NOW);
    let used = used.await.unwrap().into_iter().map(|(_, channel, it)| (channel, it.id)).collect();
    vec![
        said("keys", &keys),
        said("signed", store.signed_by(signed, 5, NOW).await),
        said("providers", store.providers(ProviderFilter::default(), ALL).await),
        said(
            "searched",
            store.channels(ChannelFilter { search: find("sHOp"), ..<_>::default() }, most(3)).await,
        ),
        said(
            "not found",
            store.channels(ChannelFilter { search: find("%"), ..<_>::default() }, ALL).await,
        ),
        said("seen", store.channels(ChannelFilter { seen, ..<_>::default() }, ALL).await),
        said(
            "none seen",
            store
                .channels(ChannelFilter { seen: Some(Seen::default()), ..<_>::default() }, ALL)
                .await,
        ),
        said("of provider", store.channels(ChannelFilter::of(provider), ALL).await),
        said("assertion keys", store.assertion_keys(KeyFilter::default(), ALL).await),
        said(
            "found keys",
            store.assertion_keys(KeyFilter { search: find("TEAM"), ..<_>::default() }, ALL).await,
        ),
        said("expiring", expiring),
        said("behind", store.expiring_tokens(behind, 100, NOW).await),
        said("used", store.used_tokens(used, Some(provider)).await),
        said("count", store.count_tokens(provider, NOW).await),
        said("channels", store.count_channels(vec![provider]).await),
        said("verifiers", store.verifiers().await),
        said("instances", store.instances().await),
        said("receipts", store.open_receipts(3).await),
        said("log", store.last_changes(10).await),
        said("log from", store.changes(Position { epoch: 1, number: 5 }, 10).await),
        said("no log", store.changes(Position { epoch: 2, number: 5 }, 10).await),
        said("warnings", store.due_warnings(5, LATER).await),
        said("jobs", store.provider_revocations().await),
        said("people", store.people().await),
        said("old rows", store.inactive_before(0, LATER.plus(40 * DAY), 30).await),
        said("holdings", store.holdings(None, 2, NOW).await),
    ]
}

async fn of_the_audit(store: &dyn Store) -> Vec<String> {
    let page = tegata_store::Page { before: Some(30), most: 10 };
    let provider = store.providers(ProviderFilter::default(), ALL).await.unwrap()[0].1.id;
    let team = AuditFilter { group: Some(group("team")), ..<_>::default() };
    let seen = Seen { providers: vec![provider], channels: Vec::new() };
    let between = AuditFilter { since: Some(NOW), until: Some(LATER), ..<_>::default() };
    let no_time = AuditFilter { until: Some(NOW), ..<_>::default() };
    vec![
        said("audit", store.audit(AuditFilter::default(), ALL).await),
        said("a page", store.audit(AuditFilter::default(), page).await),
        said("of a group", store.audit(team, ALL).await),
        said("between", store.audit(between, page).await),
        said("before", store.audit(no_time, ALL).await),
        said("seen", store.audit(AuditFilter { seen: Some(seen), ..<_>::default() }, ALL).await),
        said("one", store.audit_row(3).await),
        said("head", store.audit_head().await),
        said("batch", store.audit_batch((0, i64::MIN), 10).await),
        said("rest", store.audit_batch((1, 5), 10).await),
        said("expired", store.audit_expired(1, LATER).await),
        said("audit key", store.audit_key().await),
    ]
}

async fn of_channel(store: &dyn Store, id: ChannelId) -> Vec<String> {
    let state = |state| TokenFilter { state: Some(state), ..TokenFilter::default() };
    let tokens = store.tokens(id, TokenFilter::default(), ALL, LATER).await.unwrap();
    let mut all = vec![
        said("channel", store.channel(id).await),
        said("groups", store.groups(id, NOW).await),
        said("revoked", store.tokens(id, state(TokenState::Revoked), ALL, LATER).await),
        said("active", store.tokens(id, state(TokenState::Active), ALL, LATER).await),
        said("v2.1", store.live_v21(id, Some(group("team")), NOW).await),
        said("act", store.state_act(id).await),
        said("holding", store.holding(id, NOW).await),
    ];
    for (_, token) in &tokens {
        all.push(said("by serial", store.token(id, TokenName::Serial(token.serial), NOW).await));
        all.push(said("by id", store.token(id, TokenName::Id(token.id), NOW).await));
        all.push(said("uses", store.recent_uses(id, token.serial).await));
    }
    all.push(said("tokens", tokens));
    all
}

/// The first difference, which is easier to read than all.
fn assert_same(one: &[String], other: &[String]) {
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_authority_answers_every_question_as_before_and_goes_on() {
    let (old, to) = (Old::new().await, Postgres::<Plain>::empty());
    let moving = old.to(&to).await.unwrap();
    assert_eq!(moving.before(), MoveBefore::Nothing);
    let moved = moving.run([7; 16], &mut |_, _, _| {}).await.unwrap();
    assert_eq!(moved.audit_problem, None);
    let new = old.served_by(&to).await;
    assert_same(&old.answers, &answers(&*new, &[old.shop.id, old.other.id]).await);
    // It goes on: a retry gets the same token, and new rows do not meet old ones.
    let again = new.ask(&old.shop, old.retried.clone()).await.unwrap();
    assert!(again.again);
    new.get(&old.shop, Ask::new(Kind::ShortLived)).await;
    let shop = new.shop().await;
    new.get(&shop, Ask::new(Kind::V21)).await;
    let again = old.to(&to).await.unwrap();
    assert_eq!(again.before(), MoveBefore::All);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_move_goes_on_and_no_server_starts_meanwhile() {
    let (old, to) = (Old::new().await, Postgres::<Plain>::empty());
    for steps in [1, 5, 12, 20, 27] {
        interrupted(&old, &to, steps);
        let refused = to.open(false, Box::new(|_| {})).await.err().unwrap();
        assert!(refused.contains("repeat the `tegata move`"), "{refused}");
        let refused = old.world.place.open(false, Box::new(|_| {})).await.err().unwrap();
        assert!(refused.contains("was moved to a PostgreSQL database"), "{refused}");
    }
    let moving = old.to(&to).await.unwrap();
    assert_eq!(moving.before(), MoveBefore::Part);
    moving.run([7; 16], &mut |_, _, _| {}).await.unwrap();
    let new = old.served_by(&to).await;
    assert_same(&old.answers, &answers(&*new, &[old.shop.id, old.other.id]).await);
}

/// Runs the move in a thread of its own, which dies at that step.
fn interrupted(old: &Old, to: &Postgres<Plain>, steps: usize) {
    let (path, guard) = (old.path.clone(), old.path.with_file_name("guard"));
    let to = url(to);
    let died = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let moving = Move::open(&path, &guard, &to).await.unwrap();
            let mut left = steps;
            let die = &mut |_, _, _| {
                left -= 1;
                assert!(left > 0, "as it should: the move is interrupted");
            };
            moving.run([7; 16], die).await.unwrap();
        });
    });
    assert!(died.join().is_err(), "it was not interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_refused_where_it_would_lose_or_mix_something() {
    let (mut old, to) = (Old::new().await, Postgres::<Plain>::empty());
    old.world.reopen_alone().await;
    let refused = old.to(&to).await.err().unwrap().to_string();
    assert!(refused.contains("in use by another process"), "{refused}");
    old.world.close();
    let other = Postgres::<Plain>::new();
    drop(other.open(false, Box::new(|_| {})).await.unwrap());
    assert!(matches!(old.to(&other).await.err(), Some(MoveError::NotEmpty)));
    // The file is served again after the move began: what was copied is an old state.
    interrupted(&old, &to, 12);
    assert!(old.undo(&to).await.unwrap() && !old.undo(&to).await.unwrap());
    old.world.reopen_alone().await;
    old.world.create_channel(old.world.new_channel(&old.shop.secret), by(LATER)).await.unwrap();
    old.world.close();
    assert!(matches!(old.to(&to).await.err(), Some(MoveError::OtherMove)));
    // What the database does not have as the file does, is noticed.
    let third = Postgres::<Plain>::empty();
    interrupted(&old, &third, 45);
    third.sql("UPDATE token SET past = NOT past WHERE number = 3 RETURNING 1");
    let refused = old.to(&third).await.unwrap().run([7; 16], &mut |_, _, _| {}).await.err();
    let refused = refused.unwrap().to_string();
    assert!(refused.contains("the table token: "), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_undone_only_where_no_server_was_started_on_the_database() {
    let (mut old, to) = (Old::new().await, Postgres::<Plain>::empty());
    old.to(&to).await.unwrap().run([7; 16], &mut |_, _, _| {}).await.unwrap();
    // Another database shows nothing about the one that the file was moved to.
    let empty = Postgres::<Plain>::empty();
    assert!(matches!(old.undo(&empty).await.err(), Some(MoveError::NotHere)));
    assert!(old.undo(&to).await.unwrap());
    let refused = to.open(false, Box::new(|_| {})).await.err().unwrap();
    assert!(refused.contains("the move to this database was undone"), "{refused}");
    assert!(matches!(old.to(&to).await.err(), Some(MoveError::Undone)));
    old.world.reopen_alone().await;
    old.world.close();
    let to = Postgres::<Plain>::empty();
    old.to(&to).await.unwrap().run([7; 16], &mut |_, _, _| {}).await.unwrap();
    let server = to.open(false, Box::new(|_| {})).await.unwrap();
    assert!(matches!(old.undo(&to).await.err(), Some(MoveError::Served(_))));
    drop(server);
    let refused = until(async || match old.undo(&to).await.err() {
        Some(MoveError::Served(_)) => None,
        other => Some(other),
    });
    assert!(matches!(refused.await, Some(MoveError::WasServed)));
    let refused = old.world.place.open(false, Box::new(|_| {})).await.err().unwrap();
    assert!(refused.contains("was moved to a PostgreSQL database"), "{refused}");
    to.open(false, Box::new(|_| {})).await.unwrap();
}

/// What `ask` returns once it returns something: a server signs off a moment after it is closed.
async fn until<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it does not come to that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_not_undone_after_a_recovery_of_what_servers_have_done() {
    let (old, to) = (Old::new().await, Postgres::<Plain>::empty());
    old.to(&to).await.unwrap().run([7; 16], &mut |_, _, _| {}).await.unwrap();
    let mut new = old.served_by(&to).await;
    let revoked = RevocationTarget::Kind(Kind::LongLived);
    new.revoke_at(&old.shop, revoked, NOW).await;
    new.close();
    let signed_off = until(async || to.sql("SELECT id FROM replica").is_empty().then_some(()));
    signed_off.await;
    let how = Recovery::RevokeEverything { log: None, clock: None };
    let open = RecoveringPostgres::open(&url(&to), how, false).await.unwrap();
    open.recover(signing_key(8), Vec::new(), false, None, by(LATER)).await.unwrap();
    assert!(to.sql("SELECT name FROM job_lease").is_empty(), "no server has run since");
    let dry = undo(&old.path, &old.path.with_file_name("guard"), &url(&to), true).await;
    assert!(matches!(dry.err(), Some(MoveError::WasServed)));
    assert!(matches!(old.undo(&to).await.err(), Some(MoveError::WasServed)));
    let refused = old.world.place.open(false, Box::new(|_| {})).await.err().unwrap();
    assert!(refused.contains("was moved to a PostgreSQL database"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_started_just_before_a_move_writes_nothing_that_the_move_writes() {
    let (old, to) = (Old::new().await, Postgres::<Plain>::empty());
    let moving = old.to(&to).await.unwrap();
    // As a server does that has looked whether it is kept away just before it was.
    let mut late = Some(
        "INSERT INTO authority (id, epoch, dev, identity) SELECT 1, 1, false, 'another'
         WHERE NOT EXISTS (SELECT FROM authority) ON CONFLICT (id) DO NOTHING RETURNING id",
    );
    let during = &mut |_, _, _| {
        if let Some(sql) = late.take() {
            assert!(to.sql(sql).is_empty(), "the authority's row is there");
        }
    };
    moving.run([7; 16], during).await.unwrap();
    let new = old.served_by(&to).await;
    assert_same(&old.answers, &answers(&*new, &[old.shop.id, old.other.id]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_stops_before_it_marks_anything_if_a_server_was_started_on_the_database() {
    let (old, to) = (Old::new().await, Postgres::<Plain>::empty());
    let moving = old.to(&to).await.unwrap();
    assert_eq!(moving.before(), MoveBefore::Nothing);
    // After the database was looked at, and before the move begins.
    let server = to.open(false, Box::new(|_| {})).await.unwrap();
    let refused = moving.run([7; 16], &mut |_, _, _| {}).await.err().unwrap();
    assert!(matches!(refused, MoveError::NotEmpty), "{refused}");
    // Both go on as they were.
    server.is_writable().await.unwrap();
    drop(server);
    to.open(false, Box::new(|_| {})).await.unwrap();
    old.world.place.open(false, Box::new(|_| {})).await.unwrap();
}

//! Every effect is written by statements that a real server accepts, and is read again.

mod others;
mod tasks;
mod waiting;

use super::{
    apply::{At, statements},
    load::load_all,
    rows::signing_keys,
};
use crate::{audit_event::AuditEvent, postgres::failed::Failed};
use postgres_fixture::{PostgresServer, ServerSettings};
use std::sync::{Arc, LazyLock};
use tegata_policy::{
    acts::{
        AdminTokenRow, AuditRecord, Author, Checkpoint, Effects, Event, Identity, Instance,
        LinkedIdentity, Locked, Needs, NewToken, NewWarning, NotedUse, Old, PasswordHash,
        PersonRow, Provider, ProviderJob, ReceiptFor, ReceiptRow, RecentUse, RememberedRequest,
        RevocationCause, SessionRow, SignInSecrets, SigningKeyRow, Stamp, StampPlace, StoredPerson,
        TokenHash, Tokens, Upkeep, VerifierRow, WhichPerson, WrappedKey, Write, audit_event,
    },
    channel::{Channel, ChannelLimits, GroupRule, GroupSettings, OnLeak, RegisteredKey, Secret},
    permission::{OperatorRole, Rights},
    rules::{ChannelType, TokenRules, WhenFull},
    secret::HashedSecret,
};
use tegata_token::{
    claims::Claims,
    feed::{InstanceId, OnStale},
    id::{
        AdminTokenId, AssertionKeyId, ChannelId, Group, PersonId, Position, ProviderId, Serial,
        TokenId, VerifierId,
    },
    key::{KeyState, VerifyingKey},
    kind::Kind,
    time::UnixTime,
    view::{ChannelRevocations, ChannelState, Scope},
};
use tokio_postgres::{Client, NoTls};

const NOW: UnixTime = UnixTime(1_800_000_000);
const AT: At = At { now: NOW, position: Some(Position { epoch: 3, number: 17 }), audit: Some(5) };

/// A database with the store's tables.
struct Database {
    db: Client,
    url: String,
}

impl Database {
    async fn new() -> Self {
        let it = Self::empty().await;
        let tables = include_str!("../../migrations/postgres/V1__initial.sql");
        it.db.batch_execute(tables).await.unwrap();
        let rows = "INSERT INTO authority (id, epoch, dev, identity) VALUES (1, 3, true, '');
            INSERT INTO form (number, version, issuer) VALUES (1, 1, 'https://a')";
        it.db.batch_execute(rows).await.unwrap();
        it
    }

    /// One without tables.
    async fn empty() -> Self {
        static SERVER: LazyLock<PostgresServer> =
            LazyLock::new(|| PostgresServer::start(ServerSettings::default()).unwrap());
        let server = &*SERVER;
        let name = server.empty_database().unwrap();
        let url = server.url(&name);
        let (db, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { db, url }
    }

    /// Another connection to it.
    async fn another(&self) -> Client {
        let (db, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        db
    }

    async fn write(&self, channel: Option<ChannelId>, writes: Vec<Write>) {
        self.try_write(channel, writes, None).await.unwrap();
    }

    async fn try_write(
        &self,
        channel: Option<ChannelId>,
        writes: Vec<Write>,
        receipt: Option<ReceiptRow>,
    ) -> Result<(), Failed> {
        let author = Author { actor: "a".into(), source: None, reason: Some("why".into()) };
        let effects = Effects { writes, author: Some(author), ..Effects::default() };
        let acts = [(channel, effects, AT, receipt)];
        statements(&acts).run(&self.db).await
    }

    async fn read(&self, needs: Needs) -> Locked {
        let keys = signing_keys(&self.db).await.unwrap().into();
        load_all(&self.db, &keys, &[needs]).await.unwrap().remove(0)
    }

    async fn upkeep(&self, upkeep: Upkeep) -> tegata_policy::acts::UpkeepRows {
        self.read(Needs { upkeep, ..Needs::default() }).await.upkeep
    }

    async fn number(&self, sql: &str) -> i64 {
        self.db.query_one(sql, &[]).await.unwrap().get(0)
    }
}

fn channel_id() -> ChannelId {
    ChannelId::from_number(1_000_000_001).unwrap()
}

fn provider_id() -> ProviderId {
    ProviderId::from_number(1_000_000_002).unwrap()
}

fn group() -> Group {
    "blue".parse().unwrap()
}

fn hash(of: u8) -> HashedSecret {
    HashedSecret::from_stored([of; 32])
}

fn channel() -> Channel {
    Channel {
        id: channel_id(),
        provider: provider_id(),
        name: "a channel".into(),
        channel_type: ChannelType::MessagingApi,
        created_at: NOW,
        state: ChannelState::Active,
        rules: TokenRules::Legacy2020,
        group_rule: GroupRule { cap: 7, when_full: WhenFull::Deny },
        own_audience_only: true,
        single_use_assertions: true,
        on_leak: OnLeak::Flag,
        limits: ChannelLimits { surge_limit: Some(3), ..ChannelLimits::default() },
        secrets: vec![Secret { hash: hash(1), until: None }],
        assertion_keys: Vec::new(),
        groups: Default::default(),
        used_groups: Default::default(),
        revision: 4,
        bulk_serial: Serial(2),
    }
}

fn signing_key() -> SigningKeyRow {
    let public = VerifyingKey::from_bytes(PUBLIC).unwrap();
    SigningKeyRow {
        id: public.id(),
        public: public.to_bytes(),
        wrapped: WrappedKey(vec![9; 40]),
        state: KeyState::Active,
        created_at: NOW,
        changed_at: NOW,
    }
}

/// The public key of the first test vector of RFC 8032, section 7.1.
const PUBLIC: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

fn token(serial: u64) -> Write {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&serial.to_be_bytes());
    let claims = Claims {
        id: TokenId(id),
        kind: Kind::V21,
        provider: provider_id(),
        channel: channel_id(),
        group: Some(group()),
        assertion_key: Some(AssertionKeyId([7; 16])),
        serial: Serial(serial),
        issued_at: NOW,
        expires_at: NOW.plus(100),
        key: signing_key().id,
    };
    Write::Token(Box::new(NewToken {
        claims,
        key: 1,
        form: 1,
        idempotency: Some([u8::try_from(serial).unwrap(); 32]),
        parameters: Some("1 2".into()),
    }))
}

async fn with_channel() -> Database {
    let it = Database::new().await;
    let provider = Provider { id: provider_id(), name: "p".into(), created_at: NOW };
    it.write(
        None,
        vec![
            Write::SigningKey(signing_key()),
            Write::Provider(provider),
            Write::NewChannel(Box::new(channel())),
        ],
    )
    .await;
    it
}

#[tokio::test]
async fn what_acts_write_of_a_channel_is_read_again() {
    let it = with_channel().await;
    let id = channel_id();
    let settings = GroupSettings { cap: Some(2), ..GroupSettings::default() };
    let key = RegisteredKey {
        id: AssertionKeyId([7; 16]),
        group: Some(group()),
        key: tegata_policy::jwk::AssertionKey::from_modulus(&[0xc1; 256]).unwrap(),
        created_at: NOW,
    };
    let until = NOW.plus(50);
    it.write(
        Some(id),
        vec![
            Write::AssertionKey(id, Box::new(key)),
            Write::Group(id, group(), settings.clone()),
            Write::GroupUsed { channel: id, group: group(), until },
            Write::GroupUsed { channel: id, group: group(), until: NOW.plus(40) },
            Write::Secret { channel: id, hash: hash(2), kept: Some(until) },
            Write::StateChangedBy(id),
            Write::Settings(Box::new(Channel { name: "new".into(), ..channel() })),
            Write::Serial(id, Serial(9)),
            Write::BulkSerial(id, Serial(8)),
            Write::Revised(id),
            Write::AssertionUsed { channel: id, fingerprint: [3; 32], expires_at: until },
        ],
    )
    .await;
    let needs = Needs {
        assertion: Some([3; 32]),
        provider: Some(provider_id()),
        count_channels: true,
        ..Needs::channel(id)
    };
    let locked = it.read(needs).await;
    let found = locked.channel.unwrap();
    assert_eq!((found.name.as_str(), found.revision, found.bulk_serial.0), ("new", 5, 8));
    assert_eq!(found.rules, TokenRules::Legacy2020);
    assert_eq!(found.limits, channel().limits);
    assert_eq!(found.groups.get(&group()), Some(&settings));
    assert_eq!(found.used_groups.get(&group()), Some(&until));
    assert_eq!(found.assertion_keys.len(), 1);
    let secrets: Vec<_> =
        found.secrets.iter().map(|it| (it.hash.to_stored()[0], it.until)).collect();
    assert_eq!(secrets, [(2, None), (1, Some(until))]);
    assert_eq!(locked.count.unwrap().serial, Serial(9));
    assert!(locked.assertion_used);
    assert_eq!(locked.provider.unwrap().channels, 1);
    assert_eq!(it.number("SELECT state_act FROM channel").await, 5);
    assert_eq!(it.number("SELECT written_at FROM channel_count").await, NOW.0);

    let known = Needs { unless_revision: Some(5), ..Needs::channel(id) };
    assert!(it.read(known.clone()).await.channel.is_none());
    let changed = Needs { unless_revision: Some(4), assertion: Some([3; 32]), ..known };
    let locked = it.read(changed).await;
    assert_eq!(locked.channel.unwrap().assertion_keys.len(), 1);
    assert!(locked.assertion_used, "the channel's settings say so only now");

    it.write(
        Some(id),
        vec![
            Write::AssertionKeyGone { channel: id, key: AssertionKeyId([7; 16]), until },
            Write::GroupDeleted { channel: id, group: group(), until: NOW.plus(60) },
            Write::Group(id, group(), GroupSettings::default()),
            Write::PreviousSecretsDropped { after: NOW },
            Write::EverySerialRaised { by: 100 },
        ],
    )
    .await;
    let scope = Some(Scope::AssertionKey { key: AssertionKeyId([7; 16]) });
    let locked = it.read(Needs { scope, ..Needs::channel(id) }).await;
    let found = locked.channel.unwrap();
    assert!(found.assertion_keys.is_empty() && found.groups.is_empty());
    assert!(found.used_groups.is_empty());
    assert_eq!((found.secrets.len(), locked.remembered.until), (1, Some(until)));
    assert_eq!((locked.count.unwrap().serial, found.bulk_serial), (Serial(109), Serial(109)));
    let scope = Some(Scope::Group { group: group() });
    let remembered = it.read(Needs { scope: scope.clone(), ..Needs::channel(id) }).await.remembered;
    assert_eq!((remembered.by_tokens, remembered.until), (false, Some(NOW.plus(60))));
    it.write(Some(id), vec![Write::ScopesForgotten(id)]).await;
    let remembered = it.read(Needs { scope, ..Needs::channel(id) }).await.remembered;
    assert_eq!(remembered.until, None);
}

#[tokio::test]
async fn what_acts_write_of_tokens_is_read_again() {
    let it = with_channel().await;
    let id = channel_id();
    it.write(Some(id), (1..=5).map(token).collect()).await;
    let mut revocations = ChannelRevocations::default();
    revocations.singles.insert(Serial(2), (Kind::V21, NOW.plus(100)));
    let (by, replaced_by) = (RevocationCause::Requested, Some(Serial(5)));
    it.write(
        Some(id),
        vec![
            Write::TokenRevoked { row: 2, by, replaced_by: None },
            Write::TokenRevokedFrom { row: 3, at: NOW.plus(10), replaced_by },
            Write::TokenPast { row: 4, revoked: Some((by, NOW)) },
            Write::Revocations(id, revocations.clone()),
        ],
    )
    .await;
    let needs = Needs {
        tokens: Tokens::WithKeys,
        revocations: true,
        issued_under: Some([5; 32]),
        named: Some(Serial(2)),
        scope: Some(Scope::Group { group: group() }),
        ..Needs::channel(id)
    };
    let locked = it.read(needs.clone()).await;
    let serials: Vec<_> = locked.tokens.iter().map(|it| it.serial.0).collect();
    assert_eq!(serials, [1, 3, 5]);
    assert_eq!(locked.tokens[1].times.ends_at, Some(NOW.plus(10)));
    assert_eq!(locked.tokens[0].assertion_key, Some(AssertionKeyId([7; 16])));
    assert_eq!(*locked.revocations, revocations);
    let before = locked.before.unwrap();
    assert_eq!((before.serial, before.previous_until), (Serial(5), Some(NOW.plus(10))));
    assert!(locked.named.is_some() && locked.remembered.by_tokens);
    let counted = it.read(Needs { tokens: Tokens::Counted, ..needs }).await.tokens;
    assert_eq!(counted[0].assertion_key, None);
    let revoked = it.db.query_one("SELECT * FROM token WHERE serial = 2", &[]).await.unwrap();
    assert_eq!(revoked.get::<_, i64>("revoked_act"), 5);
    assert_eq!(revoked.get::<_, &str>("reason"), "why");
    let none = Write::Revocations(id, ChannelRevocations::default());
    it.write(Some(id), vec![none]).await;
    assert_eq!(it.number("SELECT count(*) FROM channel_revocations").await, 0);
}

#[tokio::test]
async fn uses_are_written_and_old_rows_deleted() {
    let it = with_channel().await;
    let id = channel_id();
    it.write(Some(id), (1..=2).map(token).collect()).await;
    let past = Write::TokenPast { row: 2, revoked: None };
    it.write(Some(id), vec![past]).await;
    let used = RecentUse::once(None, NOW);
    let noted: Arc<[_]> =
        [1, 2].map(|serial| NotedUse { channel: id, serial: Serial(serial), used }).into();
    let stamps: Arc<[_]> = [
        Stamp::Token(id, Serial(1), NOW),
        Stamp::Token(id, Serial(2), NOW),
        Stamp::Secret(id, hash(1), NOW),
        Stamp::AssertionKey(AssertionKeyId([7; 16]), NOW),
    ]
    .into();
    let places: Vec<_> =
        it.upkeep(Upkeep::Stamps(stamps)).await.stamped.iter().map(|it| it.place).collect();
    assert_eq!(places, [StampPlace::Token(1), StampPlace::Token(2), StampPlace::Secret(id)]);
    let mut writes: Vec<_> = places.into_iter().map(|place| Write::Used(place, NOW)).collect();
    writes.extend([1, 2].map(|row| Write::Uses { row, uses: vec![used] }));
    writes.push(Write::Used(StampPlace::PreviousSecret(id), NOW));
    writes.push(Write::Used(StampPlace::AssertionKey(AssertionKeyId([7; 16])), NOW));
    writes.push(Write::AssertionUsed { channel: id, fingerprint: [1; 32], expires_at: NOW });
    it.write(None, writes).await;
    let rows = it.upkeep(Upkeep::Uses(noted)).await.uses;
    assert_eq!(
        rows.iter().map(|it| (it.row, it.before.len())).collect::<Vec<_>>(),
        [(1, 1), (2, 1)]
    );
    assert_eq!(it.number("SELECT sum(last_used_at)::bigint FROM token").await, 2 * NOW.0);

    let old = Old::LogAndAssertions { most: 9 };
    assert_eq!(it.upkeep(Upkeep::Old(old)).await.assertions.len(), 1);
    let old = Old::Uses { before: NOW.plus(1_000_000), most: 9 };
    assert_eq!(it.upkeep(Upkeep::Old(old)).await.last_uses.len(), 2);
    let old = Old::Tokens { rows: vec![1, 2, 3], before: NOW };
    assert_eq!(it.upkeep(Upkeep::Old(old)).await.tokens.len(), 2);
    it.write(
        None,
        vec![
            Write::UsesDropped { row: 1 },
            Write::TokenDropped { channel: id, row: 2 },
            Write::AssertionsDropped(vec![(id, [1; 32])]),
            Write::LogDropped { through: 3 },
            Write::AuditDropped { through: 1 },
        ],
    )
    .await;
    for (table, left) in [("token", 1), ("token_use", 0), ("assertion_used", 0)] {
        assert_eq!(it.number(&format!("SELECT count(*) FROM {table}")).await, left, "{table}");
    }
    assert_eq!(it.number("SELECT log_from FROM authority").await, 3);
}

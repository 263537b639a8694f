//! Every effect is written by statements that a real server accepts, and is read again.

use super::{
    apply::{At, apply},
    load::load_all,
    rows::signing_keys,
};
use crate::{audit_event::AuditEvent, postgres::failed::Failed};
use postgres_fixture::{PostgresServer, ServerSettings};
use std::sync::{Arc, LazyLock};
use tegata_policy::{
    acts::{
        AdminTokenRow, AuditRecord, Author, Checkpoint, Effects, Event, Instance, Locked, Needs,
        NewToken, NewWarning, NotedUse, Old, PasswordHash, PersonRow, Provider, ProviderJob,
        ReceiptFor, ReceiptRow, RecentUse, RememberedRequest, RevocationCause, SessionRow,
        SignInSecrets, SigningKeyRow, Stamp, StampPlace, StoredPerson, TokenHash, Tokens, Upkeep,
        VerifierRow, WhichPerson, WrappedKey, Write, audit_event,
    },
    channel::{Channel, ChannelLimits, GroupRule, GroupSettings, RegisteredKey, Secret},
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
}

impl Database {
    async fn new() -> Self {
        static SERVER: LazyLock<PostgresServer> =
            LazyLock::new(|| PostgresServer::start(ServerSettings::default()).unwrap());
        let server = &*SERVER;
        let name = server.empty_database().unwrap();
        let url = server.url(&name);
        let (db, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        db.batch_execute(include_str!("../../migrations/postgres/V1__initial.sql")).await.unwrap();
        db.batch_execute(
            "INSERT INTO authority (id, epoch, dev, identity) VALUES (1, 3, true, '')",
        )
        .await
        .unwrap();
        db.batch_execute("INSERT INTO form (number, version, issuer) VALUES (1, 1, 'https://a')")
            .await
            .unwrap();
        Self { db }
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
        apply(&self.db, &[(channel, effects, AT, receipt)]).await
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

#[tokio::test]
async fn what_jobs_write_is_read_again() {
    let it = with_channel().await;
    let new = it.upkeep(Upkeep::NewProviderJob).await;
    assert_eq!((new.next_job, new.newest_channel), (1, 1));
    let job = ProviderJob {
        number: 1,
        provider: provider_id(),
        through: 1,
        actor: "a".into(),
        source: None,
        reason: None,
        revoked: 0,
        position: 17,
        next: Some(channel_id()),
    };
    it.write(None, vec![Write::ProviderJob(Box::new(job.clone()))]).await;
    assert_eq!(it.upkeep(Upkeep::ProviderJob(1)).await.job, Some(job));
    it.write(None, vec![Write::ProviderJobAt { job: 1, done_to: channel_id(), revoked: 2 }]).await;
    let found = it.upkeep(Upkeep::OldestProviderJob(provider_id())).await.job.unwrap();
    assert_eq!((found.revoked, found.next), (2, None));
    it.write(None, vec![Write::ProviderJobDone(1)]).await;
    assert!(it.upkeep(Upkeep::ProviderJob(1)).await.job.is_none());
    let receipt = "SELECT count(*) FROM receipt WHERE epoch = 3 AND position = 17 AND complete";
    assert_eq!(it.number(receipt).await, 1);

    let new = NewWarning { name: "n".into(), body: "{}".into(), keep_until: NOW };
    it.write(None, vec![Write::Warning { new, next: NOW }]).await;
    let found = it.upkeep(Upkeep::Warnings(vec!["n".into(), "m".into()])).await.warnings;
    assert_eq!(found.len(), 2, "by its name and as one of the oldest");
    let number = found[0].number;
    it.write(None, vec![Write::WarningTried { number, attempts: 3, next: None }]).await;
    assert_eq!(it.upkeep(Upkeep::Warning(number)).await.warnings[0].attempts, 3);
    it.write(None, vec![Write::WarningDropped(number)]).await;
    assert!(it.upkeep(Upkeep::Warning(number)).await.warnings.is_empty());

    let key = [8; 32];
    let new = RememberedRequest { key, parameters: [9; 32], response: None, until: NOW };
    it.write(None, vec![Write::Request(Box::new(new.clone()))]).await;
    let again = it.try_write(None, vec![Write::Request(Box::new(new))], None).await;
    assert!(matches!(again, Err(Failed::Taken)));
    it.write(None, vec![Write::RequestAnswered(key, WrappedKey(vec![1]))]).await;
    let found = it.upkeep(Upkeep::Request(key)).await.requests;
    assert_eq!((found.len(), found[0].response.clone()), (2, Some(WrappedKey(vec![1]))));
    it.write(None, vec![Write::RequestForgotten(key)]).await;
    assert!(it.upkeep(Upkeep::Request(key)).await.requests.is_empty());
}

#[tokio::test]
async fn what_acts_write_of_keys_and_the_audit_is_read_again() {
    let it = with_channel().await;
    let revoked = SigningKeyRow {
        state: KeyState::Revoked,
        wrapped: WrappedKey(Vec::new()),
        ..signing_key()
    };
    let retired = KeyState::Retired { issued_before: Some(NOW) };
    it.write(
        None,
        vec![
            Write::SigningKeyWrapped(revoked.id, WrappedKey(vec![2])),
            Write::SigningKeyState(SigningKeyRow { state: retired, ..signing_key() }),
            Write::SigningKeyState(revoked.clone()),
            Write::ClockOffset(30),
            Write::AuditKey([4; 32], WrappedKey(vec![5])),
            Write::AuditKeyWrapped(WrappedKey(vec![6])),
        ],
    )
    .await;
    let locked = it.read(Needs { audit_key: true, clock: true, ..Needs::default() }).await;
    assert_eq!((locked.audit_key, locked.clock_offset), (Some([4; 32]), 30));
    assert_eq!(locked.keys[0].key, revoked);
    assert_eq!(it.number("SELECT key_revoked_act FROM signing_key").await, 5);
    assert_eq!(it.number("SELECT issued_before FROM signing_key").await, NOW.0);

    let checkpoint = Checkpoint {
        number: 1,
        epoch: 3,
        first: 1,
        last: 5,
        events: 1,
        kept_from: 1,
        at: NOW,
        chain: "00ff".into(),
        signature: "ff00".into(),
    };
    let event = AuditEvent::ProviderRevoke(audit_event::JobNumber { job: 1 });
    let author = Author { actor: "a".into(), source: None, reason: Some("why".into()) };
    let audit = AuditRecord {
        by: author.at(NOW),
        event: Event { event, provider: Some(provider_id()), channel: None },
    };
    let effects = Effects {
        writes: vec![Write::Checkpoint(Box::new(checkpoint.clone()))],
        audit: Some(audit),
        ..Effects::default()
    };
    apply(&it.db, &[(None, effects, AT, None)]).await.unwrap();
    assert_eq!(it.upkeep(Upkeep::LastCheckpoint).await.checkpoint, Some(checkpoint));
    let old = it.upkeep(Upkeep::Old(Old::Audit { kept_from: 2, most: 9 })).await;
    assert_eq!(old.events, [5]);
    let row = it.db.query_one("SELECT * FROM audit", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>("detail"), r#"{"job":1,"reason":"why"}"#);
    assert_eq!((row.get::<_, i64>("epoch"), row.get::<_, i64>("position")), (3, 17));
    it.write(None, vec![Write::AuditBegunAnew, Write::AuditDropped { through: 5 }]).await;
    assert_eq!(it.number("SELECT count(*) FROM audit").await, 0);
}

#[tokio::test]
async fn what_acts_write_of_followers_is_read_again() {
    let it = Database::new().await;
    let verifier = VerifierRow {
        id: VerifierId::from_number(1_000_000_003).unwrap(),
        name: "v".into(),
        provider: Some(provider_id()),
        max_staleness: 1_000,
        allow: false,
        token: TokenHash([1; 32]),
        created_at: NOW,
    };
    let (id, name) = (verifier.id, InstanceId::from_random([1; 16]));
    let changed = VerifierRow { name: "w".into(), ..verifier.clone() };
    it.write(
        None,
        vec![
            Write::NewVerifier(Box::new(verifier)),
            Write::VerifierSettings(Box::new(changed.clone())),
        ],
    )
    .await;
    let found = it.upkeep(Upkeep::Instance(id, name.clone())).await;
    assert_eq!((found.verifier, found.instance_count), (Some(changed), 0));
    let row = |position| ReceiptRow {
        position: Position { epoch: 3, number: position },
        about: ReceiptFor { provider: None, effective_at: NOW },
        complete: false,
        list: None,
    };
    let complete = "SELECT count(*) FROM receipt WHERE complete";
    it.try_write(None, Vec::new(), Some(row(1))).await.unwrap();
    assert_eq!(it.number(complete).await, 1, "there is no instance");
    let instance = Instance {
        verifier: id,
        instance: name.clone(),
        staleness: 500,
        on_stale: OnStale::Deny,
        registered_at: NOW,
        renewed_at: NOW,
        stopped: false,
    };
    it.write(None, vec![Write::Instance(Box::new(instance.clone()))]).await;
    assert_eq!(it.upkeep(Upkeep::Instances(id, None)).await.instances, [instance.clone()]);
    it.try_write(None, Vec::new(), Some(row(2))).await.unwrap();
    assert_eq!(it.number(complete).await, 1);
    let listed = ReceiptRow { complete: true, list: Some("[1]".into()), ..row(2) };
    it.write(None, vec![Write::Receipt(Box::new(listed)), Write::Receipt(Box::new(row(2)))]).await;
    assert_eq!(it.number(complete).await, 2, "a complete receipt stays complete");
    let stopped = Instance { stopped: true, ..instance };
    it.write(None, vec![Write::Instance(Box::new(stopped)), Write::VerifierDeleted(id, NOW)]).await;
    let found = it.upkeep(Upkeep::Verifier(id)).await;
    assert!(found.verifier_deleted && found.instances.is_empty());
    let dropped =
        |renewed_at| Write::InstanceDropped { verifier: id, instance: name.clone(), renewed_at };
    it.write(None, vec![dropped(Some(NOW.plus(1)))]).await;
    assert_eq!(it.number("SELECT count(*) FROM instance").await, 1);
    it.write(None, vec![dropped(None)]).await;
    assert_eq!(it.number("SELECT count(*) FROM instance").await, 0);
}

#[tokio::test]
async fn what_acts_write_of_people_is_read_again() {
    let it = Database::new().await;
    let person = PersonRow {
        id: PersonId::from_number(1_000_000_004).unwrap(),
        login: "ann".into(),
        name: "Ann".into(),
        operator: Some(OperatorRole::Auditor),
        providers: Default::default(),
        channels: Default::default(),
        disabled: false,
        accepted: false,
        created_at: NOW,
    };
    let invited = StoredPerson {
        person: person.clone(),
        secrets: None,
        invitation: Some((TokenHash([2; 32]), NOW)),
    };
    it.write(None, vec![Write::NewPerson(Box::new(invited.clone()))]).await;
    let by_invitation = WhichPerson::Invitation(TokenHash([2; 32]));
    let found = it.upkeep(Upkeep::Person(by_invitation)).await.people;
    assert_eq!(found.people, [invited]);
    assert_eq!((found.operators.len(), found.invitations), (1, vec![NOW]));
    let secrets = SignInSecrets {
        password: PasswordHash("$argon2id$".into()),
        totp: WrappedKey(vec![3]),
        totp_step: 8,
        recovery: vec![TokenHash([4; 32])],
    };
    let accepted = StoredPerson {
        person: PersonRow { accepted: true, ..person.clone() },
        secrets: Some(secrets),
        invitation: None,
    };
    let session = SessionRow {
        token: TokenHash([5; 32]),
        person: person.id,
        created_at: NOW,
        expires_at: NOW,
    };
    let admin_token = AdminTokenRow {
        id: AdminTokenId::from_number(1_000_000_005).unwrap(),
        person: person.id,
        name: "t".into(),
        rights: Rights::Read,
        token: TokenHash([6; 32]),
        created_at: NOW,
        expires_at: NOW,
    };
    it.write(
        None,
        vec![
            Write::Person(Box::new(accepted.clone())),
            Write::Session(session.clone()),
            Write::AdminToken(Box::new(admin_token.clone())),
        ],
    )
    .await;
    for which in [
        WhichPerson::Id(person.id),
        WhichPerson::Login("ann".into()),
        WhichPerson::AdminToken(admin_token.id),
    ] {
        let found = it.upkeep(Upkeep::Person(which)).await.people;
        assert_eq!(found.people, [accepted.clone()]);
        assert_eq!(
            (found.sessions, found.admin_tokens),
            (vec![session.clone()], vec![admin_token.clone()])
        );
    }
    assert_eq!(it.upkeep(Upkeep::People).await.people.people.len(), 1);
    it.write(
        None,
        vec![
            Write::SessionEnded(session.token),
            Write::AdminTokenDeleted(admin_token.id),
            Write::PersonDeleted(person.id, NOW),
        ],
    )
    .await;
    let found = it.upkeep(Upkeep::Person(WhichPerson::Id(person.id))).await.people;
    assert!(found.people.is_empty() && found.sessions.is_empty());
    assert_eq!(it.number("SELECT count(*) FROM admin_token").await, 0);
}

//! Rows that belong to no channel: of jobs, keys, the audit, followers and people.

use super::*;
use tegata_policy::acts::OpenInvitation;

#[tokio::test]
async fn what_jobs_write_is_read_again() {
    let it = with_channel().await;
    assert_eq!(it.upkeep(Upkeep::NewProviderJob).await.next_job, 1);
    let job = ProviderJob {
        number: 1,
        provider: provider_id(),
        through: 0,
        actor: "a".into(),
        source: None,
        reason: None,
        revoked: 0,
        position: 17,
        next: Some(channel_id()),
    };
    it.write(None, vec![Write::ProviderJob(Box::new(job.clone()))]).await;
    assert_eq!(it.upkeep(Upkeep::ProviderJob(1)).await.job, Some(job));
    assert_eq!(it.number("SELECT revocations FROM provider").await, 1);
    it.write(None, vec![Write::ProviderJobAt { job: 1, done_to: channel_id(), revoked: 2 }]).await;
    let found = it.upkeep(Upkeep::OldestProviderJob(provider_id())).await.job.unwrap();
    assert_eq!((found.revoked, found.next), (2, None));
    it.write(None, vec![Write::ProviderJobDone(1)]).await;
    assert!(it.upkeep(Upkeep::ProviderJob(1)).await.job.is_none());
    let receipt = "SELECT count(*) FROM receipt WHERE epoch = 3 AND position = 17";
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
    let acts = [(None, effects, AT, None)];
    statements(&acts).run(&it.db).await.unwrap();
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
    assert_eq!(it.number(complete).await, 0, "a server finds out which instances there are");
    let instance = Instance {
        verifier: id,
        instance: name.clone(),
        staleness: 500,
        on_stale: OnStale::Deny,
        registered_at: NOW,
        renewed_at: NOW,
        stopped: false,
        address: Some([192, 0, 2, 7].into()),
    };
    it.write(None, vec![Write::Instance(Box::new(instance.clone()))]).await;
    assert_eq!(
        it.upkeep(Upkeep::Instances(id, None)).await.instances,
        std::slice::from_ref(&instance)
    );
    let found = it.upkeep(Upkeep::Instance(id, name.clone())).await;
    assert_eq!((&found.instances[..], found.instance_count), (&[instance.clone()][..], 0));
    let another = it.upkeep(Upkeep::Instance(id, InstanceId::from_random([2; 16]))).await;
    assert_eq!((another.instances.len(), another.instance_count), (0, 1), "a new one counts");
    it.try_write(None, Vec::new(), Some(row(2))).await.unwrap();
    assert_eq!(it.number("SELECT count(*) FROM receipt").await, 2);
    let listed = ReceiptRow { complete: true, list: Some("[1]".into()), ..row(2) };
    it.write(None, vec![Write::Receipt(Box::new(listed)), Write::Receipt(Box::new(row(2)))]).await;
    assert_eq!(it.number(complete).await, 1, "a complete receipt stays complete");
    let stopped = Instance { stopped: true, ..instance };
    it.write(None, vec![Write::Instance(Box::new(stopped))]).await;
    let another = it.upkeep(Upkeep::Instance(id, InstanceId::from_random([2; 16]))).await;
    assert_eq!((another.instance_count, another.stopped_count), (0, 1));
    it.write(None, vec![Write::VerifierDeleted(id, NOW)]).await;
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
        identity: None,
    };
    it.write(None, vec![Write::NewPerson(Box::new(invited.clone()))]).await;
    let by_invitation = WhichPerson::Invitation(TokenHash([2; 32]));
    let found = it.upkeep(Upkeep::Person(by_invitation)).await.people;
    assert_eq!(found.people, [invited]);
    let open = vec![OpenInvitation { into_authority: true, until: NOW }];
    assert_eq!((found.operators.len(), found.invitations), (1, open));
    let secrets = SignInSecrets {
        password: PasswordHash("$argon2id$".into()),
        totp: WrappedKey(vec![3]),
        totp_step: 8,
        recovery: vec![TokenHash([4; 32])],
    };
    let identity = Identity { issuer: "https://id.example.com".into(), subject: "ann".into() };
    let accepted = StoredPerson {
        person: PersonRow { accepted: true, ..person.clone() },
        secrets: Some(secrets),
        invitation: None,
        identity: Some(LinkedIdentity { identity: identity.clone(), linked_at: NOW }),
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
        WhichPerson::Identity(identity),
    ] {
        let found = it.upkeep(Upkeep::Person(which)).await.people;
        assert_eq!(found.people, std::slice::from_ref(&accepted));
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

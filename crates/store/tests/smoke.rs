//! Skeleton of the suite.
use std::sync::Arc;
use tegata_store::{sqlite::*, *};
use tegata_token::{assertion::Audience, id::*, key::*, law::*, policy::*, secret::*, time::*};

#[tokio::test]
async fn a_short_lived_token_is_issued_and_the_31st_ends_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { issuer: "http://x".into(), ..Options::default() };
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = log.clone();
    let on_commit: OnCommit = Box::new(move |c| seen.lock().unwrap().push(c.clone()));
    let store = SqliteStore::open(&dir.path().join("a.db"), options, on_commit).unwrap();
    let by = || By { actor: "t".into(), source: None, reason: None, at: UnixTime(1000) };
    let p = ProviderId::from_number(1).unwrap();
    let c = ChannelId::from_number(2).unwrap();
    store.create_provider(p, "p".into(), by()).await.unwrap();
    let secret = PlainSecret::from_random([1; 16]);
    let new = NewChannel {
        id: c,
        provider: p,
        name: "c".into(),
        channel_type: ChannelType::MessagingApi,
        secret: secret.hash(),
    };
    store.create_channel(new, by()).await.unwrap();
    let key = SigningKey::from_seed(&[9; 32]).unwrap();
    let row = SigningKeyRow {
        id: key.public().id(),
        public: key.public().to_bytes(),
        sealed: Sealed(vec![]),
        state: KeyState::Active,
        created_at: UnixTime(0),
        changed_at: UnixTime(0),
    };
    store.change_signing_keys(SigningKeyChange::Add(row), by()).await.unwrap();
    let audience = Arc::new(Audience::of("http://x"));
    for n in 0..40u8 {
        let ch = Arc::new(store.channel(c).await.unwrap().unwrap());
        let request = IssueRequest {
            kind: Kind::ShortLived,
            credential: Credential::Secret(secret.clone()),
            group: None,
            idempotency: None,
        };
        let grant = judge(request, ch, audience.clone(), UnixTime(1000)).unwrap();
        let issued = store.issue(grant, TokenId([n; 16]), UnixTime(1000), None).await.unwrap();
        assert_eq!(issued.claims.serial, Serial(n as u64 + 1));
    }
    let filter = TokenFilter { state: Some(TokenState::Active), ..Default::default() };
    let live =
        store.tokens(c, filter, Page { before: None, most: 100 }, UnixTime(1000)).await.unwrap();
    assert_eq!(live.len(), 30);
    assert_eq!(live[29].1.serial, Serial(11));
    let state = store.state().await.unwrap();
    println!("{:?} {:?}", state.view.position(), state.view.channel(c));
    let ended = store.end(c, Ending::All, false, by()).await.unwrap();
    assert_eq!(ended.tokens, 30);
}

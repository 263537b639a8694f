//! A store with the parts of a server around it: one that authorizes requests, and one
//! that follows the commits.

use crate::{place::Place, signer::SIGNERS};
use serde_json::json;
use std::{
    future::poll_fn,
    ops::Deref,
    pin::{Pin, pin},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::Poll,
};
use tegata_policy::{
    assertion::Audience,
    authorize::{Credential, Grant, IssueRequest, authorize},
    channel::{Channel, RegisteredKey, RevokeTokens},
    denied::Denied,
    rules::ChannelType,
    secret::{HashedSecret, PlainSecret},
};
use tegata_store::{
    ActStore, By, Change, ChannelPatch, Committed, ExpectedSettings, Issued, NewChannel, OnCommit,
    Page, Result, RevocationTarget, Revoked, RowId, SigningKeyChange, SigningKeyRow, Store, Taking,
    TokenFilter, TokenRow, TokenState, WrappedKey,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey},
    kind::Kind,
    time::UnixTime,
    view::{Providers, View},
};
use tokio::sync::oneshot;

/// A pending act.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// When the cases begin.
pub const NOW: UnixTime = UnixTime(1_800_000_000);
/// The server's public address.
pub const ISSUER: &str = "https://tokens.example";
/// A page with all rows.
pub const ALL: Page = Page { before: None, most: 100_000 };

static AUDIENCE: LazyLock<Arc<Audience>> = LazyLock::new(|| Arc::new(Audience::of(ISSUER)));

/// A store, with one provider and one signing key in it.
pub struct World {
    store: Option<Box<dyn Store>>,
    /// Its database.
    pub place: Box<dyn Place>,
    /// The follower of its commits.
    pub follower: Arc<Follower>,
    /// The provider.
    pub provider: ProviderId,
    next: AtomicU64,
}

/// A channel of the world's provider, with what its owner knows of it.
#[derive(Debug, Clone)]
pub struct Shop {
    /// Its id.
    pub id: ChannelId,
    /// Its secret.
    pub secret: PlainSecret,
    /// Its assertion key, the first of [`SIGNERS`].
    pub kid: AssertionKeyId,
}

/// A request for a token; a case sets only what it needs.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The kind.
    pub kind: Kind,
    /// The group.
    pub group: Option<Group>,
    /// Its `Idempotency-Key`.
    pub key: Option<String>,
    /// The delay of a reissue, in seconds.
    pub delay: i64,
    /// The lifetime of a v2.1 token, in seconds.
    pub life: i64,
    /// The key to sign an assertion with, if not the shop's own.
    pub signed: Option<(AssertionKeyId, usize)>,
    /// The `jti` of the assertion.
    pub jti: Option<String>,
    /// Request a stateless token with an assertion instead of the secret.
    pub by_assertion: bool,
    /// The time of the request.
    pub at: UnixTime,
}

/// Follows the commits as a server does, and checks that they are reported in order.
pub struct Follower {
    followed: Mutex<Followed>,
    hold: Mutex<Option<Hold>>,
}

/// Holds the writer, which reports a commit, until the other end is dropped.
struct Hold {
    entered: oneshot::Sender<()>,
    leave: mpsc::Receiver<()>,
}

/// What the follower has.
pub struct Followed {
    /// Its view, built by applying entry after entry.
    pub view: View,
    /// Every commit.
    pub commits: Vec<Committed>,
    /// The highest time written.
    pub written_at: UnixTime,
}

/// The view after some changes, the last of which is at `position`.
pub fn after(view: &View, changes: &[Change], position: Position) -> View {
    let entries = changes.iter().filter_map(|change| change.entry().unwrap());
    view.after(&entries.collect::<Vec<_>>(), position)
}

/// An administrator, at a moment.
pub fn by(at: UnixTime) -> By {
    By {
        actor: "administrator".into(),
        source: None,
        reason: None,
        at,
        expected: ExpectedSettings::default(),
        request_id: None,
    }
}

/// The group of that name.
pub fn group(name: &str) -> Group {
    name.parse().unwrap()
}

/// The signing key made from `seed`.
pub fn signing_key(seed: u8) -> SigningKeyRow {
    let key = SigningKey::from_seed(&[seed; 32]).unwrap();
    SigningKeyRow {
        id: key.public().id(),
        public: key.public().to_bytes(),
        wrapped: WrappedKey(vec![seed]),
        state: KeyState::Active,
        created_at: NOW,
        changed_at: NOW,
    }
}

/// The reason for which `result` is denied.
#[track_caller]
pub fn denied<T: std::fmt::Debug>(result: Result<T>) -> Denied {
    match result {
        Err(tegata_store::Error::Denied(denied)) => denied,
        other => panic!("not denied: {other:?}"),
    }
}

impl Follower {
    /// A follower that begins at the first commit.
    pub fn new() -> Arc<Self> {
        let view = View::new(Providers::All);
        let followed = Followed { view, commits: Vec::new(), written_at: UnixTime(0) };
        Arc::new(Self { followed: Mutex::new(followed), hold: Mutex::default() })
    }

    /// Begins with a state that was read before any commit.
    pub fn begin(&self, view: View) {
        let mut followed = self.followed();
        assert!(followed.commits.is_empty());
        followed.view = view;
    }

    /// The callback for a store.
    pub fn on_commit(self: &Arc<Self>) -> OnCommit {
        let follower = self.clone();
        Box::new(move |commit| follower.follow(commit))
    }

    /// What was followed up to now.
    pub fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap()
    }

    fn follow(&self, commit: &Committed) {
        let mut followed = self.followed();
        let Position { epoch, number } = commit.position;
        let before = followed.view.position();
        assert!(epoch == before.epoch || before.epoch == 0, "another epoch");
        assert_eq!(number, before.number + commit.changes.len() as u64, "a gap in the log");
        followed.view = after(&followed.view, &commit.changes, commit.position);
        if let Some(at) = commit.written_at {
            assert!(at >= followed.written_at, "the written time decreased");
            followed.written_at = at;
        }
        followed.commits.push(commit.clone());
        drop(followed);
        if let Some(hold) = self.hold.lock().unwrap().take() {
            hold.entered.send(()).unwrap();
            let _ = hold.leave.recv();
        }
    }
}

impl World {
    /// A new world, in a new `P`.
    pub async fn new<P: Place + 'static>() -> Self {
        Self::at(Box::new(P::new())).await
    }

    /// A new world there.
    pub async fn at(place: Box<dyn Place>) -> Self {
        let follower = Follower::new();
        let store = place.open(false, follower.on_commit()).await.unwrap();
        let provider = ProviderId::from_number(77).unwrap();
        store.create_provider(provider, "Shops".into(), by(NOW)).await.unwrap();
        let add = SigningKeyChange::Add(signing_key(1));
        store.change_signing_keys(add, by(NOW)).await.unwrap();
        Self { store: Some(store), place, follower, provider, next: AtomicU64::new(1) }
    }

    /// A world that has another one's rows, whose follower begins with them.
    pub async fn of(place: Box<dyn Place>, other: &Self) -> Self {
        let follower = Follower::new();
        let store = place.open(false, follower.on_commit()).await.unwrap();
        follower.begin(store.state().await.unwrap().view);
        let next = AtomicU64::new(other.fresh() + 10_000);
        Self { store: Some(store), place, follower, provider: other.provider, next }
    }

    /// Closes the store.
    pub fn close(&mut self) {
        self.store = None;
    }

    /// Opens it, closing it before if it is open.
    pub async fn reopen(&mut self) {
        self.close();
        self.store = Some(self.place.open(false, self.follower.on_commit()).await.unwrap());
    }

    /// Uses another store instead.
    pub fn adopt(&mut self, store: Box<dyn Store>) {
        self.store = Some(store);
    }

    /// Opens a store that was rolled back: what was followed of it before is discarded.
    pub async fn reopen_alone(&mut self) {
        self.close();
        self.store = Some(self.place.open(false, Box::new(|_| {})).await.unwrap());
    }

    /// A unique number.
    pub fn fresh(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A channel to be created.
    pub fn new_channel(&self, secret: &PlainSecret) -> NewChannel {
        NewChannel {
            id: ChannelId::from_number(1_000_000_000 + self.fresh()).unwrap(),
            provider: self.provider,
            name: "Shop".into(),
            channel_type: ChannelType::MessagingApi,
            secret: secret.hash(),
        }
    }

    /// A Messaging API channel with an assertion key.
    pub async fn shop(&self) -> Shop {
        let secret = PlainSecret::from_caller(format!("secret {}", self.fresh()));
        let new = self.new_channel(&secret);
        let id = new.id;
        self.create_channel(new, by(NOW)).await.unwrap();
        let kid = self.register(id, 0, None).await.unwrap();
        Shop { id, secret, kid }
    }

    /// Registers one of [`SIGNERS`].
    pub async fn register(
        &self,
        channel: ChannelId,
        signer: usize,
        group: Option<Group>,
    ) -> Result<AssertionKeyId> {
        let id = AssertionKeyId(u128::from(self.fresh()).to_be_bytes());
        let key = SIGNERS[signer].public();
        let key = RegisteredKey { id, group, key, created_at: NOW };
        self.register_key(channel, key, by(NOW)).await.map(|()| id)
    }

    /// The channel's snapshot.
    pub async fn snapshot(&self, shop: &Shop) -> Channel {
        self.channel(shop.id).await.unwrap().expect("the channel is there")
    }

    /// Authorizes the request with the current snapshot.
    pub async fn authorize(&self, shop: &Shop, ask: &Ask) -> std::result::Result<Grant, Denied> {
        let channel = self.channel(shop.id).await.unwrap().ok_or(Denied::UnknownChannel)?;
        authorize(self.request(shop, ask), Arc::new(channel), AUDIENCE.clone(), ask.at)
    }

    /// As [`authorize`](Self::authorize), where the store may not answer.
    pub async fn authorize_if_known(&self, shop: &Shop, ask: &Ask) -> Result<Grant> {
        let channel = self.channel(shop.id).await?.ok_or(Denied::UnknownChannel)?;
        let request = self.request(shop, ask);
        Ok(authorize(request, Arc::new(channel), AUDIENCE.clone(), ask.at)?)
    }

    /// A grant, which must succeed.
    pub async fn grant(&self, shop: &Shop, ask: &Ask) -> Grant {
        self.authorize(shop, ask).await.unwrap()
    }

    /// The request, with the usual credential of its kind.
    pub fn request(&self, shop: &Shop, ask: &Ask) -> IssueRequest {
        let assertion = || {
            let (kid, signer) = ask.signed.unwrap_or((shop.kid, 0));
            let channel = shop.id.to_string();
            let mut claims = json!({
                "iss": channel, "sub": channel, "aud": "https://api.line.me/",
                "exp": ask.at.0 + 1800, "token_exp": ask.life,
            });
            claims["jti"] = match &ask.jti {
                Some(jti) => jti.as_str().into(),
                None => self.fresh().to_string().into(),
            };
            Credential::Assertion(SIGNERS[signer].assertion(kid, &claims))
        };
        let credential = match ask.kind {
            Kind::V21 => assertion(),
            Kind::Stateless if ask.by_assertion => assertion(),
            Kind::Stateless | Kind::ShortLived => Credential::Secret(shop.secret.clone()),
            Kind::LongLived => Credential::Administrator { delay: ask.delay },
        };
        let idempotency =
            ask.key.as_ref().map(|key| tegata_policy::secret::sha256(&[key.as_bytes()]));
        IssueRequest {
            kind: ask.kind,
            credential,
            group: ask.group.clone(),
            idempotency,
            lifetime: None,
        }
    }

    /// Issues with a grant.
    pub async fn take(&self, grant: Grant, at: UnixTime) -> Result<Issued> {
        self.issue(grant, self.token_id(), at, None).await
    }

    /// A unique id for a token.
    pub fn token_id(&self) -> TokenId {
        TokenId(u128::from(self.fresh()).to_be_bytes())
    }

    /// Runs acts in one commit: they wait together while the writer is held in the commit
    /// before. When all of them wait, `ready` is called. An act must be the store's own,
    /// not one that reads before it acts.
    pub async fn together<'a, T>(
        &'a self,
        acts: impl IntoIterator<Item = BoxFuture<'a, T>>,
        ready: impl FnOnce(),
    ) -> Vec<T> {
        let (entered, enters) = oneshot::channel();
        let (leave, leaves) = mpsc::channel();
        *self.follower.hold.lock().unwrap() = Some(Hold { entered, leave: leaves });
        let mut first = pin!(self.is_writable());
        tokio::select! {
            held = enters => held.unwrap(),
            _ = &mut first => panic!("the writer was not held"),
        }
        let mut acts: Vec<_> = acts.into_iter().collect();
        poll_fn(|context| {
            for act in &mut acts {
                assert!(act.as_mut().poll(context).is_pending(), "it did not wait");
            }
            Poll::Ready(())
        })
        .await;
        ready();
        drop(leave);
        first.await.unwrap();
        let mut answers = Vec::new();
        for act in acts {
            answers.push(act.await);
        }
        answers
    }

    /// Authorizes and issues.
    pub async fn ask(&self, shop: &Shop, ask: Ask) -> Result<Issued> {
        let grant = self.authorize(shop, &ask).await?;
        self.take(grant, ask.at).await
    }

    /// As [`ask`](Self::ask), which must succeed; returns the token's serial.
    pub async fn get(&self, shop: &Shop, ask: Ask) -> Serial {
        self.ask(shop, ask).await.unwrap().claims.serial
    }

    /// Revokes tokens of a shop.
    pub async fn revoke_at(&self, shop: &Shop, target: RevocationTarget, at: UnixTime) -> Revoked {
        self.revoke(shop.id, target, false, by(at)).await.unwrap()
    }

    /// Changes a shop; returns it as it is now, unless it is deleted.
    pub async fn patch(&self, shop: &Shop, patch: ChannelPatch) -> Option<Channel> {
        self.change_channel(shop.id, patch, by(NOW)).await.unwrap();
        self.channel(shop.id).await.unwrap()
    }

    /// All of a shop's rows, oldest first.
    pub async fn rows(&self, shop: &Shop, at: UnixTime) -> Vec<TokenRow> {
        self.rows_of(shop.id, TokenFilter::default(), at).await
    }

    /// Some of a channel's rows, oldest first.
    pub async fn rows_of(
        &self,
        channel: ChannelId,
        filter: TokenFilter,
        at: UnixTime,
    ) -> Vec<TokenRow> {
        let rows: Vec<(RowId, TokenRow)> = self.tokens(channel, filter, ALL, at).await.unwrap();
        rows.into_iter().rev().map(|(_, row)| row).collect()
    }

    /// The serials of the active tokens of a kind, oldest first.
    pub async fn living(&self, shop: &Shop, kind: Kind, at: UnixTime) -> Vec<u64> {
        let filter = TokenFilter {
            kind: Some(kind),
            state: Some(TokenState::Active),
            ..TokenFilter::default()
        };
        self.rows_of(shop.id, filter, at).await.iter().map(|row| row.serial.0).collect()
    }

    /// One row.
    pub async fn row(&self, shop: &Shop, serial: Serial, at: UnixTime) -> TokenRow {
        let name = tegata_store::TokenName::Serial(serial);
        self.token(shop.id, name, at).await.unwrap().expect("the token is there")
    }
}

/// The acts that take something away, by their names.
impl World {
    /// Revokes tokens, or finds out how many a revocation would revoke.
    pub async fn revoke(
        &self,
        channel: ChannelId,
        target: RevocationTarget,
        dry_run: bool,
        by: By,
    ) -> Result<Revoked> {
        let (at, act) = (by.at, Taking::revoke(channel, target, by));
        if !dry_run {
            return ActStore::take(&**self, act).await;
        }
        let tokens = self.would_take(act, 0).await?.tokens;
        Ok(Revoked { tokens, position: self.state().await?.view.position(), at })
    }

    /// Changes a channel.
    pub async fn change_channel(
        &self,
        id: ChannelId,
        patch: ChannelPatch,
        by: By,
    ) -> Result<Revoked> {
        ActStore::take(&**self, Taking::channel(id, patch, by)).await
    }

    /// Replaces a channel's secret.
    pub async fn replace_secret(
        &self,
        id: ChannelId,
        secret: HashedSecret,
        keep_previous: i64,
        revoke_tokens: RevokeTokens,
        by: By,
    ) -> Result<Revoked> {
        ActStore::take(&**self, Taking::secret(id, secret, keep_previous, revoke_tokens, by)).await
    }

    /// Deletes a channel's previous secret.
    pub async fn delete_previous_secret(&self, id: ChannelId, by: By) -> Result<Revoked> {
        ActStore::take(&**self, Taking::previous_secret(id, by)).await
    }

    /// Deletes an assertion key.
    pub async fn delete_key(
        &self,
        channel: ChannelId,
        key: AssertionKeyId,
        revoke_tokens: bool,
        by: By,
    ) -> Result<Revoked> {
        ActStore::take(&**self, Taking::assertion_key(channel, key, revoke_tokens, by)).await
    }

    /// Deletes a group.
    pub async fn delete_group(&self, channel: ChannelId, group: Group, by: By) -> Result<Revoked> {
        ActStore::take(&**self, Taking::group(channel, group, by)).await
    }
}

impl Deref for World {
    type Target = dyn Store;
    fn deref(&self) -> &Self::Target {
        self.store.as_deref().expect("the store is open")
    }
}

impl Ask {
    /// A token of that kind, at [`NOW`].
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            group: None,
            key: None,
            delay: 0,
            life: 30 * 86_400,
            signed: None,
            jti: None,
            by_assertion: false,
            at: NOW,
        }
    }

    /// For that group.
    pub fn group(mut self, name: &str) -> Self {
        self.group = Some(group(name));
        self
    }

    /// With that `Idempotency-Key`.
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With that delay, in seconds.
    pub fn delay(mut self, seconds: i64) -> Self {
        self.delay = seconds;
        self
    }

    /// With that lifetime, in seconds.
    pub fn life(mut self, seconds: i64) -> Self {
        self.life = seconds;
        self
    }

    /// Signed as that key, by that one of [`SIGNERS`].
    pub fn signed(mut self, kid: AssertionKeyId, signer: usize) -> Self {
        self.signed = Some((kid, signer));
        self
    }

    /// With an assertion that has that `jti`.
    pub fn jti(mut self, name: &str) -> Self {
        self.jti = Some(name.into());
        self.by_assertion = true;
        self
    }

    /// At that time.
    pub fn at(mut self, at: UnixTime) -> Self {
        self.at = at;
        self
    }
}

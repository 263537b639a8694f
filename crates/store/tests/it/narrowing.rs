//! Every act that makes a token or a credential invalid, or a rule narrower: a store
//! that is rolled back must not lose it.

use crate::world::{Ask, NOW, Shop, World, by, group, signing_key};
use std::num::NonZeroU32;
use tegata_policy::{
    acts::ReportLeaks,
    admit::MAX_SINGLE_REVOCATIONS,
    channel::{Channel, GroupSettings, RevokeTokens},
    rules::{TokenRules, WhenFull},
    secret::PlainSecret,
};
use tegata_store::{
    ActStore, ChannelPatch, LimitsPatch, NewVerifier, RevocationTarget, SigningKeyChange, Taking,
    VerifierPatch,
};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ProviderId, Serial, TokenId, VerifierId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
    verify::verify_claims,
    view::ChannelState,
};

/// When the acts are done.
pub const LATER: UnixTime = UnixTime(NOW.0 + 120);
/// When every delay of theirs is over.
const AFTER_DELAYS: UnixTime = UnixTime(LATER.0 + 3_601);

/// An act that narrows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    RevokeOne,
    RevokeOneOfMany,
    RevokeStateless,
    RevokeGroup,
    RevokeKind,
    RevokeAssertionKey,
    RevokeAll,
    RevokeLeaks,
    Evict,
    Reissue,
    ReissueWithDelay,
    Suspend,
    DeleteChannel,
    TightenRules,
    TightenLimits,
    ReplaceSecret,
    ReplaceSecretAndRevoke,
    ReplaceSecretAndRevokeBySecret,
    ReplaceSecretWithOverlap,
    DeletePreviousSecret,
    DeleteKey,
    DeleteKeyAndRevoke,
    SetGroup,
    DeleteGroup,
    RemoveSigningKey,
    RemoveAllSigningKeys,
    BeginProviderRevocation,
    FinishProviderRevocation,
    TightenVerifier,
    DeleteVerifier,
    /// On people.
    Person(PersonAct),
}

use crate::people::{self, PersonAct};
use Act::*;

/// All of them.
pub const ALL: [Act; 41] = [
    RevokeLeaks,
    RevokeOneOfMany,
    RevokeStateless,
    RevokeGroup,
    RevokeKind,
    RevokeAssertionKey,
    RevokeAll,
    Evict,
    Reissue,
    ReissueWithDelay,
    Suspend,
    DeleteChannel,
    TightenRules,
    TightenLimits,
    ReplaceSecret,
    ReplaceSecretAndRevoke,
    ReplaceSecretAndRevokeBySecret,
    ReplaceSecretWithOverlap,
    DeletePreviousSecret,
    DeleteKey,
    DeleteKeyAndRevoke,
    SetGroup,
    DeleteGroup,
    RemoveSigningKey,
    RemoveAllSigningKeys,
    BeginProviderRevocation,
    FinishProviderRevocation,
    TightenVerifier,
    DeleteVerifier,
    Person(PersonAct::AcceptAgain),
    Person(PersonAct::DisablePerson),
    Person(PersonAct::TakeRole),
    Person(PersonAct::ResetPerson),
    Person(PersonAct::UseRecoveryCode),
    Person(PersonAct::UseRecoveryCodeInSession),
    Person(PersonAct::EndSession),
    Person(PersonAct::ChangePassword),
    Person(PersonAct::UnlinkIdentity),
    Person(PersonAct::DeletePerson),
    Person(PersonAct::DeleteAdminToken),
    RevokeOne,
];

/// Acts on a channel, and after each of them one that finds done what its answer promises.
pub const REPEATED: [(Act, Act); 13] = [
    // A retry under its idempotency key.
    (Reissue, Reissue),
    // Its predecessor is revoked already.
    (RevokeAll, Reissue),
    (RevokeOne, RevokeOne),
    (RevokeOneOfMany, RevokeOneOfMany),
    (RevokeStateless, RevokeStateless),
    (RevokeGroup, RevokeGroup),
    (RevokeKind, RevokeKind),
    (RevokeAssertionKey, RevokeAssertionKey),
    (RevokeAll, RevokeAll),
    (Suspend, Suspend),
    (TightenRules, TightenRules),
    (TightenLimits, TightenLimits),
    (SetGroup, SetGroup),
];

/// Acts of a store that narrow nothing, or nothing that a rollback can restore.
pub const OTHERS: [&str; 33] = [
    // A database alone keeps the token: see `recovered_database.rs`.
    "replace_root_token",
    "invite_person",
    "create_admin_token",
    "link_identity",
    "create_channel_as",
    // A store that lacks it counts its instances among those that are lost.
    "create_verifier",
    // Instances are lost with the store, and receipts say so.
    "register_instance",
    "renew_instances",
    "stop_instance",
    "remove_instances",
    "drop_instances",
    "settle_receipts",
    "record_uses",
    "rename_provider",
    "would_take",
    "would_reissue",
    "would_delete_person",
    "would_delete_admin_token",
    "create_provider",
    "create_channel",
    "register_key",
    // A used assertion is valid for at most half an hour: see decision 8.
    "take_assertion",
    "record",
    // The acts that it reports have lines of their own.
    "record_for_all",
    "rewrap",
    "set_audit_key",
    "add_checkpoint",
    "stamp",
    "queue_warnings",
    "warning_tried",
    "forget",
    "trim",
    "advance_clock",
];

impl Act {
    /// The act of the store that performs it.
    pub fn of_store(self) -> &'static str {
        match self {
            RevokeOne | RevokeOneOfMany | RevokeStateless | RevokeGroup | RevokeKind
            | RevokeAssertionKey | RevokeAll => "revoke",
            Evict | Reissue | ReissueWithDelay => "issue",
            RevokeLeaks | Suspend | DeleteChannel | TightenRules | TightenLimits => "take",
            ReplaceSecret
            | ReplaceSecretAndRevoke
            | ReplaceSecretAndRevokeBySecret
            | ReplaceSecretWithOverlap => "take",
            DeletePreviousSecret => "take",
            DeleteKey | DeleteKeyAndRevoke => "take",
            SetGroup => "set_group",
            DeleteGroup => "take",
            RemoveSigningKey | RemoveAllSigningKeys => "change_signing_keys",
            BeginProviderRevocation => "begin_provider_revocation",
            FinishProviderRevocation => "continue_provider_revocation",
            TightenVerifier => "change_verifier",
            DeleteVerifier => "delete_verifier",
            Person(act) => act.of_store(),
        }
    }

    /// What a replay leaves of what the act left: of a person whose secrets were replaced it
    /// takes away the account at an identity provider, too, since the person needs a new invitation.
    pub fn replayed(self, revocations: Vec<String>) -> Vec<String> {
        match self {
            Person(PersonAct::ChangePassword) => {
                let unlinked = |it: String| it.replace("\"Some(3000000001)\"", "\"None\"");
                revocations.into_iter().map(unlinked).collect()
            }
            _ => revocations,
        }
    }
}

/// Two channels with tokens of every type.
#[derive(Clone)]
pub struct Scene {
    /// The channel that acts are about.
    pub shop: Shop,
    /// The other channel.
    pub other: Shop,
    /// Tokens of both.
    pub tokens: Vec<Claims>,
    short_lived: Serial,
    stateless: Claims,
    one_of_many: Serial,
    groups_key: AssertionKeyId,
}

impl Scene {
    /// Sets it up at [`NOW`]; at the end the store has written a later time.
    pub async fn set(world: &World) -> Self {
        let (shop, other) = (world.shop().await, world.shop().await);
        let groups_key = world.register(shop.id, 1, Some(group("team"))).await.unwrap();
        let settings =
            GroupSettings { cap: Some(2), when_full: None, contact: Some("team@b.c".into()) };
        world.set_group(shop.id, group("team"), settings.into(), by(NOW)).await.unwrap();
        let mut tokens = Vec::new();
        for shop in [&shop, &other] {
            for kind in [Kind::V21, Kind::ShortLived, Kind::LongLived] {
                tokens.push(world.ask(shop, Ask::new(kind)).await.unwrap().claims);
            }
            tokens.push(stateless(world, shop, Ask::new(Kind::Stateless)).await);
        }
        let team = || Ask::new(Kind::ShortLived).group("team");
        for ask in [team(), team(), Ask::new(Kind::V21).group("team").signed(groups_key, 1)] {
            tokens.push(world.ask(&shop, ask).await.unwrap().claims);
        }
        tokens.push(stateless(world, &shop, Ask::new(Kind::Stateless).group("team")).await);
        // As many as a view holds singly: the next one compacts them into one cutoff.
        for _ in 0..MAX_SINGLE_REVOCATIONS {
            let serial = world.get(&shop, Ask::new(Kind::V21)).await;
            world.revoke_at(&shop, RevocationTarget::Stored { serial }, NOW).await;
        }
        let last = world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims;
        let (short_lived, one_of_many) = (tokens[1].serial, last.serial);
        let stateless = tokens[3].clone();
        tokens.push(last);
        let new = NewVerifier {
            id: verifier(),
            name: "Gateway".into(),
            provider: None,
            max_staleness: 60_000,
            allow: true,
            token: PlainSecret::from_caller("a verifier's".to_owned()).hash(),
        };
        world.create_verifier(new, by(NOW)).await.unwrap();
        people::set(world).await;
        // A recovery considers the last seconds before a backup lost.
        let provider = ProviderId::from_number(9).unwrap();
        world.create_provider(provider, "Later".into(), by(NOW.plus(60))).await.unwrap();
        Self { shop, other, tokens, short_lived, stateless, one_of_many, groups_key }
    }

    /// Prepares for `act`, in a commit of its own.
    pub async fn prepare(&self, world: &World, act: Act) {
        if act == FinishProviderRevocation {
            world.begin_provider_revocation(world.provider, by(LATER)).await.unwrap();
        }
        if act == DeletePreviousSecret {
            let (id, hash) = (self.shop.id, self.shop.secret.hash());
            let none = RevokeTokens::None;
            world.replace_secret(id, hash, 600, none, by(LATER)).await.unwrap();
        }
    }

    /// Adds to the channel that the acts of [`REPEATED`] are about, which takes nothing away.
    pub async fn add(&self, world: &World) {
        world.register(self.shop.id, 2, Some(group("more"))).await.unwrap();
    }

    /// Performs `act`, in one commit.
    pub async fn perform(&mut self, world: &World, act: Act) {
        let (id, at) = (self.shop.id, LATER);
        let revoke = async |target| {
            world.revoke_at(&self.shop, target, at).await;
        };
        let ask = async |ask: Ask| {
            world.ask(&self.shop, ask.at(at)).await.unwrap();
        };
        match act {
            RevokeOne => revoke(RevocationTarget::Stored { serial: self.short_lived }).await,
            RevokeOneOfMany => revoke(RevocationTarget::Stored { serial: self.one_of_many }).await,
            RevokeStateless => {
                let Claims { id, expires_at, .. } = self.stateless;
                revoke(RevocationTarget::Stateless { id, expires_at }).await;
            }
            RevokeGroup => revoke(RevocationTarget::Group(group("team"))).await,
            RevokeKind => revoke(RevocationTarget::Kind(Kind::V21)).await,
            RevokeAssertionKey => revoke(RevocationTarget::AssertionKey(self.groups_key)).await,
            RevokeAll => revoke(RevocationTarget::All).await,
            RevokeLeaks => {
                let tokens = self.tokens.iter().filter(|it| it.channel == id).cloned().collect();
                let found_at = vec!["https://example.com/leaked".to_owned()];
                let act =
                    ReportLeaks { channel: id, tokens, found_at, all_if_full: true, by: by(at) };
                let revoked = ActStore::take(&**world, Taking::Leaks(act)).await.unwrap();
                assert_eq!(revoked.tokens, 9, "stateless ones included");
            }
            Evict => ask(Ask::new(Kind::ShortLived).group("team")).await,
            Reissue => {
                ask(Ask { key: Some("again".into()), ..Ask::new(Kind::LongLived) }).await;
            }
            ReissueWithDelay => ask(Ask::new(Kind::LongLived).delay(3_600)).await,
            Suspend | DeleteChannel | TightenRules | TightenLimits => {
                world.change_channel(id, patch(act), by(at)).await.unwrap();
            }
            ReplaceSecret
            | ReplaceSecretAndRevoke
            | ReplaceSecretAndRevokeBySecret
            | ReplaceSecretWithOverlap => {
                let secret = PlainSecret::from_caller("another one".to_owned());
                let keep = if act == ReplaceSecretWithOverlap { 600 } else { 0 };
                let revoke = match act {
                    ReplaceSecretAndRevoke => RevokeTokens::All,
                    ReplaceSecretAndRevokeBySecret => RevokeTokens::BySecret,
                    _ => RevokeTokens::None,
                };
                world.replace_secret(id, secret.hash(), keep, revoke, by(at)).await.unwrap();
                self.shop.secret = secret;
            }
            DeletePreviousSecret => {
                world.delete_previous_secret(id, by(at)).await.unwrap();
            }
            DeleteKey | DeleteKeyAndRevoke => {
                let (key, revoke) = (self.groups_key, act == DeleteKeyAndRevoke);
                world.delete_key(id, key, revoke, by(at)).await.unwrap();
            }
            SetGroup => {
                let when_full = Some(WhenFull::Deny);
                let settings = GroupSettings { cap: Some(1), when_full, contact: None };
                world.set_group(id, group("team"), settings.into(), by(at)).await.unwrap();
            }
            DeleteGroup => {
                world.delete_group(id, group("team"), by(at)).await.unwrap();
            }
            RemoveSigningKey => {
                let (key, successor) = (signing_key(1).id, signing_key(2));
                let change = SigningKeyChange::Revoke { key, successor };
                world.change_signing_keys(change, by(at)).await.unwrap();
            }
            RemoveAllSigningKeys => {
                let change = SigningKeyChange::RevokeAll { successor: signing_key(2) };
                world.change_signing_keys(change, by(at)).await.unwrap();
            }
            BeginProviderRevocation => {
                world.begin_provider_revocation(world.provider, by(at)).await.unwrap();
            }
            FinishProviderRevocation => finish_provider_revocations(world).await,
            TightenVerifier => {
                let (max_staleness, allow) = (Some(500), Some(false));
                let patch = VerifierPatch { name: None, max_staleness, allow };
                world.change_verifier(verifier(), patch, by(at)).await.unwrap();
            }
            DeleteVerifier => world.delete_verifier(verifier(), by(at)).await.unwrap(),
            Person(act) => people::perform(world, act).await,
        }
    }

    /// The state that must survive: which tokens are active, soon and when every delay is
    /// over; the rules and credentials of both channels; and the pending revocations.
    pub async fn revocations(&self, world: &World) -> Vec<String> {
        let view = world.state().await.unwrap().view;
        let mut revocations = Vec::new();
        for token in &self.tokens {
            let good = [LATER, AFTER_DELAYS].map(|at| verify_claims(token, at, &view).is_ok());
            revocations
                .push(format!("{:?} {:?} {:?} {good:?}", token.kind, token.serial, token.group));
        }
        for shop in [&self.shop, &self.other] {
            let Some(channel) = world.channel(shop.id).await.unwrap() else {
                revocations.push("deleted".to_owned());
                continue;
            };
            let hashes: Vec<_> = channel.secrets.iter().map(|it| it.hash.to_stored()).collect();
            let counts = Channel { revision: 0, bulk_serial: Serial(0), ..channel };
            revocations.push(format!("{counts:?} {hashes:?}"));
        }
        revocations.push(format!("{:?}", world.verifiers().await.unwrap()));
        revocations.push(people::access(world).await);
        let under_way = world.provider_revocations().await.unwrap();
        let providers = under_way.iter().map(|it| it.provider);
        revocations.push(format!("{:?}", Vec::from_iter(providers)));
        revocations
    }

    /// Requests new tokens after `act`, and expects each to be active.
    pub async fn new_tokens_are_good(&self, world: &World, act: Act, at: UnixTime) {
        for shop in [&self.shop, &self.other] {
            if shop.id == self.shop.id && matches!(act, Suspend | DeleteChannel) {
                continue;
            }
            for kind in [Kind::V21, Kind::ShortLived, Kind::LongLived, Kind::Stateless] {
                let ask = Ask::new(kind).at(at);
                // Only where the rules for assertions are stricter now.
                if kind == Kind::V21 && act == TightenRules && shop.id == self.shop.id {
                    continue;
                }
                let claims = match kind {
                    Kind::Stateless => stateless(world, shop, ask).await,
                    _ => world.ask(shop, ask).await.unwrap().claims,
                };
                let view = world.state().await.unwrap().view;
                let judged = verify_claims(&claims, at, &view);
                assert!(judged.is_ok(), "{act:?}: a new {kind:?} token: {judged:?}");
            }
        }
    }
}

/// The one verifier.
fn verifier() -> VerifierId {
    VerifierId::from_number(1_000_000_007).unwrap()
}

/// Every setting of a channel that can be narrowed; a new setting does not compile here.
fn patch(act: Act) -> ChannelPatch {
    let rate = |n| Some(NonZeroU32::new(n));
    let tight = act == TightenRules;
    ChannelPatch {
        name: None,
        rules: tight.then_some(TokenRules::Legacy2020),
        state: match act {
            Suspend => Some(ChannelState::Suspended),
            DeleteChannel => Some(ChannelState::Deleted),
            _ => None,
        },
        group_cap: tight.then_some(1),
        group_when_full: tight.then_some(WhenFull::Deny),
        own_audience_only: tight.then_some(true),
        single_use_assertions: tight.then_some(true),
        on_leak: None,
        limits: match act {
            TightenLimits => LimitsPatch {
                issue_rate_short_lived: rate(1),
                issue_rate: rate(2),
                verify_rate: rate(3),
                surge_limit: Some(Some(4)),
                surge_window_seconds: rate(5),
                surge_cooldown_seconds: rate(6),
            },
            _ => LimitsPatch::default(),
        },
    }
}

/// Completes the revocations of providers.
pub async fn finish_provider_revocations(world: &World) {
    for under_way in world.provider_revocations().await.unwrap() {
        let (_, done) =
            world.continue_provider_revocation(under_way.job, 100, LATER).await.unwrap();
        assert!(done);
    }
}

/// A stateless token, as a server makes it.
async fn stateless(world: &World, shop: &Shop, ask: Ask) -> Claims {
    let grant = world.grant(shop, &ask).await;
    let keys = world.state().await.unwrap().signing_keys;
    let key = keys.iter().find(|key| key.state == KeyState::Active).unwrap().id;
    grant.stateless_claims(TokenId(u128::from(world.fresh()).to_be_bytes()), key, ask.at)
}

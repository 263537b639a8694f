//! What an audit event reports: the acts that are recorded, each with its detail.
//!
//! An event is stored as the act's name and its detail as a JSON object; both come
//! from one list here, for the store that writes events and for all who read them.

mod channels;
mod created_by;
mod leaks;
mod limits;
mod object;
mod people;
mod recovery;
mod verifiers;

pub use channels::{
    ChannelChanged, GroupChanged, GroupDeleted, KeyDeleted, KeyRegistered, NewChannelNamed,
    SecretReplaced,
};
pub use created_by::CreatedByRevoked;
pub use leaks::LeakReported;
pub use limits::{CooldownBegan, SecretThrottled};
pub use people::{
    AdminTokenCreated, AdminTokenNamed, IdentityNamed, LoginThrottled, PersonChanged,
    PersonInvited, PersonNamed, PersonSignedIn, RoleGiven,
};
pub use recovery::{StoreRecovered, StoreRedone};
pub use verifiers::{InstancesRemoved, VerifierChanged, VerifierCreated, VerifierNamed};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, Group, Serial, SigningKeyId, TokenId},
    kind::Kind,
    view::Scope,
};

/// Defines the acts, their names, and the event of each with its detail.
macro_rules! events {
    ($($(#[$doc:meta])* $act:ident($detail:ty) = $name:literal,)*) => {
        /// An act that the audit records.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditAct {
            $($(#[$doc])* $act,)*
        }

        impl AuditAct {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$act,)*];

            /// A noun and a verb, as events are stored and shown.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$act => $name,)*
                }
            }
        }

        /// What an audit event reports.
        #[derive(Debug, Clone, PartialEq)]
        pub enum AuditEvent {
            $($(#[$doc])* $act($detail),)*
        }

        impl AuditEvent {
            /// The act that it reports.
            #[must_use]
            pub const fn act(&self) -> AuditAct {
                match self {
                    $(Self::$act(_) => AuditAct::$act,)*
                }
            }

            /// Its detail as a JSON object; never a secret.
            #[must_use]
            pub fn detail(&self) -> Value {
                let detail = match self {
                    $(Self::$act(detail) => serde_json::to_value(detail),)*
                };
                // Names, numbers and words always have a JSON form.
                detail.unwrap_or_else(|_| json!({}))
            }

            /// The event of this name and detail; `None` if this version does not know it.
            #[must_use]
            pub fn read(name: &str, detail: &Value) -> Option<Self> {
                match AuditAct::of(name)? {
                    $(AuditAct::$act => <$detail>::deserialize(detail).ok().map(Self::$act),)*
                }
            }
        }
    };
}

events! {
    /// A provider was created.
    ProviderCreate(Named) = "provider.create",
    /// A provider was renamed.
    ProviderSet(Named) = "provider.set",
    /// A provider was deleted.
    ProviderDelete(Named) = "provider.delete",
    /// Revoking all tokens of a provider was begun.
    ProviderRevoke(JobNumber) = "provider.revoke",
    /// A channel was created.
    ChannelCreate(NewChannelNamed) = "channel.create",
    /// A channel's settings were changed.
    ChannelSet(ChannelChanged) = "channel.set",
    /// A channel was suspended.
    ChannelSuspend(ChannelChanged) = "channel.suspend",
    /// A suspended channel was resumed.
    ChannelResume(ChannelChanged) = "channel.resume",
    /// A channel was deleted.
    ChannelDelete(ChannelChanged) = "channel.delete",
    /// A channel's secret was replaced.
    ChannelRotateSecret(SecretReplaced) = "channel.rotate-secret",
    /// A channel's previous secret was deleted.
    ChannelDeletePreviousSecret(NoDetail) = "channel.delete-previous-secret",
    /// An assertion key was registered.
    KeyRegister(KeyRegistered) = "key.register",
    /// An assertion key was deleted.
    KeyDelete(KeyDeleted) = "key.delete",
    /// A group's settings were changed.
    GroupSet(GroupChanged) = "group.set",
    /// A group was deleted.
    GroupDelete(GroupDeleted) = "group.delete",
    /// An administrator had a token issued.
    TokenIssue(TokenIssued) = "token.issue",
    /// Tokens of a channel were revoked.
    TokenRevoke(TokensRevoked) = "token.revoke",
    /// What an actor had created was revoked, over all channels.
    TokenRevokeCreatedBy(CreatedByRevoked) = "token.revoke-created-by",
    /// Leaked tokens of a channel were reported.
    LeakReport(LeakReported) = "leak.report",
    /// Forged reports of leaked tokens from one source are rejected for a while.
    LeakThrottle(SecretThrottled) = "leak.throttle",
    /// A signing key was added.
    SigningKeyRotate(SigningKeyNamed) = "signing-key.rotate",
    /// The pending signing key became the active one.
    SigningKeyPromote(SigningKeyNamed) = "signing-key.promote",
    /// A signing key was revoked.
    SigningKeyRevoke(SigningKeysRevoked) = "signing-key.revoke",
    /// All signing keys were revoked.
    SigningKeyRevokeAll(SigningKeysRevoked) = "signing-key.revoke-all",
    /// A verifier was created.
    VerifierCreate(VerifierCreated) = "verifier.create",
    /// A verifier's settings were changed.
    VerifierSet(VerifierChanged) = "verifier.set",
    /// A verifier was deleted.
    VerifierDelete(VerifierNamed) = "verifier.delete",
    /// Instances of a verifier were removed.
    VerifierRemoveInstances(InstancesRemoved) = "verifier.remove-instances",
    /// The master key was replaced.
    MasterKeyRotate(MasterKeyReplaced) = "master-key.rotate",
    /// The newest checkpoints of the audit are not those that were seen before.
    AuditBroken(AuditCompared) = "audit.broken",
    /// The server continued after an end that no anchor confirms.
    AuditContinue(AuditCompared) = "audit.continue",
    /// An operator accepted the end of the audit as it is.
    AuditAccept(NoDetail) = "audit.accept",
    /// The deletion of old events was announced.
    AuditExpire(AuditExpired) = "audit.expire",
    /// The root administrator's token was replaced.
    AdminReset(NoDetail) = "admin.reset",
    /// One source tried many wrong administrator's tokens.
    AdminTokenThrottle(NoDetail) = "admin-token.throttle",
    /// A person was invited.
    PersonInvite(PersonInvited) = "person.invite",
    /// A person accepted an invitation.
    PersonAccept(PersonNamed) = "person.accept",
    /// A person was renamed, disabled or enabled.
    PersonSet(PersonChanged) = "person.set",
    /// A person got or lost a role.
    PersonSetRole(RoleGiven) = "person.set-role",
    /// A person must set a new password and second factor.
    PersonReset(PersonNamed) = "person.reset",
    /// A person was deleted.
    PersonDelete(PersonNamed) = "person.delete",
    /// A person signed in.
    PersonSignIn(PersonSignedIn) = "person.sign-in",
    /// A person who is signed in used a code, before an act that takes something away.
    PersonUseCode(PersonNamed) = "person.use-code",
    /// A person signed out.
    PersonSignOut(PersonNamed) = "person.sign-out",
    /// A person changed the password.
    PersonChangePassword(PersonNamed) = "person.change-password",
    /// A person linked an account at an identity provider.
    PersonLinkIdentity(IdentityNamed) = "person.link-identity",
    /// An account at an identity provider was unlinked from a person.
    PersonUnlinkIdentity(IdentityNamed) = "person.unlink-identity",
    /// A personal administrator's token was created.
    AdminTokenCreate(AdminTokenCreated) = "admin-token.create",
    /// A personal administrator's token was deleted.
    AdminTokenDelete(AdminTokenNamed) = "admin-token.delete",
    /// One source tried many wrong passwords.
    PersonThrottle(LoginThrottled) = "person.throttle",
    /// A cooldown of issuing began.
    IssuingCooldown(CooldownBegan) = "issuing.cooldown",
    /// Wrong secrets from one source are rejected for a while.
    SecretThrottle(SecretThrottled) = "secret.throttle",
    /// Revocations that the journal held and the store lacked were applied.
    StoreRedo(StoreRedone) = "store.redo",
    /// The store was recovered.
    StoreRecover(StoreRecovered) = "store.recover",
}

impl AuditAct {
    /// The act of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|act| act.name() == name)
    }
}

impl AuditEvent {
    /// Whether it reports an act on a channel that revoked this token, as far as the
    /// event's own detail tells.
    #[must_use]
    pub fn revoked(&self, token: &Claims) -> bool {
        let of_group = |group: &Group| token.group.as_ref() == Some(group);
        let of_key = |key: AssertionKeyId| token.assertion_key == Some(key);
        let by_secret = Scope::Secret.covers(token.kind, None, token.assertion_key);
        match self {
            Self::TokenRevoke(it) => {
                it.all == Some(true)
                    || it.by_secret == Some(true) && by_secret
                    || it.token_id == Some(token.id)
                    || it.kind == Some(token.kind)
                    || it.group.as_ref().is_some_and(of_group)
                    || it.assertion_key.is_some_and(of_key)
            }
            Self::LeakReport(it) => it.revoked > 0 && it.names(token.id),
            Self::GroupDelete(it) => of_group(&it.group),
            Self::KeyDelete(it) => it.revoke_tokens && of_key(it.kid),
            Self::ChannelRotateSecret(it) => it.revoke_tokens.scope().is_some_and(|scope| {
                scope.covers(token.kind, token.group.as_ref(), token.assertion_key)
            }),
            _ => false,
        }
    }

    /// Whether it reports an act that revoked this token by its name, alone or with others that it
    /// names.
    #[must_use]
    pub fn revoked_by_name(&self, token: &Claims) -> bool {
        match self {
            Self::TokenRevoke(it) => it.token_id == Some(token.id),
            Self::LeakReport(it) => it.revoked > 0 && it.names(token.id),
            _ => false,
        }
    }

    /// Whether it reports a recovery that limited the signing keys, and this token was
    /// issued too late.
    #[must_use]
    pub fn limited_signing_keys(&self, token: &Claims) -> bool {
        match self {
            Self::StoreRecover(it) => {
                it.issued_before.is_some_and(|before| before <= token.issued_at)
            }
            _ => false,
        }
    }

    /// Whether it reports that this signing key was revoked.
    #[must_use]
    pub fn revoked_signing_key(&self, key: SigningKeyId) -> bool {
        match self {
            Self::SigningKeyRevoke(it) | Self::SigningKeyRevokeAll(it) => it.kids.contains(&key),
            _ => false,
        }
    }
}

/// Without any detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoDetail {}

/// The name that a thing was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// The job that revokes a provider's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNumber {
    /// The number of the job.
    pub job: i64,
}

/// A token that was issued for an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// Its id.
    pub token_id: TokenId,
    /// Its kind.
    pub kind: Kind,
}

/// Which tokens of a channel were revoked: one, or those of one scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokensRevoked {
    /// The stored token of this serial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// The token of this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// Those of this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Those of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Those issued for this assertion key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assertion_key: Option<AssertionKeyId>,
    /// Those issued for the channel's secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_secret: Option<bool>,
    /// All of the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// How many active stored tokens were revoked.
    pub revoked: usize,
}

/// One of the authority's signing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyNamed {
    /// Its `kid`.
    pub kid: SigningKeyId,
}

/// The signing keys that were revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeysRevoked {
    /// Their `kid`s; none if they were revoked before.
    pub kids: Vec<SigningKeyId>,
}

/// A master key that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterKeyReplaced {
    /// How many signing keys the new one encrypts.
    pub signing_keys: usize,
}

/// The newest checkpoint as it was seen before and as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCompared {
    /// The number of the one that was seen.
    pub expected: Option<u64>,
    /// The number of the one that was found.
    pub found: Option<u64>,
}

/// Which events are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditExpired {
    /// Events of checkpoints before this one.
    pub checkpoints_before: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_is_found_by_its_name_and_no_two_share_one() {
        for (place, act) in AuditAct::ALL.iter().enumerate() {
            assert_eq!(AuditAct::of(act.name()), Some(*act));
            let later = &AuditAct::ALL[place + 1..];
            assert!(later.iter().all(|other| other.name() != act.name()), "{}", act.name());
        }
        assert_eq!(AuditAct::of("token.forge"), None);
    }

    #[test]
    fn an_event_reads_back_from_its_name_and_detail_with_a_reason_beside_it() {
        let kind = TokensRevoked { kind: Some(Kind::V21), revoked: 3, ..Default::default() };
        for event in [
            AuditEvent::ProviderCreate(Named { name: "shop".to_owned() }),
            AuditEvent::TokenRevoke(kind),
            AuditEvent::AuditBroken(AuditCompared { expected: Some(4), found: None }),
            AuditEvent::AdminReset(NoDetail {}),
        ] {
            let mut detail = event.detail();
            detail["reason"] = json!("stolen");
            assert_eq!(AuditEvent::read(event.act().name(), &detail), Some(event));
        }
        assert_eq!(AuditEvent::read("provider.create", &json!({})), None, "no name");
    }

    #[test]
    fn a_detail_names_what_was_revoked_and_nothing_else() {
        let all = TokensRevoked { all: Some(true), revoked: 2, ..Default::default() };
        assert_eq!(AuditEvent::TokenRevoke(all).detail(), json!({ "all": true, "revoked": 2 }));
        let none = AuditEvent::AdminTokenThrottle(NoDetail {});
        assert_eq!(none.detail(), json!({}));
    }
}

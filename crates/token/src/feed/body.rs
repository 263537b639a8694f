//! The objects within snapshots and changes, as they are on the wire.
//!
//! Each has a `type`. Numbers that can exceed 2^53 are strings, since many JSON libraries
//! read numbers as floating-point ones.

use crate::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, SigningKeyId, TokenId, decimal},
    key::{KeyState, VerifyingKey},
    kind::Kind,
    time::UnixTime,
    view::{
        ChannelChange, ChannelRevocations, ChannelState, Cutoff, FeedChange, RevokedToken, Scope,
        SingleRevocation, ViewKey,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number as a string of decimal digits.
pub(super) struct Digits(u64);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let wrong = || serde::de::Error::custom(format!("`{text}` is not a number in digits"));
        decimal(&text).map(Self).ok_or_else(wrong)
    }
}

// ---- signing keys

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum KeyBody {
    /// RFC 8032; `x` is as in its JWK (RFC 8037).
    Ed25519 {
        kid: SigningKeyId,
        x: String,
        #[serde(flatten)]
        state: KeyState,
    },
}

impl From<&ViewKey> for KeyBody {
    fn from(it: &ViewKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(it.key.to_bytes());
        Self::Ed25519 { kid: it.key.id(), x, state: it.state }
    }
}

impl TryFrom<KeyBody> for ViewKey {
    type Error = String;
    fn try_from(KeyBody::Ed25519 { kid, x, state }: KeyBody) -> Result<Self, String> {
        let bytes = URL_SAFE_NO_PAD.decode(&x).ok().and_then(|it| it.try_into().ok());
        let key = bytes.and_then(|it| VerifyingKey::from_bytes(it).ok());
        let key = key.ok_or_else(|| format!("`{x}` is not the public half of key {kid}"))?;
        match key.id() == kid {
            true => Ok(Self { key, state }),
            false => Err(format!("key {} is listed as {kid}", key.id())),
        }
    }
}

// ---- revocations

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CutoffType {
    Channel,
    Kind,
    KindGroup,
    KindWithoutGroup,
    Group,
    AssertionKey,
    Secret,
}

/// Which of the optional members a cutoff has follows from its type.
#[derive(Serialize, Deserialize)]
pub(super) struct CutoffBody {
    #[serde(rename = "type")]
    scope: CutoffType,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assertion_key: Option<AssertionKeyId>,
    below: Digits,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<Digits>,
    until: UnixTime,
}

impl From<&Cutoff> for CutoffBody {
    fn from(it: &Cutoff) -> Self {
        let (scope, kind, group, assertion_key) = match &it.scope {
            Scope::Channel => (CutoffType::Channel, None, None, None),
            Scope::Kind { kind } => (CutoffType::Kind, Some(*kind), None, None),
            Scope::KindGroup { kind, group: Some(group) } => {
                (CutoffType::KindGroup, Some(*kind), Some(group.clone()), None)
            }
            Scope::KindGroup { kind, group: None } => {
                (CutoffType::KindWithoutGroup, Some(*kind), None, None)
            }
            Scope::Group { group } => (CutoffType::Group, None, Some(group.clone()), None),
            Scope::AssertionKey { key } => (CutoffType::AssertionKey, None, None, Some(*key)),
            Scope::Secret => (CutoffType::Secret, None, None, None),
        };
        let below = Digits(it.below.0);
        let except = it.except.iter().map(|serial| Digits(serial.0)).collect();
        #[rustfmt::skip]
        let body = Self {
            scope, kind, group, assertion_key, below, from: it.from, except, until: it.until,
        };
        body
    }
}

impl TryFrom<CutoffBody> for Cutoff {
    type Error = String;
    fn try_from(it: CutoffBody) -> Result<Self, String> {
        let scope = match (it.scope, it.kind, it.group, it.assertion_key) {
            (CutoffType::Channel, None, None, None) => Scope::Channel,
            (CutoffType::Kind, Some(kind), None, None) => Scope::Kind { kind },
            (CutoffType::KindGroup, Some(kind), Some(group), None) => {
                Scope::KindGroup { kind, group: Some(group) }
            }
            (CutoffType::KindWithoutGroup, Some(kind), None, None) => {
                Scope::KindGroup { kind, group: None }
            }
            (CutoffType::Group, None, Some(group), None) => Scope::Group { group },
            (CutoffType::AssertionKey, None, None, Some(key)) => Scope::AssertionKey { key },
            (CutoffType::Secret, None, None, None) => Scope::Secret,
            _ => return Err("a cutoff has other members than its type requires".to_owned()),
        };
        let except = it.except.into_iter().map(|serial| Serial(serial.0)).collect();
        Ok(Self { scope, below: Serial(it.below.0), from: it.from, except, until: it.until })
    }
}

/// A revoked stored token.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum RevokedBody {
    Token { kind: Kind, serial: Digits, until: UnixTime },
}

/// A revoked stateless token.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum RevokedIdBody {
    TokenId { id: TokenId, until: UnixTime },
}

impl RevokedBody {
    fn of(kind: Kind, serial: Serial, until: UnixTime) -> Self {
        Self::Token { kind, serial: Digits(serial.0), until }
    }
}

impl TryFrom<RevokedBody> for SingleRevocation {
    type Error = String;
    fn try_from(it: RevokedBody) -> Result<Self, String> {
        let RevokedBody::Token { kind, serial, until } = it;
        match kind.is_stored() {
            true => {
                Ok(Self { token: RevokedToken::Stored { kind, serial: Serial(serial.0) }, until })
            }
            false => Err(format!("a {kind} token is revoked by its serial, not by its id")),
        }
    }
}

impl From<RevokedIdBody> for SingleRevocation {
    fn from(RevokedIdBody::TokenId { id, until }: RevokedIdBody) -> Self {
        Self { token: RevokedToken::Stateless { id }, until }
    }
}

// ---- channels

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum ChannelBody {
    Channel {
        channel: ChannelId,
        provider: ProviderId,
        state: ChannelState,
        cutoffs: Vec<CutoffBody>,
        revoked: Vec<RevokedBody>,
        revoked_ids: Vec<RevokedIdBody>,
    },
}

/// A channel of a view: its provider, its id and its revocations.
pub(super) type ViewChannel = (ProviderId, ChannelId, ChannelRevocations);

impl ChannelBody {
    /// The body, the same for equal revocations.
    pub fn of(provider: ProviderId, channel: ChannelId, it: &ChannelRevocations) -> Self {
        let mut ids: Vec<_> = it.stateless.iter().map(|(id, until)| (*id, *until)).collect();
        ids.sort_unstable();
        let singles = it.singles.iter();
        Self::Channel {
            channel,
            provider,
            state: it.state,
            cutoffs: it.cutoffs.iter().map(CutoffBody::from).collect(),
            revoked: singles.map(|(it, (kind, end))| RevokedBody::of(*kind, *it, *end)).collect(),
            revoked_ids: ids
                .into_iter()
                .map(|(id, until)| RevokedIdBody::TokenId { id, until })
                .collect(),
        }
    }
}

impl TryFrom<ChannelBody> for ViewChannel {
    type Error = String;
    fn try_from(it: ChannelBody) -> Result<Self, String> {
        let ChannelBody::Channel { channel, provider, state, cutoffs, revoked, revoked_ids } = it;
        let cutoffs = cutoffs.into_iter().map(Cutoff::try_from).collect::<Result<_, _>>()?;
        let mut revocations = ChannelRevocations { state, cutoffs, ..<_>::default() };
        let tokens = singles(revoked, revoked_ids)?;
        revocations.apply(&ChannelChange::Revoked { tokens });
        Ok((provider, channel, revocations))
    }
}

fn singles(
    revoked: Vec<RevokedBody>,
    ids: Vec<RevokedIdBody>,
) -> Result<Vec<SingleRevocation>, String> {
    let ids = ids.into_iter().map(|it| Ok(it.into()));
    revoked.into_iter().map(SingleRevocation::try_from).chain(ids).collect()
}

// ---- changes

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum ChangeBody {
    /// Nothing that verifiers need.
    Nothing {},
    Revoked {
        revoked: Vec<RevokedBody>,
        revoked_ids: Vec<RevokedIdBody>,
    },
    Cutoff {
        cutoffs: Vec<CutoffBody>,
    },
    State {
        state: ChannelState,
    },
    Forget {
        expired_by: UnixTime,
    },
    SigningKey {
        key: KeyBody,
    },
}

impl From<Option<&FeedChange>> for ChangeBody {
    fn from(it: Option<&FeedChange>) -> Self {
        let change = match it {
            None => return Self::Nothing {},
            Some(FeedChange::SigningKey(key)) => return Self::SigningKey { key: key.into() },
            Some(FeedChange::Channel { change, .. }) => change,
        };
        match change {
            ChannelChange::Revoked { tokens } => {
                let (mut revoked, mut revoked_ids) = (Vec::new(), Vec::new());
                for SingleRevocation { token, until } in tokens {
                    let until = *until;
                    match *token {
                        RevokedToken::Stored { kind, serial } => {
                            revoked.push(RevokedBody::of(kind, serial, until));
                        }
                        RevokedToken::Stateless { id } => {
                            revoked_ids.push(RevokedIdBody::TokenId { id, until });
                        }
                    }
                }
                Self::Revoked { revoked, revoked_ids }
            }
            ChannelChange::Cutoff { cutoffs } => {
                Self::Cutoff { cutoffs: cutoffs.iter().map(CutoffBody::from).collect() }
            }
            ChannelChange::State { state } => Self::State { state: *state },
            ChannelChange::Forget { expired_by } => Self::Forget { expired_by: *expired_by },
        }
    }
}

impl ChangeBody {
    /// The change, of this channel if it is one of a channel.
    pub fn of_channel(
        self,
        channel: Option<(ProviderId, ChannelId)>,
    ) -> Result<Option<FeedChange>, String> {
        let change = match self {
            Self::Nothing {} => return Ok(None),
            Self::SigningKey { key } => return Ok(Some(FeedChange::SigningKey(key.try_into()?))),
            Self::Revoked { revoked, revoked_ids } => {
                ChannelChange::Revoked { tokens: singles(revoked, revoked_ids)? }
            }
            Self::Cutoff { cutoffs } => ChannelChange::Cutoff {
                cutoffs: cutoffs.into_iter().map(Cutoff::try_from).collect::<Result<_, _>>()?,
            },
            Self::State { state } => ChannelChange::State { state },
            Self::Forget { expired_by } => ChannelChange::Forget { expired_by },
        };
        let (provider, channel) =
            channel.ok_or_else(|| "a change of a channel without its ids".to_owned())?;
        Ok(Some(FeedChange::Channel { provider, channel, change }))
    }
}

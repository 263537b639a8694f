//! The rows of verifiers, of their instances, and of receipts.

use super::things::WrappedKey;
use crate::secret::HashedSecret;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};
use tegata_token::{
    feed::{InstanceId, OnStale},
    id::{Position, ProviderId, VerifierId},
    time::UnixTime,
};

/// A credential of programs that verify tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierRow {
    /// Its id.
    pub id: VerifierId,
    /// Its display name.
    pub name: String,
    /// The only provider whose tokens it may verify; `None`: all.
    pub provider: Option<ProviderId>,
    /// The longest staleness that its instances may use, in milliseconds.
    pub max_staleness: u32,
    /// Whether its instances may accept tokens by a stale view.
    pub allow: bool,
    /// The hash of its token.
    pub token: TokenHash,
    /// When it was created.
    pub created_at: UnixTime,
}

/// The SHA-256 of a verifier's token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl From<HashedSecret> for TokenHash {
    fn from(hash: HashedSecret) -> Self {
        Self(hash.to_stored())
    }
}

impl Serialize for TokenHash {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        WrappedKey(self.0.to_vec()).serialize(to)
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = WrappedKey::deserialize(from)?.0;
        let bytes = bytes.try_into().map_err(|_| serde::de::Error::custom("not 32 bytes"))?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

/// Changes of a verifier; `None` leaves a setting unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifierPatch {
    /// A new name.
    pub name: Option<String>,
    /// The longest staleness, in milliseconds.
    pub max_staleness: Option<u32>,
    /// Whether stale views may be used.
    pub allow: Option<bool>,
}

/// An instance as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its verifier.
    pub verifier: VerifierId,
    /// Its id.
    pub instance: InstanceId,
    /// The longest staleness that it was ever registered with, in milliseconds.
    pub staleness: u32,
    /// The most lenient setting that it was ever registered with.
    pub on_stale: OnStale,
    /// When it was registered.
    pub registered_at: UnixTime,
    /// When its row was last renewed.
    pub renewed_at: UnixTime,
    /// Whether it has reported its end; it cannot be registered again.
    pub stopped: bool,
    /// The address from which it was registered last; `None` for the instances that a recovery
    /// counts.
    pub address: Option<IpAddr>,
}

/// What the receipt of an act is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptFor {
    /// The provider whose verifiers must apply the act, as must the unlimited ones; `None`:
    /// all verifiers.
    pub provider: Option<ProviderId>,
    /// When it takes effect.
    pub effective_at: UnixTime,
}

/// A receipt as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRow {
    /// The position of the act's last change.
    pub position: Position,
    /// What it is about.
    pub about: ReceiptFor,
    /// Whether no instance is left that could accept what the act took away.
    pub complete: bool,
    /// The instances and their states, as JSON; `None`: not listed yet.
    pub list: Option<String>,
}

//! The claims of a token, in either wire form.

use crate::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, SigningKeyId, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// The facts of a token that never change: its channel, its kind, its lifetime and its
/// serial. A value of this type either was signed just now or had its signature checked;
/// see [`crate::wire::Unverified`] for claims that were not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The token's id.
    pub id: TokenId,
    /// Its kind.
    pub kind: Kind,
    /// The provider that owns the channel.
    pub provider: ProviderId,
    /// The channel that it gives access to.
    pub channel: ChannelId,
    /// The group within the channel that holds it.
    pub group: Option<Group>,
    /// The assertion key that authenticated the request for it.
    pub assertion_key: Option<AssertionKeyId>,
    /// Its serial; a stateless token carries the serial of the last bulk revocation
    /// before it.
    pub serial: Serial,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// The first moment at which it is no longer valid.
    pub expires_at: UnixTime,
    /// The key that signs it.
    pub key: SigningKeyId,
}

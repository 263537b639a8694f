//! What a token says, whichever form it is written in.

use crate::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, SigningKeyId, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// The facts that never change: whom a token is for, of what kind, until when,
/// its place in the channel's count. A value of this type was either signed just
/// now or its signature was checked; see [`crate::wire::Unverified`] for the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The token's own name.
    pub id: TokenId,
    /// Its kind.
    pub kind: Kind,
    /// Whose channel it is.
    pub provider: ProviderId,
    /// What it gives access to.
    pub channel: ChannelId,
    /// Which group within the channel holds it.
    pub group: Option<Group>,
    /// The assertion key that it was asked for with.
    pub assertion_key: Option<AssertionKeyId>,
    /// Its place in the channel's count; of a stateless token, the place of the
    /// last bulk ending before it.
    pub serial: Serial,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// The first moment at which it is no longer valid.
    pub expires_at: UnixTime,
    /// The key that signs it.
    pub key: SigningKeyId,
}

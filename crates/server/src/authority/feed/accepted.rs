//! A revoked token that an instance accepted.

use tegata_token::{
    id::{ChannelId, TokenId},
    time::UnixTime,
};

/// A token that an instance reported as used when it could no longer accept it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedRevoked {
    /// Its channel.
    pub channel: ChannelId,
    /// Its id.
    pub token: TokenId,
    /// The minute of the use.
    pub minute: UnixTime,
}

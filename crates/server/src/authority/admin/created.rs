//! Names what an actor created: which actor and when, and the keys that were found.

use std::net::IpAddr;
use tegata_store::KeyRow;
use tegata_token::{
    id::{AssertionKeyId, ChannelId},
    time::UnixTime,
};

/// Which tokens and keys: those that an actor created within a time.
#[derive(Debug, Clone)]
pub struct CreatedBy {
    /// The actor, as audit events name it.
    pub actor: String,
    /// Only by requests from this address.
    pub source: Option<IpAddr>,
    /// From this time on.
    pub since: UnixTime,
    /// Before this time.
    pub until: Option<UnixTime>,
}

/// An assertion key that the actor registered.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// Its channel.
    pub channel: ChannelId,
    /// Its `kid`.
    pub id: AssertionKeyId,
    /// Its row; `None` if it was deleted meanwhile.
    pub row: Option<KeyRow>,
}

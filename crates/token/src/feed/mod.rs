//! The messages of the feed: how a verifier on another machine learns what was revoked.
//! `docs/feed.md` describes them and the rules for both sides.
//!
//! Pure: the functions here turn a view and its changes into bytes and back. They compute
//! no age and hold no connection.

mod body;
mod bounds;
mod changes;
mod query;
mod snapshot;
mod unreadable;
mod usage;

pub use bounds::{
    DISCONNECTED, LONGEST_CANNOT, LONGEST_HOLD, LONGEST_RETRY, LONGEST_SEQ, LONGEST_SNAPSHOT,
    LONGEST_SOURCE, LONGEST_USAGE, STALENESS, VERSION, lease, longest_hold, longest_retry,
    poll_timeout,
};
pub use changes::{ChangesResponse, LoggedChange};
pub use query::{BadParameter, ChangesQuery, FeedQuery, InstanceId, OnStale};
pub use snapshot::{ResponseHead, Snapshot, SnapshotResponse};
pub use unreadable::Unreadable;
pub use usage::{TokenUse, UsageMinute, UsageReport};

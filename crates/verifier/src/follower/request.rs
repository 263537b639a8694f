//! A follower's requests.

use crate::{
    clocks::{Clocks, Steady},
    standing::Use,
};
use std::time::Duration;
use tegata_token::{
    feed::{ChangesQuery, FeedQuery, InstanceId, LONGEST_CANNOT},
    id::Position,
};

/// What a follower does next.
#[derive(Debug)]
pub struct NextRequests {
    /// The requests to send now.
    pub requests: Vec<Request>,
    /// The time until the next call, if nothing comes back before.
    pub wait: Duration,
}

/// A request to send.
#[derive(Debug, Clone)]
pub struct Request {
    /// Identifies it; also its `seq`.
    pub id: u64,
    /// Its path.
    pub path: &'static str,
    /// Its parameters, not yet encoded.
    pub query: Vec<(&'static str, String)>,
}

/// What came back.
#[derive(Debug, Clone)]
pub enum Received<'a> {
    /// A response.
    Response {
        /// Its status.
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
        /// Its body.
        body: &'a [u8],
    },
    /// No response, or only a part of one.
    Failed,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Snapshot,
    Changes { after: Position, hold: Duration, cannot: Option<String>, bye: bool },
}

/// A request without a response so far.
#[derive(Debug)]
pub(super) struct Sent {
    pub id: u64,
    pub asked: Asked,
    /// The clocks when it was sent.
    pub at: Clocks,
    /// The staleness and the `on_stale` that it carried.
    pub wanted: Use,
    /// When it is given up.
    pub deadline: Steady,
}

impl Asked {
    pub fn is_bye(&self) -> bool {
        matches!(self, Self::Changes { bye: true, .. })
    }

    /// How long the authority is to hold it; `None`: it is for a snapshot.
    pub fn hold(&self) -> Option<Duration> {
        match self {
            Self::Snapshot => None,
            Self::Changes { hold, .. } => Some(*hold),
        }
    }

    /// The request, with this id and for this instance.
    pub fn request(&self, id: u64, instance: &InstanceId, wanted: Use) -> Request {
        let common = FeedQuery {
            instance: instance.clone(),
            staleness: wanted.staleness,
            on_stale: wanted.on_stale,
            seq: Some(id.to_string()),
        };
        let (path, query) = match self {
            Self::Snapshot => ("/feed/snapshot", common.pairs()),
            Self::Changes { after, hold, cannot, bye } => {
                let hold = *hold;
                let printable = |it: &String| {
                    let printable = it.chars().filter(|it| !it.is_control());
                    printable.take(LONGEST_CANNOT).collect()
                };
                let cannot = cannot.as_ref().map(printable);
                let query = ChangesQuery { common, after: *after, hold, cannot, bye: *bye };
                ("/feed/changes", query.pairs())
            }
        };
        Request { id, path, query }
    }
}

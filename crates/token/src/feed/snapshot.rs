//! `GET /feed/snapshot`: a whole view.

use super::{
    LONGEST_SNAPSHOT, Unreadable, VERSION,
    body::{ChannelBody, KeyBody, ViewChannel},
    unreadable::read,
};
use crate::{
    id::{Position, ProviderId},
    view::{Providers, View, ViewKey},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, time::Duration};

/// What each response of the feed begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The `seq` of the request, if it had one.
    pub seq: Option<String>,
    /// The time since the server began the read that the response is made from.
    pub age: Duration,
    /// The authority's clock at that read, in milliseconds since the UNIX epoch.
    pub time_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct HeadBody {
    pub feed: u32,
    pub seq: Option<String>,
    pub age_ms: u64,
    pub time_ms: u64,
}

impl From<&ResponseHead> for HeadBody {
    fn from(it: &ResponseHead) -> Self {
        // Rounded up: a view is never younger than it says.
        let age_ms = it.age.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX);
        Self { feed: VERSION, seq: it.seq.clone(), age_ms, time_ms: it.time_ms }
    }
}

impl TryFrom<HeadBody> for ResponseHead {
    type Error = Unreadable;
    fn try_from(it: HeadBody) -> Result<Self, Unreadable> {
        match it.feed {
            VERSION => {
                let age = Duration::from_millis(it.age_ms);
                Ok(Self { seq: it.seq, age, time_ms: it.time_ms })
            }
            other => Err(Unreadable::Version(other)),
        }
    }
}

/// What a verifier needs at one position: the signing keys and the revocations of its
/// provider, or of all.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The authority's public address, the `iss` of its tokens.
    pub issuer: String,
    /// The only provider that it covers; `None`: all.
    pub provider: Option<ProviderId>,
    /// The view, with its position.
    pub view: View,
}

#[derive(Serialize, Deserialize)]
struct SnapshotBody {
    position: Position,
    issuer: String,
    provider: Option<ProviderId>,
    keys: Vec<KeyBody>,
    channels: Vec<ChannelBody>,
}

impl Snapshot {
    /// Writes the part of `view` that a verifier of `provider`, or of all, may see. Equal
    /// views give the same bytes, so they are written once for all requests.
    #[must_use]
    pub fn write(view: &View, provider: Option<ProviderId>, issuer: &str) -> String {
        let seen = view.each_channel().filter(|(owner, ..)| provider.is_none_or(|it| it == *owner));
        let mut channels: Vec<_> = seen.collect();
        channels.sort_unstable_by_key(|(_, channel, _)| *channel);
        let body = SnapshotBody {
            position: view.position(),
            issuer: issuer.to_owned(),
            provider,
            keys: view.keys().iter().map(KeyBody::from).collect(),
            channels: channels.into_iter().map(|(p, id, it)| ChannelBody::of(p, id, it)).collect(),
        };
        // Strings, numbers and lists can always be written.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// Reads what [`Snapshot::write`] writes.
    ///
    /// # Errors
    /// The text is not a snapshot, or has something that this version does not speak.
    pub fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        read::<SnapshotBody>(text)?.try_into()
    }
}

impl TryFrom<SnapshotBody> for Snapshot {
    type Error = Unreadable;
    fn try_from(it: SnapshotBody) -> Result<Self, Unreadable> {
        let keys: Vec<ViewKey> = all(it.keys)?;
        let channels: Vec<ViewChannel> = all(it.channels)?;
        let mut seen = HashSet::new();
        if let Some(twice) = keys.iter().find(|key| !seen.insert(key.key.id())) {
            return Err(Unreadable::Malformed(format!("lists key {} twice", twice.key.id())));
        }
        let mut seen = HashSet::new();
        if let Some((_, twice, _)) = channels.iter().find(|(_, channel, _)| !seen.insert(*channel))
        {
            return Err(Unreadable::Malformed(format!("lists channel {twice} twice")));
        }
        let providers = match it.provider {
            Some(provider) => Providers::Only([provider].into()),
            None => Providers::All,
        };
        let view = View::from_state(providers, it.position, keys, channels);
        Ok(Self { issuer: it.issuer, provider: it.provider, view })
    }
}

fn all<T, U: TryFrom<T, Error = String>>(bodies: Vec<T>) -> Result<Vec<U>, Unreadable> {
    bodies.into_iter().map(|it| U::try_from(it).map_err(Unreadable::Malformed)).collect()
}

/// The response to a request for a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotResponse {
    /// What the response begins with.
    pub head: ResponseHead,
    /// The snapshot.
    pub snapshot: Snapshot,
}

#[derive(Deserialize)]
struct SnapshotResponseBody {
    // Not flattened: raw text cannot be read from a flattened object.
    feed: u32,
    seq: Option<String>,
    age_ms: u64,
    time_ms: u64,
    snapshot: Box<serde_json::value::RawValue>,
}

impl SnapshotResponse {
    /// The text before and after the snapshot's own, so that a server need not copy a
    /// snapshot that it has written for many requests.
    #[must_use]
    pub fn around(head: &ResponseHead) -> (String, &'static str) {
        let mut before = serde_json::to_string(&HeadBody::from(head)).unwrap_or_default();
        before.pop();
        before.push_str(r#","snapshot":"#);
        (before, "}")
    }

    /// As [`Self::around`], with the detached JWS over the snapshot after it.
    #[must_use]
    pub fn around_signed(head: &ResponseHead, jws: &str) -> (String, String) {
        let (before, end) = Self::around(head);
        // Base64url and dots need no escapes.
        (before, format!(r#","jws":"{jws}"{end}"#))
    }

    /// Reads a response.
    ///
    /// # Errors
    /// It is not a response with a snapshot, is too long, or has something that this
    /// version does not speak.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > LONGEST_SNAPSHOT {
            return Err(Unreadable::TooLong(bytes.len(), LONGEST_SNAPSHOT));
        }
        let body: SnapshotResponseBody = read(bytes)?;
        let SnapshotResponseBody { feed, seq, age_ms, time_ms, .. } = body;
        let head = HeadBody { feed, seq, age_ms, time_ms }.try_into()?;
        Ok(Self { head, snapshot: Snapshot::parse(body.snapshot.get().as_bytes())? })
    }
}

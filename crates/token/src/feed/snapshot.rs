//! `GET /feed/snapshot`: a whole view.

use super::{
    LONGEST_SNAPSHOT, Unreadable, VERSION,
    body::{ChannelBody, KeyBody, ViewChannel},
    unreadable::read,
};
use crate::{
    id::{ChannelId, Position, ProviderId},
    view::{ChannelRevocations, Providers, View, ViewKey},
};
use serde::{Deserialize, Serialize, Serializer};
use std::{collections::HashSet, io, time::Duration};

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

/// The members of a [`SnapshotBody`], whose channels are written one after the other: in a
/// list they would take several times the memory of their text.
#[derive(Serialize)]
struct WrittenBody<'a> {
    position: Position,
    issuer: &'a str,
    provider: Option<ProviderId>,
    keys: Vec<KeyBody>,
    channels: WrittenChannels<'a>,
}

struct WrittenChannels<'a>(Vec<(ProviderId, ChannelId, &'a ChannelRevocations)>);

impl Serialize for WrittenChannels<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|(provider, id, it)| ChannelBody::of(*provider, *id, it)))
    }
}

#[derive(Deserialize)]
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
        let mut text = Vec::new();
        // Into memory: strings, numbers and lists can always be written.
        let _ = Self::write_to(&mut text, view, provider, issuer);
        String::from_utf8(text).unwrap_or_default()
    }

    /// As [`Snapshot::write`], part by part.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_to(
        to: impl io::Write,
        view: &View,
        provider: Option<ProviderId>,
        issuer: &str,
    ) -> io::Result<()> {
        let seen = view.each_channel().filter(|(owner, ..)| provider.is_none_or(|it| it == *owner));
        let mut channels: Vec<_> = seen.collect();
        channels.sort_unstable_by_key(|(_, channel, _)| *channel);
        let body = WrittenBody {
            position: view.position(),
            issuer,
            provider,
            keys: view.keys().iter().map(KeyBody::from).collect(),
            channels: WrittenChannels(channels),
        };
        Ok(serde_json::to_writer(to, &body)?)
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

//! `GET /feed/changes`: what changed after a position.

use super::{ResponseHead, Unreadable, body::ChangeBody, snapshot::HeadBody, unreadable::read};
use crate::{
    id::{ChannelId, Position, ProviderId},
    view::FeedChange,
};
use serde::{Deserialize, Serialize};

/// A change of the change log, at its position.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedChange {
    /// Its position.
    pub position: Position,
    /// The change, if it is one that verifiers need.
    pub change: Option<FeedChange>,
}

impl LoggedChange {
    /// Whether it can change an answer of a verifier of `provider`, or of all. A signing
    /// key concerns all of them.
    #[must_use]
    pub fn concerns(&self, provider: Option<ProviderId>) -> bool {
        match &self.change {
            Some(FeedChange::Channel { provider: owner, .. }) => {
                provider.is_none_or(|it| it == *owner)
            }
            Some(FeedChange::SigningKey(_)) => true,
            None => false,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct LoggedBody {
    position: Position,
    provider: Option<ProviderId>,
    channel: Option<ChannelId>,
    change: ChangeBody,
}

impl From<&LoggedChange> for LoggedBody {
    fn from(it: &LoggedChange) -> Self {
        let (provider, channel) = match &it.change {
            Some(FeedChange::Channel { provider, channel, .. }) => {
                (Some(*provider), Some(*channel))
            }
            Some(FeedChange::SigningKey(_)) | None => (None, None),
        };
        Self { position: it.position, provider, channel, change: it.change.as_ref().into() }
    }
}

impl TryFrom<LoggedBody> for LoggedChange {
    type Error = Unreadable;
    fn try_from(it: LoggedBody) -> Result<Self, Unreadable> {
        let wrong = |problem| Unreadable::Malformed(format!("change {}: {problem}", it.position));
        let change = it.change.of_channel(it.provider.zip(it.channel)).map_err(wrong)?;
        Ok(Self { position: it.position, change })
    }
}

/// The response to a request for changes.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesResponse {
    /// What the response begins with.
    pub head: ResponseHead,
    /// The position that was asked after.
    pub after: Position,
    /// The position up to which the response holds every change that concerns the
    /// verifier.
    pub through: Position,
    /// The changes, in the order of their positions. For a verifier of all providers, the
    /// first one is at the position next to `after`, even if it changes nothing: the
    /// follower sees by it that no change between was lost.
    pub changes: Vec<LoggedChange>,
}

/// What follows the head: the same for all that asked after one position.
#[derive(Serialize)]
struct RestBody {
    after: Position,
    through: Position,
    changes: Vec<LoggedBody>,
}

#[derive(Deserialize)]
struct ChangesBody {
    #[serde(flatten)]
    head: HeadBody,
    after: Position,
    through: Position,
    changes: Vec<LoggedBody>,
}

impl ChangesResponse {
    /// The response for a verifier of `provider`, or of all, from the changes of the log
    /// after `after` and up to `through`.
    pub fn project(
        head: ResponseHead,
        after: Position,
        through: Position,
        log: impl IntoIterator<Item = LoggedChange>,
        provider: Option<ProviderId>,
    ) -> Self {
        let mut log = log.into_iter().peekable();
        let next = log.peek().map(|it| it.position);
        let mut changes: Vec<_> = log.filter(|it| it.concerns(provider)).collect();
        let first = changes.first().map(|it| it.position);
        if let (None, Some(position), Some(first)) = (provider, next, first)
            && position != first
        {
            changes.insert(0, LoggedChange { position, change: None });
        }
        Self { head, after, through, changes }
    }

    /// The response as JSON.
    #[must_use]
    pub fn write(&self) -> String {
        Self::before(&self.head) + &self.rest()
    }

    /// The text of the head, with which a response begins.
    #[must_use]
    pub fn before(head: &ResponseHead) -> String {
        let mut before = serde_json::to_string(&HeadBody::from(head)).unwrap_or_default();
        before.pop();
        before.push(',');
        before
    }

    /// The text after that of the head, so that a server need not write it for each request.
    #[must_use]
    pub fn rest(&self) -> String {
        let body = RestBody {
            after: self.after,
            through: self.through,
            changes: self.changes.iter().map(LoggedBody::from).collect(),
        };
        // Strings, numbers and lists can always be written.
        serde_json::to_string(&body).unwrap_or_default().split_off(1)
    }

    /// Reads a response.
    ///
    /// # Errors
    /// It is not a response with changes, has something that this version does not speak,
    /// or its positions are not in order.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let body: ChangesBody = read(bytes)?;
        let changes = body.changes.into_iter().map(LoggedChange::try_from);
        let response = Self {
            head: body.head.try_into()?,
            after: body.after,
            through: body.through,
            changes: changes.collect::<Result<_, _>>()?,
        };
        response.check_order()?;
        Ok(response)
    }

    fn check_order(&self) -> Result<(), Unreadable> {
        let (after, through) = (self.after, self.through);
        let wrong = |problem: String| Err(Unreadable::Malformed(problem));
        if through.epoch != after.epoch || through < after {
            return wrong(format!("goes through {through}, asked after {after}"));
        }
        let mut before = None;
        for LoggedChange { position, .. } in &self.changes {
            if position.epoch != after.epoch || *position > through {
                return wrong(format!("has change {position}, goes through {through}"));
            }
            if before.is_some_and(|it| it >= *position) {
                return wrong(format!("has change {position} out of order"));
            }
            before = Some(*position);
        }
        Ok(())
    }
}

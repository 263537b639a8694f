//! What the rows of an act have in common.

use tegata_policy::acts::Author;
use tegata_token::{id::Position, time::UnixTime};

/// The time of an act, and its place in the log and the audit.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) struct At {
    /// When the act was decided.
    pub now: UnixTime,
    /// The position of its last change; `None`: it has none.
    pub position: Option<Position>,
    /// The id of its audit event; `None`: it has none.
    pub audit: Option<i64>,
}

/// An act whose effects are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    /// Its time and place.
    pub at: &'a At,
    /// Who did it and why, if that is recorded.
    pub author: Option<&'a Author>,
}

impl<'a> Of<'a> {
    /// The actor and the reason.
    pub fn author(self) -> (Option<&'a str>, Option<&'a str>) {
        let author = self.author;
        let reason = author.and_then(|it| it.reason.as_deref());
        (author.map(|it| it.actor.as_str()), reason)
    }
}

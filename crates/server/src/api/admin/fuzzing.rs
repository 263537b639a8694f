//! The way in for the fuzzing targets, and nobody else: what reads the bodies and
//! queries of these calls is private to them.

use super::{
    assertion_keys, channels, providers,
    read::{self, FromMembers, Part},
    revocations, tokens,
};
use crate::authority::admin::{Anywhere, InChannel};
use tegata_store::{ChannelPatch, GroupPatch};

/// Taken, or refused with this status and these words.
pub type Read = Result<(), (u16, String)>;

/// What each call that takes a body makes of this one.
#[must_use]
pub fn bodies(body: &[u8]) -> Vec<(&'static str, Read)> {
    fn of<T: FromMembers>(body: &[u8]) -> Read {
        told(read::object::<T>(body))
    }
    vec![
        ("no members", of::<()>(body)),
        ("create provider", of::<providers::New>(body)),
        ("create channel", of::<channels::New>(body)),
        ("change channel", of::<ChannelPatch>(body)),
        ("replace secret", of::<channels::Replacement>(body)),
        ("register assertion key", of::<assertion_keys::New>(body)),
        ("change group", of::<GroupPatch>(body)),
        ("reissue", of::<tokens::Reissue>(body)),
        ("explain", of::<tokens::Shown>(body)),
        ("revoke in a channel", of::<revocations::Asked<InChannel>>(body)),
        ("revoke", of::<revocations::Asked<Anywhere>>(body)),
    ]
}

/// What each call that takes a query makes of this one.
#[must_use]
pub fn queries(query: &[u8]) -> Vec<(&'static str, Read)> {
    fn of<T: FromMembers>(query: &[u8]) -> Read {
        told(read::fields::<T>(query))
    }
    vec![
        ("no query", of::<()>(query)),
        ("a page", of::<Part>(query)),
        ("a deletion", of::<read::DryRun>(query)),
        ("delete assertion key", of::<assertion_keys::Deletion>(query)),
        ("tokens", of::<tokens::Wanted>(query)),
        ("audit", of::<read::PartOf>(query)),
    ]
}

fn told<T>(read: Result<T, super::Problem>) -> Read {
    read.map(drop).map_err(|problem| {
        let (status, detail) = problem.status_and_detail();
        (status, detail.to_owned())
    })
}

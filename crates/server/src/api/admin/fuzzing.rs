//! Entry points for the fuzz targets only: the readers of these calls' bodies and queries
//! are private to their modules.

use super::{
    account, assertion_keys, audit, channels, groups, people, providers,
    read::{self, Part},
    revocations, tokens, warnings,
};
use serde::de::DeserializeOwned;

/// Accepted, or rejected with this status and detail.
pub type Read = Result<(), (u16, String)>;

/// The result of reading this body, for each call that takes a body.
#[must_use]
pub fn bodies(body: &[u8]) -> Vec<(&'static str, Read)> {
    fn of<T: DeserializeOwned>(body: &[u8]) -> Read {
        outcome(read::object::<T>(body))
    }
    vec![
        ("no members", of::<()>(body)),
        ("create provider", of::<providers::New>(body)),
        ("change provider", of::<providers::ProviderChange>(body)),
        ("create channel", of::<channels::New>(body)),
        ("change channel", of::<channels::ChannelChange>(body)),
        ("replace secret", of::<channels::Replacement>(body)),
        ("register assertion key", of::<assertion_keys::New>(body)),
        ("change group", of::<groups::GroupChange>(body)),
        ("reissue", of::<tokens::Reissue>(body)),
        ("explain", of::<tokens::TokenToExplain>(body)),
        ("revoke", of::<revocations::Revocation>(body)),
        ("invite person", of::<people::New>(body)),
        ("change person", of::<people::Changes>(body)),
        ("set provider role", of::<people::ProviderRoleChange>(body)),
        ("set channel role", of::<people::ChannelRoleChange>(body)),
        ("open invitation", of::<account::InvitationToOpen>(body)),
        ("accept invitation", of::<account::InvitationToAccept>(body)),
        ("sign in", of::<account::SigningIn>(body)),
        ("change password", of::<account::PasswordChange>(body)),
        ("create admin token", of::<account::NewToken>(body)),
    ]
}

/// The result of reading this query, for each call that takes a query.
#[must_use]
pub fn queries(query: &[u8]) -> Vec<(&'static str, Read)> {
    fn of<T: DeserializeOwned>(query: &[u8]) -> Read {
        outcome(read::fields::<T>(query))
    }
    vec![
        ("no query", of::<()>(query)),
        ("a page", of::<Part>(query)),
        ("a search", of::<read::Found>(query)),
        ("a deletion", of::<read::Deletion>(query)),
        ("delete assertion key", of::<assertion_keys::KeyDeletion>(query)),
        ("all assertion keys", of::<assertion_keys::WantedKeys>(query)),
        ("tokens", of::<tokens::Wanted>(query)),
        ("audit", of::<audit::Wanted>(query)),
        ("warnings", of::<warnings::Wanted>(query)),
        ("audit export", of::<audit::Behind>(query)),
    ]
}

fn outcome<T>(read: Result<T, super::Problem>) -> Read {
    read.map(drop).map_err(|problem| {
        let (status, detail) = problem.status_and_detail();
        (status, detail.to_owned())
    })
}

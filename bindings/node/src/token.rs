//! A token that is active, as one string, and the refusal of others.
//!
//! A string is cheaper than an object with members, or than one that the garbage collector
//! has to return to this module, and most APIs read one or two of the facts.

use napi_derive::napi;
use tegata_verifier::{NotAccepted, VerifiedToken};

/// The facts of a token, in the order in which the `Token` of `index.js` reads them, each on a line
/// of its own. None of them can hold a line break.
pub fn facts(token: &VerifiedToken) -> String {
    let claims = &token.claims;
    let group = claims.group.as_ref().map(ToString::to_string).unwrap_or_default();
    let stale = token.stale.map(|it| it.to_string()).unwrap_or_default();
    let (id, kind, channel, provider) = (claims.id, claims.kind, claims.channel, claims.provider);
    let (issued_at, until) = (claims.issued_at.0, token.until.0);
    format!("{id}\n{kind}\n{channel}\n{provider}\n{group}\n{issued_at}\n{until}\n{stale}")
}

/// Why a token is not accepted; the package's JavaScript throws it.
#[napi(object)]
pub struct Refusal {
    /// 401 for a token that is not active, 503 for one whose state is not known.
    pub status: u16,
    /// The reason.
    pub message: String,
}

impl From<NotAccepted> for Refusal {
    fn from(why: NotAccepted) -> Self {
        let status = match why {
            NotAccepted::Invalid(_) | NotAccepted::Inactive => 401,
            NotAccepted::Unknown(_) => 503,
        };
        Self { status, message: why.to_string() }
    }
}

//! Which acts are answered only when every other server has applied what they promise.

use tegata_policy::acts::{ActName, Effects, Write};
use tegata_token::kind::Kind;

/// Whether an act that may make a token or a credential invalid may have found that done. Its
/// answer says so as well, and the act that did it may still wait for the other servers: this one
/// then waits for them, too.
pub(super) fn found_done(act: ActName, effects: &Effects) -> bool {
    let is_reissue = |it: &Write| {
        // Its predecessor may have been revoked just before.
        matches!(it, Write::Token(new) if new.claims.kind == Kind::LongLived)
    };
    match act {
        // Another new token, a new session, or a used code is no such answer; a retry is.
        ActName::Issue if effects.writes.iter().any(is_reissue) => effects.changes.is_empty(),
        ActName::Issue | ActName::SignIn | ActName::UseCode => effects.is_empty(),
        _ => act.can_narrow() && effects.changes.is_empty(),
    }
}

/// Whether an act made a token or a credential invalid: every other server must have its
/// changes before its answer. What only widens is not waited for.
pub(super) fn narrows(act: ActName, effects: &Effects) -> bool {
    match act {
        // A new session alone takes nothing away; a used recovery code does.
        ActName::SignIn => !effects.journal.is_empty(),
        // Another server must not answer an instance that no receipt counts any more.
        ActName::RemoveInstances => !effects.changes.is_empty(),
        _ => act.can_narrow() && !effects.changes.is_empty(),
    }
}
